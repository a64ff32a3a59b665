//! The VXM: columns, wires, modes, pass-through, loops, and each operation's types.

use tspc_program::{
    AluInstr, AluOp, ElemType, Hemisphere, Instr, Operand, ResultMode, Stream, Unit,
};
use tspc_sim::FaultKind;

use crate::rig::{Bytes, E, LANES, Rig, W, lanes, noise, planes, read, s, write};

const EAST: Hemisphere = Hemisphere::East;
const WEST: Hemisphere = Hemisphere::West;

pub fn on(stream: Stream, ty: ElemType) -> Operand {
    Operand::Stream { stream, ty }
}

/// `copy` of a byte.
pub fn copy(from: Stream, to: Stream, mode: ResultMode) -> Instr {
    let a = on(from, ElemType::I8);
    Instr::Alu(AluInstr {
        op: AluOp::Copy,
        a,
        b: None,
        imm: 0,
        result: to,
        ty: ElemType::I8,
        mode,
    })
}

use ResultMode::{Mesh, Out};

#[test]
fn read_add_write_and_its_cycle_count() {
    // C6: read → shift → add → write → read again on slices 0–3 is 1+5+3+3+6 = 18. Here: ALU4 stands
    // in row 1, column 0 and reaches wires 2–5; ALU5 is the next column.
    let a: [u32; LANES] = std::array::from_fn(|l| l as u32 * 1_000_003);
    let mut rig = Rig::default();
    for (k, plane) in planes(a).iter().enumerate() {
        rig.word(WEST, k as u8, 0, plane);
        rig.at(0, Unit::Mem(WEST, k as u8), read(s(E, 8 + k as u8), 0));
    }
    let alu = |op, imm, mode| {
        let a = on(s(E, 8), ElemType::I32);
        let (b, result, ty) = (Some(Operand::Imm), s(E, 8), ElemType::I32);
        Instr::Alu(AluInstr {
            op,
            a,
            b,
            imm,
            result,
            ty,
            mode,
        })
    };
    rig.at(6, Unit::Alu(4), alu(AluOp::Shr, 2, Mesh));
    rig.at(9, Unit::Alu(5), alu(AluOp::AddMod, 7, Out));
    for k in 0..4 {
        rig.at(12, Unit::Mem(EAST, k), write(s(E, 8 + k), 0))
            .output(EAST, k, 0);
    }
    let (rows, outcome) = rig.run();
    let want: Vec<u32> = a.iter().map(|x| (((*x as i32) >> 2) + 7) as u32).collect();
    assert_eq!(lanes(&rows), want);
    // The word may be read again at 12 + 6 = 18.
    assert_eq!(outcome.cycles, 18 + 19);
}

#[test]
fn values_pass_three_cycles_per_column_in_both_directions() {
    for (dir, entry) in [(E, WEST), (W, EAST)] {
        for k in 0..4u8 {
            let column = if dir == E { k } else { 3 - k };
            // On SR_0 at 20, at the k-th column at 25 + 3k; `out` from any column after 3.
            let take = 25 + 3 * u64::from(k);
            for wrong in [0, 1] {
                let mut rig = Rig::default();
                rig.at_entry(entry, 20, 0, &noise(1));
                rig.at(
                    take + wrong,
                    Unit::Alu(column),
                    copy(s(dir, 0), s(dir, 4), Out),
                );
                if wrong == 1 {
                    assert_eq!(rig.kind(), FaultKind::EmptyStream);
                } else {
                    rig.collect(take + 3, s(dir, 4));
                    assert_eq!(rig.rows(), [noise(1)], "{dir:?} {k}");
                }
            }
        }
    }
}

#[test]
fn pass_through_and_the_out_that_wins() {
    let mut rig = Rig::default();
    rig.at_entry(WEST, 20, 0, &noise(1))
        .at_entry(WEST, 20, 1, &noise(2))
        .at_entry(WEST, 17, 2, &noise(3));
    // Stream 0 crosses after 5. At 22 ALU0 takes stream 2 and drives stream 1 where it leaves, at 25.
    rig.at(22, Unit::Alu(0), copy(s(E, 2), s(E, 1), Out));
    rig.collect(25, s(E, 0)).collect(25, s(E, 1));
    // The mesh still sees what entered on stream 1.
    rig.at(25, Unit::Alu(4), copy(s(E, 8), s(E, 12), Out))
        .at_entry(WEST, 20, 8, &noise(8));
    rig.at(25, Unit::Alu(0), copy(s(E, 1), s(E, 3), Out))
        .collect(28, s(E, 3));
    assert_eq!(rig.rows(), [noise(1), noise(3), noise(2)]);
}

#[test]
fn a_mesh_result_replaces_byte_for_byte_and_goes_on() {
    let mut rig = Rig::default();
    rig.at_entry(WEST, 20, 0, &noise(1))
        .at_entry(WEST, 20, 1, &noise(2));
    // ALU0 at 25 puts stream 0 on stream 1 of column 1 at 28, where stream 1 would have been.
    rig.at(25, Unit::Alu(0), copy(s(E, 0), s(E, 1), Mesh));
    rig.at(28, Unit::Alu(1), copy(s(E, 1), s(E, 8), Out))
        .collect(31, s(E, 8));
    // Passing column 2 untouched it is at column 3 at 34; stream 0 is beside it, undisturbed.
    rig.at(34, Unit::Alu(3), copy(s(E, 1), s(E, 9), Out))
        .collect(37, s(E, 9));
    rig.at(31, Unit::Alu(2), copy(s(E, 0), s(E, 10), Out))
        .collect(34, s(E, 10));
    assert_eq!(rig.rows(), [noise(1), noise(1), noise(1)]);
}

#[test]
fn a_loop_of_six_cycles() {
    // East through ALU0 to column 1, back west through ALU1 to column 0: adding 1 each time.
    let add = |from, to, mode| {
        let (a, b) = (on(from, ElemType::I32), Some(Operand::Imm));
        Instr::Alu(AluInstr {
            op: AluOp::AddMod,
            a,
            b,
            imm: 1,
            result: to,
            ty: ElemType::I32,
            mode,
        })
    };
    let start: [u32; LANES] = std::array::from_fn(|l| (l as u32).wrapping_sub(5));
    let mut rig = Rig::default();
    for (k, plane) in planes(start).iter().enumerate() {
        rig.at_entry(WEST, 20, k as u8, plane);
    }
    // 25: from the entry; then ALU0 takes at column 0 what came back westward, every 6 cycles.
    rig.at(25, Unit::Alu(0), add(s(E, 0), s(E, 4), Mesh));
    rig.repeat(28, Unit::Alu(1), add(s(E, 4), s(W, 4), Mesh), 3, 6);
    rig.repeat(31, Unit::Alu(0), add(s(W, 4), s(E, 4), Mesh), 2, 6);
    rig.at(49, Unit::Alu(0), add(s(W, 4), s(W, 4), Out));
    for k in 4..8 {
        rig.collect(52, s(W, k));
    }
    let want: Vec<u32> = start
        .iter()
        .map(|x| x.wrapping_add(1 + 4 + 3 + 1))
        .collect();
    assert_eq!(lanes(&rig.rows()), want);
}

#[test]
fn conversions_name_streams_within_a_wire() {
    // i8 on stream 3 to f32 on streams 0…3, and back to i8 on stream 2.
    let cvt = |from, a, to, ty, mode| {
        let a = on(from, a);
        Instr::Alu(AluInstr {
            op: AluOp::Convert,
            a,
            b: None,
            imm: 0,
            result: to,
            ty,
            mode,
        })
    };
    let mut rig = Rig::default();
    rig.at_entry(EAST, 20, 3, &noise(5));
    rig.at(
        25,
        Unit::Alu(3),
        cvt(s(W, 3), ElemType::I8, s(W, 0), ElemType::F32, Mesh),
    );
    rig.at(
        28,
        Unit::Alu(2),
        cvt(s(W, 0), ElemType::F32, s(W, 6), ElemType::F16, Mesh),
    );
    rig.at(
        31,
        Unit::Alu(1),
        cvt(s(W, 6), ElemType::F16, s(W, 2), ElemType::I8, Out),
    );
    rig.collect(34, s(W, 2));
    assert_eq!(rig.rows(), [noise(5)]);
}

/// Runs `op` in ALU8, a large one (row 2: wires 4, 5, 6, 7), on a and b as 32-bit lanes.
fn binary(
    op: AluOp,
    ty: ElemType,
    b_ty: ElemType,
    result: ElemType,
    a: u32,
    b: Option<u32>,
) -> u32 {
    let mut rig = Rig::default();
    for (first, value) in [(16, Some(a)), (20, b)] {
        for (k, plane) in value
            .map(|v| planes([v; LANES]))
            .iter()
            .flatten()
            .enumerate()
        {
            rig.at_entry(WEST, 20, first + k as u8, plane);
        }
    }
    let (a, b) = (on(s(E, 16), ty), b.map(|_| on(s(E, 20), b_ty)));
    let i = AluInstr {
        op,
        a,
        b,
        imm: 0,
        result: s(E, 24),
        ty: result,
        mode: Out,
    };
    rig.at(25, Unit::Alu(8), Instr::Alu(i));
    for k in 24..28 {
        rig.collect(28, s(E, k));
    }
    let rows = rig.rows();
    assert!(
        rows.iter()
            .all(|row: &Bytes| row.iter().all(|byte| *byte == row[0]))
    );
    lanes(&rows)[0]
}

#[test]
fn every_operation_reaches_its_arithmetic() {
    use AluOp::*;
    let f = |x: f32| x.to_bits();
    let float = |op, a: f32, b: f32| {
        binary(
            op,
            ElemType::F32,
            ElemType::F32,
            ElemType::F32,
            f(a),
            Some(f(b)),
        )
    };
    let int = |op, a: i32, b: i32| {
        binary(
            op,
            ElemType::I32,
            ElemType::I32,
            ElemType::I32,
            a as u32,
            Some(b as u32),
        ) as i32
    };
    let compare = |op| {
        binary(
            op,
            ElemType::F32,
            ElemType::F32,
            ElemType::I32,
            f(-0.5),
            Some(f(2.0)),
        )
    };
    let unary = |op, a: f32| binary(op, ElemType::F32, ElemType::F32, ElemType::F32, f(a), None);
    for op in AluOp::ALL {
        let (got, want) = match op {
            Add => (float(*op, 1.5, 2.0), f(3.5)),
            Sub => (float(*op, 1.5, 2.0), f(-0.5)),
            Mul => (float(*op, 1.5, 2.0), f(3.0)),
            AddSat => (int(*op, i32::MAX, 1) as u32, i32::MAX as u32),
            SubSat => (int(*op, i32::MIN, 1) as u32, i32::MIN as u32),
            MulSat => (int(*op, 1 << 20, -(1 << 20)) as u32, i32::MIN as u32),
            AddMod => (int(*op, i32::MAX, 1) as u32, i32::MIN as u32),
            SubMod => (int(*op, 3, 5) as u32, -2i32 as u32),
            MulMod => (int(*op, 1 << 20, 1 << 12) as u32, 0),
            Max => (float(*op, -1.0, 2.0), f(2.0)),
            Min => (int(*op, -1, 2) as u32, -1i32 as u32),
            Neg => (unary(*op, 1.5), f(-1.5)),
            Abs => (unary(*op, -1.5), f(1.5)),
            CmpEq => (compare(*op), 0),
            CmpNe => (compare(*op), 1),
            CmpLt => (compare(*op), 1),
            CmpLe => (compare(*op), 1),
            CmpGt => (compare(*op), 0),
            CmpGe => (compare(*op), 0),
            Mask => (int(*op, 77, 0x100) as u32, 0),
            MaskBar => (
                binary(
                    *op,
                    ElemType::F32,
                    ElemType::U8,
                    ElemType::F32,
                    f(7.0),
                    Some(0),
                ),
                f(7.0),
            ),
            And => (int(*op, 12, 10) as u32, 8),
            Or => (int(*op, 12, 10) as u32, 14),
            Xor => (
                binary(
                    *op,
                    ElemType::I32,
                    ElemType::F32,
                    ElemType::I32,
                    12,
                    Some(10),
                ),
                6,
            ),
            Shl => (int(*op, 3, 4) as u32, 48),
            Shr => (int(*op, -48, 4) as u32, -3i32 as u32),
            Relu => (unary(*op, -2.0), 0),
            Exp => (unary(*op, 0.0), f(1.0)),
            Tanh => (unary(*op, 0.0), 0),
            Rsqrt => (unary(*op, 16.0), f(0.25)),
            Copy => (unary(*op, 16.0), f(16.0)),
            Convert => (
                binary(
                    *op,
                    ElemType::F32,
                    ElemType::F32,
                    ElemType::I32,
                    f(2.5),
                    None,
                ),
                2,
            ),
        };
        assert_eq!(got, want, "{}", op.name());
    }
}
