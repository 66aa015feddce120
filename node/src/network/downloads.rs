//! Blocks in the making: bodies, and the parts of their receipts, as they arrive.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use consensus_upow::verify::submitted_receipt;
use descent_runtime::{ChainParams, H256, Header, extrinsics_root};

use super::groups::{self, GroupError, group_is_of_part};
use super::wire::{PartGroup, PartRequest, WireError};

/// A block of which nothing has arrived for so long is given up.
const WITHHELD: Duration = Duration::from_secs(20);
/// A block that alone holds up its branch for so long is given up, whatever arrives of it: the longest there can be takes
/// less over any link that keeps up with its chain.
const HELD_UP: Duration = Duration::from_secs(120);

/// Something to ask a peer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Item {
    /// The extrinsics of a block.
    Body(H256),
    /// A group of a part.
    Group(PartRequest),
}

/// A body that is not the header's, or that no valid block has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Bytes that are no list of extrinsics, or too many of them.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Extrinsics have a byte budget.
    #[error("extrinsics have {got} bytes, expected at most {limit}")]
    Bytes {
        /// Bytes sent.
        got: u64,
        /// The bound.
        limit: u32,
    },
    /// The header commits to them.
    #[error("extrinsics have root {got}, expected {expected}")]
    Root {
        /// Of the extrinsics.
        got: H256,
        /// In the header.
        expected: H256,
    },
}

/// A block whose own receipts promise more than any valid block holds: nothing of them is fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OversizeError {
    /// Receipts of a block.
    #[error("block has {got} receipts, expected at most {limit}")]
    Receipts {
        /// Receipts found.
        got: usize,
        /// The bound.
        limit: u32,
    },
    /// Bytes of a receipt's parts.
    #[error("receipt announces {got} bytes, expected at most {limit}")]
    Parts {
        /// Bytes announced.
        got: u64,
        /// The bound.
        limit: u32,
    },
}

/// What a block's body turned out to be.
pub type Accepted = Result<(), OversizeError>;

/// A block's extrinsics, and the parts of its receipts that were not stored yet.
pub type Contents = (Vec<Vec<u8>>, Vec<Vec<u8>>);

type PartKey = (H256, u32);

struct Block {
    body: Option<Vec<Vec<u8>>>,
    parts: Vec<PartKey>,
    /// When something of it arrived last, or was first asked for; nothing while nobody was asked.
    progress: Option<Instant>,
    /// Since when nothing but it is missing on the way to it.
    first_missing: Option<Instant>,
}

struct Part {
    groups: Vec<Option<Vec<u8>>>,
}

/// All blocks in the making. Parts are shared: competing blocks often include the same receipt.
#[derive(Default)]
pub struct Downloads {
    blocks: HashMap<H256, Block>,
    parts: HashMap<PartKey, Part>,
    bytes: usize,
}

impl Downloads {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes room for a block's contents.
    pub fn start(&mut self, hash: H256) {
        let empty = Block { body: None, parts: Vec::new(), progress: None, first_missing: None };
        self.blocks.entry(hash).or_insert(empty);
    }

    /// Something of a block was asked for.
    pub fn asked(&mut self, hash: &H256, now: Instant) {
        if let Some(block) = self.blocks.get_mut(hash) {
            block.progress.get_or_insert(now);
        }
    }

    /// Whether nobody serves a block, whose parent is stored: nothing of it arrives, or so little at a time that it
    /// would hold up its branch for ever.
    pub fn is_withheld(&mut self, hash: &H256, now: Instant) -> bool {
        let Some(block) = self.blocks.get_mut(hash) else { return false };
        let since = |at| now.saturating_duration_since(at);
        let first_missing = *block.first_missing.get_or_insert(now);
        since(first_missing) >= HELD_UP || block.progress.is_some_and(|at| since(at) >= WITHHELD)
    }

    /// What is still missing of a block.
    pub fn wanted(&self, hash: &H256) -> Vec<Item> {
        let Some(block) = self.blocks.get(hash) else { return Vec::new() };
        if block.body.is_none() {
            return vec![Item::Body(*hash)];
        }
        let parts = block.parts.iter().filter_map(|key| Some((key, self.parts.get(key)?)));
        let groups = parts.flat_map(|((digest, length), part)| {
            (0..)
                .zip(&part.groups)
                .filter(|(_, bytes)| bytes.is_none())
                .map(move |(group, _)| Item::Group(PartRequest { digest: *digest, length: *length, group }))
        });
        groups.collect()
    }

    /// Whether nothing is missing.
    pub fn is_complete(&self, hash: &H256) -> bool {
        let is_full = |key| self.parts.get(key).is_none_or(|part: &Part| part.groups.iter().all(Option::is_some));
        self.blocks.get(hash).is_some_and(|block| block.body.is_some() && block.parts.iter().all(is_full))
    }

    /// Takes a body; `has` tells which parts are stored already.
    ///
    /// # Errors
    /// [`BodyError`]: the sender's fault. The inner error is the block's: whatever peer sends it, it can't be valid.
    pub fn put_body(
        &mut self,
        params: &ChainParams,
        hash: &H256,
        header: &Header,
        extrinsics: Vec<Vec<u8>>,
        now: Instant,
        mut has: impl FnMut(&H256) -> bool,
    ) -> Result<Accepted, BodyError> {
        let got = extrinsics.iter().map(|e| e.len() as u64).sum();
        if got > u64::from(params.max_block_bytes) {
            return Err(BodyError::Bytes { got, limit: params.max_block_bytes });
        }
        let (root, expected) = (extrinsics_root(&extrinsics), header.extrinsics_root);
        if root != expected {
            return Err(BodyError::Root { got: root, expected });
        }
        let Some(block) = self.blocks.get_mut(hash).filter(|block| block.body.is_none()) else { return Ok(Ok(())) };
        let receipts: Vec<_> = extrinsics.iter().filter_map(|e| submitted_receipt(e)).map(|(_, s)| s).collect();
        if receipts.len() > params.max_receipts_per_block as usize {
            return Ok(Err(OversizeError::Receipts { got: receipts.len(), limit: params.max_receipts_per_block }));
        }
        let mut parts = Vec::new();
        for receipt in &receipts {
            let got = u64::from(receipt.details_len) + u64::from(receipt.blob_len);
            if got > u64::from(params.max_blob_bytes) {
                return Ok(Err(OversizeError::Parts { got, limit: params.max_blob_bytes }));
            }
            parts.extend([(receipt.details_hash, receipt.details_len), (receipt.blob_hash, receipt.blob_len)]);
        }
        parts.retain(|(digest, _)| !has(digest));
        for key in &parts {
            let groups = groups::count(key.1 as usize);
            self.parts.entry(*key).or_insert_with(|| Part { groups: vec![None; groups] });
        }
        // At most `max_block_bytes`, checked above.
        self.bytes += got as usize;
        (block.body, block.parts, block.progress) = (Some(extrinsics), parts, Some(now));
        Ok(Ok(()))
    }

    /// Takes a group that was asked for.
    ///
    /// # Errors
    /// [`GroupError`]: the sender's fault.
    pub fn put_group(&mut self, request: PartRequest, sent: PartGroup, now: Instant) -> Result<(), GroupError> {
        group_is_of_part(&request.digest, request.length as usize, request.group, &sent)?;
        let key = (request.digest, request.length);
        let slot = self.parts.get_mut(&key).and_then(|part| part.groups.get_mut(request.group as usize));
        if let Some(slot @ None) = slot {
            self.bytes += sent.bytes.len();
            *slot = Some(sent.bytes);
            for block in self.blocks.values_mut().filter(|block| block.parts.contains(&key)) {
                block.progress = Some(now);
            }
        }
        Ok(())
    }

    /// A complete block's extrinsics and parts. Parts that other blocks wait for stay.
    pub fn take(&mut self, hash: &H256) -> Option<Contents> {
        if !self.is_complete(hash) {
            return None;
        }
        let block = self.blocks.get(hash)?;
        let body = block.body.clone()?;
        let parts = block.parts.iter().filter_map(|key| self.parts.get(key));
        let sidecars = parts.map(|part| part.groups.iter().flatten().flatten().copied().collect()).collect();
        self.forget(hash);
        Some((body, sidecars))
    }

    /// Drops a block, and the parts that no other one waits for.
    pub fn forget(&mut self, hash: &H256) {
        let Some(block) = self.blocks.remove(hash) else { return };
        self.bytes -= block.body.iter().flatten().map(Vec::len).sum::<usize>();
        for key in block.parts {
            if !self.blocks.values().any(|other| other.parts.contains(&key))
                && let Some(part) = self.parts.remove(&key)
            {
                self.bytes -= part.groups.iter().flatten().map(Vec::len).sum::<usize>();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_drips_in_is_given_up_too() {
        let (mut downloads, hash, start) = (Downloads::default(), H256::repeat_byte(1), Instant::now());
        downloads.start(hash);
        // Nobody was asked: nobody withholds it.
        assert!(!downloads.is_withheld(&hash, start));
        assert!(!downloads.is_withheld(&hash, start + 2 * WITHHELD));
        let asked = start + 2 * WITHHELD;
        downloads.asked(&hash, asked);
        assert!(!downloads.is_withheld(&hash, asked + WITHHELD / 2));
        assert!(downloads.is_withheld(&hash, asked + WITHHELD));
        // Something arrives again and again, until its time is over.
        let mut now = asked;
        while now < start + HELD_UP {
            downloads.blocks.get_mut(&hash).unwrap().progress = Some(now);
            assert!(!downloads.is_withheld(&hash, now));
            now += WITHHELD / 2;
        }
        downloads.blocks.get_mut(&hash).unwrap().progress = Some(now);
        assert!(downloads.is_withheld(&hash, now));
    }
}
