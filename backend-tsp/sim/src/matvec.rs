//! The MXM's sums of products, one row at a time, vectorised over the columns.
//!
//! Weights are kept in the order in which a row reads them. On x86-64 there are variants for AVX2 and
//! AVX-512, chosen when the processor has them; integer sums are exact and the f64 sums of a column stay
//! in ascending k, so the result does not depend on the choice.

use crate::arith;
use crate::pool::LANES;

/// K lanes of an fp16 unit.
pub const HALF: usize = 160;
/// Columns whose sums stay in registers.
const BLOCK: usize = 64;
const BLOCK_F16: usize = 32;

type PairsI8 = [[[i8; 2]; LANES]; LANES / 2];

/// Weights of an int8 plane: for each pair of K lanes, for each column, two weights.
pub struct WeightsI8(Box<PairsI8>);

/// Weights of an fp16 unit, K by column.
pub struct WeightsF16(Box<[[f32; LANES]; HALF]>);

impl WeightsI8 {
    /// All zero.
    pub fn new() -> WeightsI8 {
        WeightsI8(Box::new([[[0; 2]; LANES]; LANES / 2]))
    }

    /// Sets column `n` for all K.
    pub fn set_column(&mut self, n: usize, lanes: &[u8; LANES]) {
        for (pair, lanes) in self.0.iter_mut().zip(lanes.as_chunks::<2>().0) {
            pair[n] = lanes.map(|byte| byte as i8);
        }
    }

    /// Σ_k x[k]·W[k, n] for all n. 320 products of at most 255·128 cannot overflow an i32.
    pub fn multiply(&self, x: &[i16; LANES], sums: &mut [i32; LANES]) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { multiply_i8_avx2(&self.0, x, sums) };
        }
        multiply_i8(&self.0, x, sums);
    }
}

impl WeightsF16 {
    /// All zero.
    pub fn new() -> WeightsF16 {
        WeightsF16(Box::new([[0.0; LANES]; HALF]))
    }

    /// Sets W[k, n] to f16 bits.
    pub fn set(&mut self, k: usize, n: usize, bits: u16) {
        self.0[k][n] = arith::f16_to_f32(bits);
    }

    /// The f64 sum over ascending k of exact products, rounded once to f32; bits per column.
    pub fn multiply(&self, x: &[f32; HALF], sums: &mut [u32; LANES]) {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                // SAFETY: the processor has AVX-512F.
                return unsafe { multiply_f16_avx512(&self.0, x, sums) };
            }
            if is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has AVX2.
                return unsafe { multiply_f16_avx2(&self.0, x, sums) };
            }
        }
        multiply_f16(&self.0, x, sums);
    }
}

fn multiply_i8(w: &PairsI8, x: &[i16; LANES], sums: &mut [i32; LANES]) {
    for (block, sums) in sums.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
        let mut acc = [0i32; BLOCK];
        for (row, x) in w.iter().zip(x.as_chunks::<2>().0) {
            let columns: &[[i8; 2]] = &row[block * BLOCK..(block + 1) * BLOCK];
            let (x0, x1) = (i32::from(x[0]), i32::from(x[1]));
            for (acc, w) in acc.iter_mut().zip(columns) {
                *acc += i32::from(w[0]) * x0 + i32::from(w[1]) * x1;
            }
        }
        *sums = acc;
    }
}

#[inline(always)]
fn multiply_f16(w: &[[f32; LANES]; HALF], x: &[f32; HALF], sums: &mut [u32; LANES]) {
    for (block, sums) in sums.as_chunks_mut::<BLOCK_F16>().0.iter_mut().enumerate() {
        let mut acc = [0f64; BLOCK_F16];
        for (row, x) in w.iter().zip(x) {
            let columns: &[f32] = &row[block * BLOCK_F16..(block + 1) * BLOCK_F16];
            let x = f64::from(*x);
            for (acc, w) in acc.iter_mut().zip(columns) {
                *acc += x * f64::from(*w);
            }
        }
        for (sum, acc) in sums.iter_mut().zip(acc) {
            *sum = arith::f32_bits(acc as f32);
        }
    }
}

/// The same: `madd` multiplies pairs of i16 and adds the two products.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn multiply_i8_avx2(w: &PairsI8, x: &[i16; LANES], sums: &mut [i32; LANES]) {
    use std::arch::x86_64::*;
    /// Columns of a register of sums.
    const COLUMNS: usize = 8;
    for (block, sums) in sums.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
        let mut acc = [_mm256_setzero_si256(); BLOCK / COLUMNS];
        for (row, x) in w.iter().zip(x.as_chunks::<2>().0) {
            let x = _mm256_set1_epi32(i32::from(x[0]) & 0xFFFF | i32::from(x[1]) << 16);
            let columns = row[block * BLOCK..(block + 1) * BLOCK]
                .as_chunks::<COLUMNS>()
                .0;
            for (acc, pairs) in acc.iter_mut().zip(columns) {
                // SAFETY: `pairs` are 16 bytes; the load needs no alignment.
                let pairs = unsafe { _mm_loadu_si128(pairs.as_ptr().cast()) };
                let products = _mm256_madd_epi16(_mm256_cvtepi8_epi16(pairs), x);
                *acc = _mm256_add_epi32(*acc, products);
            }
        }
        for (sums, acc) in sums.as_chunks_mut::<COLUMNS>().0.iter_mut().zip(acc) {
            // SAFETY: `sums` are 32 bytes; the store needs no alignment.
            unsafe { _mm256_storeu_si256(sums.as_mut_ptr().cast(), acc) };
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn multiply_f16_avx2(w: &[[f32; LANES]; HALF], x: &[f32; HALF], sums: &mut [u32; LANES]) {
    multiply_f16(w, x, sums);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn multiply_f16_avx512(w: &[[f32; LANES]; HALF], x: &[f32; HALF], sums: &mut [u32; LANES]) {
    multiply_f16(w, x, sums);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u32) -> impl FnMut() -> u32 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        }
    }

    #[test]
    fn int8_sums_are_those_of_the_plain_loop_in_every_variant() {
        let mut next = noise(1);
        let mut w = WeightsI8::new();
        let mut plain = vec![[0u8; LANES]; LANES];
        for (n, column) in plain.iter_mut().enumerate() {
            column.iter_mut().for_each(|b| *b = next() as u8);
            w.set_column(n, column);
        }
        // Unsigned activations are the larger ones.
        let x: [i16; LANES] = std::array::from_fn(|_| i16::from(next() as u8));
        let want: Vec<i32> = plain
            .iter()
            .map(|column| {
                column
                    .iter()
                    .zip(x)
                    .map(|(w, x)| i32::from(*w as i8) * i32::from(x))
                    .sum()
            })
            .collect();
        let mut sums = [0; LANES];
        w.multiply(&x, &mut sums);
        assert_eq!(sums[..], want[..]);
        multiply_i8(&w.0, &x, &mut sums);
        assert_eq!(sums[..], want[..]);
    }

    #[test]
    fn the_largest_int8_sum_fits() {
        let mut w = WeightsI8::new();
        (0..LANES).for_each(|n| w.set_column(n, &[0x80; LANES]));
        let mut sums = [0; LANES];
        w.multiply(&[255; LANES], &mut sums);
        assert_eq!(sums, [-255 * 128 * 320; LANES]);
    }

    #[test]
    fn fp16_sums_are_those_of_num_in_every_variant() {
        let mut next = noise(2);
        let mut w = WeightsF16::new();
        let mut plain = vec![[0u16; HALF]; LANES];
        // Finite values of both signs over many exponents.
        let mut f16 = || (next() & 0xFFFF) as u16 & 0xFBFF;
        for (n, column) in plain.iter_mut().enumerate() {
            for (k, bits) in column.iter_mut().enumerate() {
                *bits = f16();
                w.set(k, n, *bits);
            }
        }
        let x: [u16; HALF] = std::array::from_fn(|_| f16());
        let wide = x.map(arith::f16_to_f32);
        let want: Vec<u32> = plain
            .iter()
            .map(|c| tspc_num::dot_f16(&x, c).to_bits())
            .collect();
        let mut sums = [0; LANES];
        w.multiply(&wide, &mut sums);
        assert_eq!(sums[..], want[..]);
        multiply_f16(&w.0, &wide, &mut sums);
        assert_eq!(sums[..], want[..]);
    }
}
