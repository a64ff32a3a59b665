//! The encoder in plain fp32 on the host, written against the model's definition and not against the IR.
//!
//! It is the reference that reports compare with, and it checks the IR's own evaluation. Sums run in ascending order
//! and the transcendental functions are those of crate libm, so the result is the same on every machine.

use crate::weights::{Layer, Linear, Norm};
use crate::{Activation, Config, Weights};

/// The last hidden states, [rows, hidden], for the embedding sums of as many rows, of which the first `tokens` are
/// valid: the others take part, but nobody attends to them.
///
/// Panics if `x` is not whole rows, or if `tokens` is 0 or more than there are rows.
pub fn encode(config: &Config, weights: &Weights, x: &[f32], tokens: usize) -> Vec<f32> {
    let rows = x.len() / config.hidden;
    assert!(rows * config.hidden == x.len() && 0 < tokens && tokens <= rows);
    let mut x = layer_norm(config, &weights.embedding_norm, x.to_vec());
    for layer in &weights.layers {
        x = encoder_layer(config, layer, &x, tokens);
    }
    x
}

fn encoder_layer(config: &Config, layer: &Layer, x: &[f32], tokens: usize) -> Vec<f32> {
    let context = attention(config, layer, x, tokens);
    let attended = linear(&layer.attention_output, &context);
    let h = layer_norm(config, &layer.attention_norm, add(attended, x));
    let mut g = linear(&layer.intermediate, &h);
    g.iter_mut().for_each(|v| *v = gelu(config.activation, *v));
    let out = linear(&layer.output, &g);
    layer_norm(config, &layer.output_norm, add(out, &h))
}

fn attention(config: &Config, layer: &Layer, x: &[f32], tokens: usize) -> Vec<f32> {
    let (h, d, rows) = (config.hidden, config.head_width(), x.len() / config.hidden);
    let [q, k, v] = [&layer.query, &layer.key, &layer.value].map(|part| linear(part, x));
    let mut context = vec![0.0; x.len()];
    for head in 0..config.heads {
        let lanes = |m: &[f32], rows| -> Vec<f32> {
            let cut = |row: &[f32]| row[head * d..(head + 1) * d].to_vec();
            m.chunks_exact(h).take(rows).flat_map(cut).collect()
        };
        let mut scores = matmul(&lanes(&q, rows), &lanes(&k, tokens), d);
        for row in scores.chunks_exact_mut(tokens) {
            row.iter_mut().for_each(|s| *s /= (d as f32).sqrt());
            softmax(row);
        }
        let v = lanes(&v, tokens);
        let v_columns: Vec<f32> = (0..d)
            .flat_map(|j| v.iter().skip(j).step_by(d))
            .copied()
            .collect();
        let mixed = matmul(&scores, &v_columns, tokens);
        for (to, from) in context.chunks_exact_mut(h).zip(mixed.chunks_exact(d)) {
            to[head * d..(head + 1) * d].copy_from_slice(from);
        }
    }
    context
}

fn softmax(row: &mut [f32]) {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter_mut().for_each(|s| *s = libm::expf(*s - most));
    let sum: f32 = row.iter().sum();
    row.iter_mut().for_each(|s| *s /= sum);
}

fn layer_norm(config: &Config, norm: &Norm, mut x: Vec<f32>) -> Vec<f32> {
    let width = config.hidden as f32;
    for row in x.chunks_exact_mut(config.hidden) {
        let mean = row.iter().sum::<f32>() / width;
        row.iter_mut().for_each(|v| *v -= mean);
        let variance = row.iter().map(|v| v * v).sum::<f32>() / width;
        let deviation = (variance + config.layer_norm_eps).sqrt();
        for ((v, scale), shift) in row.iter_mut().zip(&norm.scale).zip(&norm.shift) {
            *v = *v / deviation * scale + shift;
        }
    }
    x
}

fn gelu(form: Activation, x: f32) -> f32 {
    use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_PI};
    match form {
        Activation::GeluErf => 0.5 * x * (1.0 + libm::erff(x * FRAC_1_SQRT_2)),
        Activation::GeluTanh => {
            0.5 * x * (1.0 + libm::tanhf(FRAC_2_PI.sqrt() * (x + 0.044715 * x * x * x)))
        }
    }
}

fn add(mut a: Vec<f32>, b: &[f32]) -> Vec<f32> {
    a.iter_mut().zip(b).for_each(|(x, y)| *x += y);
    a
}

fn linear(part: &Linear, x: &[f32]) -> Vec<f32> {
    let outs = part.bias.len();
    let mut y = matmul(x, &part.weight, part.weight.len() / outs);
    for row in y.chunks_exact_mut(outs) {
        row.iter_mut().zip(&part.bias).for_each(|(v, b)| *v += b);
    }
    y
}

/// Outputs of a block: two vectors of the smallest machine that we run on.
const COLUMNS: usize = 8;
/// Rows of a block. With its columns: eight accumulators that stay in registers.
const ROWS: usize = 4;

/// x·wᵀ for row-major x [rows, k] and w [outs, k], each sum in ascending k.
///
/// Weights are repacked eight outputs at a time, so that the inner loop is straight vector code without a target's
/// own instructions: the same bits everywhere.
fn matmul(x: &[f32], w: &[f32], k: usize) -> Vec<f32> {
    let (rows, outs) = (x.len() / k, w.len() / k);
    let mut y = vec![0.0; rows * outs];
    let mut panel = vec![[0.0; COLUMNS]; k];
    for first in (0..outs).step_by(COLUMNS) {
        let columns = COLUMNS.min(outs - first);
        for (j, weights) in w.chunks_exact(k).skip(first).take(columns).enumerate() {
            panel.iter_mut().zip(weights).for_each(|(p, &v)| p[j] = v);
        }
        for (block, some) in x.chunks(ROWS * k).enumerate() {
            // A last block with fewer rows repeats its first one and drops the copies.
            let row = |i: usize| some.chunks_exact(k).nth(i).unwrap_or(&some[..k]);
            let sums = block_sums([row(0), row(1), row(2), row(3)], &panel);
            for (i, sum) in sums.iter().enumerate().take(some.len() / k) {
                let at = (block * ROWS + i) * outs + first;
                y[at..at + columns].copy_from_slice(&sum[..columns]);
            }
        }
    }
    y
}

fn block_sums(x: [&[f32]; ROWS], panel: &[[f32; COLUMNS]]) -> [[f32; COLUMNS]; ROWS] {
    let mut sums = [[0.0; COLUMNS]; ROWS];
    let [a, b, c, d] = x;
    for ((((w, &a), &b), &c), &d) in panel.iter().zip(a).zip(b).zip(c).zip(d) {
        for (sum, v) in sums.iter_mut().zip([a, b, c, d]) {
            for j in 0..COLUMNS {
                sum[j] += v * w[j];
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;

    #[test]
    fn products_of_all_remainders() {
        for (rows, outs, k) in [(1, 1, 1), (4, 8, 3), (5, 9, 7), (3, 17, 16), (9, 7, 2)] {
            let x: Vec<f32> = (0..rows * k).map(|i| (i % 7) as f32 - 3.0).collect();
            let w: Vec<f32> = (0..outs * k).map(|i| (i % 5) as f32 - 1.5).collect();
            let y = matmul(&x, &w, k);
            for (r, row) in y.chunks_exact(outs).enumerate() {
                for (n, &v) in row.iter().enumerate() {
                    let want: f32 = (0..k).map(|i| x[r * k + i] * w[n * k + i]).sum();
                    assert_eq!(v, want, "{rows}×{outs}×{k} at {r}, {n}");
                }
            }
        }
    }

    #[test]
    fn gelu_in_both_forms() {
        for (form, at_one, at_minus_two) in [
            (Activation::GeluErf, 0.841_344_7, -0.045_500_264),
            (Activation::GeluTanh, 0.841_192, -0.045_402_306),
        ] {
            assert!((gelu(form, 1.0) - at_one).abs() < 1e-6);
            assert!((gelu(form, -2.0) - at_minus_two).abs() < 1e-6);
        }
    }

    #[test]
    fn softmax_and_layer_norm() {
        let mut row = [1000.0, 1000.0 + 3f32.ln()];
        softmax(&mut row);
        assert!((row[0] - 0.25).abs() < 1e-5 && (row[1] - 0.75).abs() < 1e-5);
        let config = Config::from_spec("L=1,H=16,heads=1,ffn=1").unwrap();
        let norm = Norm {
            scale: vec![2.0; 16],
            shift: vec![1.0; 16],
        };
        let x: Vec<f32> = (0..16)
            .map(|i| if i % 2 == 0 { 5.0 } else { 9.0 })
            .collect();
        let y = layer_norm(&config, &norm, x);
        assert!(
            y.iter()
                .enumerate()
                .all(|(i, v)| (v - if i % 2 == 0 { -1.0 } else { 3.0 }).abs() < 1e-6)
        );
    }

    /// Padding changes no valid row: pad tokens are attended to by nobody.
    #[test]
    fn padding_does_not_matter() {
        let config =
            Config::from_spec("L=2,H=32,heads=2,ffn=48,vocab=20,max_positions=16").unwrap();
        let weights = Weights::random(&config, 3);
        let ids = [4, 5, 6, 7, 8];
        let run = |len| {
            let x = host::embed(&config, &weights, &ids, len).unwrap();
            encode(&config, &weights, &x, ids.len())
        };
        let (short, long) = (run(5), run(16));
        assert_eq!(short[..], long[..short.len()]);
    }
}
