//! What is refused before cycle 0: containers, machines, fields, units.

use std::collections::BTreeMap;

use tspc_machine::Machine;
use tspc_program::{
    ElemType, Hemisphere, ImageSegment, Instr, IoEntry, IoTile, MemAccess, MemPart, Program,
    SxmMode, SxmUnit, Unit, WordRun,
};
use tspc_sim::{FaultKind, simulate};

use crate::mxm::{accumulate, activation, weight};
use crate::rig::{E, LANES, Rig, read, s};
use crate::sxm::unit;

const EAST: Hemisphere = Hemisphere::East;
const WEST: Hemisphere = Hemisphere::West;

/// What the simulator makes of a program on a machine.
pub fn kind(program: &Program, machine: &Machine) -> Option<FaultKind> {
    simulate(program, machine, &BTreeMap::new())
        .err()
        .map(|fault| fault.kind)
}

/// A program with one queue.
pub fn queue(unit: Unit, instrs: &[Instr]) -> Program {
    let mut program = Rig::default().program(&Machine::tsp_v1());
    program.queues[unit.queue().unwrap().index()] = instrs.to_vec();
    program
}

fn entry(name: &str, rows: u32, runs: Vec<WordRun>) -> IoEntry {
    let tiles = vec![IoTile {
        lanes: (0..LANES as u32).map(Some).collect(),
        planes: vec![runs],
    }];
    IoEntry {
        name: name.into(),
        elem: ElemType::U8,
        rows,
        cols: LANES as u32,
        tiles,
    }
}

fn run(slice: u8, addr: u16, count: u32) -> WordRun {
    WordRun {
        hemi: EAST,
        slice,
        addr,
        step: 1,
        count,
    }
}

#[test]
fn containers() {
    let machine = Machine::tsp_v1();
    let check = |want: FaultKind, change: &dyn Fn(&mut Program)| {
        let mut program = Rig::default().program(&machine);
        change(&mut program);
        assert_eq!(kind(&program, &machine), Some(want));
    };
    check(FaultKind::MachineMismatch, &|p| p.machine_hash.push('0'));
    check(FaultKind::MalformedProgram, &|p| _ = p.queues.pop());
    let segment = |slice, addr, words: usize| ImageSegment {
        hemi: EAST,
        slice,
        addr,
        bytes: vec![0; words * 160],
    };
    check(FaultKind::MalformedProgram, &|p| {
        p.image = vec![segment(44, 0, 2)]
    });
    check(FaultKind::MalformedProgram, &|p| {
        p.image = vec![segment(0, 4095, 4)]
    });
    check(FaultKind::MalformedProgram, &|p| {
        p.image = vec![segment(0, 9000, 2)]
    });
    check(FaultKind::MalformedProgram, &|p| {
        p.image = vec![segment(0, 0, 1)]
    });
    check(FaultKind::MalformedProgram, &|p| {
        p.image = vec![segment(0, 0, 4), segment(0, 1, 2)]
    });
    check(FaultKind::TextSlice, &|p| p.image = vec![segment(16, 0, 2)]);
    check(FaultKind::TextSlice, &|p| {
        p.outputs = vec![entry("y", 1, vec![run(20, 0, 1)])]
    });
    check(FaultKind::MalformedProgram, &|p| {
        p.outputs = vec![entry("y", 2, vec![run(0, 0, 1)])]
    });
    check(FaultKind::MalformedProgram, &|p| {
        p.outputs = vec![entry("y", 0, vec![]), entry("y", 0, vec![])]
    });
    check(FaultKind::MalformedProgram, &|p| {
        p.outputs = vec![entry("y", 1, vec![run(0, 0, 1)])];
        p.outputs[0].tiles[0].lanes[3] = Some(4);
    });
    check(FaultKind::MalformedProgram, &|p| {
        p.outputs = vec![IoEntry {
            rows: u32::MAX,
            cols: u32::MAX,
            tiles: vec![],
            ..entry("y", 0, vec![])
        }];
    });
    check(FaultKind::Uninitialised, &|p| {
        p.outputs = vec![entry("y", 1, vec![run(0, 0, 1)])]
    });
    check(FaultKind::BadInput, &|p| {
        p.inputs = vec![entry("x", 1, vec![run(0, 0, 1)])]
    });
}

#[test]
fn inputs() {
    let machine = Machine::tsp_v1();
    let mut program = Rig::default().program(&machine);
    program.inputs = vec![entry("x", 1, vec![run(0, 0, 1)])];
    let with = |tensors: &[(&str, usize)]| {
        let inputs = tensors
            .iter()
            .map(|(name, size)| (name.to_string(), vec![0; *size]))
            .collect();
        simulate(&program, &machine, &inputs)
            .err()
            .map(|fault| fault.kind)
    };
    assert_eq!(with(&[("x", 320)]), None);
    assert_eq!(with(&[("x", 319)]), Some(FaultKind::BadInput));
    assert_eq!(with(&[("x", 320), ("z", 1)]), Some(FaultKind::BadInput));
}

#[test]
fn machines() {
    for name in Machine::NAMES {
        let machine = Machine::named(name).unwrap().unwrap();
        assert_eq!(
            kind(&Rig::default().program(&machine), &machine),
            None,
            "{name}"
        );
    }
    let machine = Machine::tsp_v1()
        .with(&["text_slices_west=[]", "text_slices_east=[2]"])
        .unwrap();
    let mut program = Rig::default().program(&machine);
    // One slice holds 2·4096·320 bytes = 655,360 nops.
    program.queues[0] = vec![Instr::Nop { n: 1 }; 655_360];
    assert_eq!(kind(&program, &machine), None);
    program.queues[1] = vec![Instr::Nop { n: 1 }];
    assert_eq!(kind(&program, &machine), Some(FaultKind::TextOverflow));
}

pub fn mem(read: Option<MemPart>, write: Option<MemPart>) -> Instr {
    Instr::Mem { read, write }
}

pub fn direct(id: u8, addr: u16, step: i16) -> Option<MemPart> {
    Some(MemPart {
        stream: s(E, id),
        access: MemAccess::Direct { addr, step },
    })
}

pub fn mapped(id: u8, bank: u8, map: u8) -> Option<MemPart> {
    Some(MemPart {
        stream: s(E, id),
        access: MemAccess::Mapped {
            bank,
            map: s(E, map),
        },
    })
}

#[test]
fn fields() {
    use SxmMode::Back;
    let slice = Unit::Mem(EAST, 0);
    let distributor = unit(SxmUnit::Distributor(1));
    let (permutor, up) = (unit(SxmUnit::Permutor), unit(SxmUnit::ShiftUp));
    let cases: &[(Unit, Instr)] = &[
        (slice, mem(None, None)),
        (slice, mem(direct(32, 0, 0), None)),
        (slice, mem(direct(0, 8192, 0), None)),
        (slice, mem(direct(0, 0, 4096), None)),
        (slice, mem(mapped(0, 2, 0), None)),
        (slice, mem(mapped(0, 0, 32), None)),
        (
            weight(0),
            Instr::Lw {
                j: 20,
                step: 0,
                b: 0,
                f16: None,
            },
        ),
        (
            weight(0),
            Instr::Lw {
                j: 40,
                step: 0,
                b: 0,
                f16: Some(0),
            },
        ),
        (
            weight(0),
            Instr::Lw {
                j: 0,
                step: 0,
                b: 8,
                f16: None,
            },
        ),
        (
            weight(0),
            Instr::Lw {
                j: 0,
                step: 0,
                b: 0,
                f16: Some(2),
            },
        ),
        (weight(0), Instr::Iw { n: 9, f16: None }),
        (weight(0), Instr::Iw { n: 21, f16: None }),
        (
            weight(0),
            Instr::Iw {
                n: 19,
                f16: Some(0),
            },
        ),
        (
            activation(0),
            Instr::Act {
                stream: 32,
                ty: ElemType::I8,
            },
        ),
        (
            activation(0),
            Instr::Act {
                stream: 1,
                ty: ElemType::F16,
            },
        ),
        (
            activation(0),
            Instr::Act {
                stream: 0,
                ty: ElemType::I32,
            },
        ),
        (accumulate(0), Instr::Out { d: 2 }),
        (accumulate(0), Instr::Acc { s: 1, d: 0 }),
        (accumulate(0), Instr::Acc { s: 0, d: 32 }),
        (
            distributor,
            Instr::Distribute {
                mask: 0,
                map: 0,
                dst: 0,
                mode: Back,
            },
        ),
        (
            distributor,
            Instr::Distribute {
                mask: 1,
                map: 8,
                dst: 0,
                mode: Back,
            },
        ),
        (
            distributor,
            Instr::Distribute {
                mask: 1,
                map: 0,
                dst: 4,
                mode: Back,
            },
        ),
        (
            unit(SxmUnit::Transposer(0)),
            Instr::Transpose {
                src: 8,
                dst: 0,
                mode: Back,
            },
        ),
        (
            unit(SxmUnit::Transposer(0)),
            Instr::Transpose {
                src: 0,
                dst: 32,
                mode: Back,
            },
        ),
        (
            permutor,
            Instr::Permute {
                src: 2,
                w: 3,
                map: 8,
                dst: 0,
                mode: Back,
            },
        ),
        (
            permutor,
            Instr::Permute {
                src: 0,
                w: 0,
                map: 8,
                dst: 0,
                mode: Back,
            },
        ),
        (
            permutor,
            Instr::Permute {
                src: 0,
                w: 1,
                map: 7,
                dst: 0,
                mode: Back,
            },
        ),
        (
            permutor,
            Instr::Permute {
                src: 0,
                w: 255,
                map: 8,
                dst: 0,
                mode: Back,
            },
        ),
        (
            up,
            Instr::Shift {
                src: 0,
                w: 1,
                n: 0,
                dst: 0,
                mode: Back,
            },
        ),
        (
            up,
            Instr::Shift {
                src: 0,
                w: 1,
                n: 320,
                dst: 0,
                mode: Back,
            },
        ),
        (
            up,
            Instr::Shift {
                src: 0,
                w: 4,
                n: 1,
                dst: 30,
                mode: Back,
            },
        ),
    ];
    for (unit, instr) in cases {
        let got = kind(&queue(*unit, &[*instr]), &Machine::tsp_v1());
        assert_eq!(
            got,
            Some(FaultKind::MalformedInstruction),
            "{unit} {instr:?}"
        );
    }
}

#[test]
fn units_and_queues() {
    let machine = Machine::tsp_v1();
    let f16_lw = Instr::Lw {
        j: 0,
        step: 0,
        b: 0,
        f16: Some(0),
    };
    let cases: &[(Unit, Instr)] = &[
        (Unit::Alu(0), Instr::Drop),
        (Unit::Mem(EAST, 0), Instr::Drop),
        (weight(0), Instr::Drop),
        (weight(1), f16_lw),
        (
            activation(1),
            Instr::Act {
                stream: 0,
                ty: ElemType::F16,
            },
        ),
        (
            unit(SxmUnit::Reserved(0)),
            Instr::Shift {
                src: 0,
                w: 1,
                n: 1,
                dst: 0,
                mode: SxmMode::Back,
            },
        ),
        (
            unit(SxmUnit::Permutor),
            Instr::Transpose {
                src: 0,
                dst: 0,
                mode: SxmMode::Back,
            },
        ),
    ];
    for (unit, instr) in cases {
        assert_eq!(
            kind(&queue(*unit, &[*instr]), &machine),
            Some(FaultKind::WrongUnit),
            "{unit}"
        );
    }
    for instrs in [
        vec![Instr::Nop { n: 0 }],
        vec![Instr::Repeat { n: 1, d: 1 }],
    ] {
        let program = queue(Unit::Alu(0), &instrs);
        assert_eq!(kind(&program, &machine), Some(FaultKind::MalformedQueue));
    }
    let text = queue(Unit::Mem(WEST, 38), &[read(s(E, 0), 0)]);
    assert_eq!(kind(&text, &machine), Some(FaultKind::TextSlice));
}
