//! The numbers of int8: scales, offsets and integer weights from ranges.
//!
//! Quantised activations are q = cvt(x·r + o), r per channel. Their scales migrate into the weights (SmoothQuant,
//! Xiao et al. 2023): x_k/m_k and m_k·W_k multiply to the same, and m evens out the channels. Everything is computed
//! in f64 from the fp32 numbers that the chip will use, so their rounding costs nothing.

use super::ranges::Range;

/// The greatest int8 weight and symmetric activation.
pub const LIMIT: f64 = 127.0;

/// Channels whose magnitude is below this part of the greatest one count as if they reached it: a channel that
/// calibration did not excite must not get a scale that saturates at once.
const FLOOR: f64 = 1e-4;

/// How activations become int8.
#[derive(Clone, PartialEq, Debug)]
pub struct Activation {
    /// What each channel is multiplied by.
    pub recip: Vec<f32>,
    /// What is added then: the integer that stands for 0.
    pub offset: f32,
}

/// An int8 matrix.
#[derive(Clone, PartialEq, Debug)]
pub struct Weights {
    /// The elements, [in, out].
    pub elements: Vec<i8>,
    /// What an accumulated column is multiplied by.
    pub scale: Vec<f32>,
    /// What is to be added to each column after that, to undo the offset of the activations.
    pub correction: Vec<f64>,
}

/// Whether values are so much on one side of 0 that a symmetric scale would waste much of the other: GELU.
pub fn one_sided(range: &Range) -> bool {
    let low = range.low.iter().copied().fold(0.0, f32::min);
    let high = range.high.iter().copied().fold(0.0, f32::max);
    -low < 0.5 * high || high < 0.5 * -low
}

/// The greatest weight magnitude of each input channel.
pub fn row_maxima(weights: &[f32], outs: usize) -> Vec<f64> {
    let greatest = |row: &[f32]| row.iter().fold(0f64, |m, &w| m.max(f64::from(w.abs())));
    weights.chunks(outs).map(greatest).collect()
}

/// The scales of activations that meet weights of these magnitudes.
pub fn activation(range: &Range, weights: &[f64], alpha: f64) -> Activation {
    let (x, w) = (floored(&range.magnitudes()), floored(weights));
    let migrate = x
        .iter()
        .zip(&w)
        .map(|(x, w)| x.powf(alpha) / w.powf(1.0 - alpha));
    let migrate: Vec<f64> = migrate.collect();
    let migrated = |ends: &[f32], pick: fn(f64, f64) -> f64| {
        let each = ends.iter().zip(&migrate).map(|(&x, m)| f64::from(x) / m);
        each.fold(0.0, pick)
    };
    let (low, high) = (
        migrated(&range.low, f64::min),
        migrated(&range.high, f64::max),
    );
    let (scale, offset) = match one_sided(range) {
        true => {
            let scale = (high - low) / 255.0;
            (scale, (-128.0 - low / scale).round_ties_even())
        }
        false => (high.max(-low) / LIMIT, 0.0),
    };
    let scale = if scale > 0.0 { scale } else { 1.0 };
    Activation {
        recip: migrate.iter().map(|m| (1.0 / (scale * m)) as f32).collect(),
        offset: offset as f32,
    }
}

fn floored(x: &[f64]) -> Vec<f64> {
    let greatest = x.iter().copied().fold(0.0, f64::max);
    let least = if greatest > 0.0 {
        greatest * FLOOR
    } else {
        1.0
    };
    x.iter().map(|&x| x.max(least)).collect()
}

/// The matrix [in, out] for activations that were quantised so.
pub fn weights(matrix: &[f32], outs: usize, activation: &Activation) -> Weights {
    let rows = || {
        let steps = activation.recip.iter().map(|&r| 1.0 / f64::from(r));
        matrix.chunks(outs).zip(steps)
    };
    let mut greatest = vec![0f64; outs];
    for (row, step) in rows() {
        for (g, &w) in greatest.iter_mut().zip(row) {
            *g = g.max((f64::from(w) * step).abs());
        }
    }
    let scale: Vec<f32> = greatest.iter().map(|&g| symmetric(g)).collect();
    let mut elements = Vec::with_capacity(matrix.len());
    let mut sums = vec![0i64; outs];
    for (row, step) in rows() {
        for ((&w, &s), sum) in row.iter().zip(&scale).zip(&mut sums) {
            let q = f64::from(w) * step / f64::from(s);
            let q = q.round_ties_even().clamp(-LIMIT, LIMIT) as i8;
            *sum += i64::from(q);
            elements.push(q);
        }
    }
    let undo = |(&sum, &s): (&i64, &f32)| -f64::from(activation.offset) * sum as f64 * f64::from(s);
    Weights {
        elements,
        correction: sums.iter().zip(&scale).map(undo).collect(),
        scale,
    }
}

/// The symmetric scale of values of this magnitude; of zeros, 1.
pub fn symmetric(magnitude: f64) -> f32 {
    let scale = (magnitude / LIMIT) as f32;
    if scale > 0.0 { scale } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(low: &[f32], high: &[f32]) -> Range {
        Range {
            low: low.to_vec(),
            high: high.to_vec(),
        }
    }

    /// The product as the chip computes it, up to the rounding of the last steps.
    fn product(x: &[f32], a: &Activation, w: &Weights) -> Vec<f64> {
        let q = x
            .iter()
            .zip(&a.recip)
            .map(|(x, r)| f64::from((x * r + a.offset).round_ties_even().clamp(-128.0, 127.0)));
        let q: Vec<f64> = q.collect();
        let outs = w.scale.len();
        (0..outs)
            .map(|o| {
                let acc: f64 = (0..x.len())
                    .map(|k| q[k] * f64::from(w.elements[k * outs + o]))
                    .sum();
                acc * f64::from(w.scale[o]) + w.correction[o]
            })
            .collect()
    }

    #[test]
    fn products_survive_for_symmetric_and_one_sided_ranges() {
        let matrix = [0.5, -1.0, 2.0, 0.25, -0.125, 1.5];
        for (low, high, x) in [
            ([-1.0, -50.0, -2.0], [1.0, 40.0, 2.0], [0.3, -33.0, 1.7]),
            ([-0.17, -0.1, -0.17], [3.0, 24.0, 1.0], [2.0, 20.0, -0.1]),
            ([-9.0, -8.0, -0.5], [0.1, 0.2, 0.1], [-7.0, -3.0, 0.05]),
        ] {
            for alpha in [0.0, 0.5, 1.0] {
                let range = range(&low, &high);
                let a = activation(&range, &row_maxima(&matrix, 2), alpha);
                let w = weights(&matrix, 2, &a);
                assert_eq!(a.offset != 0.0, one_sided(&range));
                for (o, got) in product(&x, &a, &w).into_iter().enumerate() {
                    let want: f64 = (0..3)
                        .map(|k| f64::from(x[k]) * f64::from(matrix[2 * k + o]))
                        .sum();
                    // Half a step of each factor on the largest terms.
                    assert!((got - want).abs() < 0.6, "{alpha} {got} {want}");
                }
            }
        }
    }

    #[test]
    fn migration_evens_out_channels() {
        let range = range(&[-1.0, -100.0], &[1.0, 100.0]);
        let recip = |alpha| activation(&range, &[1.0, 1.0], alpha).recip;
        assert_eq!(recip(0.0), [1.27, 1.27], "one scale for all");
        assert_eq!(recip(1.0), [127.0, 1.27], "each channel its own");
        let half = recip(0.5);
        assert!(
            (half[0] - 12.7).abs() < 1e-5 && (half[1] - 1.27).abs() < 1e-6,
            "{half:?}"
        );
    }

    #[test]
    fn offsets_are_integers_and_reach_both_ends() {
        let a = activation(&range(&[-0.2], &[5.0]), &[1.0], 0.5);
        assert_eq!(a.offset, -118.0);
        let q = |x: f32| x * a.recip[0] + a.offset;
        assert!((q(-0.2) + 128.0).abs() < 0.5 && (q(5.0) - 127.0).abs() < 0.5);
    }

    #[test]
    fn zeros_have_scales_too() {
        let a = activation(&range(&[0.0, 0.0], &[0.0, 0.0]), &[0.0, 0.0], 0.5);
        let w = weights(&[0.0; 4], 2, &a);
        assert!(
            a.recip
                .iter()
                .chain(&w.scale)
                .all(|s| s.is_finite() && *s > 0.0)
        );
        assert_eq!(w.elements, [0; 4]);
        // A channel that calibration did not see.
        let a = activation(&range(&[-1.0, 0.0], &[1.0, 0.0]), &[1.0, 1.0], 0.5);
        assert!(a.recip[1] <= 127.0 * 100.0, "{:?}", a.recip);
    }

    #[test]
    fn rounding_is_to_even() {
        let a = Activation {
            recip: vec![1.0; 4],
            offset: 0.0,
        };
        let w = weights(&[127.0, 0.5, 1.5, -2.5], 1, &a);
        assert_eq!((w.elements, w.scale), (vec![127, 0, 2, -2], vec![1.0]));
    }
}
