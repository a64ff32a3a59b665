//! Conversions among the six types: to nearest even, saturating to integers, NaN to 0.

use crate::{Type, f16, f32_bits};

/// An element of one type as the nearest of another, ties to even.
///
/// Integers saturate and take NaN to 0; f16 and f32 overflow to infinity and have one NaN each, [`crate::NAN_F16`] and
/// [`crate::NAN`]. Bits above the source type are ignored, bits above the target type are 0. Never fails.
///
/// ```
/// use tspc_num::{Type, convert};
/// assert_eq!(convert(2.5f32.to_bits(), Type::F32, Type::I8), 2);
/// assert_eq!(convert(300, Type::I32, Type::U8), 255);
/// assert_eq!(convert(65520f32.to_bits(), Type::F32, Type::F16), 0x7C00);
/// ```
pub fn convert(bits: u32, from: Type, to: Type) -> u32 {
    let mut lane = [bits];
    convert_lanes(&mut lane, from, to);
    lane[0]
}

/// [`convert`] on all lanes, in place.
pub fn convert_lanes(lanes: &mut [u32], from: Type, to: Type) {
    // Every element is exact in f64.
    match from {
        Type::I8 => round(lanes, to, |x| f64::from(x as i8)),
        Type::U8 => round(lanes, to, |x| f64::from(x as u8)),
        Type::I16 => round(lanes, to, |x| f64::from(x as i16)),
        Type::I32 => round(lanes, to, |x| f64::from(x as i32)),
        Type::F16 => round(lanes, to, |x| f64::from(f16::widen(x))),
        Type::F32 => round(lanes, to, |x| f64::from(f32::from_bits(x))),
    }
}

/// `exact` gives each lane's value; one loop per pair of types.
#[inline(always)]
fn round(lanes: &mut [u32], to: Type, exact: impl Fn(u32) -> f64) {
    #[inline(always)]
    fn each(lanes: &mut [u32], f: impl Fn(u32) -> u32) {
        lanes.iter_mut().for_each(|x| *x = f(*x));
    }
    match to {
        Type::I8 => each(lanes, |x| integer(exact(x), -128.0, 127.0) & 0xFF),
        Type::U8 => each(lanes, |x| integer(exact(x), 0.0, 255.0)),
        Type::I16 => each(lanes, |x| integer(exact(x), -32_768.0, 32_767.0) & 0xFFFF),
        Type::I32 => each(lanes, |x| {
            integer(exact(x), -2_147_483_648.0, 2_147_483_647.0)
        }),
        // Through f32, yet rounded once: below 2^24 every integer is an f32, above both steps overflow.
        Type::F16 => each(lanes, |x| f16::narrow(exact(x) as f32)),
        Type::F32 => each(lanes, |x| f32_bits(exact(x) as f32)),
    }
}

/// The nearest integer, ties to even, within bounds that are integers of at most 32 bits; NaN is 0.
#[inline(always)]
fn integer(x: f64, low: f64, high: f64) -> u32 {
    // In 2^52…2^53 the last place is 1, so the addition rounds; the sum's low bits are the integer's.
    const UNIT: f64 = 1.5 * (1u64 << 52) as f64;
    let bounded = if x.is_nan() {
        0.0
    } else {
        x.max(low).min(high)
    };
    (bounded + UNIT).to_bits() as u32
}
