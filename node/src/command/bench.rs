//! What this machine can mine.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use consensus_upow::difficulty::Difficulty;
use consensus_upow::engine::{Engine, RoundContext};
use consensus_upow::genesis::{initial_checkpoint, initial_training};
use consensus_upow::mining::{MiningTemplate, mine_many, side_by_side};
use consensus_upow::{Platform, PreparedWeights};
use descent_genesis::{ChainSpec, Dataset, accounts};
use descent_runtime::{H256, PreDigest, unsealed_header};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::answer;
use super::setup::start_threads;
use super::status_line::si;
use crate::cli::BenchArgs;

pub(super) fn bench(args: &BenchArgs) -> Result<()> {
    start_threads(args.threads)?;
    let spec = ChainSpec::builtin("dev", None, Some(&args.preset))?;
    let engine = Engine::new(spec.task.clone(), Dataset::embedded().bytes().clone(), Platform::detect())?;
    let checkpoint = initial_checkpoint(&engine);
    let training = initial_training(&engine, &checkpoint)?;
    let weights = PreparedWeights::new(engine.platform(), engine.task().model(), checkpoint.weights.clone())?;
    let context = RoundContext::new(0, H256::zero(), &training.checkpoint_root, training.exponents, weights.into());
    let sealer = accounts::well_known("Alice").context("//Alice is well known")?;
    let pre = PreDigest { sealer, lane: 0, timestamp_ms: 1 };
    let header = unsealed_header(H256::zero(), 1, H256::zero(), H256::zero(), &pre);
    let difficulty = Difficulty(spec.params.initial_difficulty);
    let template = MiningTemplate::new(&engine, &context, header, difficulty.target())?;

    let limit = Duration::from_secs(args.seconds.max(1));
    let bar = ProgressBar::new(limit.as_millis() as u64);
    bar.set_style(ProgressStyle::with_template("mining {wide_bar} {eta} left")?);
    // As the miner does it.
    let at_once = u32::try_from(side_by_side(engine.task().model()))?;
    mine_many(&engine, &context, &template, 0, at_once)?;
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < limit {
        mine_many(&engine, &context, &template, at_once + count, at_once)?;
        count += at_once;
        bar.set_position(start.elapsed().as_millis() as u64);
    }
    let per_second = f64::from(count) / start.elapsed().as_secs_f64();
    bar.finish_and_clear();

    let model = engine.task().model();
    let macs = per_second * model.microbatch_macs() as f64;
    let tokens = per_second * model.tokens() as f64;
    let block = difficulty.0 as f64 / macs;
    let (threads, platform) = (rayon::current_num_threads(), engine.platform().name());
    if args.json {
        return answer(json!({
            "preset": args.preset, "weights": model.weights(), "platform": platform, "threads": threads,
            "microbatchesPerSecond": per_second, "tokensPerSecond": tokens, "multiplyAddsPerSecond": macs,
            "difficulty": difficulty.0.to_string(), "secondsPerBlock": block,
        }));
    }
    answer(format_args!("model           {} ({}weights)", args.preset, si(model.weights() as f64)))?;
    answer(format_args!("machine         {platform}, {threads} threads"))?;
    answer(format_args!("microbatches    {per_second:.2} a second"))?;
    answer(format_args!("tokens          {}a second", si(tokens)))?;
    answer(format_args!("multiply-adds   {}a second", si(macs)))?;
    let difficulty = si(difficulty.0 as f64);
    answer(format_args!(
        "time per block  {block:.2} s at the dev chain's initial difficulty of {difficulty}multiply-adds"
    ))
}
