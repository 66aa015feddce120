//! Mining: a microbatch whose products are lottery draws.

use descent_runtime::{AccountId, H256, Header, HeaderError, pre_digest};
use ml_kernels::config::{ModelConfig, Op, ProductId};
use ml_kernels::error::KernelError;
use ml_kernels::lattice::LeafHash;
use ml_kernels::microbatch::{BSide, MicrobatchOutput, Products};
use ml_kernels::product::{NoiseB, Operand, below, mined_product};
use rayon::prelude::*;

use crate::attempt::{key_a, key_b};
use crate::difficulty::{Target, ticket_threshold};
use crate::engine::{Engine, RoundContext};
use crate::seal::Seal;
use crate::task::MAX_CLAIMS_PER_INDEX;
use crate::ticket::{TileId, second_half, second_hash};
use crate::witness::Witness;

/// A header without its seal, ready to be mined: the weight-side noise is made once for all its microbatches.
#[derive(Debug)]
pub struct MiningTemplate {
    header: Header,
    sigma: H256,
    account: AccountId,
    lane: u32,
    target: Target,
    noise: Vec<[NoiseB; 2]>,
}

impl MiningTemplate {
    /// Makes the noise for a header candidate.
    ///
    /// # Errors
    /// [`HeaderError`] if the header has no valid pre-digest; a caller's mistake.
    ///
    /// # Panics
    /// If the context's weights are another model's.
    pub fn new(engine: &Engine, context: &RoundContext, header: Header, target: Target) -> Result<Self, HeaderError> {
        let pre = pre_digest(&header)?;
        let sigma = header.hash();
        let noise = (0..engine.task().model().linear_layers() as u16).map(|layer| {
            [Op::Forward, Op::InputGradient].map(|op| {
                let id = ProductId { layer, op };
                let dims = engine.task().model().dims(id).expect("layer of the model");
                let b = context.weights.operand(id).expect("operand of the layer");
                let key = key_b(engine.task(), &sigma, id, dims, &b.commitment);
                NoiseB::new(&key, dims.n, dims.k).expect("shapes of a validated model")
            })
        });
        Ok(Self { sigma, account: pre.sealer, lane: pre.lane, target, noise: noise.collect(), header })
    }

    /// The header being mined.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Its hash, which every random bit depends on.
    pub fn sigma(&self) -> H256 {
        self.sigma
    }
}

/// A mined microbatch.
#[derive(Debug)]
pub struct MinedMicrobatch {
    /// Its index.
    pub index: u32,
    /// Gradient, squares, loss.
    pub output: MicrobatchOutput,
    /// Leaf hash of the gradient.
    pub leaf: LeafHash,
    /// Tiles that drew a share, ascending, at most 32.
    pub shares: Vec<TileId>,
    /// A seal and its witness, if a tile drew one.
    pub seal: Option<(Seal, Vec<u8>)>,
}

/// Mines one index under a template.
///
/// # Errors
/// [`KernelError`] if the context is another model's.
pub fn mine(
    engine: &Engine,
    context: &RoundContext,
    template: &MiningTemplate,
    index: u32,
) -> Result<MinedMicrobatch, KernelError> {
    let attempt = context.attempt(&template.account, template.lane, index, template.sigma);
    let mut miner = Miner { engine, template, key: attempt.key(engine.task()), shares: Vec::new(), seals: Vec::new() };
    let (output, leaf) = engine.run(context, &attempt, &mut miner)?;
    let digest = H256(leaf.digest());
    let wins = |t0: &H256| second_half(&second_hash(t0, &digest));
    let mut shares: Vec<TileId> = miner.shares.into_iter().filter(|(_, t0)| wins(t0)).map(|(tile, _)| tile).collect();
    shares.sort_unstable();
    shares.truncate(MAX_CLAIMS_PER_INDEX);
    let seal = miner.seals.into_iter().find(|c| wins(&c.t0)).map(|c| {
        let witness = c.witness.to_bytes();
        let seal = Seal {
            index,
            tile: c.tile,
            com_a: c.com_a,
            com_b: c.com_b,
            t0: c.t0,
            leaf: digest,
            base: context.base,
            squares: output.squares.clone(),
            loss: output.loss,
            witness: Witness::digest(&witness),
        };
        (seal, witness)
    });
    Ok(MinedMicrobatch { index, output, leaf, shares, seal })
}

/// What the working sets of microbatches mined side by side may take together.
const WORKING_SETS_BYTES: usize = 1 << 30;

/// How many microbatches of a model to mine side by side on rayon's current pool: one a thread, as far as memory
/// allows. Side by side threads rarely wait for each other; inside one microbatch they do at every operation.
pub fn side_by_side(model: &ModelConfig) -> usize {
    rayon::current_num_threads().min(WORKING_SETS_BYTES / model.working_set_bytes()).max(1)
}

/// Mines `count` indices from `first` on, side by side; in order of their indices.
///
/// # Errors
/// As [`mine`].
pub fn mine_many(
    engine: &Engine,
    context: &RoundContext,
    template: &MiningTemplate,
    first: u32,
    count: u32,
) -> Result<Vec<MinedMicrobatch>, KernelError> {
    (0..count).into_par_iter().map(|i| mine(engine, context, template, first.wrapping_add(i))).collect()
}

/// A tile below the block's first-half threshold, with all that its seal needs.
struct SealCandidate {
    tile: TileId,
    com_a: H256,
    com_b: H256,
    t0: H256,
    witness: Witness,
}

/// Multiplies with noise and collects tickets. They wait until the gradient's hash is known.
struct Miner<'a> {
    engine: &'a Engine,
    template: &'a MiningTemplate,
    key: [u8; 32],
    shares: Vec<(TileId, H256)>,
    seals: Vec<SealCandidate>,
}

impl Products for Miner<'_> {
    fn product(&mut self, id: ProductId, a: &Operand, b: BSide<'_>, out: &mut [f32]) -> Result<(), KernelError> {
        let task = self.engine.task();
        let dims = task.model().dims(id).expect("product of the model");
        let a_hashes = a.strip_hashes();
        let com_a = Operand::commitment(&a_hashes);
        let own_hashes;
        let (b_hashes, com_b) = match b {
            BSide::Weights(w) => (&w.strip_hashes, w.commitment),
            BSide::Activations(o) => {
                own_hashes = o.strip_hashes();
                (&own_hashes, Operand::commitment(&own_hashes))
            }
        };
        let key_b = key_b(task, &self.template.sigma, id, dims, &com_b);
        let own_noise;
        let noise = match (b, id.op) {
            (BSide::Weights(_), Op::Forward) => &self.template.noise[usize::from(id.layer)][0],
            (BSide::Weights(_), _) => &self.template.noise[usize::from(id.layer)][1],
            (BSide::Activations(_), _) => {
                own_noise = NoiseB::new(&key_b, dims.n, dims.k)?;
                &own_noise
            }
        };
        let key_a = key_a(&key_b, &self.key, &com_a);
        // Validated sides are at most 4,096.
        let share = ticket_threshold(task.share_target(), dims.k as u32);
        let block = ticket_threshold(self.template.target, dims.k as u32);
        let easier = if below(&share, &block) { &block } else { &share };
        for candidate in mined_product(self.engine.platform(), a, b.operand(), noise, &key_a, easier, out)? {
            let (tile, t0) = (TileId::new(id, candidate.row, candidate.col), H256(candidate.t0));
            if below(&candidate.t0, &share) {
                self.shares.push((tile, t0));
            }
            if below(&candidate.t0, &block) {
                let witness = Witness {
                    a_strip: a.strip(candidate.row as usize).to_vec(),
                    b_strip: b.operand().strip(candidate.col as usize).to_vec(),
                    a_hashes: a_hashes.clone(),
                    b_hashes: b_hashes.clone(),
                };
                self.seals.push(SealCandidate { tile, com_a: H256(com_a), com_b: H256(com_b), t0, witness });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
