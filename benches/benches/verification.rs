//! What verifying costs: witness, seal, receipt, sample, optimizer step.

#[path = "shared/fixture.rs"]
mod fixture;

use std::time::Duration;

use consensus_upow::PreparedWeights;
use consensus_upow::attempt::{Attempt, key_a};
use consensus_upow::checkpoint::checkpoint_root;
use consensus_upow::gradient_codec;
use consensus_upow::receipt::{BuiltReceipt, CheckedReceipt, ReceiptBuilder, receipt_parts_are_valid};
use consensus_upow::sampling::index_is_honest;
use consensus_upow::seal::{
    Seal, SealedHeader, base_is_the_rounds, claimed_ticket_wins, microbatch_proves_seal, witness_proves_ticket,
};
use consensus_upow::step::{StepInput, StepReceipt, make_step};
use consensus_upow::task::Task;
use consensus_upow::ticket::TileId;
use consensus_upow::witness::{Witness, WitnessClaim, witness_is_valid};
use criterion::{Criterion, SamplingMode, Throughput};
use descent_benches::is_measuring;
use descent_genesis::ChainSpec;
use descent_runtime::{AccountId, H256};
use ml_kernels::config::{Op, ProductId};
use ml_kernels::platform::Platform;
use ml_kernels::product::{Operand, TILE, ticket, tile_state};

use fixture::Fixture;

/// Receipts in the measured step.
const RECEIPTS_OF_STEP: usize = 4;

fn main() {
    let fixture = Fixture::new("nano", 1, Platform::detect());
    println!("{}", fixture.machine_line());
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    witnesses(&mut criterion);
    let mined = Mined::new(&fixture, if is_measuring() { 16 } else { 1 });
    seal(&mut criterion, &fixture, &mined);
    let checked = receipt(&mut criterion, &fixture, &mined);
    step(&mut criterion, &fixture, checked);
    criterion.final_summary();
}

/// What a miner hands over: a receipt and a seal.
struct Mined {
    builder: ReceiptBuilder,
    receipt: BuiltReceipt,
    sealed: SealedHeader,
    witness: Vec<u8>,
}

impl Mined {
    /// A receipt of `count` microbatches, and the first seal that one of them or of the next ones drew.
    fn new(fixture: &Fixture, count: usize) -> Self {
        let mut builder = ReceiptBuilder::new(&fixture.engine, &fixture.context, 0, 0);
        let mut won: Option<(Seal, Vec<u8>)> = None;
        let mut index = 0;
        while builder.count() < count || won.is_none() {
            let mined = fixture.mine(index);
            index += 1;
            if builder.count() < count {
                assert!(builder.push(&fixture.template, &mined), "the next index, of few");
            }
            won = won.or(mined.seal);
        }
        let (seal, witness) = won.expect("the loop ends with one");
        let (sigma, account) = (fixture.template.sigma(), fixture.account.clone());
        let sealed = SealedHeader { sigma, account, lane: 0, timestamp_ms: 1, seal };
        let receipt = builder.build(&fixture.engine).expect("not empty");
        Self { builder, receipt, sealed, witness }
    }
}

/// Witnesses of a contraction of 256 and of 1,024, in a `nano` whose feed-forward layer is as wide.
fn witnesses(criterion: &mut Criterion) {
    let mut params = ChainSpec::builtin("dev", None, Some("nano")).expect("built in").task;
    params.model.d_ff = 1024;
    let task = Task::new(params).expect("valid shape");
    let account = AccountId::new([1; 32]);
    let attempt = Attempt { round: 0, base: H256::zero(), account, lane: 0, index: 0, sigma: H256::repeat_byte(2) };
    let mut group = criterion.benchmark_group("witness");
    group.sampling_mode(SamplingMode::Flat);
    // The qkv layer and the one that leads down from the feed-forward layer.
    for layer in [0, 3] {
        let id = ProductId { layer, op: Op::Forward };
        let dims = task.model().dims(id).expect("layer of the model");
        let tile = TileId::new(id, 1, 2);
        let a = operand(dims.m, dims.k, 3);
        let b = operand(dims.n, dims.k, 5);
        let witness = Witness {
            a_strip: a.strip(tile.row.into()).to_vec(),
            b_strip: b.strip(tile.col.into()).to_vec(),
            a_hashes: a.strip_hashes(),
            b_hashes: b.strip_hashes(),
        };
        let (com_a, com_b) = (Operand::commitment(&witness.a_hashes), Operand::commitment(&witness.b_hashes));
        let key_b = attempt.key_b(&task, id, dims, &com_b);
        let key_a = key_a(&key_b, &attempt.key(&task), &com_a);
        let (row, col) = (tile.row.into(), tile.col.into());
        let state = tile_state(&witness.a_strip, &witness.b_strip, dims.k, row, col, &key_a, &key_b);
        let t0 = H256(ticket(&key_a, &state.expect("valid strips")));
        let claim = WitnessClaim { tile, com_a: H256(com_a), com_b: H256(com_b), t0, attempt: &attempt };
        let bytes = witness.to_bytes();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("k = {}", dims.k), |bench| {
            bench.iter(|| witness_is_valid(&task, &claim, &bytes).expect("honest"));
        });
    }
    group.finish();
}

/// An operand with values all over the int7 range.
fn operand(vectors: usize, k: usize, seed: usize) -> Operand {
    // Below 127, so that it fits after the shift to -63..=63.
    let data = (0..vectors * k).map(|i| ((i * seed + i / TILE) % 127) as i8 - 63).collect();
    Operand::from_parts(data, vec![1.0; vectors], k).expect("valid shape")
}

fn seal(criterion: &mut Criterion, fixture: &Fixture, mined: &Mined) {
    let (engine, context, sealed) = (&fixture.engine, &fixture.context, &mined.sealed);
    let target = fixture.difficulty.target();
    let mut group = criterion.benchmark_group("seal");
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function("claimed ticket", |b| {
        b.iter(|| claimed_ticket_wins(engine.task(), sealed, target).expect("honest"));
    });
    group.bench_function("witness", |b| {
        b.iter(|| witness_proves_ticket(engine.task(), sealed, 0, &mined.witness).expect("honest"));
    });
    group.bench_function("microbatch", |b| {
        b.iter(|| microbatch_proves_seal(engine, context, sealed).expect("honest"));
    });
    group.bench_function("all of it", |b| {
        b.iter(|| {
            claimed_ticket_wins(engine.task(), sealed, target).expect("honest");
            witness_proves_ticket(engine.task(), sealed, 0, &mined.witness).expect("honest");
            base_is_the_rounds(sealed, &context.base).expect("honest");
            microbatch_proves_seal(engine, context, sealed).expect("honest")
        });
    });
    group.finish();
}

fn receipt(criterion: &mut Criterion, fixture: &Fixture, mined: &Mined) -> CheckedReceipt {
    let (engine, account) = (&fixture.engine, &fixture.account);
    let BuiltReceipt { summary, details, blob } = &mined.receipt;
    let lengths: Vec<usize> = engine.tensors().iter().map(|t| t.len()).collect();
    let check = || {
        // The template builds on genesis.
        let ancestor = |hash: &H256| hash.is_zero().then_some(0);
        receipt_parts_are_valid(engine, account, summary, details, blob, &ancestor, &|_| 0).expect("honest")
    };
    let checked = check();
    println!(
        "receipt of {} microbatches: {} bytes of details, {} bytes of gradient ({:.2} bits a weight)",
        summary.count,
        details.len(),
        blob.len(),
        blob.len() as f64 * 8.0 / engine.task().model().weights() as f64
    );
    let mut group = criterion.benchmark_group(format!("receipt of {} microbatches", summary.count));
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function("encode", |b| b.iter(|| mined.builder.build(engine).expect("not empty")));
    group.bench_function("decode gradient", |b| {
        b.iter(|| gradient_codec::decode(&lengths, summary.count, blob).expect("honest"));
    });
    group.bench_function("hash summed gradient", |b| {
        b.iter(|| engine.lattice().hash_i16(engine.platform(), &checked.gradient).expect("the model's own gradient"));
    });
    group.bench_function("check parts", |b| b.iter(check));
    group.bench_function("recompute one sample", |b| {
        b.iter(|| {
            let finding = index_is_honest(engine, &fixture.context, account, summary, &checked.details, 0);
            finding.expect("the task's own model").expect("honest");
        });
    });
    group.finish();
    checked
}

fn step(criterion: &mut Criterion, fixture: &Fixture, checked: CheckedReceipt) {
    let (engine, checkpoint) = (&fixture.engine, &fixture.checkpoint);
    let model = engine.task().model();
    let count = checked.details.indices.len() as u32;
    let loss_sum = checked.details.loss_sum();
    let receipts = vec![StepReceipt { count, loss_sum, gradient: checked.gradient }; RECEIPTS_OF_STEP];
    let root = checkpoint_root(model, checkpoint);
    // Mean squares of one unit: what the scales aim at.
    let squares: Vec<u64> = engine.tensors().iter().map(|t| t.len() as u64).collect();
    let input = StepInput {
        checkpoint,
        checkpoint_root: root,
        exponents: &fixture.context.exponents,
        running: &vec![0; squares.len()],
        seal_squares: &vec![squares; 8],
        receipts: &receipts,
    };
    let mut group = criterion.benchmark_group("round");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(model.weights() as u64));
    group.bench_function(format!("step of {RECEIPTS_OF_STEP} receipts, root included"), |b| {
        b.iter(|| make_step(engine, &input))
    });
    group.bench_function("checkpoint root", |b| b.iter(|| checkpoint_root(model, checkpoint)));
    group.bench_function("prepare weights", |b| {
        b.iter(|| PreparedWeights::new(engine.platform(), model, checkpoint.weights.clone()).expect("own weights"));
    });
    group.finish();
}
