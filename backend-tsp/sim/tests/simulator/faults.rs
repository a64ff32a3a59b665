//! What goes wrong while a program runs, and on ALUs; what a fault says; that every kind has its test.

use std::collections::BTreeMap;

use tspc_machine::Machine;
use tspc_program::{
    AluInstr, AluOp, Consumer, ElemType, Hemisphere, Instr, Operand, ResultMode, Site, Source,
    SxmMode, SxmUnit, Unit, Use,
};
use tspc_sim::{FaultKind, simulate};

use crate::mesh::{copy, on};
use crate::mxm::{accumulate, activation, load_f16, load_i8, weight};
use crate::refusals::{direct, kind, mapped, mem, queue};
use crate::rig::{Bytes, E, LANES, Rig, W, noise, planes, read, s, write};
use crate::sxm::unit;

const EAST: Hemisphere = Hemisphere::East;
const WEST: Hemisphere = Hemisphere::West;

#[test]
fn memory_and_streams() {
    let slice = Unit::Mem(EAST, 4);
    let one = |cycle, instr| Rig::default().at(cycle, slice, instr).kind();
    assert_eq!(one(0, read(s(E, 0), 0)), FaultKind::Uninitialised);
    assert_eq!(one(9, write(s(E, 0), 0)), FaultKind::EmptyStream);
    assert_eq!(
        one(0, mem(direct(0, 0, 0), direct(1, 4095, 0))),
        FaultKind::SameBank
    );
    assert_eq!(
        one(0, mem(mapped(0, 1, 2), direct(1, 4096, 0))),
        FaultKind::SameBank
    );
    for (addr, step) in [(4095, 1), (4096, -1), (0, -1), (8191, 1)] {
        let mut rig = Rig::default();
        rig.word(EAST, 4, addr, &noise(1))
            .repeat(0, slice, mem(direct(0, addr, step), None), 1, 1);
        let fault = rig.fault();
        assert_eq!(
            (fault.kind, fault.cycle),
            (FaultKind::LeavesBank, 1),
            "{addr} {step}"
        );
    }
    let mut rig = Rig::default();
    rig.word(EAST, 0, 0, &[16; LANES])
        .at(0, Unit::Mem(EAST, 0), read(s(E, 1), 0));
    // 16 + 16·256 = 4112 is no word of a bank.
    assert_eq!(
        rig.at(1, slice, mem(mapped(0, 0, 1), None)).kind(),
        FaultKind::MapAddress
    );
    let mut rig = Rig::default();
    rig.word(EAST, 0, 0, &noise(1)).word(EAST, 1, 0, &noise(1));
    rig.at(0, Unit::Mem(EAST, 0), read(s(E, 0), 0))
        .at(0, Unit::Mem(EAST, 1), read(s(E, 0), 0));
    let fault = rig.fault();
    // Both results appear at 1.
    assert_eq!((fault.kind, fault.cycle), (FaultKind::TwoProducers, 1));
    assert!(
        fault.message.contains("MEM_E0[0]") && fault.unit == Some(Unit::Mem(EAST, 1)),
        "{fault}"
    );
}

#[test]
fn alus() {
    use ResultMode::{Mesh, Out};
    let one = |alu, instr| kind(&queue(Unit::Alu(alu), &[instr]), &Machine::tsp_v1()).unwrap();
    // Row 0 reaches wires 0–3, row 3 wires 6, 7, 0, 1.
    assert_eq!(one(0, copy(s(E, 16), s(E, 0), Out)), FaultKind::WireReach);
    assert_eq!(one(0, copy(s(E, 0), s(E, 31), Out)), FaultKind::WireReach);
    assert_eq!(one(12, copy(s(E, 8), s(E, 0), Out)), FaultKind::WireReach);
    assert_eq!(
        one(12, copy(s(E, 31), s(E, 7), Out)),
        FaultKind::EmptyStream
    );
    assert_eq!(one(3, copy(s(E, 0), s(E, 0), Mesh)), FaultKind::LastColumn);
    assert_eq!(one(0, copy(s(E, 0), s(W, 0), Mesh)), FaultKind::LastColumn);
    assert_eq!(one(3, copy(s(E, 0), s(W, 0), Mesh)), FaultKind::EmptyStream);
    assert_eq!(
        one(0, copy(s(E, 32), s(W, 0), Mesh)),
        FaultKind::MalformedInstruction
    );

    let (i32_at, f32_at) = (
        |id| on(s(E, id), ElemType::I32),
        |id| on(s(E, id), ElemType::F32),
    );
    let alu = |op, a, b, ty| {
        Instr::Alu(AluInstr {
            op,
            a,
            b,
            imm: 0,
            result: s(E, 0),
            ty,
            mode: Out,
        })
    };
    let (i32, f32) = (ElemType::I32, ElemType::F32);
    let conflict = alu(AluOp::AddMod, i32_at(0), Some(on(s(W, 0), i32)), i32);
    assert_eq!(one(0, conflict), FaultKind::WireConflict);
    assert_eq!(
        one(1, alu(AluOp::Exp, f32_at(0), None, f32)),
        FaultKind::SmallAlu
    );
    assert_eq!(
        one(2, alu(AluOp::Exp, f32_at(0), None, f32)),
        FaultKind::EmptyStream
    );
    for malformed in [
        alu(AluOp::Add, i32_at(0), Some(i32_at(4)), i32),
        alu(AluOp::AddMod, i32_at(0), Some(f32_at(4)), i32),
        alu(AluOp::AddMod, i32_at(0), None, i32),
        alu(AluOp::Neg, i32_at(0), Some(i32_at(4)), i32),
        alu(AluOp::CmpLt, f32_at(0), Some(f32_at(4)), f32),
        alu(AluOp::AddMod, i32_at(2), Some(i32_at(4)), i32),
        alu(AluOp::Mask, i32_at(0), Some(f32_at(4)), i32),
        alu(AluOp::Convert, i32_at(0), None, i32),
        alu(AluOp::Copy, i32_at(0), None, f32),
        alu(AluOp::Copy, Operand::Imm, None, f32),
        alu(AluOp::AddMod, Operand::Imm, Some(Operand::Imm), i32),
    ] {
        assert_eq!(
            one(0, malformed),
            FaultKind::MalformedInstruction,
            "{malformed:?}"
        );
    }

    let machine = Machine::tsp_v1().with(&["vxm_immediates=false"]).unwrap();
    let add = alu(AluOp::AddMod, i32_at(0), Some(Operand::Imm), i32);
    let mut program = Rig::default().program(&machine);
    program.queues[0] = vec![add];
    assert_eq!(kind(&program, &machine), Some(FaultKind::NoImmediates));

    let mut rig = Rig::default();
    for (k, plane) in planes([32; LANES]).iter().enumerate() {
        rig.at_entry(WEST, 20, k as u8, plane);
    }
    rig.at(
        25,
        Unit::Alu(0),
        alu(AluOp::Shl, Operand::Imm, Some(i32_at(0)), i32),
    );
    assert_eq!(rig.kind(), FaultKind::ShiftCount);
}

#[test]
fn planes_of_the_mxm() {
    let act = Instr::Act {
        stream: 20,
        ty: ElemType::I8,
    };
    let loaded = |n| {
        let mut rig = Rig::default();
        load_i8(&mut rig, 0, 1000, 0, n);
        rig
    };
    // Rows at `rows`, accumulate instructions at `outs`.
    let rows = |mut rig: Rig, rows: &[u64], outs: &[u64]| {
        for t in rows {
            rig.at_port(*t, 20, &noise(1)).at(*t, activation(0), act);
        }
        for t in outs {
            rig.at(*t, accumulate(0), Instr::Drop);
        }
        rig
    };
    assert_eq!(
        rows(Rig::default(), &[53], &[]).kind(),
        FaultKind::NoWeights
    );
    assert_eq!(rows(loaded(20), &[50], &[]).kind(), FaultKind::ActDuringIw);
    assert_eq!(rows(loaded(20), &[52], &[]).kind(), FaultKind::ActDuringIw);
    assert_eq!(
        rows(loaded(20), &[53], &[65]).kind(),
        FaultKind::UnmatchedAccumulate
    );
    assert_eq!(
        rows(loaded(20), &[53], &[66, 67]).kind(),
        FaultKind::UnmatchedAccumulate
    );
    let fault = rows(loaded(20), &[53, 54], &[66]).fault();
    assert_eq!((fault.kind, fault.cycle), (FaultKind::UnmatchedAct, 67));
    assert_eq!(fault.unit, Some(activation(0)));
    assert_eq!(rows(loaded(20), &[53], &[66]).run().1.acts[2], 1);

    let lw = |j, step| Instr::Lw {
        j,
        step,
        b: 0,
        f16: None,
    };
    let install = |at: u64, next: Instr| {
        let mut rig = loaded(20);
        (0..16).for_each(|i| _ = rig.at_port(at, i, &noise(1)));
        rig.at(at, weight(0), next);
        rig
    };
    assert_eq!(install(52, lw(0, 0)).kind(), FaultKind::LwAfterIw);
    assert_eq!(install(53, lw(0, 0)).run().1.acts, [0; 4]);
    assert_eq!(
        install(53, Instr::Iw { n: 10, f16: None }).kind(),
        FaultKind::MissingLw
    );
    let mut rig = Rig::default();
    (30..32).for_each(|t| (0..16).for_each(|i| _ = rig.at_port(t, i, &noise(1))));
    assert_eq!(
        rig.clone().repeat(30, weight(0), lw(19, 1), 1, 1).kind(),
        FaultKind::GroupRange
    );
    assert_eq!(
        rig.repeat(30, weight(0), lw(0, -1), 1, 1).kind(),
        FaultKind::GroupRange
    );

    let f16 = Instr::Act {
        stream: 20,
        ty: ElemType::F16,
    };
    assert_eq!(
        loaded(20).at(53, activation(0), f16).kind(),
        FaultKind::WeightType
    );
    let mut rig = Rig::default();
    load_f16(&mut rig, 0, 40);
    assert_eq!(rig.at(73, activation(0), act).kind(), FaultKind::WeightType);
    // Weights for the other half of K do not count.
    let mut rig = Rig::default();
    load_f16(&mut rig, 1, 40);
    let other = Instr::Iw {
        n: 40,
        f16: Some(0),
    };
    assert_eq!(rig.at(72, weight(0), other).kind(), FaultKind::MissingLw);
    assert_eq!(rows(rig, &[], &[]).kind(), FaultKind::MissingLw);
}

#[test]
fn permutations() {
    let permute = |change: fn(&mut [u16; LANES])| {
        let mut map: [u16; LANES] = std::array::from_fn(|l| (LANES - 1 - l) as u16);
        change(&mut map);
        let byte = |b: usize| -> Bytes { map.map(|m| m.to_le_bytes()[b]) };
        let mut rig = Rig::default();
        rig.at_sxm(40, 0, &noise(1))
            .at_sxm(40, 8, &byte(0))
            .at_sxm(40, 9, &byte(1));
        let instr = Instr::Permute {
            src: 0,
            w: 1,
            map: 8,
            dst: 0,
            mode: SxmMode::Back,
        };
        let program = rig
            .at(40, unit(SxmUnit::Permutor), instr)
            .program(&Machine::tsp_v1());
        kind(&program, &Machine::tsp_v1())
    };
    assert_eq!(permute(|_| ()), None);
    assert_eq!(permute(|map| map[3] = 0), Some(FaultKind::NotABijection));
    assert_eq!(permute(|map| map[3] = 320), Some(FaultKind::NotABijection));
}

#[test]
fn a_fault_says_where_it_is() {
    let machine = Machine::tsp_v1();
    let mut rig = Rig::default();
    rig.word(EAST, 0, 0, &noise(1))
        .at(0, Unit::Mem(EAST, 0), read(s(E, 3), 0));
    rig.repeat(1, Unit::Mem(EAST, 4), write(s(E, 3), 0), 1, 1);
    let mut program = rig.program(&machine);
    let site = |slice, index| Site {
        queue: Unit::Mem(EAST, slice).queue().unwrap(),
        index,
    };
    program.locations = vec!["bert/encoder/layer.0".into(), "bert/encoder/layer.1".into()];
    let of = |first, loc| Use {
        consumer: Consumer::Instr(site(4, 1)),
        slot: 2,
        first,
        count: 1,
        source: Source::Dispatch {
            site: site(0, 0),
            first,
            step: 0,
        },
        loc,
    };
    program.uses = vec![of(0, 0), of(1, 1)];
    let fault = simulate(&program, &machine, &BTreeMap::new()).unwrap_err();
    let (at, location) = (fault.at.unwrap(), fault.location.clone().unwrap());
    assert_eq!((fault.cycle, at.site.index, at.iteration), (2, 1, 1));
    assert_eq!(location, "bert/encoder/layer.1");
    let text = fault.to_string();
    assert!(
        text.starts_with("cycle 2: MEM_E4, instruction 1, iteration 1 `"),
        "{text}"
    );
    let end = "nothing on e3 at SR_1(E) [empty-stream] in bert/encoder/layer.1";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn ids_are_kebab_case_and_documented() {
    let tests = [
        include_str!("faults.rs"),
        include_str!("mesh.rs"),
        include_str!("mxm.rs"),
        include_str!("refusals.rs"),
        include_str!("streams.rs"),
    ]
    .concat();
    let docs = include_str!("../../../../docs/simulator.md");
    for kind in FaultKind::ALL {
        let id = kind.id();
        assert!(
            id.chars().all(|c| c.is_ascii_lowercase() || c == '-'),
            "{id}"
        );
        assert!(
            tests.contains(&format!("FaultKind::{kind:?}")),
            "no test names {kind:?}"
        );
        let row = format!("| `{id}` | {} |", kind.rule().trim());
        assert!(
            docs.contains(&row),
            "docs/simulator.md lacks the row: {row}"
        );
    }
}
