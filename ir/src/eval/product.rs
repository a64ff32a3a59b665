//! Matrix products: exact in i32, or in f64 in ascending k and rounded once.
//!
//! Blocked so that the inner loops vectorise; the blocking changes no result, because integer sums are exact and
//! each f64 sum is one accumulator over ascending k.

/// Longest sum of products of a byte by an int8 that cannot leave i32: each is at most 255·128.
const MAX_K: usize = (i32::MAX / (255 * 128)) as usize;

/// `out[r][n] = Σ x[r][k]·w[n][k]` for bytes widened to i16; `None` if a sum leaves i32.
pub(super) fn integer(x: &[i16], w: &[i16], k: usize) -> Option<Vec<i32>> {
    let rows = x.len().checked_div(k)?;
    let columns = w.len().checked_div(k)?;
    let mut out = vec![0i32; rows * columns];
    if k > MAX_K {
        for (i, o) in out.iter_mut().enumerate() {
            let (r, n) = (i / columns, i % columns);
            let products = x[r * k..][..k]
                .iter()
                .zip(&w[n * k..][..k])
                .map(|(a, b)| i64::from(*a) * i64::from(*b));
            *o = i32::try_from(products.sum::<i64>()).ok()?;
        }
        return Some(out);
    }
    // Four rows meet a column while it is in registers; the columns of a block stay in cache for all rows.
    for (block, wb) in w.chunks(64 * k).enumerate() {
        for (r4, x4) in x.chunks(4 * k).enumerate() {
            for (j, wn) in wb.chunks_exact(k).enumerate() {
                let at = 4 * r4 * columns + 64 * block + j;
                if x4.len() == 4 * k {
                    let sums = dot4(x4, wn);
                    (0..4).for_each(|i| out[at + i * columns] = sums[i]);
                } else {
                    for (i, row) in x4.chunks_exact(k).enumerate() {
                        out[at + i * columns] = dot(row, wn);
                    }
                }
            }
        }
    }
    Some(out)
}

/// Of at most [`MAX_K`] products, so that nothing wraps: a check of every sum would keep the loop from vectorising.
fn dot(x: &[i16], w: &[i16]) -> i32 {
    x.iter().zip(w).fold(0, |sum: i32, (a, b)| {
        sum.wrapping_add(i32::from(*a) * i32::from(*b))
    })
}

fn dot4(x: &[i16], w: &[i16]) -> [i32; 4] {
    let k = w.len();
    let (x01, x23) = x.split_at(2 * k);
    let ((x0, x1), (x2, x3)) = (x01.split_at(k), x23.split_at(k));
    [dot(x0, w), dot(x1, w), dot(x2, w), dot(x3, w)]
}

/// Columns of a panel.
const N: usize = 8;
/// Rows of a block.
const M: usize = 4;

/// `out[r][n] = Σ x[r][k]·w(k, n)`, products exact in f64, summed in ascending k, rounded once; element (k, n) of
/// the weights is at `k·strides.0 + n·strides.1`.
pub(super) fn float(
    x: &[f32],
    w: &[f32],
    k: usize,
    columns: usize,
    strides: (usize, usize),
) -> Vec<f32> {
    let rows = x.len().checked_div(k).unwrap_or(0);
    let mut out = vec![0f32; rows * columns];
    let wide: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
    let mut panel = vec![[0f64; N]; k];
    for n0 in (0..columns).step_by(N) {
        let width = N.min(columns - n0);
        for (kk, p) in panel.iter_mut().enumerate() {
            for (j, v) in p.iter_mut().enumerate() {
                *v = if j < width {
                    f64::from(w[kk * strides.0 + (n0 + j) * strides.1])
                } else {
                    0.0
                };
            }
        }
        for r0 in (0..rows).step_by(M) {
            let height = M.min(rows - r0);
            let row = |i: usize| &wide[(r0 + i.min(height - 1)) * k..][..k];
            let sums = block([row(0), row(1), row(2), row(3)], &panel);
            for (i, sum) in sums.iter().enumerate().take(height) {
                for (j, s) in sum.iter().enumerate().take(width) {
                    out[(r0 + i) * columns + n0 + j] =
                        f32::from_bits(tspc_num::f32_bits(*s as f32));
                }
            }
        }
    }
    out
}

fn block(x: [&[f64]; M], panel: &[[f64; N]]) -> [[f64; N]; M] {
    let mut sums = [[0f64; N]; M];
    let [x0, x1, x2, x3] = x;
    for ((((p, a), b), c), d) in panel.iter().zip(x0).zip(x1).zip(x2).zip(x3) {
        for j in 0..N {
            sums[0][j] += a * p[j];
            sums[1][j] += b * p[j];
            sums[2][j] += c * p[j];
            sums[3][j] += d * p[j];
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocked_products_equal_plain_sums() {
        for (rows, k, columns) in [(1, 1, 1), (5, 7, 9), (9, 33, 131)] {
            let x: Vec<i16> = (0..rows * k).map(|i| (i * 37 % 511) as i16 - 255).collect();
            let w: Vec<i16> = (0..columns * k)
                .map(|i| (i * 91 % 255) as i16 - 127)
                .collect();
            let plain = |r: usize, n: usize| {
                (0..k)
                    .map(|i| i32::from(x[r * k + i]) * i32::from(w[n * k + i]))
                    .sum::<i32>()
            };
            let want: Vec<i32> = (0..rows * columns)
                .map(|i| plain(i / columns, i % columns))
                .collect();
            assert_eq!(integer(&x, &w, k).unwrap(), want);
            let xf: Vec<f32> = x.iter().map(|&v| f32::from(v)).collect();
            let wf: Vec<f32> = w.iter().map(|&v| f32::from(v)).collect();
            let got = float(&xf, &wf, k, columns, (1, k));
            assert_eq!(got, want.iter().map(|&v| v as f32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn long_sums_may_overflow() {
        let (x, w) = (vec![255; 100_000], vec![127; 100_000]);
        assert_eq!(integer(&x, &w, 100_000), None);
        assert_eq!(
            integer(&x[..60_000], &w[..60_000], 60_000),
            Some(vec![60_000 * 255 * 127])
        );
    }

    #[test]
    fn sums_round_once() {
        let x = [16_777_216.0, 1.0, 1.0];
        assert_eq!(float(&x, &[1.0; 3], 3, 1, (1, 3)), [16_777_218.0]);
    }
}
