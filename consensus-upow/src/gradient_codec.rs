//! The encoding of a receipt's summed gradient: about four and a half bits per weight, one encoding per gradient.
//!
//! The sum `G` of `m` leaves is a vector of small integers, `|G_i| <= 31 m`, cut into tensors whose lengths both
//! sides know. Each tensor is a section of whole bytes:
//!
//! - one byte `k`, the Golomb-Rice parameter, 0 to 13;
//! - its values in order. A value `v` is mapped to `z = 2v` (`v >= 0`) or `-2v - 1` (`v < 0`), then
//!   - if `z >> k <= 23`: `z >> k` ones, a zero, the low `k` bits of `z`;
//!   - otherwise: 24 ones, the 16 bits of `z`;
//! - zero bits up to the next whole byte.
//!
//! Bits fill each byte from the lowest; numbers have their lowest bit first.
//!
//! # One encoding
//!
//! `k` is the parameter that makes the section shortest, counted in bits, and the smallest such one on ties. A decoder
//! refuses every other blob: so a gradient has one blob, and its hash is as good as the gradient's.
//!
//! Golomb-Rice codes lose little here: rescaling keeps each tensor's r.m.s. near a unit per leaf, so that a sum is
//! close to a Gaussian of known width, and one parameter per tensor follows what varies.

#[cfg(test)]
mod tests;

use thiserror::Error;

/// Largest Golomb-Rice parameter. With it every 16-bit value has a quotient below 8, so no parameter above helps.
pub const MAX_PARAMETER: u8 = 13;

/// Largest quotient in unary; one more is the escape.
const MAX_QUOTIENT: u16 = 23;
const ESCAPE_ONES: u32 = MAX_QUOTIENT as u32 + 1;
/// Bits of an escaped value, the longest code.
const ESCAPE_BITS: u16 = ESCAPE_ONES as u16 + 16;
/// Longest code under [`MAX_PARAMETER`]: quotient 7, a zero, 13 bits. The chosen parameter does no worse.
const MAX_BITS_PER_VALUE: usize = (u16::MAX >> MAX_PARAMETER) as usize + 1 + MAX_PARAMETER as usize;
/// Largest magnitude in one leaf: gradients are clipped there.
const LEAF_BOUND: u32 = 31;

/// Why a blob is not the encoding of a summed gradient.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GradientCodecError {
    /// The blob is longer than any encoding of these tensors.
    #[error("gradient blob is too long: got {got} bytes, expected at most {max}")]
    TooLong {
        /// Bytes given.
        got: usize,
        /// [`max_encoded_len`] of the tensors.
        max: usize,
    },
    /// The blob ends before its last value.
    #[error("gradient blob is truncated in tensor {tensor}: got {got} bytes, expected more")]
    Truncated {
        /// The tensor whose section is not whole.
        tensor: usize,
        /// Bytes given.
        got: usize,
    },
    /// There is no such Golomb-Rice parameter.
    #[error("parameter of tensor {tensor} is out of range: got {got}, expected at most 13")]
    ParameterOutOfRange {
        /// The tensor.
        tensor: usize,
        /// Its parameter.
        got: u8,
    },
    /// Another parameter makes the section shorter, or as short and is smaller.
    #[error("parameter of tensor {tensor} is not the best one: got {got}, expected {expected}")]
    ParameterNotMinimal {
        /// The tensor.
        tensor: usize,
        /// Its parameter.
        got: u8,
        /// The canonical one.
        expected: u8,
    },
    /// A value is escaped although its quotient fits.
    #[error("value {index} of tensor {tensor} is escaped needlessly: got quotient {got}, expected at least 24")]
    NeedlessEscape {
        /// The tensor.
        tensor: usize,
        /// The value's place in it.
        index: usize,
        /// Its quotient.
        got: u16,
    },
    /// A value is larger than a sum of leaves can be.
    #[error("value {index} of tensor {tensor} is out of range: got {got}, expected a magnitude of at most {max}")]
    ValueOutOfRange {
        /// The tensor.
        tensor: usize,
        /// The value's place in it.
        index: usize,
        /// The value.
        got: i32,
        /// 31 times the number of leaves.
        max: u32,
    },
    /// The bits that fill a section's last byte are not zero.
    #[error("padding of tensor {tensor} is not zero: got {got:#04x}, expected 0")]
    NonzeroPadding {
        /// The tensor.
        tensor: usize,
        /// The padding bits.
        got: u8,
    },
    /// Bytes follow the last section.
    #[error("gradient blob has trailing bytes: got {got} bytes, expected {expected}")]
    TrailingBytes {
        /// Bytes given.
        got: usize,
        /// Bytes used.
        expected: usize,
    },
}

/// Longest encoding of tensors of these lengths.
pub fn max_encoded_len(tensors: &[usize]) -> usize {
    // Saturating: such lengths are beyond any memory, and so is the bound.
    tensors.iter().fold(0, |sum: usize, len| {
        sum.saturating_add(1).saturating_add(len.saturating_mul(MAX_BITS_PER_VALUE).div_ceil(8))
    })
}

/// Encodes a summed gradient, cut into tensors of the given lengths.
///
/// # Panics
/// If the lengths do not add up to `g.len()`: both come from the caller's own model.
pub fn encode(tensors: &[usize], g: &[i16]) -> Vec<u8> {
    let total = tensors.iter().try_fold(0usize, |sum, len| sum.checked_add(*len));
    assert_eq!(total, Some(g.len()), "tensor lengths must add up to the gradient's length");
    let mut blob = Vec::new();
    let mut rest = g;
    for len in tensors {
        let (values, after) = rest.split_at(*len);
        encode_tensor(values, &mut blob);
        rest = after;
    }
    blob
}

/// Decodes the sum of `m` leaves, cut into tensors of the given lengths.
///
/// What it allocates is bounded by the tensors' lengths, and by eight values per byte of the blob.
///
/// # Errors
/// Every [`GradientCodecError`].
pub fn decode(tensors: &[usize], m: u32, blob: &[u8]) -> Result<Vec<i16>, GradientCodecError> {
    let max = max_encoded_len(tensors);
    if blob.len() > max {
        return Err(GradientCodecError::TooLong { got: blob.len(), max });
    }
    // Every section has its parameter, and every value at least one bit: too short a blob allocates nothing.
    let mut least = 0usize;
    let mut total = 0usize;
    for (tensor, len) in tensors.iter().enumerate() {
        least = least.saturating_add(1).saturating_add(len.div_ceil(8));
        if least > blob.len() {
            return Err(GradientCodecError::Truncated { tensor, got: blob.len() });
        }
        total = total.saturating_add(*len); // at most eight times the blob's length
    }
    let mut g = Vec::with_capacity(total);
    let mut used = 0;
    for (tensor, len) in tensors.iter().enumerate() {
        used = decode_tensor(tensor, *len, m, blob, used, &mut g)?;
    }
    if used != blob.len() {
        return Err(GradientCodecError::TrailingBytes { got: blob.len(), expected: used });
    }
    Ok(g)
}

/// `0, -1, 1, -2, ..` to `0, 1, 2, 3, ..`.
#[inline(always)]
fn zigzag(value: i16) -> u16 {
    ((value << 1) ^ (value >> 15)) as u16 // the same 16 bits
}

/// The inverse of [`zigzag`].
#[inline(always)]
fn unzigzag(code: u16) -> i16 {
    ((code >> 1) ^ (code & 1).wrapping_neg()) as i16 // the same 16 bits
}

/// Bits of the values' codes under parameter `k`.
fn coded_bits(values: &[i16], k: u8) -> u64 {
    /// Values whose code lengths add up to less than 2^16: sixteen-bit sums keep the vectors wide.
    const BATCH: usize = (u16::MAX / ESCAPE_BITS) as usize;
    let batch_bits = |batch: &[i16]| {
        let bits = batch.iter().map(|value| {
            let quotient = zigzag(*value) >> k;
            if quotient <= MAX_QUOTIENT { quotient + 1 + u16::from(k) } else { ESCAPE_BITS }
        });
        u64::from(bits.sum::<u16>())
    };
    values.chunks(BATCH).map(batch_bits).sum()
}

/// The parameter with the fewest bits, the smallest one on ties, and those bits.
fn best_parameter(values: &[i16]) -> (u8, u64) {
    let mut best = (0, coded_bits(values, 0));
    for k in 1..=MAX_PARAMETER {
        // A code has more than k bits: from here on nothing can be shorter.
        if values.len() as u64 * (u64::from(k) + 1) >= best.1 {
            break;
        }
        let bits = coded_bits(values, k);
        if bits < best.1 {
            best = (k, bits);
        }
    }
    best
}

fn encode_tensor(values: &[i16], blob: &mut Vec<u8>) {
    let (k, bits) = best_parameter(values);
    let start = blob.len();
    let end = start + 1 + bits.div_ceil(8) as usize; // bits of values in memory
    // Codes are written as whole 64-bit words, of which the last may reach past the end.
    blob.resize(end + 8, 0);
    blob[start] = k;
    let mut at = start + 1;
    let (mut buffer, mut fill) = (0u64, 0u32);
    for value in values {
        let code = zigzag(*value);
        let quotient = code >> k;
        let (bits, len) = if quotient <= MAX_QUOTIENT {
            let low = u64::from(code & ((1 << k) - 1));
            (((1 << quotient) - 1) | (low << (quotient + 1)), u32::from(quotient) + 1 + u32::from(k))
        } else {
            (((1 << ESCAPE_ONES) - 1) | (u64::from(code) << ESCAPE_ONES), u32::from(ESCAPE_BITS))
        };
        buffer |= bits << fill; // at most 7 + 40 bits
        fill += len;
        blob[at..at + 8].copy_from_slice(&buffer.to_le_bytes());
        at += (fill / 8) as usize;
        buffer >>= fill / 8 * 8;
        fill %= 8;
    }
    blob.truncate(end);
}

/// Decodes the section that starts at byte `start`; returns where the next one starts.
fn decode_tensor(
    tensor: usize,
    len: usize,
    m: u32,
    blob: &[u8],
    start: usize,
    g: &mut Vec<i16>,
) -> Result<usize, GradientCodecError> {
    let truncated = GradientCodecError::Truncated { tensor, got: blob.len() };
    let Some((&k, section)) = blob.get(start..).and_then(<[u8]>::split_first) else {
        return Err(truncated);
    };
    if k > MAX_PARAMETER {
        return Err(GradientCodecError::ParameterOutOfRange { tensor, got: k });
    }
    let max = LEAF_BOUND.saturating_mul(m).min(i16::MAX as u32); // 32,767
    let first = g.len();
    let mut bit = 0;
    for index in 0..len {
        let word = peek(section, bit);
        let ones = word.trailing_ones();
        let escaped = ones >= ESCAPE_ONES;
        let (code, code_len) = if escaped {
            (word >> ESCAPE_ONES & 0xFFFF, u32::from(ESCAPE_BITS))
        } else {
            // Up to 24 << 13: it may be more than 16 bits, and is then out of range.
            (u64::from(ones) << k | (word >> (ones + 1) & ((1 << k) - 1)), ones + 1 + u32::from(k))
        };
        bit += code_len as usize; // at most 40 bits
        if bit > 8 * section.len() {
            return Err(truncated);
        }
        let quotient = (code >> k) as u16; // below 2^16 if escaped, else at most 23
        if escaped && quotient <= MAX_QUOTIENT {
            return Err(GradientCodecError::NeedlessEscape { tensor, index, got: quotient });
        }
        if code > 2 * u64::from(max) {
            let magnitude = code.div_ceil(2) as i32; // below 2^17
            let got = if code % 2 == 0 { magnitude } else { -magnitude };
            return Err(GradientCodecError::ValueOutOfRange { tensor, index, got, max });
        }
        g.push(unzigzag(code as u16)); // at most 65,534
    }
    let used = bit.div_ceil(8);
    if bit % 8 != 0 {
        let padding = section[used - 1] >> (bit % 8);
        if padding != 0 {
            return Err(GradientCodecError::NonzeroPadding { tensor, got: padding });
        }
    }
    let (expected, _) = best_parameter(&g[first..]);
    if k != expected {
        return Err(GradientCodecError::ParameterNotMinimal { tensor, got: k, expected });
    }
    Ok(start + 1 + used)
}

/// At least 57 bits from bit `bit` on, the lowest first; zeros follow the end.
#[inline(always)]
fn peek(bytes: &[u8], bit: usize) -> u64 {
    let from = bytes.get(bit / 8..).unwrap_or(&[]);
    let word = if let Some(word) = from.first_chunk() {
        *word
    } else {
        let mut word = [0; 8];
        word[..from.len()].copy_from_slice(from);
        word
    };
    u64::from_le_bytes(word) >> (bit % 8)
}
