//! Operations with two operands.

use crate::{NAN, Type, f32_bits};

/// Binary operations. `a` and `b` are of the same type, but for the masks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BinaryOp {
    /// f32 sum.
    Add,
    /// f32 difference.
    Sub,
    /// f32 product.
    Mul,
    /// i32 sum, saturating.
    AddSat,
    /// i32 difference, saturating.
    SubSat,
    /// i32 product, saturating.
    MulSat,
    /// i32 sum, modulo 2^32.
    AddMod,
    /// i32 difference, modulo 2^32.
    SubMod,
    /// i32 product, modulo 2^32.
    MulMod,
    /// i32 or f32; NaN if either is NaN, +0 > −0.
    Max,
    /// i32 or f32; NaN if either is NaN, −0 < +0.
    Min,
    /// i32 or f32 operands, i32 result 1 or 0; −0 equals +0, false with NaN.
    CmpEq,
    /// As `CmpEq`, but the only one that is true with NaN.
    CmpNe,
    /// As `CmpEq`.
    CmpLt,
    /// As `CmpEq`.
    CmpLe,
    /// As `CmpEq`.
    CmpGt,
    /// As `CmpEq`.
    CmpGe,
    /// `a`, i32 or f32, bit for bit, if the low 8 bits of `b` are not 0, else 0.
    Mask,
    /// `a`, i32 or f32, bit for bit, if the low 8 bits of `b` are 0, else 0.
    MaskBar,
    /// Bitwise and of i32 or f32.
    And,
    /// Bitwise or of i32 or f32.
    Or,
    /// Bitwise exclusive or of i32 or f32.
    Xor,
    /// i32 shifted left by `b`, 0…31.
    Shl,
    /// i32 shifted right by `b`, 0…31, filled with the sign.
    Shr,
}

impl BinaryOp {
    /// All operations.
    pub const ALL: [BinaryOp; 24] = {
        use BinaryOp::*;
        [
            Add, Sub, Mul, AddSat, SubSat, MulSat, AddMod, SubMod, MulMod, Max, Min, CmpEq, CmpNe,
            CmpLt, CmpLe, CmpGt, CmpGe, Mask, MaskBar, And, Or, Xor, Shl, Shr,
        ]
    };
}

/// One lane; `None` if the operation has no such type, or a shift count is outside 0…31.
///
/// ```
/// use tspc_num::{BinaryOp, Type, binary};
/// assert_eq!(binary(BinaryOp::AddSat, Type::I32, i32::MAX as u32, 1), Some(i32::MAX as u32));
/// assert_eq!(binary(BinaryOp::Shl, Type::I32, 1, 32), None);
/// ```
pub fn binary(op: BinaryOp, ty: Type, a: u32, b: u32) -> Option<u32> {
    let mut lane = [a];
    binary_lanes(op, ty, &mut lane, &[b]).then_some(lane[0])
}

/// `a := a op b` on all lanes; `ty` is the type of `a`, and both have the same length.
///
/// False, and nothing done, if the operation has no such type, or a shift count is outside 0…31.
pub fn binary_lanes(op: BinaryOp, ty: Type, a: &mut [u32], b: &[u32]) -> bool {
    use BinaryOp::*;
    use Type::{F32, I32};
    debug_assert_eq!(a.len(), b.len());
    match (op, ty) {
        (Add, F32) => floats(a, b, |a, b| a + b),
        (Sub, F32) => floats(a, b, |a, b| a - b),
        (Mul, F32) => floats(a, b, |a, b| a * b),
        (AddSat, I32) => ints(a, b, i32::saturating_add),
        (SubSat, I32) => ints(a, b, i32::saturating_sub),
        (MulSat, I32) => ints(a, b, i32::saturating_mul),
        (AddMod, I32) => ints(a, b, i32::wrapping_add),
        (SubMod, I32) => ints(a, b, i32::wrapping_sub),
        (MulMod, I32) => ints(a, b, i32::wrapping_mul),
        (Max, I32) => ints(a, b, i32::max),
        (Min, I32) => ints(a, b, i32::min),
        // Equal numbers differ at most in the sign of zero, which is − in the maximum only if it is in both.
        (Max, F32) => select(a, b, |a, b| a > b, |a, b| a & b),
        (Min, F32) => select(a, b, |a, b| a < b, |a, b| a | b),
        (CmpEq, _) => compare(ty, a, b, |a, b| a == b, |a, b| a == b),
        (CmpNe, _) => compare(ty, a, b, |a, b| a != b, |a, b| a != b),
        (CmpLt, _) => compare(ty, a, b, |a, b| a < b, |a, b| a < b),
        (CmpLe, _) => compare(ty, a, b, |a, b| a <= b, |a, b| a <= b),
        (CmpGt, _) => compare(ty, a, b, |a, b| a > b, |a, b| a > b),
        (CmpGe, _) => compare(ty, a, b, |a, b| a >= b, |a, b| a >= b),
        (Mask, I32 | F32) => bits(a, b, |a, b| if b & 0xFF != 0 { a } else { 0 }),
        (MaskBar, I32 | F32) => bits(a, b, |a, b| if b & 0xFF == 0 { a } else { 0 }),
        (And, I32 | F32) => bits(a, b, |a, b| a & b),
        (Or, I32 | F32) => bits(a, b, |a, b| a | b),
        (Xor, I32 | F32) => bits(a, b, |a, b| a ^ b),
        (Shl | Shr, I32) if b.iter().any(|count| *count > 31) => false,
        (Shl, I32) => bits(a, b, |a, count| a << (count & 31)),
        (Shr, I32) => bits(a, b, |a, count| (a as i32 >> (count & 31)) as u32),
        _ => false,
    }
}

#[inline(always)]
fn bits(a: &mut [u32], b: &[u32], f: impl Fn(u32, u32) -> u32) -> bool {
    a.iter_mut().zip(b).for_each(|(a, b)| *a = f(*a, *b));
    true
}

#[inline(always)]
fn ints(a: &mut [u32], b: &[u32], f: impl Fn(i32, i32) -> i32) -> bool {
    bits(a, b, |a, b| f(a as i32, b as i32) as u32)
}

#[inline(always)]
fn floats(a: &mut [u32], b: &[u32], f: impl Fn(f32, f32) -> f32) -> bool {
    bits(a, b, |a, b| {
        f32_bits(f(f32::from_bits(a), f32::from_bits(b)))
    })
}

/// The operand that comes first; `equal` decides between equal ones.
#[inline(always)]
fn select(
    a: &mut [u32],
    b: &[u32],
    first: impl Fn(f32, f32) -> bool,
    equal: impl Fn(u32, u32) -> u32,
) -> bool {
    bits(a, b, |a, b| {
        let (x, y) = (f32::from_bits(a), f32::from_bits(b));
        if x.is_nan() || y.is_nan() {
            NAN
        } else if x == y {
            equal(a, b)
        } else if first(x, y) {
            a
        } else {
            b
        }
    })
}

#[inline(always)]
fn compare(
    ty: Type,
    a: &mut [u32],
    b: &[u32],
    int: impl Fn(i32, i32) -> bool,
    float: impl Fn(f32, f32) -> bool,
) -> bool {
    match ty {
        Type::I32 => bits(a, b, |a, b| u32::from(int(a as i32, b as i32))),
        Type::F32 => bits(a, b, |a, b| {
            u32::from(float(f32::from_bits(a), f32::from_bits(b)))
        }),
        _ => false,
    }
}
