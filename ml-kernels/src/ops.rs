//! The mined product as a candle operation: f32 in, f32 out, int7 inside, differentiable.
//!
//! Candle's autograd stops at integer tensors, so quantization, product and dequantization are one operation. Models
//! built from candle tensors thus train with the chain's own arithmetic.

use candle_core::{CpuStorage, CustomOp2, DType, Error, Layout, Result, Shape, Tensor};

use crate::platform::Platform;
use crate::product::{Rounding, product, quantize_columns, quantize_rows};

/// `Y = X W` with both operands quantized to int7 along the contraction; backward likewise (to nearest).
#[derive(Clone, Copy, Debug)]
pub struct Int7Matmul(pub Platform);

/// The contiguous f32 values behind a layout.
fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let (start, end) =
        layout.contiguous_offsets().ok_or_else(|| Error::RequiresContiguous { op: "int7-matmul" }.bt())?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

impl CustomOp2 for Int7Matmul {
    fn name(&self) -> &'static str {
        "int7-matmul"
    }

    /// `[m, k] x [k, n] -> [m, n]`.
    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let ((m, k), (k2, n)) = (l1.shape().dims2()?, l2.shape().dims2()?);
        if k != k2 {
            return Err(Error::ShapeMismatchBinaryOp {
                lhs: l1.shape().clone(),
                rhs: l2.shape().clone(),
                op: "int7-matmul",
            }
            .bt());
        }
        let a = quantize_rows(self.0, values(s1, l1)?, m, k, Rounding::Nearest).map_err(Error::wrap)?;
        let b = quantize_columns(self.0, values(s2, l2)?, k, n, Rounding::Nearest).map_err(Error::wrap)?;
        let mut out = vec![0.0; m * n];
        product(self.0, &a, &b, &mut out).map_err(Error::wrap)?;
        Ok((CpuStorage::F32(out), Shape::from((m, n))))
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let dx = dy.apply_op2_no_bwd(&w.t()?.contiguous()?, self)?;
        let dw = x.t()?.contiguous()?.apply_op2_no_bwd(&dy, self)?;
        Ok((Some(dx), Some(dw)))
    }
}

/// `x [m, k]` times `w [k, n]` by [`Int7Matmul`].
///
/// # Errors
/// Candle's, or the product's rules wrapped in one (shapes in multiples of 32, f32 only).
pub fn int7_matmul(platform: Platform, x: &Tensor, w: &Tensor) -> Result<Tensor> {
    if x.dtype() != DType::F32 {
        return Err(Error::UnsupportedDTypeForOp(x.dtype(), "int7-matmul").bt());
    }
    x.contiguous()?.apply_op2(&w.contiguous()?, Int7Matmul(platform))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn product_and_gradients_are_near_the_f32_ones() -> Result<()> {
        let x = Var::randn(0_f32, 1.0, (64, 96), &Device::Cpu)?;
        let w = Var::randn(0_f32, 1.0, (96, 32), &Device::Cpu)?;
        let exact = x.matmul(&w)?;
        let ours = int7_matmul(Platform::detect(), &x, &w)?;
        let relative = ((&ours - &exact)?.sqr()?.sum_all()? / exact.sqr()?.sum_all()?)?.to_scalar::<f32>()?;
        assert!(relative < 1e-3, "{relative}");
        let (a, b) = (ours.sqr()?.sum_all()?.backward()?, exact.sqr()?.sum_all()?.backward()?);
        for v in [&x, &w] {
            let (a, b) = (a.get(v).expect("gradient"), b.get(v).expect("gradient"));
            let relative = ((a - b)?.sqr()?.sum_all()? / b.sqr()?.sum_all()?)?.to_scalar::<f32>()?;
            assert!(relative < 2e-3, "{relative}");
        }
        Ok(())
    }

    #[test]
    fn wrong_shapes_and_types_are_errors() -> Result<()> {
        let x = Tensor::zeros((64, 96), DType::F32, &Device::Cpu)?;
        assert!(int7_matmul(Platform::PORTABLE, &x, &x).is_err());
        let odd = Tensor::zeros((30, 96), DType::F32, &Device::Cpu)?;
        assert!(int7_matmul(Platform::PORTABLE, &odd, &x.t()?).is_err());
        let ints = Tensor::zeros((96, 32), DType::U8, &Device::Cpu)?;
        assert!(int7_matmul(Platform::PORTABLE, &ints, &ints).is_err());
        Ok(())
    }
}
