//! The instructions, with exactly the fields of the machine's section "Fields".
//!
//! Plain data: what an instruction means in time is the business of the checker and the simulator.

use crate::unit::Stream;

/// Element type of a stream group; its size is the number of byte streams.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)] // The names say it.
pub enum ElemType {
    I8,
    U8,
    I16,
    I32,
    F16,
    F32,
}

impl ElemType {
    /// All types, in encoding order.
    pub const ALL: [ElemType; 6] = [
        ElemType::I8,
        ElemType::U8,
        ElemType::I16,
        ElemType::I32,
        ElemType::F16,
        ElemType::F32,
    ];

    /// Bytes per element = streams per group; a group is aligned to this number.
    pub fn bytes(self) -> u8 {
        match self {
            ElemType::I8 | ElemType::U8 => 1,
            ElemType::I16 | ElemType::F16 => 2,
            ElemType::I32 | ElemType::F32 => 4,
        }
    }

    /// `i8`, `u8`, `i16`, `i32`, `f16`, `f32`.
    pub fn name(self) -> &'static str {
        ["i8", "u8", "i16", "i32", "f16", "f32"][self as usize]
    }
}

/// A MEM address of 13 bits: bit 12 is the bank, bits 0…11 the word.
pub type Address = u16;

/// How a MEM part finds its words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemAccess {
    /// `read`/`write`: word `addr`, plus i·`step` in iteration i of a repeat; may not leave the bank.
    Direct {
        /// Word address with the bank in bit 12.
        addr: Address,
        /// Signed, 13 bits (−4096…4095).
        step: i16,
    },
    /// `gather`/`scatter`: superlane k's word address is in lanes 16k and 16k+1 of the map stream.
    Mapped {
        /// 0 or 1.
        bank: u8,
        /// Stream of the map, of either direction.
        map: Stream,
    },
}

/// A read or write part of a MEM instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemPart {
    /// The stream that is driven (read) or taken (write).
    pub stream: Stream,
    /// Which words.
    pub access: MemAccess,
}

macro_rules! alu_ops {
    ($($variant:ident $name:literal $arity:literal $doc:literal;)*) => {
        /// VXM operations. Types: see each; "same" means operands and result are all i32 or all f32.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum AluOp { $(#[doc = $doc] $variant,)* }

        impl AluOp {
            /// All operations, in encoding order.
            pub const ALL: &'static [AluOp] = &[$(AluOp::$variant),*];
            /// The mnemonic in the listing.
            pub fn name(self) -> &'static str { match self { $(AluOp::$variant => $name),* } }
            /// Number of operands.
            pub fn arity(self) -> u8 { match self { $(AluOp::$variant => $arity),* } }
            /// One sentence.
            pub fn doc(self) -> &'static str { match self { $(AluOp::$variant => $doc),* } }
        }
    };
}

alu_ops! {
    Add "add" 2 "f32 sum.";
    Sub "sub" 2 "f32 difference.";
    Mul "mul" 2 "f32 product.";
    AddSat "add.sat" 2 "i32 sum, saturating.";
    SubSat "sub.sat" 2 "i32 difference, saturating.";
    MulSat "mul.sat" 2 "i32 product, saturating.";
    AddMod "add.mod" 2 "i32 sum, modulo 2^32.";
    SubMod "sub.mod" 2 "i32 difference, modulo 2^32.";
    MulMod "mul.mod" 2 "i32 product, modulo 2^32.";
    Max "max" 2 "Maximum, same; NaN if either is NaN, +0 > -0.";
    Min "min" 2 "Minimum, same; NaN if either is NaN, -0 < +0.";
    Neg "neg" 1 "Negation, same; i32 wraps.";
    Abs "abs" 1 "Absolute value, same; i32 wraps.";
    CmpEq "cmp.eq" 2 "Same operands, i32 result 1 or 0.";
    CmpNe "cmp.ne" 2 "Same operands, i32 result 1 or 0; true with NaN.";
    CmpLt "cmp.lt" 2 "Same operands, i32 result 1 or 0.";
    CmpLe "cmp.le" 2 "Same operands, i32 result 1 or 0.";
    CmpGt "cmp.gt" 2 "Same operands, i32 result 1 or 0.";
    CmpGe "cmp.ge" 2 "Same operands, i32 result 1 or 0.";
    Mask "mask" 2 "a if the low 8 bits of b are not 0, else 0; a and the result i32 or f32 alike, b of any integer type.";
    MaskBar "mask_bar" 2 "a if the low 8 bits of b are 0, else 0; types as mask.";
    And "and" 2 "Bitwise and of 32-bit values of any type; the result type is operand a's.";
    Or "or" 2 "Bitwise or; types as and.";
    Xor "xor" 2 "Bitwise exclusive or; types as and.";
    Shl "shl" 2 "i32 shift left by b in 0…31.";
    Shr "shr" 2 "i32 arithmetic shift right by b in 0…31.";
    Relu "relu" 1 "max(a, +0), same; NaN stays NaN.";
    Exp "exp" 1 "f32; large ALUs only.";
    Tanh "tanh" 1 "f32; large ALUs only.";
    Rsqrt "rsqrt" 1 "f32; large ALUs only.";
    Copy "copy" 1 "Any type to the same type, bit for bit.";
    Convert "cvt" 1 "Any type to any other, rounding to nearest even, saturating to integers.";
}

/// An operand of a VXM instruction. At most one of two is the immediate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operand {
    /// An aligned stream group inside the mesh.
    Stream {
        /// First stream of the group.
        stream: Stream,
        /// Its type.
        ty: ElemType,
    },
    /// The instruction's 32-bit immediate, the same in all lanes; its type is that of the other operand
    /// (for shifts and masks i32).
    Imm,
}

/// Where a VXM result goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResultMode {
    /// To the next column of the direction.
    Mesh,
    /// To the SR_0 where the direction leaves the VXM.
    Out,
}

/// A VXM instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AluInstr {
    /// What is computed.
    pub op: AluOp,
    /// First operand.
    pub a: Operand,
    /// Second operand, if the operation has two.
    pub b: Option<Operand>,
    /// Bits of the immediate; 0 if no operand is `Imm`.
    pub imm: u32,
    /// First stream of the result group.
    pub result: Stream,
    /// Type of the result.
    pub ty: ElemType,
    /// Mesh or out.
    pub mode: ResultMode,
}

/// Where an SXM result goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SxmMode {
    /// SR_11 inward.
    Back,
    /// The MXM port.
    On,
}

/// One instruction of a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Instr {
    /// The next instruction dispatches n cycles after this one was reached. 4 bytes of text.
    Nop {
        /// Cycles.
        n: u16,
    },
    /// The previous instruction, dispatched at t, again at t+d … t+nd. 4 bytes of text.
    Repeat {
        /// How many times more, ≥ 1.
        n: u16,
        /// Interval in cycles, ≥ 1.
        d: u16,
    },
    /// MEM: at least one part is present; two parts use different banks.
    Mem {
        /// `read` or `gather`.
        read: Option<MemPart>,
        /// `write` or `scatter`.
        write: Option<MemPart>,
    },
    /// VXM.
    Alu(AluInstr),
    /// MXM weight queue: one 16-column group (int8) or 8-column group (f16) into the spare buffer.
    Lw {
        /// Group 0…19 (int8) or 0…39 (f16).
        j: u8,
        /// Added to `j` per iteration of a repeat.
        step: i8,
        /// First stream, 0 or 16, outward.
        b: u8,
        /// `Some(p)`: fp16, lanes 160p…160p+159.
        f16: Option<u8>,
    },
    /// MXM weight queue: the spare buffer becomes the array's weights.
    Iw {
        /// Groups that count: 10…20 of 16 (int8) or 20…40 of 8 (f16).
        n: u8,
        /// `Some(p)`: fp16, K half p.
        f16: Option<u8>,
    },
    /// MXM activation queue: one row of I8, U8 or F16.
    Act {
        /// First stream, outward.
        stream: u8,
        /// I8, U8 or F16.
        ty: ElemType,
    },
    /// MXM accumulate queue: the result goes out on inward group `d` (aligned to 4).
    Out {
        /// First stream, inward.
        d: u8,
    },
    /// MXM accumulate queue: adds the partial sum on outward group `s` and sends the result out.
    Acc {
        /// First stream of the partial sum, outward.
        s: u8,
        /// First stream of the result, inward.
        d: u8,
    },
    /// MXM accumulate queue: the result is thrown away.
    Drop,
    /// SXM distributor q (the queue's own number): streams 8q+i selected by bit i of `mask` go to `dst`+i.
    Distribute {
        /// Bit i selects stream 8q+i.
        mask: u8,
        /// The map stream, outward.
        map: u8,
        /// Aligned to 8.
        dst: u8,
        /// Back or on.
        mode: SxmMode,
    },
    /// SXM transposer.
    Transpose {
        /// 0 or 16.
        src: u8,
        /// 0 or 16.
        dst: u8,
        /// Back or on.
        mode: SxmMode,
    },
    /// SXM permutor.
    Permute {
        /// First source stream, inside one aligned group of four.
        src: u8,
        /// Streams, 1…4.
        w: u8,
        /// First of the aligned pair that holds the map.
        map: u8,
        /// First result stream.
        dst: u8,
        /// Back or on.
        mode: SxmMode,
    },
    /// SXM lane shift, up or down by queue.
    Shift {
        /// First source stream, inside one aligned group of four.
        src: u8,
        /// Streams, 1…4.
        w: u8,
        /// Lanes, 1…319.
        n: u16,
        /// First result stream.
        dst: u8,
        /// Back or on.
        mode: SxmMode,
    },
}

impl Instr {
    /// Bytes of program text: 4 for nop and repeat, else 16 (machine.json `text`).
    pub fn text_bytes(&self) -> u64 {
        match self {
            Instr::Nop { .. } | Instr::Repeat { .. } => 4,
            _ => 16,
        }
    }
}
