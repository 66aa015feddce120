//! Replaying and re-verifying the stored chain.

use anyhow::{Context, Result, bail};
use consensus_upow::verify::{BlockParts, verify_block};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::answer;
use super::setup::{existing_chain, start_logging, start_threads};
use crate::chain::Chain;
use crate::cli::VerifyArgs;

/// Verifies from a block to the best one.
///
/// # Errors
/// The first bad block, or whatever keeps the chain from being read.
pub(super) fn verify(args: &VerifyArgs) -> Result<()> {
    start_logging(&args.chain.log)?;
    start_threads(args.chain.threads)?;
    let chain = existing_chain(&args.chain)?;
    let best = chain.best()?;
    // The one names a block, the other the block before it.
    let oldest = chain.store().oldest_replayable()?.max(chain.store().oldest_state()?.saturating_add(1));
    let from = args.from.unwrap_or(oldest);
    if from < oldest {
        bail!("block {from} can't be replayed: history below block {oldest} is pruned (see --pruning)");
    }
    if from > best.number.saturating_add(1) {
        bail!("block {from} is not there: the best block is {}", best.number);
    }
    let bar = ProgressBar::new(u64::from(best.number.saturating_add(1) - from));
    bar.set_style(ProgressStyle::with_template("verifying {wide_bar} {pos}/{len} blocks · {per_sec} · {eta} left")?);
    for number in from..=best.number {
        verify_one(&chain, number).with_context(|| format!("block {number}"))?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let verified = u64::from(best.number.saturating_add(1) - from);
    if args.json {
        answer(json!({ "from": from, "to": best.number, "verified": verified, "head": best.hash }))
    } else {
        answer(format_args!("verified {verified} blocks, {from} to {}, head {:?}", best.number, best.hash))
    }
}

fn verify_one(chain: &Chain, number: u32) -> Result<()> {
    let store = chain.store();
    let hash = store.hash_at(number)?.context("not in the index")?;
    let header = store.header(&hash)?.context("header is missing")?;
    let body = store.body(&hash)?.context("body is missing")?;
    if header.hash() != hash {
        bail!("stored header hashes to {:?}, expected {hash:?}", header.hash());
    }
    let view = chain.view(header.parent_hash)?;
    let parts = BlockParts { header: &header, extrinsics: &body.extrinsics, witness: &body.witness };
    // Against its own time: the block is old, and the future rule is about arrival.
    let now = descent_runtime::pre_digest(&header)?.timestamp_ms;
    let verified = verify_block(chain.engine(), &view, parts, now)?;
    let meta = store.meta(&hash)?.context("record is missing")?;
    let work = view.work().saturating_add(verified.work).0;
    if meta.facts.work != work {
        bail!("stored work is {}, expected {work}", meta.facts.work);
    }
    Ok(())
}
