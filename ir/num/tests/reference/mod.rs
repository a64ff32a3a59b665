//! The unary operations once more, from the definitions: conversions and 1/√x in exact integers, exp and tanh by
//! series that share nothing with libm. Slow and plain; shared by the tests and the exhaustive example.

use tspc_num::Type;

/// An element's exact value.
#[derive(Clone, Copy)]
enum Value {
    NaN,
    Infinite {
        negative: bool,
    },
    /// ± magnitude · 2^exponent.
    Finite {
        negative: bool,
        magnitude: u64,
        exponent: i32,
    },
}

/// Fraction bits, exponent bits.
fn layout(ty: Type) -> Option<(u32, u32)> {
    match ty {
        Type::F16 => Some((10, 5)),
        Type::F32 => Some((23, 8)),
        _ => None,
    }
}

fn decode(bits: u32, ty: Type) -> Value {
    let Some((fraction, width)) = layout(ty) else {
        let value = match ty {
            Type::U8 => i64::from(bits),
            // Sign extension by hand.
            _ => {
                let sign = 1i64 << (8 * ty.bytes() - 1);
                (i64::from(bits) ^ sign) - sign
            }
        };
        return Value::Finite {
            negative: value < 0,
            magnitude: value.unsigned_abs(),
            exponent: 0,
        };
    };
    let negative = bits >> (fraction + width) == 1;
    let field = bits >> fraction & ((1 << width) - 1);
    let low = u64::from(bits & ((1 << fraction) - 1));
    let least = 2 - (1 << (width - 1)) - fraction as i32;
    match field {
        f if f == (1 << width) - 1 && low != 0 => Value::NaN,
        f if f == (1 << width) - 1 => Value::Infinite { negative },
        0 => Value::Finite {
            negative,
            magnitude: low,
            exponent: least,
        },
        f => Value::Finite {
            negative,
            magnitude: low | 1 << fraction,
            exponent: least + f as i32 - 1,
        },
    }
}

/// magnitude · 2^exponent as an integer, ties to even; `None` if it is 2^64 or more.
fn nearest(magnitude: u64, exponent: i32) -> Option<u64> {
    if exponent >= 0 {
        return match magnitude {
            0 => Some(0),
            m if m.leading_zeros() as i32 >= exponent => Some(m << exponent),
            _ => None,
        };
    }
    // Beyond 65 places everything is less than a half.
    let places = exponent.unsigned_abs().min(66);
    let (whole, rest) = (
        u128::from(magnitude) >> places,
        u128::from(magnitude) % (1 << places),
    );
    let half = 1u128 << (places - 1);
    let up = rest > half || rest == half && whole % 2 == 1;
    Some(whole as u64 + u64::from(up))
}

fn encode(value: Value, ty: Type) -> u32 {
    match layout(ty) {
        Some(layout) => encode_float(value, layout),
        None => encode_integer(value, ty),
    }
}

fn encode_integer(value: Value, ty: Type) -> u32 {
    let (low, high) = match ty {
        Type::U8 => (0, 255),
        _ => (
            -(1i128 << (8 * ty.bytes() - 1)),
            (1i128 << (8 * ty.bytes() - 1)) - 1,
        ),
    };
    let wide = match value {
        Value::NaN => 0,
        Value::Infinite { negative: true } => low,
        Value::Infinite { negative: false } => high,
        Value::Finite {
            negative,
            magnitude,
            exponent,
        } => {
            let magnitude = nearest(magnitude, exponent).map_or(i128::MAX, i128::from);
            if negative { -magnitude } else { magnitude }
        }
    };
    wide.clamp(low, high) as u32 & ty.mask()
}

fn encode_float(value: Value, (fraction, width): (u32, u32)) -> u32 {
    let infinity = ((1u32 << width) - 1) << fraction;
    let sign = |negative: bool| u32::from(negative) << (fraction + width);
    match value {
        Value::NaN => infinity | 1 << (fraction - 1),
        Value::Infinite { negative } => sign(negative) | infinity,
        Value::Finite {
            negative,
            magnitude: 0,
            ..
        } => sign(negative),
        Value::Finite {
            negative,
            magnitude,
            exponent,
        } => {
            let least = 2 - (1 << (width - 1)) - fraction as i32;
            // The exponent of the last place: such that the magnitude has fraction + 1 bits, but not below the least.
            let bits = 64 - magnitude.leading_zeros() as i32;
            let last = (exponent + bits - 1 - fraction as i32).max(least);
            let rounded = nearest(magnitude, exponent - last).expect("fraction + 1 bits");
            // A field of exponent 1 has no implicit bit to add: the magnitude's own carries into it, as does rounding up.
            let places = u64::from(last.abs_diff(least));
            let all = (places << fraction) + rounded;
            sign(negative) | all.min(u64::from(infinity)) as u32
        }
    }
}

/// A conversion from its definition.
pub fn convert(bits: u32, from: Type, to: Type) -> u32 {
    encode(decode(bits, from), to)
}

const SIGN: u32 = 0x8000_0000;
const NAN: u32 = 0x7FC0_0000;

fn is_nan(bits: u32) -> bool {
    bits & !SIGN > 0x7F80_0000
}

/// Negation of f32 on bits.
pub fn neg_f32(bits: u32) -> u32 {
    if is_nan(bits) { NAN } else { bits ^ SIGN }
}

/// Absolute value of f32 on bits.
pub fn abs_f32(bits: u32) -> u32 {
    if is_nan(bits) { NAN } else { bits & !SIGN }
}

/// Relu of f32 on bits.
pub fn relu_f32(bits: u32) -> u32 {
    match bits {
        _ if is_nan(bits) => NAN,
        _ if bits & SIGN != 0 => 0,
        _ => bits,
    }
}

/// Whether `result` is 1/√x rounded to the nearest f32, by comparing squares in integers.
pub fn is_rsqrt(bits: u32, result: u32) -> bool {
    let Value::Finite {
        negative,
        magnitude: m,
        exponent: e,
    } = decode(bits, Type::F32)
    else {
        let positive = bits == f32::INFINITY.to_bits();
        return result == if positive { 0 } else { NAN };
    };
    if m == 0 {
        return result == (bits & SIGN | f32::INFINITY.to_bits());
    }
    if negative {
        return result == NAN;
    }
    let Value::Finite {
        negative: false,
        magnitude: q,
        exponent: f,
    } = decode(result, Type::F32)
    else {
        return false;
    };
    // Borders of what rounds to q, in quarters of its last place; below a power of two places are half as large.
    let (q, m) = (u128::from(q), u128::from(m));
    let low = if q == 1 << 23 { 4 * q - 1 } else { 4 * q - 2 };
    let high = 4 * q + 2;
    // (border / 4 · 2^f)² · m · 2^e against 1.
    let places = 4 - e - 2 * f;
    let one = 1u128 << places.clamp(0, 127);
    (1..127).contains(&places) && low * low * m < one && one < high * high * m
}

/// e^x in f64, to a relative error below 2^-50: e^x = 2^k · e^r, |r| ≤ ln 2 / 2, by Taylor's series.
pub fn exp(x: f64) -> f64 {
    // 32 bits of ln 2, so that k · LN2_HIGH is exact, and the rest.
    const LN2_HIGH: f64 = 2_977_044_471.0 / 4_294_967_296.0;
    const LN2_LOW: f64 = 1.908_214_929_270_587_8e-10;
    if x.is_nan() || x.abs() > 200.0 {
        // Far outside what an f32 can show.
        return if x.is_nan() {
            x
        } else if x > 0.0 {
            f64::INFINITY
        } else {
            0.0
        };
    }
    let k = (x / std::f64::consts::LN_2).round();
    let r = x - k * LN2_HIGH - k * LN2_LOW;
    let series = (1..=15)
        .rev()
        .fold(1.0, |sum, n| 1.0 + r / f64::from(n) * sum);
    series * f64::from_bits(((1023 + k as i64) as u64) << 52)
}

/// tanh x in f64, to a relative error below 2^-50: Lambert's continued fraction, or by e^2x.
pub fn tanh(x: f64) -> f64 {
    let a = x.abs();
    if a < 1.0 {
        let below = (1..=12)
            .rev()
            .fold(25.0, |below, n| f64::from(2 * n - 1) + x * x / below);
        return x / below;
    }
    let large = if a > 20.0 {
        1.0
    } else {
        1.0 - 2.0 / (exp(2.0 * a) + 1.0)
    };
    if x.is_nan() { x } else { large.copysign(x) }
}

/// Whether `result` is the f32 nearest to some value within 2^-49 of `value`, relatively.
pub fn is_near(value: f64, result: u32) -> bool {
    if value.is_nan() {
        return result == NAN;
    }
    let slack = value.abs() * 2f64.powi(-49);
    let (low, high) = ((value - slack) as f32, (value + slack) as f32);
    let got = f32::from_bits(result);
    got.to_bits() == (value as f32).to_bits() || low <= got && got <= high && got != 0.0
}
