//! Held-out loss of each round's checkpoint: computed by the node beside consensus, on data that is never sampled.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use consensus_upow::engine::Engine;
use consensus_upow::{PreparedWeights, evaluate};

/// Microbatches' worth of windows that one evaluation reads, if the held-out part is long enough.
const BATCHES: usize = 16;

/// Mean loss in nats over evenly spaced windows of the held-out tenth; nothing if that is shorter than a window, or if
/// `stop` is set meanwhile.
fn held_out_loss(engine: &Engine, weights: &PreparedWeights, batches: usize, stop: &AtomicBool) -> Option<f64> {
    let (model, data) = (engine.task().model(), engine.held_out());
    let length = model.seq_len + 1;
    let starts = (data.len() + 1).checked_sub(length)?;
    let count = batches * model.batch;
    let mut total = 0.0;
    for batch in 0..batches {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        let windows: Vec<u8> = (0..model.batch)
            .flat_map(|w| {
                let start = (batch * model.batch + w) * starts / count;
                &data[start..start + length]
            })
            .copied()
            .collect();
        total += f64::from(evaluate(engine.platform(), weights, &windows).ok()?);
    }
    Some(total / batches as f64)
}

/// Losses found so far, by round.
#[derive(Debug, Default)]
pub struct HeldOut {
    losses: Mutex<BTreeMap<u32, f64>>,
    stop: AtomicBool,
}

impl HeldOut {
    /// Evaluates a round's weights and remembers the result.
    pub fn evaluate(&self, engine: &Engine, round: u32, weights: &PreparedWeights) {
        if let Some(loss) = held_out_loss(engine, weights, BATCHES, &self.stop) {
            self.losses().insert(round, loss);
        }
    }

    /// Breaks off what is being evaluated, for the node to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn losses(&self) -> MutexGuard<'_, BTreeMap<u32, f64>> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The loss of a round's checkpoint, if it was evaluated since the start.
    pub fn get(&self, round: u32) -> Option<f64> {
        self.losses().get(&round).copied()
    }

    /// The newest one.
    pub fn latest(&self) -> Option<(u32, f64)> {
        self.losses().last_key_value().map(|(r, l)| (*r, *l))
    }
}
