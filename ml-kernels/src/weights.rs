//! Initial weights, and the quantized weight operands of a round.

use std::borrow::Cow;

use rayon::prelude::*;

use crate::config::{ModelConfig, Op, ProductId, TensorKind, TensorSpec};
use crate::error::KernelError;
use crate::platform::Platform;
use crate::product::{Operand, Rounding, quantize_columns, quantize_rows};
use crate::rng::{LANES, Stream};

/// Standard deviation of initial matrices (GPT-2's).
pub const INIT_STD: f32 = 0.02;
/// Of the initial embedding. At 0.02 a token's own vector is a fifth of what the first attention adds to it, and models
/// of a few layers spend some thirty steps at the entropy of single bytes before they tell tokens apart.
pub const EMBEDDING_INIT_STD: f32 = 0.2;

/// Initial weights from a seed: norms one, matrices near-normal with deviation 0.02, the embedding's 0.2.
///
/// An element is the sum of eight 16-bit uniform values, centred (Irwin-Hall, variance `8/12`): integers, then one
/// product, so the bits need no transcendental function.
pub fn initial(model: &ModelConfig, seed: &[u8; 32]) -> Vec<f32> {
    // 65536 * sqrt(8 / 12): the deviation of a sum of eight 16-bit values.
    const DEVIATION: f32 = 53_509.92;
    let mut weights = vec![1.0; model.weights()];
    for (index, tensor) in model.tensors().iter().enumerate() {
        let unit = match tensor.kind {
            TensorKind::Norm => continue,
            TensorKind::Embedding => EMBEDDING_INIT_STD / DEVIATION,
            TensorKind::Linear => INIT_STD / DEVIATION,
        };
        let stream = Stream::new(seed, "descent/init", index as u32);
        weights[tensor.range()].par_iter_mut().enumerate().for_each(|(i, w)| {
            let sum: i32 = stream.block(i as u64).iter().map(|v| i32::from(*v)).sum();
            *w = (sum - LANES as i32 * 32_768) as f32 * unit;
        });
    }
    weights
}

/// A quantized weight matrix as the B operand of one product, with its commitment.
#[derive(Clone, Debug)]
pub struct WeightOperand {
    /// The quantized operand.
    pub operand: Operand,
    /// Hash of each strip.
    pub strip_hashes: Vec<[u8; 32]>,
    /// `com_B`.
    pub commitment: [u8; 32],
}

impl WeightOperand {
    fn new(operand: Operand) -> Self {
        let strip_hashes = operand.strip_hashes();
        let commitment = Operand::commitment(&strip_hashes);
        Self { operand, strip_hashes, commitment }
    }
}

/// The columns of matrices of equal height, side by side; with its rows and columns.
fn side_by_side<'a>(weights: &'a [f32], parts: &[TensorSpec]) -> (Cow<'a, [f32]>, usize, usize) {
    let (rows, cols) = (parts[0].rows, parts.iter().map(|t| t.cols).sum());
    if let [only] = parts {
        return (Cow::Borrowed(&weights[only.range()]), rows, cols);
    }
    let row = |r: usize| parts.iter().flat_map(move |t| &weights[t.offset + r * t.cols..][..t.cols]);
    (Cow::Owned((0..rows).flat_map(row).copied().collect()), rows, cols)
}

/// The weights of a round, ready for microbatches: made once per round, shared by all.
#[derive(Clone, Debug)]
pub struct PreparedWeights {
    model: ModelConfig,
    weights: Vec<f32>,
    /// For each linear layer the operands of `Y = X W` and `dX = dY W^T`.
    linear: Vec<[WeightOperand; 2]>,
}

impl PreparedWeights {
    /// Quantizes every linear layer both ways.
    ///
    /// # Errors
    /// If the number of weights is not the model's or a shape is outside the products' bounds.
    pub fn new(platform: Platform, model: &ModelConfig, weights: Vec<f32>) -> Result<Self, KernelError> {
        let (got, expected) = (weights.len(), model.weights());
        if got != expected {
            return Err(KernelError::Length { name: "weights", got, expected });
        }
        let tensors = model.tensors();
        let operands = (0..model.linear_layers() as u16).into_par_iter().map(|layer| {
            let (w, rows, cols) = side_by_side(&weights, &tensors[model.linear_tensors(layer)]);
            Ok([
                WeightOperand::new(quantize_columns(platform, &w, rows, cols, Rounding::Nearest)?),
                WeightOperand::new(quantize_rows(platform, &w, rows, cols, Rounding::Nearest)?),
            ])
        });
        let linear = operands.collect::<Result<_, KernelError>>()?;
        Ok(Self { model: *model, weights, linear })
    }

    /// The model's shape.
    pub fn model(&self) -> &ModelConfig {
        &self.model
    }

    /// All weights, flat.
    pub fn flat(&self) -> &[f32] {
        &self.weights
    }

    /// The B operand of a product whose B side is a weight matrix.
    pub fn operand(&self, id: ProductId) -> Option<&WeightOperand> {
        let pair = self.linear.get(usize::from(id.layer))?;
        match id.op {
            Op::Forward => Some(&pair[0]),
            Op::InputGradient => Some(&pair[1]),
            Op::WeightGradient => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initial_weights_have_the_documented_moments() {
        let model = ModelConfig::TINY;
        let weights = initial(&model, &[9; 32]);
        let (embedding, head) = (model.tensors().remove(0), model.tensors().pop().expect("head"));
        for (tensor, expected) in [(embedding, EMBEDDING_INIT_STD), (head, INIT_STD)] {
            let w = &weights[tensor.range()];
            let mean = w.iter().sum::<f32>() / w.len() as f32;
            let deviation = (w.iter().map(|x| x * x).sum::<f32>() / w.len() as f32).sqrt();
            assert!(mean.abs() < 0.05 * expected, "{}: {mean}", tensor.name);
            assert!((deviation / expected - 1.0).abs() < 0.02, "{}: {deviation}", tensor.name);
        }
        assert_ne!(initial(&model, &[8; 32]), weights);
        assert!(weights[model.tensors()[1].range()].iter().all(|x| *x == 1.0));
    }

    #[test]
    fn both_operands_of_a_layer_are_its_weights() {
        let model = ModelConfig::TINY;
        let prepared = PreparedWeights::new(Platform::detect(), &model, initial(&model, &[1; 32])).unwrap();
        for layer in 0..model.linear_layers() as u16 {
            for op in [Op::Forward, Op::InputGradient] {
                let id = ProductId { layer, op };
                let (b, dims) = (&prepared.operand(id).unwrap().operand, model.dims(id).unwrap());
                assert_eq!((b.k(), b.vectors()), (dims.k, dims.n));
            }
            assert!(prepared.operand(ProductId { layer, op: Op::WeightGradient }).is_none());
        }
        assert!(PreparedWeights::new(Platform::detect(), &model, vec![0.0; 10]).is_err());
    }
}
