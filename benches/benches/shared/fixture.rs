//! A task of the dev chain at its genesis, ready to be mined.
//! Each bench compiles this file for itself, and uses a part of it.
#![allow(dead_code)]

use consensus_upow::attempt::Attempt;
use consensus_upow::difficulty::Difficulty;
use consensus_upow::engine::{Engine, Recomputed, RoundContext};
use consensus_upow::genesis::{initial_checkpoint, initial_training};
use consensus_upow::mining::{MinedMicrobatch, MiningTemplate, mine};
use consensus_upow::{Checkpoint, Platform, PreparedWeights};
use descent_genesis::{ChainSpec, Dataset, accounts};
use descent_runtime::{AccountId, H256, Header, PreDigest, unsealed_header};

/// Round 0 of the dev chain and a header candidate on top of its genesis.
pub(crate) struct Fixture {
    pub(crate) engine: Engine,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) context: RoundContext,
    pub(crate) difficulty: Difficulty,
    pub(crate) account: AccountId,
    pub(crate) template: MiningTemplate,
}

impl Fixture {
    /// A preset's task, at a difficulty of so many microbatches a block, on a code path.
    pub(crate) fn new(preset: &str, microbatches: u64, platform: Platform) -> Self {
        let spec = ChainSpec::builtin("dev", None, Some(preset)).expect("built in");
        let dataset = Dataset::embedded().bytes().clone();
        let engine = Engine::new(spec.task, dataset, platform).expect("built in");
        let checkpoint = initial_checkpoint(&engine);
        let training = initial_training(&engine, &checkpoint).expect("valid task");
        let weights = PreparedWeights::new(engine.platform(), engine.task().model(), checkpoint.weights.clone());
        let weights = weights.expect("the model's own weights").into();
        let context = RoundContext::new(0, H256::zero(), &training.checkpoint_root, training.exponents, weights);
        let account = accounts::well_known("Alice").expect("well known");
        let difficulty = Difficulty(u128::from(microbatches * engine.task().model().microbatch_macs()));
        let template = MiningTemplate::new(&engine, &context, header(&account), difficulty.target());
        let template = template.expect("valid pre-digest");
        Self { engine, checkpoint, context, difficulty, account, template }
    }

    /// Mines an index under the template.
    pub(crate) fn mine(&self, index: u32) -> MinedMicrobatch {
        mine(&self.engine, &self.context, &self.template, index).expect("the task's own model")
    }

    /// Recomputes index 0 as a verifier does.
    pub(crate) fn recompute(&self) -> Recomputed {
        self.engine.recompute(&self.context, &self.attempt(), &[]).expect("the task's own model")
    }

    /// The data of index 0.
    pub(crate) fn windows(&self) -> Vec<u8> {
        self.engine.windows(&self.context, &self.attempt())
    }

    fn attempt(&self) -> Attempt {
        self.context.attempt(&self.account, 0, 0, self.template.sigma())
    }

    /// What its kernels and candle run on.
    pub(crate) fn machine_line(&self) -> String {
        let threads = (rayon::current_num_threads(), candle_core::utils::get_num_threads());
        descent_benches::machine_line(self.engine.platform().name(), threads.0, threads.1)
    }
}

/// A candidate on top of genesis, whose hash is zero here.
fn header(account: &AccountId) -> Header {
    let pre = PreDigest { sealer: account.clone(), lane: 0, timestamp_ms: 1 };
    unsealed_header(H256::zero(), 1, H256::zero(), H256::zero(), &pre)
}
