//! What the chain's way is compared with: candle's gradients, AdamW in f32. It shares the schedule with the chain's
//! optimizer, and no arithmetic.

use anyhow::{Context, Result};
use candle_core::Tensor;
use ml_kernels::baseline::{Baseline, Linear};
use ml_kernels::config::{ModelConfig, TensorKind};
use ml_kernels::optimizer::AdamW;

/// The reference: candle's gradients, AdamW in f32.
pub(crate) struct Reference {
    pub(crate) model: ModelConfig,
    optimizer: AdamW,
    steps: u32,
    powers: [f32; 2],
    pub(crate) weights: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Reference {
    /// Before the first step.
    pub(crate) fn new(model: ModelConfig, optimizer: AdamW, weights: Vec<f32>) -> Self {
        let zeros = vec![0.0; weights.len()];
        Self { model, optimizer, steps: 0, powers: [1.0; 2], first: zeros.clone(), second: zeros, weights }
    }

    /// One step on the mean gradient of all windows' tokens; returns the mean training loss.
    pub(crate) fn step(&mut self, windows: &[Vec<u8>]) -> Result<f64> {
        let (gradient, loss) = self.gradient(windows)?;
        let o = self.optimizer;
        let rate = o.rate_at(self.steps);
        self.steps += 1;
        self.powers = [self.powers[0] * o.beta1, self.powers[1] * o.beta2];
        let [bias1, bias2] = self.powers.map(|power| 1.0 - power);
        for tensor in self.model.tensors() {
            let decay = if tensor.kind == TensorKind::Norm { 0.0 } else { o.weight_decay };
            for i in tensor.range() {
                let (g, w) = (gradient[i], self.weights[i]);
                self.first[i] = o.beta1 * self.first[i] + (1.0 - o.beta1) * g;
                self.second[i] = o.beta2 * self.second[i] + (1.0 - o.beta2) * g * g;
                let update = (self.first[i] / bias1) / ((self.second[i] / bias2).sqrt() + o.epsilon);
                self.weights[i] = w - rate * (update + decay * w);
            }
        }
        Ok(loss)
    }

    fn gradient(&self, windows: &[Vec<u8>]) -> Result<(Vec<f32>, f64)> {
        let baseline = Baseline::new(&self.model, &self.weights, Linear::Float)?;
        let (mut sum, mut loss_sum) = (vec![0.0; self.weights.len()], 0.0);
        for windows in windows {
            let loss = baseline.loss_sum(windows)?;
            loss_sum += f64::from(loss.to_scalar::<f32>()?);
            let gradients = loss.backward()?;
            for (tensor, var) in self.model.tensors().iter().zip(baseline.vars()) {
                let g = gradients.get(var).with_context(|| format!("{} has no gradient", tensor.name))?;
                let g = g.flatten_all().and_then(|g: Tensor| g.to_vec1::<f32>())?;
                sum[tensor.range()].iter_mut().zip(g).for_each(|(sum, g)| *sum += g);
            }
        }
        let tokens = windows.len() * self.model.tokens();
        sum.iter_mut().for_each(|g| *g /= tokens as f32);
        Ok((sum, loss_sum / tokens as f64))
    }
}

/// Mean loss of each buffer of windows in candle's f32 forward pass.
pub(crate) fn float_losses(model: &ModelConfig, weights: &[f32], held_out: &[Vec<u8>]) -> Result<Vec<f64>> {
    let baseline = Baseline::new(model, weights, Linear::Float)?;
    let loss =
        |windows: &Vec<u8>| Ok(f64::from(baseline.loss_sum(windows)?.to_scalar::<f32>()?) / model.tokens() as f64);
    held_out.iter().map(loss).collect()
}
