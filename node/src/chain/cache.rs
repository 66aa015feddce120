//! What is expensive to make and cheap to keep: recent checkpoints, their quantized weights, verdicts.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use consensus_upow::verify::PreparedBlock;
use consensus_upow::{Checkpoint, PreparedWeights};
use descent_runtime::H256;

/// Checkpoints in memory, twelve bytes a weight each: the running round's, and the one that its step makes.
const CHECKPOINTS: usize = 2;
/// Quantized weights in memory, six bytes a weight each: the running round's, and those before it for late receipts.
const WEIGHTS: usize = 2;
/// Inputs of next blocks in memory, by parent: author and verifier share them.
const PREPARED: usize = 2;
/// Verdicts remembered, a few hundred bytes each at most.
const VERDICTS: usize = 4096;

/// A small map that forgets what was used least recently.
struct Recent<V> {
    limit: usize,
    order: VecDeque<H256>,
    values: HashMap<H256, V>,
}

impl<V: Clone> Recent<V> {
    fn new(limit: usize) -> Self {
        Self { limit, order: VecDeque::new(), values: HashMap::new() }
    }

    fn get(&mut self, key: &H256) -> Option<V> {
        let value = self.values.get(key)?.clone();
        self.order.retain(|k| k != key);
        self.order.push_back(*key);
        Some(value)
    }

    fn put(&mut self, key: H256, value: V) {
        self.order.retain(|k| *k != key);
        self.order.push_back(key);
        self.values.insert(key, value);
        while self.order.len() > self.limit {
            if let Some(oldest) = self.order.pop_front() {
                self.values.remove(&oldest);
            }
        }
    }
}

/// The caches of a chain.
pub(super) struct Caches {
    checkpoints: Mutex<Recent<Arc<Checkpoint>>>,
    weights: Mutex<Recent<Arc<PreparedWeights>>>,
    verdicts: Mutex<Recent<bool>>,
    prepared: Mutex<Recent<PreparedBlock>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A cache is valid whatever a panicking thread left in it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Caches {
    pub(super) fn new() -> Self {
        Self {
            checkpoints: Mutex::new(Recent::new(CHECKPOINTS)),
            weights: Mutex::new(Recent::new(WEIGHTS)),
            verdicts: Mutex::new(Recent::new(VERDICTS)),
            prepared: Mutex::new(Recent::new(PREPARED)),
        }
    }

    pub(super) fn checkpoint(&self, root: &H256) -> Option<Arc<Checkpoint>> {
        lock(&self.checkpoints).get(root)
    }

    pub(super) fn put_checkpoint(&self, root: H256, checkpoint: Arc<Checkpoint>) {
        lock(&self.checkpoints).put(root, checkpoint);
    }

    pub(super) fn weights(&self, root: &H256) -> Option<Arc<PreparedWeights>> {
        lock(&self.weights).get(root)
    }

    pub(super) fn put_weights(&self, root: H256, weights: Arc<PreparedWeights>) {
        lock(&self.weights).put(root, weights);
    }

    pub(super) fn verdict(&self, coin: &H256) -> Option<bool> {
        lock(&self.verdicts).get(coin)
    }

    pub(super) fn prepared(&self, parent: &H256) -> Option<PreparedBlock> {
        lock(&self.prepared).get(parent)
    }

    pub(super) fn put_prepared(&self, parent: H256, prepared: PreparedBlock) {
        lock(&self.prepared).put(parent, prepared);
    }

    pub(super) fn put_verdict(&self, coin: H256, valid: bool) {
        lock(&self.verdicts).put(coin, valid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut recent = Recent::new(2);
        let key = H256::repeat_byte;
        recent.put(key(1), 1);
        recent.put(key(2), 2);
        assert_eq!(recent.get(&key(1)), Some(1));
        recent.put(key(3), 3);
        assert_eq!([1, 2, 3].map(|k| recent.get(&key(k))), [Some(1), None, Some(3)]);
    }
}
