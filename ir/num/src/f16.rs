//! f16 in terms of f32, on bits: the same on every host, whatever instructions it has.
//!
//! Values are the low 16 bits of a u32. Both functions are straight lines of selects, so that loops over lanes vectorise.

use crate::NAN;

/// f16's NaN result.
pub const NAN_F16: u32 = 0x7E00;
/// f16's infinity, which is also the first magnitude that is no finite number.
const INFINITY: u32 = 0x7C00;
/// Difference of the exponents' biases, 127 − 15.
const REBIAS: u32 = 112;

/// The f32 of the same value; a NaN becomes [`NAN`].
#[inline(always)]
pub(crate) fn widen(bits: u32) -> f32 {
    let magnitude = bits & 0x7FFF;
    // Read as an f32, the fields mean the value times 2^−112, for subnormals too. The product is exact.
    let scaled = f32::from_bits(magnitude << 13) * f32::from_bits((127 + REBIAS) << 23);
    let sign = (bits & 0x8000) << 16;
    f32::from_bits(if magnitude > INFINITY {
        NAN
    } else if magnitude == INFINITY {
        sign | f32::INFINITY.to_bits()
    } else {
        sign | scaled.to_bits()
    })
}

/// The nearest f16, ties to even: infinite from 65520 on, the midpoint of 65504 and 2^16.
#[inline(always)]
pub(crate) fn narrow(x: f32) -> u32 {
    let magnitude = x.to_bits() & 0x7FFF_FFFF;
    let sign = x.to_bits() >> 16 & 0x8000;
    // Rebias; half of the last place, less one if that place is even, carries exactly what must round up.
    let normal = magnitude
        .wrapping_sub(REBIAS << 23)
        .wrapping_add(0xFFF + (magnitude >> 13 & 1))
        >> 13;
    // The last place of numbers in 0.5…1 is 2^−24, f16's smallest step: the addition rounds, ties to even.
    let subnormal = (x.abs() + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
    if x.is_nan() {
        NAN_F16
    } else if magnitude >= (127 + 16) << 23 {
        sign | INFINITY
    } else if magnitude < (127 - 14) << 23 {
        sign | subnormal
    } else {
        sign | normal
    }
}
