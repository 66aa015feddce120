//! The two rules on a block's timestamp: later than its ancestors' median, not far ahead of the
//! verifier's clock.
//!
//! The clock is an argument: this crate never reads one.

/// Ancestors whose timestamps enter the median.
pub const MEDIAN_TIME_BLOCKS: usize = 11;

/// A rule on timestamps that a header breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// The timestamp must exceed the median of the last [`MEDIAN_TIME_BLOCKS`] blocks. Invalid
    /// forever.
    #[error("timestamp is {got} ms, expected more than the median time past of {median} ms")]
    TimestampTooEarly {
        /// The header's timestamp.
        got: u64,
        /// Median of its ancestors' timestamps.
        median: u64,
    },
    /// The timestamp may run ahead of the clock by a chain parameter at most. Valid once time has
    /// passed.
    #[error("timestamp is {got} ms, expected at most {limit} ms")]
    TimestampTooFarInFuture {
        /// The header's timestamp.
        got: u64,
        /// The verifier's clock plus the largest lead.
        limit: u64,
    },
}

impl TimestampError {
    /// Tells whether the same header may be valid later, so that neither it nor its sender is to be
    /// banned.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::TimestampTooEarly { .. } => false,
            Self::TimestampTooFarInFuture { .. } => true,
        }
    }
}

/// Returns the median of the first [`MEDIAN_TIME_BLOCKS`] timestamps, given from the parent
/// backwards.
///
/// Near genesis there are fewer; of an even number the later of the two middle ones counts. `None`
/// without ancestors, which is genesis alone.
pub fn median_time_past(newest_first: impl IntoIterator<Item = u64>) -> Option<u64> {
    let mut times: Vec<u64> = newest_first.into_iter().take(MEDIAN_TIME_BLOCKS).collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

/// # Consensus
/// *TimestampTooEarly*: a block's timestamp is greater than the median time past of its ancestors.
///
/// # Errors
/// [`TimestampError::TimestampTooEarly`].
pub fn timestamp_is_after_median(timestamp_ms: u64, median_ms: u64) -> Result<(), TimestampError> {
    if timestamp_ms > median_ms {
        Ok(())
    } else {
        Err(TimestampError::TimestampTooEarly { got: timestamp_ms, median: median_ms })
    }
}

/// # Consensus
/// *TimestampTooFarInFuture*: a block's timestamp is at most `max_future_ms` ahead of the
/// verifier's clock.
///
/// # Errors
/// [`TimestampError::TimestampTooFarInFuture`].
pub fn timestamp_is_not_far_in_future(
    timestamp_ms: u64,
    now_ms: u64,
    max_future_ms: u64,
) -> Result<(), TimestampError> {
    let limit = now_ms.saturating_add(max_future_ms);
    if timestamp_ms <= limit {
        Ok(())
    } else {
        Err(TimestampError::TimestampTooFarInFuture { got: timestamp_ms, limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn median_is_of_the_newest_eleven_in_any_order() {
        assert_eq!(median_time_past([]), None);
        assert_eq!(median_time_past([7]), Some(7));
        assert_eq!(median_time_past([9, 7]), Some(9));
        assert_eq!(median_time_past([9, 7, 8]), Some(8));
        assert_eq!(median_time_past([3, 1, 2, 4]), Some(3));
        assert_eq!(median_time_past([11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]), Some(6));
        // The twelfth and everything before it stays out.
        assert_eq!(median_time_past([1, 10, 2, 9, 3, 8, 4, 7, 5, 6, 11, 99, 99, 99]), Some(6));
    }

    #[test]
    fn timestamp_too_early() {
        assert_eq!(timestamp_is_after_median(101, 100), Ok(()));
        for got in [100, 99, 0] {
            let error = timestamp_is_after_median(got, 100).unwrap_err();
            assert_eq!(error, TimestampError::TimestampTooEarly { got, median: 100 });
            assert!(!error.is_transient());
        }
        let message = timestamp_is_after_median(100, 100).unwrap_err().to_string();
        assert_eq!(message, "timestamp is 100 ms, expected more than the median time past of 100 ms");
        assert!(timestamp_is_after_median(u64::MAX, u64::MAX).is_err());
    }

    #[test]
    fn timestamp_too_far_in_future() {
        assert_eq!(timestamp_is_not_far_in_future(1_500, 1_000, 500), Ok(()));
        let error = timestamp_is_not_far_in_future(1_501, 1_000, 500).unwrap_err();
        assert_eq!(error, TimestampError::TimestampTooFarInFuture { got: 1_501, limit: 1_500 });
        assert_eq!(error.to_string(), "timestamp is 1501 ms, expected at most 1500 ms");
        assert!(error.is_transient());
        // The same header once the clock has moved on.
        assert_eq!(timestamp_is_not_far_in_future(1_501, 1_001, 500), Ok(()));
        assert_eq!(timestamp_is_not_far_in_future(u64::MAX, u64::MAX - 1, 500), Ok(()));
    }

    proptest! {
        #[test]
        fn median_is_a_member_with_half_on_each_side(times in prop::collection::vec(any::<u64>(), 1..30)) {
            let median = median_time_past(times.iter().copied()).unwrap();
            let window = &times[..times.len().min(MEDIAN_TIME_BLOCKS)];
            prop_assert!(window.contains(&median));
            prop_assert!(window.iter().filter(|t| **t < median).count() <= window.len() / 2);
            prop_assert!(window.iter().filter(|t| **t > median).count() <= window.len() / 2);
        }
    }
}
