//! Quantization against the reference, its totality, and the bias of stochastic rounding.

use super::*;

/// Rows as awkward as f32 allows, 32 of them, of length `k`.
fn awkward(k: usize) -> Vec<f32> {
    let mut x = floats(32 * k, 40);
    let fills: [&[f32]; 12] = [
        &[0.0],
        &[-0.0, 0.0],
        &[f32::NAN],
        &[f32::INFINITY, f32::NEG_INFINITY, 1.0],
        &[f32::MAX, f32::MIN, 3.0e17],
        &[f32::MIN_POSITIVE / 2.0, -f32::MIN_POSITIVE],
        &[7.888609e-31, -7.0e-31],
        &[7.888608e-31],
        &[63.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 62.5, -62.5, -63.0],
        &[1.0e-45, 1.0, -1.0],
        &[-1.0, f32::NAN, 0.99999994],
        &[1.1529215e18, -1.1529215e18, 1.0e18],
    ];
    for (row, fill) in x.chunks_exact_mut(k).zip(fills) {
        for (value, fill) in row.iter_mut().zip(fill.iter().cycle()) {
            *value = *fill;
        }
    }
    x
}

fn transposed(x: &[f32], cols: usize) -> Vec<f32> {
    let rows = x.len() / cols;
    (0..x.len()).map(|e| x[(e % rows) * cols + e / rows]).collect()
}

/// The operand is the reference's, element for element and scale for scale.
fn is_reference(got: &Operand, x: &[f32], cols: usize, along_rows: bool, rounding: Rounding<'_>) {
    let (elements, scales) = reference::quantize(x, cols, along_rows, rounding);
    let elements = if along_rows { elements } else { elements.transposed() };
    assert_eq!(reference::vectors(got), elements);
    assert_eq!(bits(got.scales()), bits(&scales));
}

#[test]
fn every_platform_quantizes_as_the_reference() {
    let stream = Stream::new(&KEY_A, "test/rounding", 1);
    for platform in Platform::available() {
        for rounding in [Rounding::Nearest, Rounding::Stochastic(&stream)] {
            for k in [32, 96, 4096] {
                let x = awkward(k);
                is_reference(&quantize_rows(platform, &x, 32, k, rounding).unwrap(), &x, k, true, rounding);
                let y = transposed(&x, k);
                is_reference(&quantize_columns(platform, &y, k, 32, rounding).unwrap(), &y, 32, false, rounding);
            }
            let x = floats(96 * 64, 41);
            is_reference(&quantize_rows(platform, &x, 96, 64, rounding).unwrap(), &x, 64, true, rounding);
            is_reference(&quantize_columns(platform, &x, 96, 64, rounding).unwrap(), &x, 64, false, rounding);
        }
    }
}

/// Whatever the input, the operand is legal; vectors without magnitude are zeros with scale 0.
#[test]
fn quantization_is_total() {
    let k = 64;
    let stream = Stream::new(&KEY_B, "test/rounding", 2);
    for platform in Platform::available() {
        for rounding in [Rounding::Nearest, Rounding::Stochastic(&stream)] {
            let operand = quantize_rows(platform, &awkward(k), 32, k, rounding).unwrap();
            let again = Operand::from_parts(operand.data().to_vec(), operand.scales().to_vec(), k);
            assert!(again.is_ok(), "{again:?}");
            for zero in [0, 1, 2, 5, 7] {
                assert_eq!(operand.scales()[zero], 0.0, "row {zero}");
                assert!(operand.strip(0)[zero..].iter().step_by(TILE).all(|v| *v == 0), "row {zero}");
            }
            assert!(operand.scales()[6] > 0.0, "2^-100 itself is quantized");
            assert_eq!(operand.scales()[3], CLAMP / 63.0, "infinities are clamped");
            assert_eq!(&operand.strip(0)[3..][..TILE + 1].iter().step_by(TILE).collect::<Vec<_>>(), &[&63, &-63]);
        }
    }
}

/// A product of clamped operands overflows f32 before it is clamped itself.
#[test]
fn products_are_clamped() {
    let x = vec![f32::INFINITY; 32 * 4096];
    for platform in Platform::available() {
        let a = quantize_rows(platform, &x, 32, 4096, Rounding::Nearest).unwrap();
        let minus: Vec<f32> = x.iter().map(|v| -v).collect();
        let b = quantize_rows(platform, &minus, 32, 4096, Rounding::Nearest).unwrap();
        let mut out = vec![0.0; 32 * 32];
        product(platform, &a, &b, &mut out).unwrap();
        assert!(out.iter().all(|v| *v == -CLAMP));
        product(platform, &b, &b, &mut out).unwrap();
        assert!(out.iter().all(|v| *v == CLAMP));
    }
}

/// The mean of stochastic rounding is the quotient: over 65,536 roundings of one value the error of the mean has a
/// standard deviation of at most 0.5 / 256; five of them are allowed.
#[test]
fn stochastic_rounding_is_unbiased() {
    let platform = Platform::detect();
    let (rows, k) = (1024, 64);
    for (index, quotient) in [0.25, -0.25, 0.5, 7.125, -31.75, 61.9, -62.9].into_iter().enumerate() {
        let mut x = vec![quotient; rows * k];
        // Each row's largest element fixes its scale at 1.
        x.iter_mut().step_by(k).for_each(|v| *v = 63.0);
        let stream = Stream::new(&KEY_A, "test/bias", index as u32);
        let operand = quantize_rows(platform, &x, rows, k, Rounding::Stochastic(&stream)).unwrap();
        let sum: i64 = operand.data().iter().map(|v| i64::from(*v)).sum();
        let count = (rows * (k - 1)) as f64;
        let mean = (sum - 63 * rows as i64) as f64 / count;
        let error = (mean - f64::from(quotient)).abs();
        assert!(error < 5.0 * 0.5 / count.sqrt(), "{quotient}: mean {mean}");
    }
}
