//! The numbers of int8: scales, offsets and integer weights from ranges.
//!
//! Quantised activations are q = cvt(x·r + o), r per channel. Their scales migrate into the weights (SmoothQuant,
//! Xiao et al. 2023): x_k/m_k and m_k·W_k multiply to the same, and m evens out the channels. Everything is computed
//! in f64 from the fp32 numbers that the chip will use, so their rounding costs nothing.
//!
//! A channel in n lanes is quantised as q_c = cvt(x·r/n + o + f_c), with the fractions f_c = (2c − n + 1)/2n. Their sum
//! rounds as one number of n times the range would: Σ rint(y/n + f_c) = rint(y) (Hermite's identity), the form of
//! numerics.md 3.3 without its clamps.

use super::ranges::Range;
use super::split::Layout;

/// The greatest int8 weight and symmetric activation.
pub const LIMIT: f64 = 127.0;

/// Channels whose magnitude is below this part of the greatest one count as if they reached it: a channel that
/// calibration did not excite must not get a scale that saturates at once.
const FLOOR: f64 = 1e-4;

/// How activations become int8.
#[derive(Clone, PartialEq, Debug)]
pub struct Activation {
    /// What each lane is multiplied by.
    pub recip: Vec<f32>,
    /// What is added then: to all lanes, or to each.
    pub offsets: Vec<f32>,
    /// The integer that stands for 0 in every lane.
    pub zero: f64,
    /// What 1 in a lane means.
    steps: Vec<f64>,
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

/// The scales of activations in these lanes that meet weights of these magnitudes.
pub fn activation(range: &Range, weights: &[f64], alpha: f64, layout: &Layout) -> Activation {
    let copies = layout.copies();
    let shared = |ends: &[f32]| -> Vec<f64> {
        let ends = layout.gather(ends).into_iter().zip(&copies);
        ends.map(|(end, &(_, n))| f64::from(end) / n as f64)
            .collect()
    };
    let (low, high) = (shared(&range.low), shared(&range.high));
    let reach = low.iter().zip(&high).map(|(l, h)| l.abs().max(h.abs()));
    let x = floored(&reach.collect::<Vec<_>>());
    let w = floored(&layout.gather(weights));
    let migrate = x
        .iter()
        .zip(&w)
        .map(|(x, w)| x.powf(alpha) / w.powf(1.0 - alpha));
    let migrate: Vec<f64> = migrate.collect();
    let migrated = |ends: &[f64], pick: fn(f64, f64) -> f64| {
        let each = ends.iter().zip(&migrate).map(|(x, m)| x / m);
        each.fold(0.0, pick)
    };
    let (low, high) = (migrated(&low, f64::min), migrated(&high, f64::max));
    let (scale, zero) = match one_sided(range) {
        true => {
            let scale = (high - low) / 255.0;
            (scale, (-128.0 - low / scale).round_ties_even())
        }
        false => (high.max(-low) / LIMIT, 0.0),
    };
    let scale = if scale > 0.0 { scale } else { 1.0 };
    let recip = migrate.iter().zip(&copies);
    let recip: Vec<f32> = recip
        .map(|(m, &(_, n))| (1.0 / (scale * m * n as f64)) as f32)
        .collect();
    let step = |(&r, &(_, n)): (&f32, &(usize, usize))| 1.0 / (f64::from(r) * n as f64);
    let offset = |&(c, n): &(usize, usize)| {
        let fraction = (2.0 * c as f64 + 1.0 - n as f64) / (2.0 * n as f64);
        (zero + fraction) as f32
    };
    Activation {
        steps: recip.iter().zip(&copies).map(step).collect(),
        recip,
        offsets: match copies.len() > layout.channels() {
            true => copies.iter().map(offset).collect(),
            false => vec![zero as f32],
        },
        zero,
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

/// The matrix [in, out] for activations that were quantised so: a row for each lane.
pub fn weights(matrix: &[f32], outs: usize, activation: &Activation, layout: &Layout) -> Weights {
    let rows = || {
        let row = |&channel: &usize| &matrix[channel * outs..][..outs];
        let rows = layout.lanes().iter().map(row);
        rows.zip(&activation.steps)
    };
    let mut greatest = vec![0f64; outs];
    for (row, step) in rows() {
        for (g, &w) in greatest.iter_mut().zip(row) {
            *g = g.max((f64::from(w) * step).abs());
        }
    }
    let scale: Vec<f32> = greatest.iter().map(|&g| symmetric(g)).collect();
    let mut elements = Vec::with_capacity(layout.lanes().len() * outs);
    let mut sums = vec![0i64; outs];
    for (row, step) in rows() {
        for ((&w, &s), sum) in row.iter().zip(&scale).zip(&mut sums) {
            let q = f64::from(w) * step / f64::from(s);
            let q = q.round_ties_even().clamp(-LIMIT, LIMIT) as i8;
            *sum += i64::from(q);
            elements.push(q);
        }
    }
    let undo = |(&sum, &s): (&i64, &f32)| -activation.zero * sum as f64 * f64::from(s);
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

    fn quantised(x: &[f32], a: &Activation) -> Vec<f64> {
        let offset = |lane: usize| a.offsets[lane % a.offsets.len()];
        let lanes = x.iter().zip(&a.recip).enumerate();
        let q = lanes.map(|(l, (x, r))| (x * r + offset(l)).round_ties_even());
        q.map(|q| f64::from(q.clamp(-128.0, 127.0))).collect()
    }

    /// The product as the chip computes it, up to the rounding of the last steps.
    fn product(x: &[f32], a: &Activation, w: &Weights) -> Vec<f64> {
        let q = quantised(x, a);
        let outs = w.scale.len();
        (0..outs)
            .map(|o| {
                let acc: f64 = (0..q.len())
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
                let plain = Layout::plain(3);
                let a = activation(&range, &row_maxima(&matrix, 2), alpha, &plain);
                let w = weights(&matrix, 2, &a, &plain);
                assert_eq!(a.zero != 0.0, one_sided(&range));
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
        let recip = |alpha| activation(&range, &[1.0, 1.0], alpha, &Layout::plain(2)).recip;
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
        let a = activation(&range(&[-0.2], &[5.0]), &[1.0], 0.5, &Layout::plain(1));
        assert_eq!((a.zero, &a.offsets[..]), (-118.0, &[-118.0][..]));
        let q = |x: f32| x * a.recip[0] + a.offsets[0];
        assert!((q(-0.2) + 128.0).abs() < 0.5 && (q(5.0) - 127.0).abs() < 0.5);
    }

    #[test]
    fn zeros_have_scales_too() {
        let plain = Layout::plain(2);
        let a = activation(&range(&[0.0, 0.0], &[0.0, 0.0]), &[0.0, 0.0], 0.5, &plain);
        let w = weights(&[0.0; 4], 2, &a, &plain);
        assert!(
            a.recip
                .iter()
                .chain(&w.scale)
                .all(|s| s.is_finite() && *s > 0.0)
        );
        assert_eq!(w.elements, [0; 4]);
        // A channel that calibration did not see.
        let a = activation(&range(&[-1.0, 0.0], &[1.0, 0.0]), &[1.0, 1.0], 0.5, &plain);
        assert!(a.recip[1] <= 127.0 * 100.0, "{:?}", a.recip);
    }

    #[test]
    fn rounding_is_to_even() {
        let a = Activation {
            recip: vec![1.0; 4],
            offsets: vec![0.0],
            zero: 0.0,
            steps: vec![1.0; 4],
        };
        let w = weights(&[127.0, 0.5, 1.5, -2.5], 1, &a, &Layout::plain(4));
        assert_eq!((w.elements, w.scale), (vec![127, 0, 2, -2], vec![1.0]));
    }

    #[test]
    fn copies_sum_to_one_finer_number() {
        for n in 1..=7usize {
            let layout = Layout::new(vec![n]);
            let plain = Layout::plain(1);
            for (low, high) in [(-3.0, 3.0), (-0.17, 9.0), (-9.0, 0.3)] {
                let range = range(&[low], &[high]);
                let a = activation(&range, &[1.0], 0.5, &layout);
                let sum = |x: f64| -> f64 {
                    let lanes = quantised(&vec![x as f32; n], &a);
                    lanes.iter().map(|q| q - a.zero).sum()
                };
                let step = a.steps[0];
                let whole = activation(&range, &[1.0], 0.5, &plain);
                // Half a step of slack at the ends, where zero is rounded.
                let (least, most) = ((-128.0 - a.zero) * n as f64, (127.0 - a.zero) * n as f64);
                for q in least as i64 + n as i64..=most as i64 - n as i64 {
                    for off in [-0.49, 0.0, 0.49] {
                        assert_eq!(
                            sum((q as f64 + off) * step),
                            q as f64,
                            "{n} {low} {q} {off}"
                        );
                    }
                }
                assert_eq!((sum(1e6), sum(-1e6)), (most, least), "saturates as one");
                let reach = step * (most - least) / (whole.steps[0] * 255.0);
                assert!(
                    (reach - 1.0).abs() < 1e-6,
                    "{n} lanes reach as far: {reach}"
                );
            }
        }
    }

    #[test]
    fn an_outlier_in_several_lanes_leaves_a_finer_scale_to_the_others() {
        let range = range(&[-1.0, -8.0], &[1.0, 8.0]);
        let matrix = [0.5, 0.25, -0.5, 0.125];
        let error = |layout: &Layout| {
            let a = activation(&range, &row_maxima(&matrix, 2), 0.0, layout);
            let w = weights(&matrix, 2, &a, layout);
            let errors = (0..200).map(|i| {
                let x = [(0.7 * f64::from(i)).sin(), 8.0 * (1.3 * f64::from(i)).cos()];
                let lanes: Vec<f32> = layout.lanes().iter().map(|&c| x[c] as f32).collect();
                let got = product(&lanes, &a, &w);
                let want = |o: usize| x[0] * f64::from(matrix[o]) + x[1] * f64::from(matrix[2 + o]);
                (got[0] - want(0)).abs().max((got[1] - want(1)).abs())
            });
            errors.fold(0.0, f64::max)
        };
        let (plain, split) = (error(&Layout::plain(2)), error(&Layout::new(vec![1, 8])));
        assert!(split < plain / 3.0, "{split} {plain}");
    }
}
