//! One training microbatch: forward, backward, integer gradient. The unit of work and of proof.
//!
//! Where the time of a mined one goes, by `cargo bench --workspace --bench microbatch` on two cores of a Sapphire Rapids
//! Xeon; the last line is what the stages above it leave:
//!
//! | share | `nano`, AVX2 | `nano`, AVX-512 | `small`, AVX2 |
//! |---|---|---|---|
//! | mined products | 63 % | 36 % | 70 % |
//! | operand commitments | 2.3 % | 4.7 % | 1.2 % |
//! | leaf hash | 2.1 % | 4.7 % | 1.4 % |
//! | gradient to integers | 2.2 % | 4.0 % | 1.3 % |
//! | quantization, attention, norms, the rest | 31 % | 51 % | 26 % |

use crate::attention;
use crate::buffer::Buffer;
use crate::config::{ModelConfig, Op, ProductId, TENSORS_PER_LAYER, VOCAB};
use crate::error::KernelError;
use crate::gradient::to_integers;
use crate::loss;
use crate::math::sanitize;
use crate::norm;
use crate::platform::Platform;
use crate::product::{Operand, Rounding, quantize_columns, quantize_rows};
use crate::rng::Stream;
use crate::rope::RopeTable;
use crate::swiglu;
use crate::weights::{PreparedWeights, WeightOperand};
use rayon::prelude::*;

/// The B side of a product.
#[derive(Clone, Copy, Debug)]
pub enum BSide<'a> {
    /// A weight matrix, the same for every microbatch of the round.
    Weights(&'a WeightOperand),
    /// Output gradients, this microbatch's own.
    Activations(&'a Operand),
}

impl<'a> BSide<'a> {
    /// The operand itself.
    pub fn operand(&self) -> &'a Operand {
        match self {
            Self::Weights(w) => &w.operand,
            Self::Activations(o) => o,
        }
    }
}

/// Computes the products of a microbatch: mined by a miner, plain by a validator. Both give the same `out`.
pub trait Products {
    /// Writes `A B`, dequantized, to `out` (row-major `m x n`).
    ///
    /// # Errors
    /// Whatever the shapes break; never depends on the values.
    fn product(&mut self, id: ProductId, a: &Operand, b: BSide<'_>, out: &mut [f32]) -> Result<(), KernelError>;
}

/// The unmined product: no noise, no fold, no tickets.
#[derive(Clone, Copy, Debug)]
pub struct Plain(pub Platform);

impl Products for Plain {
    fn product(&mut self, _: ProductId, a: &Operand, b: BSide<'_>, out: &mut [f32]) -> Result<(), KernelError> {
        Ok(crate::product::product(self.0, a, b.operand(), out)?)
    }
}

/// What a microbatch is computed from, besides the weights.
#[derive(Clone, Copy, Debug)]
pub struct MicrobatchInput<'a> {
    /// `batch` windows of `seq_len + 1` bytes: inputs and, shifted by one, targets.
    pub windows: &'a [u8],
    /// The attempt's key: every random bit comes from it.
    pub key: &'a [u8; 32],
    /// Exponent of each tensor's integer gradient.
    pub exponents: &'a [i8],
}

/// What it yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MicrobatchOutput {
    /// The integer gradient (the leaf), flat, every element within +-31.
    pub gradient: Vec<i8>,
    /// Each tensor's sum of squares.
    pub squares: Vec<u64>,
    /// Mean loss, 20 fractional bits.
    pub loss: u32,
}

/// Mean loss and f32 gradient of the sum of all tokens' losses.
#[derive(Clone, Debug)]
pub struct FloatGradient {
    /// Flat gradient.
    pub gradient: Buffer<f32>,
    /// Mean loss in nats.
    pub loss: f32,
}

/// Runs one microbatch.
///
/// # Errors
/// [`KernelError`] if lengths or shapes don't match the model; never because of values.
pub fn run(
    platform: Platform,
    weights: &PreparedWeights,
    input: MicrobatchInput<'_>,
    products: &mut impl Products,
) -> Result<MicrobatchOutput, KernelError> {
    let model = weights.model();
    let expected = model.tensors().len();
    if input.exponents.len() != expected {
        return Err(KernelError::Length { name: "exponents", got: input.exponents.len(), expected });
    }
    let float = gradient(platform, weights, input.windows, input.key, products)?;
    let (gradient, squares) = to_integers(platform, model, &float.gradient, input.exponents, input.key);
    Ok(MicrobatchOutput { gradient, squares, loss: loss::to_fixed(float.loss) })
}

/// Mean loss of windows under given weights, forward pass only, rounded to nearest: how held-out loss is measured.
///
/// # Errors
/// As [`run`].
pub fn evaluate(platform: Platform, weights: &PreparedWeights, windows: &[u8]) -> Result<f32, KernelError> {
    let mut pass = Pass::new(platform, weights, windows, None, Plain(platform))?;
    let mut x = pass.embed();
    for layer in 0..pass.model.n_layers {
        pass.layer_forward(layer, &mut x)?;
    }
    Ok(pass.head_forward(&x)?.1)
}

/// Forward and backward pass up to the f32 gradient.
///
/// # Errors
/// As [`run`].
pub fn gradient(
    platform: Platform,
    weights: &PreparedWeights,
    windows: &[u8],
    key: &[u8; 32],
    products: &mut impl Products,
) -> Result<FloatGradient, KernelError> {
    let mut pass = Pass::new(platform, weights, windows, Some(key), ByRef(products))?;
    let layers = pass.model.n_layers;
    let mut x = pass.embed();
    let mut saved = Vec::with_capacity(layers);
    for layer in 0..layers {
        saved.push(pass.layer_forward(layer, &mut x)?);
    }
    let (head, loss) = pass.head_forward(&x)?;
    let mut g = Buffer::stale(model_weights(pass.weights));
    let mut dx = pass.head_backward(&x, head, &mut g)?;
    for (layer, saved) in saved.into_iter().enumerate().rev() {
        pass.layer_backward(layer, saved, &mut dx, &mut g)?;
    }
    pass.embed_backward(&dx, &mut g);
    Ok(FloatGradient { gradient: g, loss })
}

fn model_weights(weights: &PreparedWeights) -> usize {
    weights.flat().len()
}

/// Lends a product engine without giving it away.
struct ByRef<'a, P>(&'a mut P);

impl<P: Products> Products for ByRef<'_, P> {
    fn product(&mut self, id: ProductId, a: &Operand, b: BSide<'_>, out: &mut [f32]) -> Result<(), KernelError> {
        self.0.product(id, a, b, out)
    }
}

/// What the backward pass of a layer needs of its forward pass.
struct Saved {
    input: Buffer<f32>,
    inverse1: Buffer<f32>,
    normed1: Buffer<f32>,
    qkv: Buffer<f32>,
    probabilities: Buffer<f32>,
    attended: Buffer<f32>,
    middle: Buffer<f32>,
    inverse2: Buffer<f32>,
    normed2: Buffer<f32>,
    gate_up: Buffer<f32>,
    activated: Buffer<f32>,
}

/// The head's: normed input, its inverse norms, gradient of the logits.
struct SavedHead {
    inverse: Buffer<f32>,
    normed: Buffer<f32>,
    d_logits: Buffer<f32>,
}

struct Pass<'a, P> {
    platform: Platform,
    model: ModelConfig,
    weights: &'a PreparedWeights,
    inputs: Vec<u8>,
    targets: Vec<u8>,
    /// Absent when only evaluating: then everything rounds to nearest.
    key: Option<&'a [u8; 32]>,
    rope: RopeTable,
    products: P,
}

impl<'a, P: Products> Pass<'a, P> {
    fn new(
        platform: Platform,
        weights: &'a PreparedWeights,
        windows: &[u8],
        key: Option<&'a [u8; 32]>,
        products: P,
    ) -> Result<Self, KernelError> {
        let model = *weights.model();
        let expected = model.batch * (model.seq_len + 1);
        if windows.len() != expected {
            return Err(KernelError::Length { name: "windows", got: windows.len(), expected });
        }
        let rows = windows.chunks_exact(model.seq_len + 1);
        let inputs = rows.clone().flat_map(|w| &w[..model.seq_len]).copied().collect();
        let targets = rows.flat_map(|w| &w[1..]).copied().collect();
        let rope = RopeTable::new(model.seq_len, model.head_width());
        Ok(Self { platform, model, weights, inputs, targets, key, rope, products })
    }

    fn tensor(&self, index: usize) -> &'a [f32] {
        let weights: &'a PreparedWeights = self.weights;
        &weights.flat()[self.model.tensors()[index].range()]
    }

    fn layer_tensor(layer: usize, which: usize) -> usize {
        1 + layer * TENSORS_PER_LAYER + which
    }

    fn embed(&self) -> Buffer<f32> {
        let d = self.model.d_model;
        let table = self.tensor(0);
        let mut x = Buffer::stale(self.inputs.len() * d);
        for (x, t) in x.chunks_exact_mut(d).zip(&self.inputs) {
            x.copy_from_slice(&table[usize::from(*t) * d..][..d]);
        }
        x
    }

    /// Row `v` of the gradient adds the rows of `dx` whose token is `v`, in ascending order.
    fn embed_backward(&self, dx: &[f32], g: &mut [f32]) {
        let d = self.model.d_model;
        let inputs = &self.inputs;
        g[..VOCAB * d].par_chunks_mut(d).enumerate().for_each(|(v, row)| {
            row.fill(0.0);
            let tokens = inputs.iter().zip(dx.chunks_exact(d)).filter(|(t, _)| usize::from(**t) == v);
            for (_, dx) in tokens {
                for (g, x) in row.iter_mut().zip(dx) {
                    *g = sanitize(*g + *x);
                }
            }
        });
    }

    /// `Y = X W` of a linear layer. `X` rounds stochastically, so that another attempt has another operand.
    fn linear(&mut self, layer: u16, x: &[f32]) -> Result<Buffer<f32>, KernelError> {
        let id = ProductId { layer, op: Op::Forward };
        let weights: &'a PreparedWeights = self.weights;
        let b = weights.operand(id).expect("every linear layer has its operands");
        let stream = self.key.map(|key| Stream::new(key, "x/rows", u32::from(layer)));
        let rounding = stream.as_ref().map_or(Rounding::Nearest, Rounding::Stochastic);
        let a = quantize_rows(self.platform, x, self.inputs.len(), b.operand.k(), rounding)?;
        let mut y = Buffer::stale(self.inputs.len() * b.operand.vectors());
        self.products.product(id, &a, BSide::Weights(b), &mut y)?;
        Ok(y)
    }

    /// `dX = dY W^T`, returned, and `dW = X^T dY`, written to the layer's tensors in `g`. `X` and `dY` round
    /// stochastically, each use on its own.
    fn linear_backward(
        &mut self,
        layer: u16,
        x: &[f32],
        dy: &[f32],
        g: &mut [f32],
    ) -> Result<Buffer<f32>, KernelError> {
        let tokens = self.inputs.len();
        let key = self.key.expect("the backward pass has a key");
        let id = ProductId { layer, op: Op::InputGradient };
        let weights: &'a PreparedWeights = self.weights;
        let b = weights.operand(id).expect("every linear layer has its operands");
        let (inputs, outputs) = (b.operand.vectors(), b.operand.k());
        let stream = Stream::new(key, "dy/rows", u32::from(layer));
        let a = quantize_rows(self.platform, dy, tokens, outputs, Rounding::Stochastic(&stream))?;
        let mut dx = Buffer::stale(tokens * inputs);
        self.products.product(id, &a, BSide::Weights(b), &mut dx)?;

        let stream = Stream::new(key, "x/columns", u32::from(layer));
        let a = quantize_columns(self.platform, x, tokens, inputs, Rounding::Stochastic(&stream))?;
        let stream = Stream::new(key, "dy/columns", u32::from(layer));
        let b = quantize_columns(self.platform, dy, tokens, outputs, Rounding::Stochastic(&stream))?;
        let tensors = self.model.tensors();
        let parts = &tensors[self.model.linear_tensors(layer)];
        let id = ProductId { layer, op: Op::WeightGradient };
        if let [only] = parts {
            self.products.product(id, &a, BSide::Activations(&b), &mut g[only.range()])?;
            return Ok(dx);
        }
        let mut dw = Buffer::stale(inputs * outputs);
        self.products.product(id, &a, BSide::Activations(&b), &mut dw)?;
        let mut first = 0;
        for part in parts {
            for (to, row) in g[part.range()].chunks_exact_mut(part.cols).zip(dw.chunks_exact(outputs)) {
                to.copy_from_slice(&row[first..first + part.cols]);
            }
            first += part.cols;
        }
        Ok(dx)
    }

    fn rotate(&self, qkv: &mut [f32], inverse: bool) {
        let (platform, rope, d, t) = (self.platform, &self.rope, self.model.d_model, self.model.seq_len);
        qkv.par_chunks_mut(3 * d).enumerate().for_each(|(row, qkv)| {
            // Queries and keys; values stay.
            rope.rotate(platform, &mut qkv[..2 * d], row % t, inverse);
        });
    }

    fn layer_forward(&mut self, layer: usize, x: &mut [f32]) -> Result<Saved, KernelError> {
        let (platform, f, first) = (self.platform, self.model.d_ff, 4 * layer as u16);
        let input = Buffer::copied(x);
        let mut normed1 = Buffer::stale(x.len());
        let inverse1 = norm::forward(platform, &input, self.tensor(Self::layer_tensor(layer, 0)), &mut normed1);
        let mut qkv = self.linear(first, &normed1)?;
        self.rotate(&mut qkv, false);
        let (attended, probabilities) = attention::forward(platform, &self.model, &qkv);
        add(x, &self.linear(first + 1, &attended)?);

        let middle = Buffer::copied(x);
        let mut normed2 = Buffer::stale(x.len());
        let inverse2 = norm::forward(platform, &middle, self.tensor(Self::layer_tensor(layer, 5)), &mut normed2);
        let gate_up = self.linear(first + 2, &normed2)?;
        let mut activated = Buffer::stale(self.inputs.len() * f);
        swiglu::forward(platform, &gate_up, f, &mut activated);
        add(x, &self.linear(first + 3, &activated)?);
        Ok(Saved {
            input,
            inverse1,
            normed1,
            qkv,
            probabilities,
            attended,
            middle,
            inverse2,
            normed2,
            gate_up,
            activated,
        })
    }

    fn head_forward(&mut self, x: &[f32]) -> Result<(SavedHead, f32), KernelError> {
        let norm = self.tensor(1 + TENSORS_PER_LAYER * self.model.n_layers);
        let mut normed = Buffer::stale(x.len());
        let inverse = norm::forward(self.platform, x, norm, &mut normed);
        let mut logits = self.linear(4 * self.model.n_layers as u16, &normed)?;
        let loss = loss::forward_backward(self.platform, &mut logits, &self.targets);
        Ok((SavedHead { inverse, normed, d_logits: logits }, loss))
    }

    fn head_backward(&mut self, x: &[f32], saved: SavedHead, g: &mut [f32]) -> Result<Buffer<f32>, KernelError> {
        let tensors = self.model.tensors();
        let norm = 1 + TENSORS_PER_LAYER * self.model.n_layers;
        let d_normed = self.linear_backward(4 * self.model.n_layers as u16, &saved.normed, &saved.d_logits, g)?;
        let mut dx = Buffer::filled(0.0, x.len());
        norm::backward(
            self.platform,
            x,
            self.tensor(norm),
            &saved.inverse,
            &d_normed,
            &mut dx,
            &mut g[tensors[norm].range()],
        );
        Ok(dx)
    }

    /// `dx` holds the gradient of the layer's output and then that of its input.
    fn layer_backward(&mut self, layer: usize, saved: Saved, dx: &mut [f32], g: &mut [f32]) -> Result<(), KernelError> {
        let (platform, f, first, tensors) = (self.platform, self.model.d_ff, 4 * layer as u16, self.model.tensors());
        let range = |which| tensors[Self::layer_tensor(layer, which)].range();

        let d_activated = self.linear_backward(first + 3, &saved.activated, dx, g)?;
        let mut d_gate_up = Buffer::stale(saved.gate_up.len());
        swiglu::backward(platform, &saved.gate_up, f, &d_activated, &mut d_gate_up);
        let d_normed = self.linear_backward(first + 2, &saved.normed2, &d_gate_up, g)?;
        let w = self.tensor(Self::layer_tensor(layer, 5));
        norm::backward(platform, &saved.middle, w, &saved.inverse2, &d_normed, dx, &mut g[range(5)]);

        let d_attended = self.linear_backward(first + 1, &saved.attended, dx, g)?;
        let mut d_qkv = attention::backward(platform, &self.model, &saved.qkv, &saved.probabilities, &d_attended);
        self.rotate(&mut d_qkv, true);
        let d_normed = self.linear_backward(first, &saved.normed1, &d_qkv, g)?;
        let w = self.tensor(Self::layer_tensor(layer, 0));
        norm::backward(platform, &saved.input, w, &saved.inverse1, &d_normed, dx, &mut g[range(0)]);
        Ok(())
    }
}

/// `x += y`.
fn add(x: &mut [f32], y: &[f32]) {
    x.par_chunks_mut(1 << 14).zip(y.par_chunks(1 << 14)).for_each(|(x, y)| {
        for (x, y) in x.iter_mut().zip(y) {
            *x = sanitize(*x + *y);
        }
    });
}

#[cfg(test)]
#[path = "microbatch/tests.rs"]
mod tests;
