//! Verified transfer of a receipt's part, group by group.
//!
//! A part's digest is its plain BLAKE3 hash, which is the root of a tree over its bytes: nothing more needs to be
//! committed anywhere. A group is an inner node's share of the bytes; its chaining value, with those of the other
//! groups, gives the root. So a group proves itself the moment it arrives, whoever sent it.

use blake3::hazmat::{ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};
use descent_runtime::H256;

use super::wire::PartGroup;

/// Bytes of a group, the last one aside: a power of two of BLAKE3's chunks, so that every group is a subtree.
pub const GROUP_BYTES: usize = 256 << 10;

/// Why a group is not part of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The number of groups follows from the length.
    #[error("part has {got} groups, expected {expected}")]
    Count {
        /// Hashes sent.
        got: usize,
        /// Groups of a part of this length.
        expected: usize,
    },
    /// The group's length follows from the part's.
    #[error("group {group} has {got} bytes, expected {expected}")]
    Length {
        /// Which group.
        group: u32,
        /// Bytes sent.
        got: usize,
        /// Bytes of this group.
        expected: usize,
    },
    /// The hashes of the groups give the part's digest.
    #[error("group hashes give digest {got}, expected {expected}")]
    Root {
        /// What they give.
        got: H256,
        /// What was asked for.
        expected: H256,
    },
    /// The group has the hash that the list says.
    #[error("group {group} does not hash to its entry in the list")]
    Group {
        /// Which group.
        group: u32,
    },
}

/// Number of groups of a part.
pub fn count(length: usize) -> usize {
    length.div_ceil(GROUP_BYTES).max(1)
}

/// Place of a group in its part.
pub fn range(length: usize, group: u32) -> std::ops::Range<usize> {
    let start = (group as usize).saturating_mul(GROUP_BYTES).min(length);
    start..start.saturating_add(GROUP_BYTES).min(length)
}

/// Chaining values of a part's groups. A part of one group has its digest instead, which proves as much.
pub fn hashes(part: &[u8]) -> Vec<ChainingValue> {
    if part.len() <= GROUP_BYTES {
        return vec![*blake3::hash(part).as_bytes()];
    }
    (0_u32..).zip(part.chunks(GROUP_BYTES)).map(|(group, bytes)| chaining_value(group, bytes)).collect()
}

fn chaining_value(group: u32, bytes: &[u8]) -> ChainingValue {
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(u64::from(group) * GROUP_BYTES as u64);
    hasher.update(bytes);
    hasher.finalize_non_root()
}

/// The digest of a part of this length whose groups have these hashes.
fn root(length: usize, hashes: &[ChainingValue]) -> H256 {
    match hashes {
        [only] => H256(*only),
        _ => {
            let (left, right) = halves(length, hashes);
            let (a, b) = (subtree(left.0, left.1), subtree(right.0, right.1));
            H256(*merge_subtrees_root(&a, &b, Mode::Hash).as_bytes())
        }
    }
}

type Half<'a> = (usize, &'a [ChainingValue]);

/// Splits a tree of more than one group as BLAKE3 does.
fn halves(length: usize, hashes: &[ChainingValue]) -> (Half<'_>, Half<'_>) {
    // Lengths are at most 2^32, and so is the left half, a multiple of the group's length.
    let left = left_subtree_len(length as u64) as usize;
    let (a, b) = hashes.split_at(left / GROUP_BYTES);
    ((left, a), (length - left, b))
}

fn subtree(length: usize, hashes: &[ChainingValue]) -> ChainingValue {
    match hashes {
        [only] => *only,
        _ => {
            let (left, right) = halves(length, hashes);
            merge_subtrees_non_root(&subtree(left.0, left.1), &subtree(right.0, right.1), Mode::Hash)
        }
    }
}

/// Checks that a group belongs to the part of this digest and length.
///
/// # Errors
/// [`GroupError`]: the sender's fault, provably.
pub fn group_is_of_part(digest: &H256, length: usize, group: u32, sent: &PartGroup) -> Result<(), GroupError> {
    let (got, expected) = (sent.hashes.len(), count(length));
    if got != expected {
        return Err(GroupError::Count { got, expected });
    }
    let (got, expected) = (sent.bytes.len(), range(length, group).len());
    if got != expected {
        return Err(GroupError::Length { group, got, expected });
    }
    let got = root(length, &sent.hashes);
    if got != *digest {
        return Err(GroupError::Root { got, expected: *digest });
    }
    let hash =
        if sent.hashes.len() == 1 { *blake3::hash(&sent.bytes).as_bytes() } else { chaining_value(group, &sent.bytes) };
    if sent.hashes.get(group as usize) != Some(&hash) {
        return Err(GroupError::Group { group });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(length: usize) -> (Vec<u8>, H256) {
        let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        let digest = H256(*blake3::hash(&bytes).as_bytes());
        (bytes, digest)
    }

    #[test]
    fn groups_of_any_part_prove_themselves() {
        let g = GROUP_BYTES;
        for length in [0, 1, 1024, g - 1, g, g + 1, 2 * g, 2 * g + 1, 3 * g, 4 * g + 5, 5 * g, 7 * g - 1, 9 * g + 1025]
        {
            let (bytes, digest) = part(length);
            let hashes = hashes(&bytes);
            assert_eq!(hashes.len(), count(length));
            for group in 0..count(length) as u32 {
                let sent = PartGroup { hashes: hashes.clone(), bytes: bytes[range(length, group)].to_vec() };
                assert_eq!(group_is_of_part(&digest, length, group, &sent), Ok(()), "{length} {group}");
            }
        }
    }

    #[test]
    fn anything_else_is_the_senders_fault() {
        let length = 3 * GROUP_BYTES + 77;
        let (bytes, digest) = part(length);
        let good = PartGroup { hashes: hashes(&bytes), bytes: bytes[range(length, 3)].to_vec() };
        let check = |change: &dyn Fn(&mut PartGroup)| {
            let mut sent = good.clone();
            change(&mut sent);
            group_is_of_part(&digest, length, 3, &sent).unwrap_err()
        };
        assert_eq!(check(&|s| s.hashes.truncate(3)), GroupError::Count { got: 3, expected: 4 });
        assert_eq!(check(&|s| s.bytes.push(0)), GroupError::Length { group: 3, got: 78, expected: 77 });
        assert!(matches!(check(&|s| s.hashes[0][5] ^= 1), GroupError::Root { .. }));
        assert!(matches!(check(&|s| s.hashes.swap(0, 1)), GroupError::Root { .. }));
        assert_eq!(check(&|s| s.bytes[9] ^= 1), GroupError::Group { group: 3 });
        // The right bytes of another group.
        let other = PartGroup { bytes: bytes[range(length, 1)].to_vec(), ..good.clone() };
        assert_eq!(group_is_of_part(&digest, length, 2, &other), Err(GroupError::Group { group: 2 }));
    }
}
