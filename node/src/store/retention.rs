//! Which checkpoints and sidecars stay: they are most of the disk's use.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use codec::Encode;
use descent_runtime::H256;

use super::StoreError;
use super::columns::{Column, hash_key, keys};
use super::database::{Database, Transaction};
use super::read::Read;
use super::records::BlockFacts;

/// How long checkpoints and sidecars are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Blocks per round. The checkpoint of round r is the one in the post-state of block
    /// `r * round_blocks`.
    pub round_blocks: NonZeroU32,
    /// Of the gradient window, the checkpoint of each round that is a multiple of this stays.
    pub checkpoint_interval_rounds: NonZeroU32,
    /// The checkpoints of so many newest rounds stay, that of the running round included.
    pub keep_recent_rounds: u32,
    /// The gradient window in rounds before the running one; without it, it reaches back to genesis.
    pub gradient_rounds: Option<u32>,
}

/// What a call of [`Store::prune`](super::Store::prune) removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Number of checkpoints.
    pub checkpoints: usize,
    /// Number of blocks that lost their sidecars.
    pub blocks: u32,
}

/// Blocks before a replayed round whose receipts the replay still reads, in rounds: receipts are
/// stepped and sampled up to a round after their inclusion.
const MARGIN_ROUNDS: u32 = 1;

/// Rounds before the finalized block's whose checkpoints forks above it may read: receipts of the
/// round before its own, included late, are sampled against that round's checkpoint, and one more
/// covers a finalized block at the very start of its round.
const FORK_ROUNDS: u32 = 2;

/// How many blocks lose their sidecars in one call at most, to bound the batch.
const BLOCKS_PER_CALL: u32 = 4096;

impl Retention {
    /// Rounds whose checkpoints stay.
    fn kept_rounds(&self, best: u32, finalized: u32) -> BTreeSet<u32> {
        let now = best / self.round_blocks;
        let recent = now.saturating_sub(self.keep_recent_rounds.saturating_sub(1));
        let window = self.gradient_rounds.map_or(0, |rounds| now.saturating_sub(rounds));
        let interval = self.checkpoint_interval_rounds.get();
        let first = window.div_ceil(interval).saturating_mul(interval);
        let regular = (first..=now).step_by(usize::try_from(interval).unwrap_or(usize::MAX));
        (recent.min(self.oldest_fork_round(finalized))..=now).chain(regular).collect()
    }

    fn oldest_fork_round(&self, finalized: u32) -> u32 {
        (finalized / self.round_blocks).saturating_sub(FORK_ROUNDS)
    }
}

/// Removes what the policy no longer keeps.
pub(super) fn prune(database: &Database, policy: &Retention) -> Result<Pruned, StoreError> {
    let mut transaction = database.transaction();
    let batch = &mut transaction;
    let (best, finalized) = (batch.best()?.number, batch.finalized()?.number);
    let round_blocks = policy.round_blocks.get();
    let stored: BTreeSet<H256> = batch.hashes(Column::Checkpoints, &[])?.into_iter().collect();
    let replayable = batch.expect::<u32>(Column::Chain, keys::REPLAYABLE)?;

    let mut needed = roots_from(batch, finalized)?;
    let mut oldest_kept = None;
    for round in policy.kept_rounds(best, finalized) {
        // At most `best`, so it does not overflow.
        let start = round * round_blocks;
        let root = batch.known_meta(&batch.known_hash_at(start)?)?.facts.checkpoint_root;
        // The first checkpoint is recomputed from the genesis block where it is not stored.
        let available = round == 0 || stored.contains(&root);
        if available && start >= replayable.saturating_sub(1) && oldest_kept.is_none() {
            oldest_kept = Some(round);
        }
        needed.insert(root);
    }
    let mut pruned = Pruned::default();
    for root in stored.difference(&needed) {
        for part in batch.checkpoint(root)?.unwrap_or_default() {
            batch.delete(Column::CheckpointParts, hash_key(root, &part.to_be_bytes()));
        }
        batch.delete(Column::Checkpoints, root.as_bytes());
        pruned.checkpoints += 1;
    }
    if let Some(round) = oldest_kept {
        batch.put(Column::Chain, keys::REPLAYABLE, (round * round_blocks + 1).encode());
        let round = round.saturating_sub(MARGIN_ROUNDS).min(policy.oldest_fork_round(finalized));
        pruned.blocks = drop_sidecars(batch, round * round_blocks)?;
    }
    transaction.commit()?;
    Ok(pruned)
}

/// Checkpoints in the post-states of all blocks, forks included, from a number on.
fn roots_from(batch: &Transaction<'_>, number: u32) -> Result<BTreeSet<H256>, StoreError> {
    let mut roots = BTreeSet::new();
    for number in number.. {
        let blocks = batch.hashes(Column::Heights, &number.to_be_bytes())?;
        // Every block's parent is stored, so there is no gap.
        if blocks.is_empty() {
            break;
        }
        for hash in blocks {
            roots.insert(batch.known_meta(&hash)?.facts.checkpoint_root);
        }
    }
    Ok(roots)
}

/// Drops the sidecars of the best chain's blocks up to a final number.
fn drop_sidecars(batch: &mut Transaction<'_>, last: u32) -> Result<u32, StoreError> {
    let floor = batch.expect::<u32>(Column::Chain, keys::SIDECAR_FLOOR)?;
    let end = last.saturating_add(1).min(floor.saturating_add(BLOCKS_PER_CALL));
    for number in floor..end {
        let hash = batch.known_hash_at(number)?;
        let facts = batch.known_meta(&hash)?.facts;
        release_sidecars(batch, &hash, &facts)?;
    }
    batch.put(Column::Chain, keys::SIDECAR_FLOOR, floor.max(end).encode());
    Ok(end.saturating_sub(floor))
}

/// Drops the sidecars that only this block still needs.
pub(super) fn release_sidecars(batch: &mut Transaction<'_>, hash: &H256, facts: &BlockFacts) -> Result<(), StoreError> {
    for digest in facts.sidecars() {
        batch.delete(Column::SidecarRefs, hash_key(&digest, hash.as_bytes()));
        if batch.scan(Column::SidecarRefs, digest.as_bytes())?.is_empty() {
            batch.delete(Column::Sidecars, digest.as_bytes());
        }
    }
    Ok(())
}
