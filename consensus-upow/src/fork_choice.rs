//! Fork choice: the chain with the most cumulative verified work; of equal ones, the one seen
//! first.
//!
//! A chain's work is the sum of [`Target::work`](crate::difficulty::Target::work) over its blocks,
//! genesis excluded. It counts a block only once its seal microbatch has been recomputed: a witness
//! proves an eighth of the claimed work and receipts prove none, so a header without a checked
//! seal, or a block whose blobs are missing, adds nothing.
//!
//! The work of a block is what its target promises, never how far below the target its ticket fell:
//! luck buys no weight.

use crate::difficulty::Work;

/// Tells whether a chain just verified replaces the best one known.
///
/// Only strictly more work does: on a tie the chain seen first stays, so that withholding an equal
/// block gains nothing. Call it in the order in which chains become fully verified.
pub fn prefers(candidate: Work, best: Work) -> bool {
    candidate > best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::difficulty::Difficulty;

    fn chain(difficulties: &[u128]) -> Work {
        let blocks = difficulties.iter().map(|d| Difficulty(*d).target().work());
        blocks.fold(Work::ZERO, Work::saturating_add)
    }

    #[test]
    fn most_work_wins_whatever_the_length() {
        assert!(prefers(chain(&[1_000, 1_001]), chain(&[500, 500, 500, 500])));
        assert!(!prefers(chain(&[500, 500, 500, 500]), chain(&[1_000, 1_001])));
        assert!(prefers(chain(&[1]), Work::ZERO));
    }

    #[test]
    fn first_seen_stays_on_a_tie() {
        let [one, two] = [chain(&[1_000, 3_000]), chain(&[2_000, 2_000])];
        assert!(!prefers(one, two) && !prefers(two, one));
        assert!(!prefers(Work::ZERO, Work::ZERO));
    }

    #[test]
    fn high_words_of_work_count() {
        let [large, small] = [Work(sp_core::U256::one() << 200), Work(sp_core::U256::from(u128::MAX))];
        assert!(prefers(large, small) && !prefers(small, large));
    }
}
