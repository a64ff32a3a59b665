//! Sums of products, as the MXM makes them: one row of activations by one column of weights of the same length.

use crate::{f16, f32_bits};

/// Exact Σ x·w of int8 activations; `None` if that sum does not fit in an i32, whatever partial sums do.
pub fn dot_i8(x: &[i8], w: &[i8]) -> Option<i32> {
    exact(x.iter().map(|x| i64::from(*x)), w)
}

/// Exact Σ x·w of uint8 activations; `None` if that sum does not fit in an i32, whatever partial sums do.
pub fn dot_u8(x: &[u8], w: &[i8]) -> Option<i32> {
    exact(x.iter().map(|x| i64::from(*x)), w)
}

/// No i64 overflow: that would take 2^48 products.
fn exact(x: impl Iterator<Item = i64>, w: &[i8]) -> Option<i32> {
    let sum: i64 = x.zip(w).map(|(x, w)| x * i64::from(*w)).sum();
    i32::try_from(sum).ok()
}

/// Σ x·w of f16 bits: exact products, added to +0 in f64 in ascending order, rounded once to f32; a NaN is [`crate::NAN`].
pub fn dot_f16(x: &[u16], w: &[u16]) -> f32 {
    let wide = |v: &u16| f64::from(f16::widen(u32::from(*v)));
    let sum = x
        .iter()
        .zip(w)
        .fold(0.0, |sum, (x, w)| sum + wide(x) * wide(w));
    f32::from_bits(f32_bits(sum as f32))
}

/// `acc` of fp16: the sum plus the partial sum, one f32 addition; a NaN is [`crate::NAN`].
#[inline]
pub fn acc_f32(sum: f32, partial: f32) -> f32 {
    f32::from_bits(f32_bits(sum + partial))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NAN, Type, convert};

    fn h(x: f32) -> u16 {
        convert(x.to_bits(), Type::F32, Type::F16) as u16
    }

    #[test]
    fn integers_are_exact_and_only_the_whole_sum_overflows() {
        assert_eq!(dot_i8(&[-128; 320], &[-128; 320]), Some(320 * 16_384));
        assert_eq!(dot_u8(&[255, 1], &[-128, 2]), Some(-32_638));
        assert_eq!(dot_u8(&[255; 320], &[-128; 320]), Some(-320 * 32_640));
        // 131,072 · 128 · 128 = 2^31.
        let row = [-128i8; 131_072];
        assert_eq!(dot_i8(&row, &row), None);
        assert_eq!(dot_i8(&row[1..], &row[1..]), Some(i32::MAX - 16_383));
        let mut back = row.to_vec();
        back.push(1);
        assert_eq!(dot_i8(&[&row[..], &[-1]].concat(), &back), Some(i32::MAX));
        assert_eq!(dot_i8(&[], &[]), Some(0));
    }

    #[test]
    fn f16_sums_are_rounded_once() {
        // 2048 + 1 is not an f16, but sums are not rounded to f16.
        assert_eq!(dot_f16(&[h(2048.0), h(1.0)], &[h(1.0), h(1.0)]), 2049.0);
        // The small terms add up before they meet the f32 grid; one by one each would be lost.
        let x = [[h(16384.0)].as_slice(), &[h(0.001); 4]].concat();
        let w = [[h(1024.0)].as_slice(), &[h(512.0); 4]].concat();
        assert_eq!(dot_f16(&x, &w), 16_777_218.0);
    }

    #[test]
    fn f16_order_and_special_values() {
        // 2^32 + 2^-24·2^-24: in f64 the tiny term is lost after the large one, and kept after they cancel.
        let (big, tiny) = (h(65504.0), 1);
        let (x, w) = ([big, tiny, big], [big, tiny, h(-65504.0)]);
        assert_eq!(dot_f16(&x, &w), 0.0);
        assert_eq!(
            dot_f16(&[big, big, tiny], &[big, h(-65504.0), tiny]),
            2f32.powi(-48)
        );
        assert_eq!(dot_f16(&[h(-0.0)], &[h(1.0)]).to_bits(), 0);
        let infinite = dot_f16(&[h(f32::INFINITY), h(1.0)], &[h(1.0), h(1.0)]);
        assert_eq!(infinite, f32::INFINITY);
        assert_eq!(dot_f16(&[h(f32::INFINITY)], &[0]).to_bits(), NAN);
        assert_eq!(acc_f32(f32::INFINITY, f32::NEG_INFINITY).to_bits(), NAN);
        assert_eq!(acc_f32(16_777_216.0, 1.0), 16_777_216.0);
    }
}
