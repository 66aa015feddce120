//! The same model in plain candle f32 with candle's autograd: what a user would run instead, and what tests compare with.
//!
//! Nothing of the chain's consensus calls this module.

use candle_core::{D, Device, IndexOp, Result, Tensor, Var};

use crate::config::{ModelConfig, VOCAB};
use crate::norm::EPSILON;
use crate::ops::int7_matmul;
use crate::platform::Platform;
use crate::rope::RopeTable;

/// How linear layers multiply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linear {
    /// Candle's own f32 matmul.
    Float,
    /// The chain's int7 product.
    Int7(Platform),
}

/// A decoder over candle variables, one for each tensor of the model.
pub struct Baseline {
    model: ModelConfig,
    linear: Linear,
    vars: Vec<Var>,
    cos: Tensor,
    sin: Tensor,
    mask: Tensor,
}

impl Baseline {
    /// Takes the flat weights of a checkpoint.
    ///
    /// # Errors
    /// Candle's.
    pub fn new(model: &ModelConfig, weights: &[f32], linear: Linear) -> Result<Self> {
        let device = &Device::Cpu;
        let vars = model.tensors().into_iter().map(|t| {
            let shape = if t.rows == 1 { vec![t.cols] } else { vec![t.rows, t.cols] };
            Var::from_slice(&weights[t.range()], shape, device)
        });
        let (t, half) = (model.seq_len, model.head_width() / 2);
        let (cos, sin) = RopeTable::new(t, model.head_width()).into_parts();
        let mask: Vec<f32> = (0..t * t).map(|i| if i % t > i / t { f32::NEG_INFINITY } else { 0.0 }).collect();
        Ok(Self {
            model: *model,
            linear,
            vars: vars.collect::<Result<_>>()?,
            cos: Tensor::from_vec(cos, (1, 1, t, half), device)?,
            sin: Tensor::from_vec(sin, (1, 1, t, half), device)?,
            mask: Tensor::from_vec(mask, (1, 1, t, t), device)?,
        })
    }

    /// The variables, in the order of the model's tensors.
    pub fn vars(&self) -> &[Var] {
        &self.vars
    }

    fn matmul(&self, x: &Tensor, w: &Tensor) -> Result<Tensor> {
        match self.linear {
            Linear::Float => x.matmul(w),
            Linear::Int7(platform) => int7_matmul(platform, x, w),
        }
    }

    fn norm(x: &Tensor, w: &Tensor) -> Result<Tensor> {
        let mean = x.sqr()?.mean_keepdim(D::Minus1)?;
        x.broadcast_div(&(mean + f64::from(EPSILON))?.sqrt()?)?.broadcast_mul(w)
    }

    fn rotate(&self, x: &Tensor) -> Result<Tensor> {
        let half = self.model.head_width() / 2;
        let (a, b) = (x.narrow(D::Minus1, 0, half)?, x.narrow(D::Minus1, half, half)?);
        let first = (a.broadcast_mul(&self.cos)? - b.broadcast_mul(&self.sin)?)?;
        let second = (b.broadcast_mul(&self.cos)? + a.broadcast_mul(&self.sin)?)?;
        Tensor::cat(&[first, second], D::Minus1)
    }

    fn attention(&self, qkv: &Tensor, windows: usize) -> Result<Tensor> {
        let (t, heads, width) = (self.model.seq_len, self.model.n_heads, self.model.head_width());
        let qkv = qkv.reshape((windows, t, 3, heads, width))?;
        let part = |i: usize| qkv.i((.., .., i))?.transpose(1, 2)?.contiguous();
        let (q, k, v) = (self.rotate(&part(0)?)?, self.rotate(&part(1)?)?, part(2)?);
        let scores =
            (q.matmul(&k.transpose(2, 3)?.contiguous()?)? / (width as f64).sqrt())?.broadcast_add(&self.mask)?;
        let scores = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?.exp()?;
        let p = scores.broadcast_div(&scores.sum_keepdim(D::Minus1)?)?;
        p.matmul(&v)?.transpose(1, 2)?.reshape((windows * t, heads * width))
    }

    /// Sum of all tokens' losses over windows of `seq_len + 1` bytes.
    ///
    /// # Errors
    /// Candle's.
    pub fn loss_sum(&self, windows: &[u8]) -> Result<Tensor> {
        let (t, f) = (self.model.seq_len, self.model.d_ff);
        let rows = windows.chunks_exact(t + 1);
        let count = rows.len();
        let ids = |shift: usize| -> Result<Tensor> {
            let flat: Vec<u32> =
                windows.chunks_exact(t + 1).flat_map(|w| &w[shift..shift + t]).map(|b| u32::from(*b)).collect();
            Tensor::from_vec(flat, count * t, &Device::Cpu)
        };
        let mut vars = self.vars.iter();
        let mut next = || vars.next().expect("one variable for each tensor").as_tensor();
        let mut x = next().index_select(&ids(0)?, 0)?;
        for _ in 0..self.model.n_layers {
            let (norm1, q, k, v, out) = (next(), next(), next(), next(), next());
            let (norm2, gate, up, down) = (next(), next(), next(), next());
            let (qkv, gate_up) = (Tensor::cat(&[q, k, v], 1)?, Tensor::cat(&[gate, up], 1)?);
            let attended = self.attention(&self.matmul(&Self::norm(&x, norm1)?, &qkv)?, count)?;
            x = (x + self.matmul(&attended, out)?)?;
            let gu = self.matmul(&Self::norm(&x, norm2)?, &gate_up)?;
            let (gate, up) = (gu.narrow(1, 0, f)?, gu.narrow(1, f, f)?);
            let activated = (gate.silu()? * up)?;
            x = (x + self.matmul(&activated, down)?)?;
        }
        let x = Self::norm(&x, next())?;
        let logits = self.matmul(&x, next())?;
        let logits = logits.broadcast_sub(&logits.max_keepdim(1)?.detach())?;
        let log_sum = logits.exp()?.sum_keepdim(1)?.log()?;
        let at = logits.gather(&ids(1)?.reshape((count * t, 1))?, 1)?;
        debug_assert_eq!(logits.dim(1)?, VOCAB);
        (log_sum - at)?.sum_all()
    }
}
