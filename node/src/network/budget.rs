//! How much a peer may ask of this node: a bucket of bytes and one of requests, refilled with time.

use std::time::{Duration, Instant};

/// Bytes served to one peer in a second, in the long run.
const BYTES_PER_SECOND: f64 = (8 << 20) as f64;
/// Bytes served at once after a pause: some blocks with their gradients.
const BYTES_BURST: f64 = (64 << 20) as f64;
/// Requests of one peer in a second, in the long run.
const REQUESTS_PER_SECOND: f64 = 100.0;
/// Requests at once after a pause.
const REQUESTS_BURST: f64 = 500.0;
/// Requests of one peer that are being answered at the same time.
const MAX_CONCURRENT: usize = 8;

/// How often a peer is listened to when it says where its chain stands.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// A peer's account.
#[derive(Debug)]
pub struct Budget {
    bytes: f64,
    requests: f64,
    concurrent: usize,
    refilled: Instant,
    told: Option<Instant>,
}

impl Budget {
    /// A full one.
    pub fn new(now: Instant) -> Self {
        Self { bytes: BYTES_BURST, requests: REQUESTS_BURST, concurrent: 0, refilled: now, told: None }
    }

    /// Whether another request is answered; it is [`settled`](Self::settle) when it was.
    pub fn admit(&mut self, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.refilled = now;
        self.bytes = (self.bytes + seconds * BYTES_PER_SECOND).min(BYTES_BURST);
        self.requests = (self.requests + seconds * REQUESTS_PER_SECOND).min(REQUESTS_BURST);
        let admitted = self.bytes > 0.0 && self.requests >= 1.0 && self.concurrent < MAX_CONCURRENT;
        if admitted {
            self.requests -= 1.0;
            self.concurrent += 1;
        }
        admitted
    }

    /// Whether what it says of its own chain is passed on: at most once a second.
    pub fn may_tell(&mut self, now: Instant) -> bool {
        let may = self.told.is_none_or(|at| now.saturating_duration_since(at) >= TELL_EVERY);
        if may {
            self.told = Some(now);
        }
        may
    }

    /// Whether it was used lately, is in use, or in debt.
    pub fn is_used(&self, now: Instant, lately: Duration) -> bool {
        self.concurrent > 0 || self.bytes < 0.0 || now.saturating_duration_since(self.refilled) < lately
    }

    /// Books the response. It may overdraw the account: the length of a response is bounded, and known only now.
    pub fn settle(&mut self, bytes: usize) {
        self.bytes -= bytes as f64;
        self.concurrent = self.concurrent.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_bounded_by_time() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let mut served = 0;
        for step in 0..1000 {
            // A second in all.
            if budget.admit(start + Duration::from_millis(step)) {
                budget.settle(1 << 20);
                served += 1 << 20;
            }
        }
        assert!((64 << 20..=74 << 20).contains(&served), "{served}");
        // Overdrawn by 64 MiB, it is eight seconds in debt.
        let late = start + Duration::from_secs(2);
        assert!(budget.admit(late));
        budget.settle(80 << 20);
        assert!(!budget.admit(late + Duration::from_secs(1)));
        assert!(budget.admit(late + Duration::from_secs(20)));
    }

    #[test]
    fn small_requests_are_counted_too() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let served = (0..10_000).filter(|_| {
            let admitted = budget.admit(start);
            if admitted {
                budget.settle(10);
            }
            admitted
        });
        assert_eq!(served.count(), 500);
    }

    #[test]
    fn few_are_answered_at_the_same_time() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        assert_eq!((0..100).filter(|_| budget.admit(start)).count(), MAX_CONCURRENT);
        budget.settle(1);
        assert!(budget.admit(start));
    }
}
