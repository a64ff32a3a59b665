//! Operations with one operand.

use crate::{Type, f32_bits};

/// Unary operations. Conversions are [`crate::convert`]; a copy needs no arithmetic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnaryOp {
    /// i32 (−2^31 stays) or f32.
    Neg,
    /// i32 (−2^31 stays) or f32.
    Abs,
    /// max(a, +0) of i32 or f32: −0 becomes +0, NaN stays NaN.
    Relu,
    /// f32: crate libm's f64 result, rounded once.
    Exp,
    /// f32: crate libm's f64 result, rounded once.
    Tanh,
    /// f32: the f64 quotient of 1 and the f64 square root, rounded once; ±0 gives ±∞, less than 0 gives NaN.
    Rsqrt,
}

impl UnaryOp {
    /// All operations.
    pub const ALL: [UnaryOp; 6] = {
        use UnaryOp::*;
        [Neg, Abs, Relu, Exp, Tanh, Rsqrt]
    };
}

/// One lane; `None` if the operation has no such type.
///
/// ```
/// use tspc_num::{Type, UnaryOp, unary};
/// assert_eq!(unary(UnaryOp::Rsqrt, Type::F32, 4f32.to_bits()), Some(0.5f32.to_bits()));
/// assert_eq!(unary(UnaryOp::Rsqrt, Type::I32, 4), None);
/// ```
pub fn unary(op: UnaryOp, ty: Type, a: u32) -> Option<u32> {
    let mut lane = [a];
    unary_lanes(op, ty, &mut lane).then_some(lane[0])
}

/// All lanes in place; false, and nothing done, if the operation has no such type.
pub fn unary_lanes(op: UnaryOp, ty: Type, lanes: &mut [u32]) -> bool {
    use Type::{F32, I32};
    use UnaryOp::*;
    match (op, ty) {
        (Neg, I32) => ints(lanes, i32::wrapping_neg),
        (Abs, I32) => ints(lanes, i32::wrapping_abs),
        (Relu, I32) => ints(lanes, |x| x.max(0)),
        (Neg, F32) => floats(lanes, |x| -x),
        (Abs, F32) => floats(lanes, f32::abs),
        (Relu, F32) => floats(lanes, |x| if x <= 0.0 { 0.0 } else { x }),
        (Exp, F32) => floats(lanes, |x| libm::exp(f64::from(x)) as f32),
        (Tanh, F32) => floats(lanes, |x| libm::tanh(f64::from(x)) as f32),
        // IEEE's square root of −0 is −0.
        (Rsqrt, F32) => floats(lanes, |x| (1.0 / libm::sqrt(f64::from(x))) as f32),
        _ => false,
    }
}

#[inline(always)]
fn ints(lanes: &mut [u32], f: impl Fn(i32) -> i32) -> bool {
    lanes.iter_mut().for_each(|x| *x = f(*x as i32) as u32);
    true
}

#[inline(always)]
fn floats(lanes: &mut [u32], f: impl Fn(f32) -> f32) -> bool {
    lanes
        .iter_mut()
        .for_each(|x| *x = f32_bits(f(f32::from_bits(*x))));
    true
}
