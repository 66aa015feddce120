//! 16-bit lanes: the few operations of the transform, for one lane (portable) and for sixteen (AVX2).
//!
//! Both are driven by one generic source. Explicit vectors rather than autovectorization, which here turned the
//! multiplications into 32-bit ones or gave up, depending on the surrounding loop.

#[cfg(target_arch = "x86_64")]
mod avx2;

#[cfg(target_arch = "x86_64")]
pub(super) use avx2::Avx2;

use super::LANES;

/// Sums of products over pairs of lanes.
pub(super) type Partial = [i32; LANES / 2];

/// Some 16-bit lanes. `add` and `sub` never overflow: the transform's schedule proves it.
pub(super) trait Vector: Copy {
    /// Number of lanes; it divides [`LANES`].
    const WIDTH: usize;

    /// The first lanes of a slice.
    fn load(from: &[i16]) -> Self;
    /// The first lanes of a slice, widened.
    fn load_i8(from: &[i8]) -> Self;
    /// Overwrites the first lanes of a slice.
    fn store(self, to: &mut [i16]);
    /// One value in every lane.
    fn splat(value: i16) -> Self;
    /// Sum.
    fn add(self, other: Self) -> Self;
    /// Difference.
    fn sub(self, other: Self) -> Self;
    /// Difference modulo 2^16.
    fn wrapping_sub(self, other: Self) -> Self;
    /// Lower half of the 32-bit product.
    fn low(self, other: Self) -> Self;
    /// Upper half of the signed 32-bit product.
    fn high(self, other: Self) -> Self;
    /// The value over 2^14, rounded to the nearest integer, upwards from halfway; but at most 1.
    fn quotient(self) -> Self;
    /// Adds the products of sixteen lanes, summed in pairs of neighbours.
    fn add_products(partial: &mut Partial, values: &[i16; LANES], public: &[i16; LANES]);
}

impl Vector for i16 {
    const WIDTH: usize = 1;

    #[inline(always)]
    fn load(from: &[i16]) -> Self {
        from[0]
    }

    #[inline(always)]
    fn load_i8(from: &[i8]) -> Self {
        Self::from(from[0])
    }

    #[inline(always)]
    fn store(self, to: &mut [i16]) {
        to[0] = self;
    }

    #[inline(always)]
    fn splat(value: i16) -> Self {
        value
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self + other
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self - other
    }

    #[inline(always)]
    fn wrapping_sub(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }

    #[inline(always)]
    fn low(self, other: Self) -> Self {
        self.wrapping_mul(other)
    }

    #[inline(always)]
    fn high(self, other: Self) -> Self {
        ((i32::from(self) * i32::from(other)) >> 16) as Self // the upper half fits
    }

    #[inline(always)]
    fn quotient(self) -> Self {
        self.saturating_add(1 << 13) >> 14
    }

    #[inline(always)]
    fn add_products(partial: &mut Partial, values: &[i16; LANES], public: &[i16; LANES]) {
        for (i, sum) in partial.iter_mut().enumerate() {
            let product = |lane: usize| i32::from(values[lane]) * i32::from(public[lane]);
            *sum += product(2 * i) + product(2 * i + 1);
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::platform::Platform;

    /// Compares every operation on pairs of values that include all extremes.
    #[test]
    fn vector_operations_agree() {
        if Platform::avx2().is_none() {
            return;
        }
        let values: Vec<i16> =
            (i16::MIN..=i16::MAX).step_by(257).chain([-24_577, -24_576, -8_193, -8_192, 8_191, 8_192]).collect();
        for a in values.chunks_exact(LANES) {
            for shift in 0..LANES {
                let mut b = a.to_vec();
                b.rotate_left(shift);
                let each = |f: &dyn Fn(i16, i16) -> i16| a.iter().zip(&b).map(|(a, b)| f(*a, *b)).collect::<Vec<_>>();
                let all = |f: &dyn Fn(Avx2, Avx2) -> Avx2| {
                    let mut out = [0; LANES];
                    f(Avx2::load(a), Avx2::load(&b)).store(&mut out);
                    out.to_vec()
                };
                assert_eq!(all(&Avx2::low), each(&i16::low));
                assert_eq!(all(&Avx2::high), each(&i16::high));
                assert_eq!(all(&|a, _| a.quotient()), each(&|a, _| a.quotient()));
                assert_eq!(all(&Avx2::wrapping_sub), each(&Vector::wrapping_sub));
            }
        }
    }
}
