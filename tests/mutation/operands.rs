//! Changes of one field of one instruction.

use tspc::program::{
    AluInstr, AluOp, ElemType, Instr, LANES, MemAccess, MemPart, Operand, ResultMode, Stream,
    SxmMode,
};

use crate::subject::{Change, Subject, dispatches, one_of};
use crate::tiled::Seeded;

/// Changes an instruction that `all` has variants of: any of them. The flag says whether it is repeated.
fn change(
    s: &Subject,
    dice: &mut Seeded,
    all: impl Fn(&Instr, bool) -> Vec<Instr>,
) -> Option<Change> {
    let variants = |site| all(s.instr(site), s.repeat(site).is_some());
    let site = s.pick(dice, |site, instr| {
        dispatches(instr) && !variants(site).is_empty()
    })?;
    let other = one_of(dice, &variants(site))?;
    Some(s.replaced(site, &[(0, other)]))
}

/// Other groups of `size` streams, all of them or, for more than a few, every third.
fn groups(id: u8, size: u8) -> impl Iterator<Item = u8> {
    let step = if size < 4 { 3 * size } else { size };
    (0..32)
        .step_by(step.into())
        .map(move |k| (id + k) % 32)
        .filter(move |k| *k != id)
}

fn streams(stream: Stream, size: u8) -> impl Iterator<Item = Stream> {
    groups(stream.id, size).map(move |id| Stream { id, ..stream })
}

/// Both parts of a MEM instruction, changed by `other`.
fn mem_parts(instr: &Instr, other: impl Fn(&MemPart) -> Vec<MemPart>) -> Vec<Instr> {
    let Instr::Mem { read, write } = *instr else {
        return Vec::new();
    };
    let with = |read, write| Instr::Mem { read, write };
    let reads = read.iter().flat_map(&other).map(|p| with(Some(p), write));
    let writes = write.iter().flat_map(&other).map(|p| with(read, Some(p)));
    reads.chain(writes).collect()
}

pub fn mem_stream(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let other = |part: &MemPart| {
        let part = *part;
        let own = streams(part.stream, 1).map(move |stream| MemPart { stream, ..part });
        let map = match part.access {
            MemAccess::Mapped { bank, map } => Some(streams(map, 1).map(move |map| MemPart {
                access: MemAccess::Mapped { bank, map },
                ..part
            })),
            MemAccess::Direct { .. } => None,
        };
        own.chain(map.into_iter().flatten()).collect()
    };
    change(s, dice, |instr, _| mem_parts(instr, other))
}

pub fn mem_direction(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let other = |part: &MemPart| {
        let stream = reversed(part.stream);
        vec![MemPart { stream, ..*part }]
    };
    change(s, dice, |instr, _| mem_parts(instr, other))
}

fn reversed(stream: Stream) -> Stream {
    Stream {
        dir: stream.dir.reverse(),
        ..stream
    }
}

fn alu_variants(instr: &Instr, all: impl Fn(AluInstr) -> Vec<AluInstr>) -> Vec<Instr> {
    match *instr {
        Instr::Alu(alu) => all(alu).into_iter().map(Instr::Alu).collect(),
        _ => Vec::new(),
    }
}

pub fn alu_operand(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let others = |operand| match operand {
        Operand::Stream { stream, ty } => streams(stream, ty.bytes())
            .chain([reversed(stream)])
            .map(|stream| Operand::Stream { stream, ty })
            .collect(),
        Operand::Imm => Vec::new(),
    };
    let all = |alu: AluInstr| {
        let first = others(alu.a).into_iter().map(|a| AluInstr { a, ..alu });
        let second = alu.b.into_iter().flat_map(others);
        let second = second.map(|b| AluInstr { b: Some(b), ..alu });
        first.chain(second).collect()
    };
    change(s, dice, |instr, _| alu_variants(instr, all))
}

pub fn alu_result(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let all = |alu: AluInstr| {
        streams(alu.result, alu.ty.bytes())
            .chain([reversed(alu.result)])
            .map(|result| AluInstr { result, ..alu })
            .collect()
    };
    change(s, dice, |instr, _| alu_variants(instr, all))
}

pub fn alu_mode(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let all = |alu: AluInstr| {
        let mode = match alu.mode {
            ResultMode::Mesh => ResultMode::Out,
            ResultMode::Out => ResultMode::Mesh,
        };
        vec![AluInstr { mode, ..alu }]
    };
    change(s, dice, |instr, _| alu_variants(instr, all))
}

pub fn mxm_stream(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let all = |instr: &Instr| match *instr {
        Instr::Lw { j, step, b, f16 } => vec![Instr::Lw {
            j,
            step,
            b: 16 - b,
            f16,
        }],
        Instr::Act { stream, ty } => groups(stream, ty.bytes())
            .map(|stream| Instr::Act { stream, ty })
            .collect(),
        Instr::Out { d } => groups(d, 4).map(|d| Instr::Out { d }).collect(),
        Instr::Acc { s, d } => {
            let sums = groups(s, 4).map(|s| Instr::Acc { s, d });
            sums.chain(groups(d, 4).map(|d| Instr::Acc { s, d }))
                .collect()
        }
        _ => Vec::new(),
    };
    change(s, dice, |instr, _| all(instr))
}

pub fn sxm_stream(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let turned = |mode| match mode {
        SxmMode::Back => SxmMode::On,
        SxmMode::On => SxmMode::Back,
    };
    let all = |instr: &Instr| match *instr {
        Instr::Distribute {
            mask,
            map,
            dst,
            mode,
        } => {
            let with = |mask, map, dst, mode| Instr::Distribute {
                mask,
                map,
                dst,
                mode,
            };
            let masks = (0..8).map(|i| mask ^ 1 << i).filter(|m| *m != 0);
            masks
                .map(|mask| with(mask, map, dst, mode))
                .chain(groups(map, 1).map(|map| with(mask, map, dst, mode)))
                .chain(groups(dst, 8).map(|dst| with(mask, map, dst, mode)))
                .chain([with(mask, map, dst, turned(mode))])
                .collect()
        }
        Instr::Transpose { src, dst, mode } => {
            let with = |src, dst, mode| Instr::Transpose { src, dst, mode };
            vec![
                with(16 - src, dst, mode),
                with(src, 16 - dst, mode),
                with(src, dst, turned(mode)),
            ]
        }
        Instr::Permute {
            src,
            w,
            map,
            dst,
            mode,
        } => {
            let with = |src, map, dst, mode| Instr::Permute {
                src,
                w,
                map,
                dst,
                mode,
            };
            groups(src, 4)
                .map(|src| with(src, map, dst, mode))
                .chain(groups(map, 2).map(|map| with(src, map, dst, mode)))
                .chain(groups(dst, 4).map(|dst| with(src, map, dst, mode)))
                .chain([with(src, map, dst, turned(mode))])
                .collect()
        }
        Instr::Shift {
            src,
            w,
            n,
            dst,
            mode,
        } => {
            let with = |src, dst, mode| Instr::Shift {
                src,
                w,
                n,
                dst,
                mode,
            };
            groups(src, 4)
                .map(|src| with(src, dst, mode))
                .chain(groups(dst, 4).map(|dst| with(src, dst, mode)))
                .chain([with(src, dst, turned(mode))])
                .collect()
        }
        _ => Vec::new(),
    };
    change(s, dice, |instr, _| all(instr))
}

/// Other words of a direct access.
fn words(part: &MemPart, all: impl Fn(u16, i16) -> Vec<(u16, i16)>) -> Vec<MemPart> {
    let MemAccess::Direct { addr, step } = part.access else {
        return Vec::new();
    };
    let other = |(addr, step)| MemPart {
        access: MemAccess::Direct { addr, step },
        ..*part
    };
    all(addr, step).into_iter().map(other).collect()
}

/// Words nearby, where the same data's other rows and tiles are.
pub fn address(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let near = |addr: u16, step: i16| {
        let by = [-16, -2, -1, 1, 2, 16];
        let all = by.into_iter().filter_map(|by| addr.checked_add_signed(by));
        all.filter(|a| a >> 12 == addr >> 12)
            .map(|a| (a, step))
            .collect()
    };
    change(s, dice, |instr, _| mem_parts(instr, |p| words(p, near)))
}

/// The step of a repeated access.
pub fn address_step(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let other = |addr, step: i16| [-1, 1, 2].map(|by| (addr, step + by)).to_vec();
    change(s, dice, |instr, repeated| match (instr, repeated) {
        (Instr::Mem { .. }, true) => mem_parts(instr, |p| words(p, other)),
        (Instr::Lw { j, step, b, f16 }, true) => [-1, 1]
            .map(|by| Instr::Lw {
                j: *j,
                step: step + by,
                b: *b,
                f16: *f16,
            })
            .to_vec(),
        _ => Vec::new(),
    })
}

pub fn bank(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let other = |part: &MemPart| {
        let access = match part.access {
            MemAccess::Direct { addr, step } => MemAccess::Direct {
                addr: addr ^ 1 << 12,
                step,
            },
            MemAccess::Mapped { bank, map } => MemAccess::Mapped {
                bank: 1 - bank,
                map,
            },
        };
        vec![MemPart { access, ..*part }]
    };
    change(s, dice, |instr, _| mem_parts(instr, other))
}

pub fn lw_group(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let all = |instr: &Instr| match *instr {
        Instr::Lw { j, step, b, f16 } => [j.checked_sub(1), Some(j + 1)]
            .into_iter()
            .flatten()
            .map(|j| Instr::Lw { j, step, b, f16 })
            .collect(),
        _ => Vec::new(),
    };
    change(s, dice, |instr, _| all(instr))
}

pub fn iw_groups(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let all = |instr: &Instr| match *instr {
        Instr::Iw { n, f16 } => vec![Instr::Iw { n: n - 1, f16 }, Instr::Iw { n: n + 1, f16 }],
        _ => Vec::new(),
    };
    change(s, dice, |instr, _| all(instr))
}

/// Results that miss their partial sum, take one that is none, or are thrown away.
pub fn accumulate(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let all = |instr: &Instr| match *instr {
        Instr::Out { d } => vec![Instr::Acc { s: 28, d }, Instr::Drop],
        Instr::Acc { d, .. } => vec![Instr::Out { d }, Instr::Drop],
        Instr::Drop => vec![Instr::Out { d: 0 }],
        _ => Vec::new(),
    };
    change(s, dice, |instr, _| all(instr))
}

/// Operations that take and make the same types. Forms that differ on overflow only are not exchanged, and a floor of
/// 0 does not become a sum with 0: no input makes the variance of a later layer negative.
const ALIKE: &[&[AluOp]] = &[
    &[AluOp::Add, AluOp::Sub, AluOp::Mul, AluOp::Max, AluOp::Min],
    &[AluOp::AddSat, AluOp::SubSat, AluOp::MulSat],
    &[AluOp::AddMod, AluOp::SubMod, AluOp::MulMod],
    &[
        AluOp::Neg,
        AluOp::Abs,
        AluOp::Relu,
        AluOp::Exp,
        AluOp::Tanh,
        AluOp::Rsqrt,
    ],
    &[
        AluOp::CmpEq,
        AluOp::CmpNe,
        AluOp::CmpLt,
        AluOp::CmpLe,
        AluOp::CmpGt,
        AluOp::CmpGe,
    ],
    &[AluOp::Mask, AluOp::MaskBar],
    &[AluOp::And, AluOp::Or, AluOp::Xor],
    &[AluOp::Shl, AluOp::Shr],
];

pub fn operation(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let all = |alu: AluInstr| {
        let alike = ALIKE.iter().filter(|ops| ops.contains(&alu.op));
        let sum = |op| matches!(op, AluOp::Add | AluOp::Sub);
        let floor = alu.b == Some(Operand::Imm) && alu.imm == 0;
        let others = alike.flat_map(|ops| ops.iter());
        let others = others.filter(|op| **op != alu.op && !(floor && sum(**op)));
        others.map(|&op| AluInstr { op, ..alu }).collect()
    };
    change(s, dice, |instr, _| alu_variants(instr, all))
}

/// The operands of an operation that does not commute.
pub fn exchange(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let commutes = |op| {
        use AluOp::*;
        matches!(
            op,
            Add | Mul
                | AddSat
                | MulSat
                | AddMod
                | MulMod
                | Max
                | Min
                | CmpEq
                | CmpNe
                | And
                | Or
                | Xor
        )
    };
    let all = |alu: AluInstr| match alu.b {
        Some(b) if b != alu.a && !commutes(alu.op) => vec![AluInstr {
            a: b,
            b: Some(alu.a),
            ..alu
        }],
        _ => Vec::new(),
    };
    change(s, dice, |instr, _| alu_variants(instr, all))
}

/// Types of the same size: bytes and times stay.
fn same_size(ty: ElemType) -> impl Iterator<Item = ElemType> {
    ElemType::ALL
        .into_iter()
        .filter(move |other| *other != ty && other.bytes() == ty.bytes())
}

pub fn alu_type(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let others = |operand| match operand {
        Operand::Stream { stream, ty } => same_size(ty)
            .map(|ty| Operand::Stream { stream, ty })
            .collect(),
        Operand::Imm => Vec::new(),
    };
    let all = |alu: AluInstr| {
        let result = same_size(alu.ty).map(|ty| AluInstr { ty, ..alu });
        let first = others(alu.a).into_iter().map(|a| AluInstr { a, ..alu });
        let second = alu.b.into_iter().flat_map(others);
        let second = second.map(|b| AluInstr { b: Some(b), ..alu });
        result.chain(first).chain(second).collect()
    };
    change(s, dice, |instr, _| alu_variants(instr, all))
}

/// Signed or unsigned activations, int8 or fp16 weights, the other K half.
pub fn mxm_type(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let halves = |f16| match f16 {
        Some(p) => vec![None, Some(1 - p)],
        None => vec![Some(0), Some(1)],
    };
    let all = |instr: &Instr| match *instr {
        Instr::Lw { j, step, b, f16 } => halves(f16)
            .into_iter()
            .map(|f16| Instr::Lw { j, step, b, f16 })
            .collect(),
        Instr::Iw { n, f16 } => halves(f16)
            .into_iter()
            .map(|f16| Instr::Iw { n, f16 })
            .collect(),
        Instr::Act { stream, ty } => [ElemType::I8, ElemType::U8, ElemType::F16]
            .into_iter()
            .filter(|other| *other != ty)
            .map(|ty| Instr::Act { stream, ty })
            .collect(),
        _ => Vec::new(),
    };
    change(s, dice, |instr, _| all(instr))
}

/// A bit of the immediate: for f32 the sign, the exponent or one of the three highest of the mantissa.
pub fn immediate(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let all = |alu: AluInstr| {
        if alu.a != Operand::Imm && alu.b != Some(Operand::Imm) {
            return Vec::new();
        }
        let bits = if alu.ty == ElemType::F32 {
            20..32
        } else {
            0..8
        };
        bits.map(|bit| AluInstr {
            imm: alu.imm ^ 1 << bit,
            ..alu
        })
        .collect()
    };
    change(s, dice, |instr, _| alu_variants(instr, all))
}

/// The lanes of a shift.
pub fn shift(s: &Subject, dice: &mut Seeded) -> Option<Change> {
    let all = |instr: &Instr| match *instr {
        Instr::Shift {
            src,
            w,
            n,
            dst,
            mode,
        } => [n.wrapping_sub(1), n + 1, n ^ 16]
            .into_iter()
            .filter(|n| (1..LANES as u16).contains(n))
            .map(|n| Instr::Shift {
                src,
                w,
                n,
                dst,
                mode,
            })
            .collect(),
        _ => Vec::new(),
    };
    change(s, dice, |instr, _| all(instr))
}
