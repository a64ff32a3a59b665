//! Scalar arithmetic of the chip, bit for bit (machine.md, section 4; choices: decision 0002).
//!
//! Every lane is carried as 32 bits with a [`Type`]; narrower values sit in the low bits, and the bits above are zero.
//! Each operation has one definition, a loop over lanes with the choice of operation outside it; the scalar functions
//! are that loop on one lane.
//!
//! fp32 is IEEE: to nearest even per operation, subnormals kept, nothing contracted, and every NaN result is [`NAN`].
//! Results do not depend on the host: what is not IEEE's comes from crate libm or is computed on bits.
//!
//! Shared by reference evaluation and simulator, and by nothing else, so it has tests of its own against formulations in
//! exact integers (`tests/`); `cargo run --release -p tspc-num --example exhaustive` covers all inputs of the unary ones.
//! It may not know vectors of the chip, streams or time.

mod binary;
mod convert;
mod dot;
mod f16;
mod unary;

pub use binary::{BinaryOp, binary, binary_lanes};
pub use convert::{convert, convert_lanes};
pub use dot::{acc_f32, dot_f16, dot_i8, dot_u8};
pub use f16::NAN_F16;
pub use unary::{UnaryOp, unary, unary_lanes};

/// Element types.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)] // The names say it.
pub enum Type {
    I8,
    U8,
    I16,
    I32,
    F16,
    F32,
}

impl Type {
    /// All types.
    pub const ALL: [Type; 6] = [
        Type::I8,
        Type::U8,
        Type::I16,
        Type::I32,
        Type::F16,
        Type::F32,
    ];

    /// Bytes per element.
    pub fn bytes(self) -> usize {
        match self {
            Type::I8 | Type::U8 => 1,
            Type::I16 | Type::F16 => 2,
            Type::I32 | Type::F32 => 4,
        }
    }

    /// `i8`, `u8`, `i16`, `i32`, `f16`, `f32`.
    pub fn name(self) -> &'static str {
        ["i8", "u8", "i16", "i32", "f16", "f32"][self as usize]
    }

    /// The bits that an element has.
    pub fn mask(self) -> u32 {
        u32::MAX >> (32 - 8 * self.bytes())
    }
}

/// The one f32 NaN that arithmetic makes.
pub const NAN: u32 = 0x7FC0_0000;

/// The bits of an f32 result: every NaN is [`NAN`].
#[inline(always)]
pub fn f32_bits(x: f32) -> u32 {
    if x.is_nan() { NAN } else { x.to_bits() }
}
