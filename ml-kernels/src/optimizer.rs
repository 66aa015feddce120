//! AdamW in f32, element by element, bounded so that no step can make a weight non-finite.
//!
//! Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (ICLR 2019). The schedule uses no transcendental
//! function, bias corrections are running products, and every operation is IEEE-754 in the order written.

use rayon::prelude::*;

use crate::config::{ModelConfig, TensorKind};
use crate::platform::{Platform, dispatch};

/// Hyper-parameters, constants of the task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Peak learning rate.
    pub rate: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decoupled weight decay, on matrices only.
    pub weight_decay: f32,
    /// Steps of linear warm-up.
    pub warmup_steps: u32,
    /// First step of the linear decay.
    pub decay_start: u32,
    /// Step at which the decay has reached `final_rate`; not above `decay_start` means no decay.
    pub decay_end: u32,
    /// Learning rate after the decay.
    pub final_rate: f32,
}

impl AdamW {
    /// The learning rate of a step (counted from zero).
    pub fn rate_at(&self, step: u32) -> f32 {
        if step < self.warmup_steps {
            return self.rate * ((step + 1) as f32 / self.warmup_steps as f32);
        }
        if self.decay_end <= self.decay_start || step < self.decay_start {
            return self.rate;
        }
        if step >= self.decay_end {
            return self.final_rate;
        }
        let left = (self.decay_end - step) as f32 / (self.decay_end - self.decay_start) as f32;
        self.final_rate + (self.rate - self.final_rate) * left
    }
}

/// Weights and moments after some number of steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Optimizer steps taken (skipped rounds not counted).
    pub step: u32,
    /// `beta1^step`, as a running product.
    pub beta1_power: f32,
    /// `beta2^step`, likewise.
    pub beta2_power: f32,
    /// Weights, all tensors one after the other.
    pub weights: Vec<f32>,
    /// First moments, same shape.
    pub first: Vec<f32>,
    /// Second moments, same shape.
    pub second: Vec<f32>,
}

impl Checkpoint {
    /// A checkpoint before its first step: the given weights and zero moments.
    pub fn initial(weights: Vec<f32>) -> Self {
        let zeros = vec![0.0; weights.len()];
        Self { step: 0, beta1_power: 1.0, beta2_power: 1.0, first: zeros.clone(), second: zeros, weights }
    }
}

/// Elements handled by one task.
const CHUNK: usize = 1 << 14;
/// No weight or moment grows beyond this; the element then keeps its old values.
const BOUND: f32 = 65536.0;

/// Per-step constants of the element rule.
#[derive(Clone, Copy)]
struct Coefficients {
    rate: f32,
    beta1: f32,
    beta2: f32,
    correction1: f32,
    correction2: f32,
    epsilon: f32,
    decay: f32,
    /// Multiplies the integer gradient.
    unit: f32,
}

/// Takes one step from a gradient given as fixed-point integers per element.
///
/// The gradient of an element of tensor `t` is `sum[i] as f32 * units[t]`: `units[t]` holds the fixed-point unit
/// divided by the number of tokens. An element whose new weight or moment would be non-finite or beyond 2^16 stays
/// as it was, moments included.
///
/// # Panics
/// If the lengths don't match the model; they are made by this project's own code.
pub fn step(
    platform: Platform,
    model: &ModelConfig,
    optimizer: &AdamW,
    state: &Checkpoint,
    sum: &[i64],
    units: &[f32],
) -> Checkpoint {
    let tensors = model.tensors();
    assert_eq!((sum.len(), units.len()), (state.weights.len(), tensors.len()), "gradient of another model");
    let mut next = state.clone();
    next.step = state.step + 1;
    next.beta1_power = state.beta1_power * optimizer.beta1;
    next.beta2_power = state.beta2_power * optimizer.beta2;
    for (tensor, &unit) in tensors.iter().zip(units) {
        let c = Coefficients {
            rate: optimizer.rate_at(state.step),
            beta1: optimizer.beta1,
            beta2: optimizer.beta2,
            correction1: 1.0 - next.beta1_power,
            correction2: 1.0 - next.beta2_power,
            epsilon: optimizer.epsilon,
            decay: if tensor.kind == TensorKind::Norm { 0.0 } else { optimizer.weight_decay },
            unit,
        };
        let range = tensor.range();
        next.weights[range.clone()]
            .par_chunks_mut(CHUNK)
            .zip(next.first[range.clone()].par_chunks_mut(CHUNK))
            .zip(next.second[range.clone()].par_chunks_mut(CHUNK))
            .zip(sum[range].par_chunks(CHUNK))
            .for_each(|(((w, m), v), g)| elements(platform, w, m, v, g, c));
    }
    next
}

fn elements(platform: Platform, w: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[i64], c: Coefficients) {
    dispatch!(platform, body(w: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[i64], c: Coefficients) {
        for (((w, m), v), g) in w.iter_mut().zip(m.iter_mut()).zip(v.iter_mut()).zip(g) {
            let g = *g as f32 * c.unit;
            let m1 = c.beta1 * *m + (1.0 - c.beta1) * g;
            let v1 = c.beta2 * *v + (1.0 - c.beta2) * (g * g);
            let update = (m1 / c.correction1) / ((v1 / c.correction2).sqrt() + c.epsilon);
            let w1 = *w - c.rate * (update + c.decay * *w);
            // A comparison with NaN is false: non-finite values keep the old element too.
            if w1.abs() <= BOUND && m1.abs() <= BOUND && v1 <= BOUND {
                *w = w1;
                *m = m1;
                *v = v1;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn optimizer() -> AdamW {
        AdamW {
            rate: 1.5e-3,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.1,
            warmup_steps: 10,
            decay_start: 100,
            decay_end: 200,
            final_rate: 1.5e-4,
        }
    }

    #[test]
    fn schedule_warms_up_holds_and_decays_linearly() {
        let o = optimizer();
        assert_eq!(o.rate_at(0), 1.5e-3 * 0.1);
        assert_eq!(o.rate_at(9), 1.5e-3);
        assert_eq!(o.rate_at(99), 1.5e-3);
        assert!((o.rate_at(150) - 0.825e-3).abs() < 1e-9);
        assert_eq!(o.rate_at(200), 1.5e-4);
        assert_eq!(AdamW { decay_end: 0, ..o }.rate_at(1_000_000), 1.5e-3);
    }

    #[test]
    fn first_step_moves_by_the_rate_against_the_gradient() {
        let model = ModelConfig::TINY;
        let n = model.weights();
        let state = Checkpoint::initial(vec![0.5; n]);
        let sum: Vec<i64> = (0..n as i64).map(|i| if i % 2 == 0 { 1000 } else { -1000 }).collect();
        let units = vec![1e-3; model.tensors().len()];
        let o = AdamW { weight_decay: 0.0, ..optimizer() };
        let next = step(Platform::PORTABLE, &model, &o, &state, &sum, &units);
        for i in 0..n {
            let moved = next.weights[i] - 0.5;
            let expected = if i % 2 == 0 { -1.5e-4 } else { 1.5e-4 };
            assert!((moved - expected).abs() < 1e-6, "element {i} moved by {moved}");
        }
        for platform in Platform::available() {
            assert_eq!(step(platform, &model, &o, &state, &sum, &units), next);
        }
    }

    #[test]
    fn an_element_that_would_diverge_stays_with_its_moments() {
        let model = ModelConfig::TINY;
        let n = model.weights();
        let mut state = Checkpoint::initial(vec![0.0; n]);
        state.weights[3] = f32::MAX;
        let mut sum = vec![1_i64; n];
        sum[7] = i64::MAX;
        for platform in Platform::available() {
            let next = step(platform, &model, &optimizer(), &state, &sum, &vec![1.0; model.tensors().len()]);
            assert_eq!((next.weights[3], next.first[3]), (f32::MAX, 0.0));
            assert_eq!((next.weights[7], next.second[7]), (0.0, 0.0));
            assert!(next.weights[0] < 0.0);
        }
    }
}
