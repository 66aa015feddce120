//! The fast path: sixteen transforms at once in 16-bit lanes, fused with the product and the sum over polynomials.
//!
//! A butterfly costs one Montgomery product by a constant (three multiplications) and two additions. Values stay
//! unreduced while they fit 16 bits; the reductions are placed at compile time from proven bounds (`field`). After
//! the last layer, products with the public values are summed over pairs of lanes and over up to [`CHUNK_GROUPS`]
//! groups in 32 bits, which cannot overflow either, and only then widened. All of it is exact, so every platform and
//! every order agree.

use super::field::{Field, First, Second, Twiddle};
use super::vector::{Partial, Vector};
use super::{DEGREE, GROUP, LANES, LeafHash, PRIMES};
use crate::platform::{Path, Platform};

/// Groups whose products are summed in 32 bits before they are widened.
pub(super) const CHUNK_GROUPS: usize = 4;

/// A weight that can be hashed.
pub(super) trait Weight: Copy + Default + Send + Sync {
    /// Whether weights must be reduced before the first layer.
    const WIDE: bool;
    /// Loads the first weights of a slice.
    fn load<V: Vector>(from: &[Self]) -> V;
}

impl Weight for i8 {
    const WIDE: bool = false;

    #[inline(always)]
    fn load<V: Vector>(from: &[Self]) -> V {
        V::load_i8(from)
    }
}

impl Weight for i16 {
    const WIDE: bool = true;

    #[inline(always)]
    fn load<V: Vector>(from: &[Self]) -> V {
        V::load(from)
    }
}

/// Exact sums of products by slot, and the working memory to add to them.
pub(super) struct Accumulator {
    /// A chunk adds less than 2^34 in magnitude, so 2^29 chunks fit.
    sums: Box<[[i64; DEGREE]; 2]>,
    values: Box<[i16; GROUP]>,
    partial: Box<[Partial; DEGREE]>,
}

impl Accumulator {
    pub(super) fn new() -> Self {
        Self {
            sums: Box::new([[0; DEGREE]; 2]),
            values: Box::new([0; GROUP]),
            partial: Box::new([[0; LANES / 2]; DEGREE]),
        }
    }

    /// Adds a chunk: at most [`CHUNK_GROUPS`] groups of weights, and as many whole groups of public values.
    pub(super) fn add<T: Weight>(&mut self, platform: Platform, g: &[T], public: [&[i16]; 2]) {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        fn add_avx2<T: Weight>(sums: &mut Accumulator, g: &[T], public: [&[i16]; 2]) {
            sums.add_chunk::<super::vector::Avx2, T>(g, public);
        }

        match platform.path() {
            // SAFETY: such a `Platform` only exists where AVX2 was detected.
            #[cfg(target_arch = "x86_64")]
            Path::Avx2 | Path::Avx512 => unsafe { add_avx2(self, g, public) },
            _ => self.add_chunk::<i16, T>(g, public),
        }
    }

    #[inline(always)]
    fn add_chunk<V: Vector, T: Weight>(&mut self, g: &[T], public: [&[i16]; 2]) {
        self.add_chunk_in::<First, V, T>(g, public[First::INDEX]);
        self.add_chunk_in::<Second, V, T>(g, public[Second::INDEX]);
    }

    #[inline(always)]
    fn add_chunk_in<F: Field, V: Vector, T: Weight>(&mut self, g: &[T], public: &[i16]) {
        let Self { sums, values, partial } = self;
        **partial = [[0; LANES / 2]; DEGREE];
        for (g, public) in g.chunks(GROUP).zip(public.as_chunks::<GROUP>().0) {
            let padded;
            let group = match g.try_into() {
                Ok(group) => group,
                Err(_) => {
                    padded = pad(g);
                    &*padded
                }
            };
            add_group::<F, V, T>(group, public, values, partial);
        }
        for (sum, partial) in sums[F::INDEX].iter_mut().zip(partial.iter()) {
            *sum += partial.iter().map(|p| i64::from(*p)).sum::<i64>();
        }
    }

    /// Adds other sums.
    pub(super) fn merge(mut self, other: Self) -> Self {
        for (a, b) in self.sums.as_flattened_mut().iter_mut().zip(other.sums.as_flattened()) {
            *a += b;
        }
        self
    }

    /// Reduces the sums.
    pub(super) fn finish(self) -> LeafHash {
        let mut residues = Box::new([[0; DEGREE]; 2]);
        for ((residues, sums), prime) in residues.iter_mut().zip(self.sums.iter()).zip(PRIMES) {
            for (residue, sum) in residues.iter_mut().zip(sums) {
                *residue = sum.rem_euclid(i64::from(prime.modulus)) as u16; // below the prime
            }
        }
        LeafHash::from_residues(residues)
    }
}

/// The last group of a gradient, filled up with zeros.
fn pad<T: Weight>(g: &[T]) -> Box<[T; GROUP]> {
    let mut padded = Box::new([T::default(); GROUP]);
    padded[..g.len()].copy_from_slice(g);
    padded
}

/// Transforms one group and adds its products with the public values.
#[inline(always)]
fn add_group<F: Field, V: Vector, T: Weight>(
    g: &[T; GROUP],
    public: &[i16; GROUP],
    values: &mut [i16; GROUP],
    partial: &mut [Partial; DEGREE],
) {
    let reduce_at = if T::WIDE { F::WIDE } else { F::NARROW };

    // Layers 1 to 3, read from the weights.
    const EIGHTH: usize = GROUP / 8;
    let w = eight_twiddles::<F>(1);
    for column in (0..EIGHTH).step_by(V::WIDTH) {
        let mut x = [V::splat(0); 8];
        for (i, x) in x.iter_mut().enumerate() {
            *x = T::load(&g[column + EIGHTH * i..]);
            if T::WIDE {
                *x = reduce::<F, V>(*x);
            }
        }
        eight_points::<F, V>(&mut x, &w, [reduce_at[0], reduce_at[1], reduce_at[2]]);
        for (i, x) in x.iter().enumerate() {
            x.store(&mut values[column + EIGHTH * i..]);
        }
    }

    // Layers 4 to 6, within blocks of 128 coefficients.
    for (number, block) in values.as_chunks_mut::<EIGHTH>().0.iter_mut().enumerate() {
        three_layers::<F, V, EIGHTH>(block, 8 + number, [reduce_at[3], reduce_at[4], reduce_at[5]]);
    }

    // Layers 7 to 9 within blocks of 16, then layer 10 and the products.
    const BLOCK: usize = 16 * LANES;
    let public = public.as_chunks::<LANES>().0.as_chunks::<16>().0;
    let partial = partial.as_chunks_mut::<16>().0;
    let blocks = values.as_chunks_mut::<BLOCK>().0.iter_mut();
    for (number, ((block, public), partial)) in blocks.zip(public).zip(partial).enumerate() {
        three_layers::<F, V, BLOCK>(block, 64 + number, [reduce_at[6], reduce_at[7], reduce_at[8]]);
        for (pair, pair_of_rows) in block.as_chunks_mut::<{ 2 * LANES }>().0.iter_mut().enumerate() {
            let (row0, row1) = pair_of_rows.split_at_mut(LANES);
            for lane in (0..LANES).step_by(V::WIDTH) {
                let (mut a, mut b) = (V::load(&row0[lane..]), V::load(&row1[lane..]));
                butterfly::<F, V>(&mut a, &mut b, F::TWIDDLES[512 + 8 * number + pair], reduce_at[9]);
                a.store(&mut row0[lane..]);
                b.store(&mut row1[lane..]);
            }
        }
        for ((partial, values), public) in partial.iter_mut().zip(block.as_chunks().0).zip(public) {
            V::add_products(partial, values, public);
        }
    }
}

/// Three layers within one block; `first` numbers the twiddle of the first one.
#[inline(always)]
fn three_layers<F: Field, V: Vector, const BLOCK: usize>(block: &mut [i16; BLOCK], first: usize, reduce: [bool; 3]) {
    let w = eight_twiddles::<F>(first);
    for column in (0..BLOCK / 8).step_by(V::WIDTH) {
        let mut x = [V::splat(0); 8];
        for (i, x) in x.iter_mut().enumerate() {
            *x = V::load(&block[column + BLOCK / 8 * i..]);
        }
        eight_points::<F, V>(&mut x, &w, reduce);
        for (i, x) in x.iter().enumerate() {
            x.store(&mut block[column + BLOCK / 8 * i..]);
        }
    }
}

/// The twiddles of three layers: one, two, four.
#[inline(always)]
fn eight_twiddles<F: Field>(first: usize) -> [Twiddle; 7] {
    let w = F::TWIDDLES;
    [w[first], w[2 * first], w[2 * first + 1], w[4 * first], w[4 * first + 1], w[4 * first + 2], w[4 * first + 3]]
}

/// Three layers on eight values.
#[inline(always)]
fn eight_points<F: Field, V: Vector>(x: &mut [V; 8], w: &[Twiddle; 7], reduce: [bool; 3]) {
    let [x0, x1, x2, x3, x4, x5, x6, x7] = x;
    butterfly::<F, V>(x0, x4, w[0], reduce[0]);
    butterfly::<F, V>(x1, x5, w[0], reduce[0]);
    butterfly::<F, V>(x2, x6, w[0], reduce[0]);
    butterfly::<F, V>(x3, x7, w[0], reduce[0]);
    butterfly::<F, V>(x0, x2, w[1], reduce[1]);
    butterfly::<F, V>(x1, x3, w[1], reduce[1]);
    butterfly::<F, V>(x4, x6, w[2], reduce[1]);
    butterfly::<F, V>(x5, x7, w[2], reduce[1]);
    butterfly::<F, V>(x0, x1, w[3], reduce[2]);
    butterfly::<F, V>(x2, x3, w[4], reduce[2]);
    butterfly::<F, V>(x4, x5, w[5], reduce[2]);
    butterfly::<F, V>(x6, x7, w[6], reduce[2]);
}

/// `(a, b) -> (a + w b, a - w b)`.
#[inline(always)]
pub(super) fn butterfly<F: Field, V: Vector>(a: &mut V, b: &mut V, w: Twiddle, reduce_first: bool) {
    if reduce_first {
        *a = reduce::<F, V>(*a);
    }
    // Montgomery: both products have the same lower half, so the difference of the upper halves is exact.
    let product = b.high(V::splat(w.scaled)).sub(b.low(V::splat(w.quotient)).high(V::splat(F::Q)));
    (*a, *b) = (a.add(product), a.sub(product));
}

/// Subtracts an estimate of the nearest multiple of q.
#[inline(always)]
pub(super) fn reduce<F: Field, V: Vector>(x: V) -> V {
    // Wrapping: the multiple alone may exceed 16 bits, the difference does not.
    x.wrapping_sub(x.quotient().low(V::splat(F::Q)))
}
