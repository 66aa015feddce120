//! The primes' constants for 16-bit Montgomery arithmetic, and where the transform must reduce.

use super::ntt::CHUNK_GROUPS;
use super::{DEGREE, PRIMES};

pub(super) const LAYERS: usize = 10;

/// A factor `w` as `w * 2^16 mod q`, centred, and that times `q^-1 mod 2^16`.
#[derive(Clone, Copy)]
pub(super) struct Twiddle {
    pub(super) scaled: i16,
    pub(super) quotient: i16,
}

/// Arithmetic modulo one of the primes.
pub(super) trait Field {
    /// Number of the prime in [`PRIMES`].
    const INDEX: usize;
    /// The prime.
    const Q: i16 = PRIMES[Self::INDEX].modulus as i16; // below 2^15
    /// The root to the power `bitreverse10(i)`, for all `i`: block `b` of the layer with `m` blocks uses `m + b`.
    const TWIDDLES: &'static [Twiddle; DEGREE];
    /// The layers that reduce, for inputs of magnitude up to 2^7.
    const NARROW: [bool; LAYERS] = schedule(Self::Q as i32, 1 << 7);
    /// The layers that reduce, for any 16-bit inputs, reduced before the first layer.
    const WIDE: [bool; LAYERS] = schedule(Self::Q as i32, reduced_bound(Self::Q as i32, 1 << 15));
}

/// Modulo 12289.
pub(super) struct First;

impl Field for First {
    const INDEX: usize = 0;
    const TWIDDLES: &'static [Twiddle; DEGREE] = &twiddles(Self::INDEX);
}

/// Modulo 18433.
pub(super) struct Second;

impl Field for Second {
    const INDEX: usize = 1;
    const TWIDDLES: &'static [Twiddle; DEGREE] = &twiddles(Self::INDEX);
}

const fn twiddles(index: usize) -> [Twiddle; DEGREE] {
    let q = PRIMES[index].modulus as i64;
    // Newton's iteration for q^-1 mod 2^16: q itself is right to 3 bits, and each step doubles them.
    let mut inverse = q as i16;
    let mut step = 0;
    while step < 3 {
        inverse = inverse.wrapping_mul(2i16.wrapping_sub((q as i16).wrapping_mul(inverse)));
        step += 1;
    }
    let mut table = [Twiddle { scaled: 0, quotient: 0 }; DEGREE];
    let mut scaled = 65_536 % q;
    let mut exponent = 0u16;
    while (exponent as usize) < DEGREE {
        let centred = if scaled > q / 2 { scaled - q } else { scaled } as i16; // below 2^14
        let place = (exponent.reverse_bits() >> (16 - LAYERS)) as usize;
        table[place] = Twiddle { scaled: centred, quotient: centred.wrapping_mul(inverse) };
        scaled = scaled * PRIMES[index].root as i64 % q;
        exponent += 1;
    }
    table
}

/// Largest magnitude of a reduced value, for magnitudes up to `bound`: `x` minus `quotient(x) * q`, the quotient being
/// `x / 2^14` rounded, but at most 1.
pub(super) const fn reduced_bound(q: i32, bound: i32) -> i32 {
    // Ranges of constant quotient; within one, the ends decide.
    let ranges = [(-2, -32_768, -24_577), (-1, -24_576, -8_193), (0, -8_192, 8_191), (1, 8_192, 32_767)];
    let mut worst = 0;
    let mut i = 0;
    while i < ranges.len() {
        let (quotient, low, high) = ranges[i];
        let low = if low < -bound { -bound } else { low };
        let high = if high > bound { bound } else { high };
        if low <= high {
            let (below, above) = ((low - quotient * q).abs(), (high - quotient * q).abs());
            worst = if below > worst { below } else { worst };
            worst = if above > worst { above } else { worst };
        }
        i += 1;
    }
    worst
}

/// Largest magnitude of a Montgomery product of a value up to `bound` by a twiddle.
pub(super) const fn product_bound(q: i32, bound: i32) -> i32 {
    ((bound as i64 * (q as i64 / 2) + 32_768 * q as i64) >> 16) as i32 // below 2q
}

/// The layers before which the values that are not multiplied must be reduced, for input magnitudes up to `bound`.
/// Evaluated at compile time: no overflow is possible in a program that compiles.
const fn schedule(q: i32, mut bound: i32) -> [bool; LAYERS] {
    let mut reduce = [false; LAYERS];
    let mut layer = 0;
    while layer < LAYERS {
        let product = product_bound(q, bound);
        if bound + product > i16::MAX as i32 {
            reduce[layer] = true;
            bound = reduced_bound(q, bound);
        }
        bound += product;
        assert!(bound <= i16::MAX as i32, "a value could overflow 16 bits");
        layer += 1;
    }
    let most = bound as i64 * (q as i64 / 2) * 2 * CHUNK_GROUPS as i64;
    assert!(most <= i32::MAX as i64, "a sum of products could overflow 32 bits");
    reduce
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lattice::ntt::{butterfly, reduce};

    /// The bounds that place the reductions hold for every 16-bit value.
    #[test]
    fn reduction_bounds_hold_for_every_value() {
        fn check<F: Field>() {
            let q = i32::from(F::Q);
            let mut worst = 0;
            for magnitude in 0..=1i32 << 15 {
                for x in [magnitude, -magnitude].into_iter().filter_map(|x| i16::try_from(x).ok()) {
                    let reduced = i32::from(reduce::<F, i16>(x));
                    assert_eq!((reduced - i32::from(x)) % q, 0);
                    worst = worst.max(reduced.abs());
                }
                assert!(worst <= reduced_bound(q, magnitude), "magnitude {magnitude}");
            }
        }
        check::<First>();
        check::<Second>();
    }

    #[test]
    fn products_by_twiddles_are_bounded_and_exact() {
        fn check<F: Field>() {
            let q = i32::from(F::Q);
            for w in F::TWIDDLES.iter().step_by(31) {
                for x in (i16::MIN..=i16::MAX).step_by(13).chain([i16::MAX]) {
                    let (mut product, mut b) = (0i16, x);
                    butterfly::<F, i16>(&mut product, &mut b, *w, false);
                    assert!(i32::from(product).abs() <= product_bound(q, i32::from(x).abs()));
                    let difference = i64::from(product) * 65_536 - i64::from(x) * i64::from(w.scaled);
                    assert_eq!(difference % i64::from(q), 0);
                }
            }
        }
        check::<First>();
        check::<Second>();
    }

    /// The tables hold what the definition says: consecutive powers of the root, at bit-reversed places.
    #[test]
    fn twiddles_are_powers_of_the_root() {
        fn check<F: Field>() {
            let q = u64::from(PRIMES[F::INDEX].modulus);
            let mut power = 1;
            for exponent in 0..DEGREE {
                let w = F::TWIDDLES[exponent.reverse_bits() >> (usize::BITS as usize - LAYERS)];
                assert_eq!(i64::from(w.scaled).rem_euclid(q as i64) as u64, power * 65_536 % q);
                assert_eq!(w.quotient.wrapping_mul(F::Q), w.scaled);
                power = power * u64::from(PRIMES[F::INDEX].root) % q;
            }
            assert_eq!(power, q - 1, "the root has order 2048");
        }
        check::<First>();
        check::<Second>();
    }
}
