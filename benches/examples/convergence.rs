//! Trains one model twice from the same weights on the same windows: the chain's way (int7 products, integer gradients,
//! scales that follow, the chain's own step) and candle's way (f32 throughout, autograd, AdamW), and prints both
//! held-out losses side by side.
//!
//! No chain runs: every microbatch is one that a single honest miner would sum up in a round's receipt, and each of them
//! counts as the seal of a block, whose squares the scales follow.

#[path = "convergence/reference.rs"]
mod reference;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use consensus_upow::engine::{Engine, RoundContext};
use consensus_upow::genesis::{initial_checkpoint, initial_training};
use consensus_upow::step::{StepInput, StepReceipt, make_step};
use consensus_upow::{Checkpoint, Platform, PreparedWeights, evaluate, loss_from_fixed};
use descent_genesis::ChainSpec;
use descent_runtime::{AccountId, H256};
use indicatif::{ProgressBar, ProgressStyle};
use ml_kernels::microbatch::Plain;

use reference::{Reference, float_losses};

/// Microbatches' worth of held-out windows that one evaluation reads.
const HELD_OUT: usize = 16;

/// Trains the chain's way and candle's way on the same windows and compares held-out losses.
#[derive(Parser)]
struct Args {
    /// Text to train on; its last tenth is held out.
    #[arg(long)]
    dataset: PathBuf,
    /// Optimizer steps.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Microbatches of a step: one receipt's.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    microbatches: u32,
    /// Model: tiny, nano or small.
    #[arg(long, default_value = "nano")]
    preset: String,
    /// Steps from one evaluation to the next; a twelfth of all by default.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    every: Option<u32>,
    /// Also writes the table to this file.
    #[arg(long)]
    csv: Option<PathBuf>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let dataset = fs::read(&args.dataset).with_context(|| format!("reading {}", args.dataset.display()))?;
    let spec = ChainSpec::builtin("dev", Some(&dataset), Some(&args.preset))?;
    let engine = Engine::new(spec.task, dataset.into(), Platform::detect())?;
    let model = *engine.task().model();
    let threads = (rayon::current_num_threads(), candle_core::utils::get_num_threads());
    println!("{}", descent_benches::machine_line(engine.platform().name(), threads.0, threads.1));
    let tokens = args.microbatches as usize * model.tokens();
    println!("model:   {}, {} weights, steps of {tokens} tokens", args.preset, model.weights());

    let held_out = held_out_windows(&engine)?;
    let mut chain = Chain::new(&engine)?;
    let mut reference =
        Reference::new(model, engine.task().params().optimizer.into(), chain.checkpoint.weights.clone());
    let mut table = Table::new(args.csv.as_deref())?;
    let every = args.every.unwrap_or(args.steps.div_ceil(12));
    let bar = ProgressBar::new(args.steps.into());
    bar.set_style(ProgressStyle::with_template("step {pos}/{len} {wide_bar} {eta} left  {msg}")?);
    let mut losses = None;
    for step in 0..=args.steps {
        if step % every == 0 || step == args.steps {
            let row = Row::measure(step, losses, &chain, &reference, &held_out)?;
            bar.suspend(|| table.print(row))?;
        }
        if step == args.steps {
            break;
        }
        let (windows, loss) = chain.step(step, args.microbatches)?;
        let theirs = reference.step(&windows)?;
        losses = Some([loss, theirs]);
        bar.set_message(format!("training loss {loss:.3} / {theirs:.3}"));
        bar.inc(1);
    }
    bar.finish_and_clear();
    table.conclude();
    Ok(())
}

/// Evenly spaced windows of the held-out tenth, one buffer for each microbatch's worth.
fn held_out_windows(engine: &Engine) -> Result<Vec<Vec<u8>>> {
    let (model, data) = (engine.task().model(), engine.held_out());
    let length = model.seq_len + 1;
    ensure!(data.len() >= length, "held-out part has {} bytes, expected at least {length}", data.len());
    let (starts, count) = (data.len() - length + 1, HELD_OUT * model.batch);
    let window = |i: usize| &data[i * starts / count..][..length];
    Ok((0..HELD_OUT).map(|b| (0..model.batch).flat_map(|w| window(b * model.batch + w)).copied().collect()).collect())
}

/// The chain's side: what its state and checkpoint store would hold.
struct Chain<'a> {
    engine: &'a Engine,
    checkpoint: Checkpoint,
    weights: Arc<PreparedWeights>,
    root: H256,
    exponents: Vec<i8>,
    running: Vec<u64>,
}

impl<'a> Chain<'a> {
    fn new(engine: &'a Engine) -> Result<Self> {
        let checkpoint = initial_checkpoint(engine);
        let training = initial_training(engine, &checkpoint)?;
        let weights = PreparedWeights::new(engine.platform(), engine.task().model(), checkpoint.weights.clone())?;
        let (root, exponents, running) = (training.checkpoint_root, training.exponents, training.running);
        Ok(Self { engine, checkpoint, weights: weights.into(), root, exponents, running })
    }

    /// One round of one miner; returns its windows and mean training loss.
    fn step(&mut self, round: u32, microbatches: u32) -> Result<(Vec<Vec<u8>>, f64)> {
        let engine = self.engine;
        // Stand-ins for block hashes: all that matters is that they differ from round to round.
        let (beacon, sigma) = (H256::from_low_u64_be(u64::from(round)), H256::from_low_u64_le(u64::from(round)));
        let context = RoundContext::new(round, beacon, &self.root, self.exponents.clone(), Arc::clone(&self.weights));
        let mut receipt =
            StepReceipt { count: microbatches, loss_sum: 0, gradient: vec![0; self.weights.flat().len()] };
        let (mut windows, mut squares) = (Vec::new(), Vec::new());
        for index in 0..microbatches {
            let attempt = context.attempt(&AccountId::new([1; 32]), 0, index, sigma);
            windows.push(engine.windows(&context, &attempt));
            let (output, _) = engine.run(&context, &attempt, &mut Plain(engine.platform()))?;
            receipt.loss_sum += u64::from(output.loss);
            for (sum, g) in receipt.gradient.iter_mut().zip(&output.gradient) {
                // At most 31 * 256.
                *sum += i16::from(*g);
            }
            squares.push(output.squares);
        }
        let input = StepInput {
            checkpoint: &self.checkpoint,
            checkpoint_root: self.root,
            exponents: &self.exponents,
            running: &self.running,
            seal_squares: &squares,
            receipts: &[receipt],
        };
        let (checkpoint, outcome) = make_step(engine, &input);
        self.checkpoint = checkpoint.context("a round with tokens makes a step")?;
        self.root = outcome.checkpoint_root;
        self.exponents = outcome.exponents;
        self.running = outcome.running;
        let weights = self.checkpoint.weights.clone();
        self.weights = PreparedWeights::new(engine.platform(), engine.task().model(), weights)?.into();
        Ok((windows, loss_from_fixed(outcome.loss)))
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// One evaluation. Losses in nats a byte.
#[derive(Clone, Copy)]
struct Row {
    step: u32,
    /// Mean training loss of the step before, if there was one: chain's, reference's.
    training: Option<[f64; 2]>,
    /// The chain's weights in the chain's int7 forward pass.
    chain_int7: f64,
    /// The same weights in f32.
    chain_float: f64,
    reference: f64,
    /// Standard error of the difference of the two f32 losses, from the held-out buffers.
    error: f64,
}

impl Row {
    fn measure(
        step: u32,
        training: Option<[f64; 2]>,
        chain: &Chain<'_>,
        reference: &Reference,
        held_out: &[Vec<u8>],
    ) -> Result<Self> {
        let platform = chain.engine.platform();
        let int7 = held_out.iter().map(|w| Ok(f64::from(evaluate(platform, &chain.weights, w)?)));
        let int7 = int7.collect::<Result<Vec<_>>>()?;
        let ours = float_losses(&reference.model, &chain.checkpoint.weights, held_out)?;
        let theirs = float_losses(&reference.model, &reference.weights, held_out)?;
        let differences: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| a - b).collect();
        let middle = mean(&differences);
        let spread = differences.iter().map(|d| (d - middle).powi(2)).sum::<f64>() / (differences.len() - 1) as f64;
        let error = (spread / differences.len() as f64).sqrt();
        Ok(Self { step, training, chain_int7: mean(&int7), chain_float: mean(&ours), reference: mean(&theirs), error })
    }

    fn difference(&self) -> f64 {
        self.chain_float - self.reference
    }
}

/// Prints rows, writes them to a file if asked, and remembers the last.
struct Table {
    csv: Option<fs::File>,
    last: Option<Row>,
}

impl Table {
    fn new(csv: Option<&Path>) -> Result<Self> {
        let create = |path| fs::File::create(path).with_context(|| format!("creating {}", Path::display(path)));
        let mut csv = csv.map(create).transpose()?;
        if let Some(file) = &mut csv {
            writeln!(
                file,
                "step,chain_training,reference_training,chain_int7,chain_f32,reference_f32,difference,error"
            )?;
        }
        println!("          held-out loss, nats a byte                          training loss");
        println!(" step   chain int7   chain f32   reference   difference     chain   reference");
        Ok(Self { csv, last: None })
    }

    fn print(&mut self, row: Row) -> Result<()> {
        let Row { step, training, chain_int7, chain_float, reference, error } = row;
        let difference = row.difference();
        let [ours, theirs] = training.map_or_else(Default::default, |both| both.map(|loss| format!("{loss:.4}")));
        println!(
            "{step:>5}   {chain_int7:>10.4}  {chain_float:>10.4}  {reference:>10.4}   {difference:>+10.4}  {ours:>8}  {theirs:>10}"
        );
        if let Some(file) = &mut self.csv {
            writeln!(file, "{step},{ours},{theirs},{chain_int7},{chain_float},{reference},{difference},{error}")?;
        }
        self.last = Some(row);
        Ok(())
    }

    fn conclude(&self) {
        if let Some(row) = self.last {
            println!(
                "after {} steps the chain's weights are {:+.4} nats from the reference in f32 (standard error {:.4}) and {:+.4} in int7",
                row.step,
                row.difference(),
                row.error,
                row.chain_int7 - row.reference
            );
        }
    }
}
