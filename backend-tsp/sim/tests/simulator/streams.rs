//! MEM, streams, repeats, latency.

use std::collections::BTreeMap;

use tspc_machine::Machine;
use tspc_program::{
    ElemType, Hemisphere, Instr, IoEntry, IoTile, MemAccess, MemPart, Unit, WordRun,
};
use tspc_sim::{FaultKind, Options, simulate, simulate_with};

use crate::rig::{Bytes, E, LANES, Rig, W, noise, read, s, write};

const EAST: Hemisphere = Hemisphere::East;
const WEST: Hemisphere = Hemisphere::West;

#[test]
fn a_word_takes_one_hop_per_group() {
    // MEM_W0 drives SR_0(W) at 1; SR_0(E) at 6; MEM_E11 (group 2) takes SR_2 at 8.
    let mut rig = Rig::default();
    rig.word(WEST, 0, 7, &noise(1))
        .at(0, Unit::Mem(WEST, 0), read(s(E, 3), 7));
    rig.at(8, Unit::Mem(EAST, 11), write(s(E, 3), 9))
        .output(EAST, 11, 9);
    let (rows, outcome) = rig.run();
    assert_eq!(rows, [noise(1)]);
    assert_eq!(outcome.cycles, 8 + 6 + 19);
    for early_or_late in [7, 9] {
        let mut rig = Rig::default();
        rig.word(WEST, 0, 7, &noise(1))
            .at(0, Unit::Mem(WEST, 0), read(s(E, 3), 7));
        rig.at(early_or_late, Unit::Mem(EAST, 11), write(s(E, 3), 9));
        let fault = rig.fault();
        assert_eq!(
            (fault.kind, fault.cycle),
            (FaultKind::EmptyStream, early_or_late)
        );
    }
}

#[test]
fn inward_and_outward_within_a_hemisphere() {
    // Outward: group 2 drives SR_3, group 5 takes SR_5. Inward: group 5 drives SR_5, group 2 takes SR_3.
    let mut rig = Rig::default();
    rig.word(EAST, 8, 0, &noise(1)).word(EAST, 21, 0, &noise(2));
    rig.at(0, Unit::Mem(EAST, 8), read(s(E, 0), 0))
        .at(3, Unit::Mem(EAST, 22), write(s(E, 0), 1));
    rig.at(0, Unit::Mem(EAST, 21), read(s(W, 0), 0))
        .at(3, Unit::Mem(EAST, 9), write(s(W, 0), 1));
    rig.output(EAST, 22, 1).output(EAST, 9, 1);
    assert_eq!(rig.rows(), [noise(1), noise(2)]);
}

#[test]
fn a_moving_value_is_replaced_and_taking_does_not_consume() {
    let mut rig = Rig::default();
    rig.word(EAST, 0, 0, &noise(1)).word(EAST, 4, 0, &noise(2));
    // Group 0 drives SR_1 at 1, which is at SR_2 at 2, where group 1 drives too.
    rig.at(0, Unit::Mem(EAST, 0), read(s(E, 0), 0))
        .at(1, Unit::Mem(EAST, 4), read(s(E, 0), 0));
    rig.at(1, Unit::Mem(EAST, 5), write(s(E, 0), 1))
        .at(1, Unit::Mem(EAST, 6), write(s(E, 0), 1));
    rig.at(2, Unit::Mem(EAST, 8), write(s(E, 0), 1));
    rig.output(EAST, 5, 1).output(EAST, 6, 1).output(EAST, 8, 1);
    assert_eq!(rig.rows(), [noise(1), noise(1), noise(2)]);
}

#[test]
fn a_written_word_is_read_six_cycles_later() {
    let program = |wait: u64| {
        let mut rig = Rig::default();
        rig.word(EAST, 0, 0, &noise(1))
            .at(0, Unit::Mem(EAST, 0), read(s(E, 0), 0));
        rig.at(1, Unit::Mem(EAST, 4), write(s(E, 0), 0)).at(
            1 + wait,
            Unit::Mem(EAST, 4),
            read(s(E, 0), 0),
        );
        rig.at(2 + wait, Unit::Mem(EAST, 8), write(s(E, 0), 0))
            .output(EAST, 8, 0);
        rig
    };
    assert_eq!(program(6).rows(), [noise(1)]);
    assert_eq!(program(5).kind(), FaultKind::ReadTooEarly);
}

fn mapped(bank: u8, id: u8) -> MemAccess {
    MemAccess::Mapped {
        bank,
        map: s(E, id),
    }
}

fn map(words: impl Fn(usize) -> u16) -> Bytes {
    let mut map = noise(99);
    for k in 0..20 {
        [map[16 * k], map[16 * k + 1]] = words(k).to_le_bytes();
    }
    map
}

#[test]
fn gather_and_scatter_move_superlanes() {
    // Scatter a word over 20 words of bank 1 of MEM_E8, gather it from there in reverse.
    let mut rig = Rig::default();
    rig.word(EAST, 0, 0, &noise(1))
        .word(EAST, 1, 0, &map(|k| 100 + k as u16));
    rig.word(EAST, 2, 0, &map(|k| 119 - k as u16));
    // Group 0 drives SR_1 at t+1; MEM_E8 takes SR_2 at t+2 on either stream.
    rig.at(0, Unit::Mem(EAST, 0), read(s(E, 0), 0))
        .at(0, Unit::Mem(EAST, 1), read(s(E, 1), 0));
    let scatter = MemPart {
        stream: s(E, 0),
        access: mapped(1, 1),
    };
    rig.at(
        2,
        Unit::Mem(EAST, 8),
        Instr::Mem {
            read: None,
            write: Some(scatter),
        },
    );
    rig.at(7, Unit::Mem(EAST, 1), read(s(E, 1), 0));
    let gather = MemPart {
        stream: s(E, 0),
        access: mapped(1, 1),
    };
    rig.at(
        9,
        Unit::Mem(EAST, 8),
        Instr::Mem {
            read: Some(gather),
            write: None,
        },
    );
    // Group 2 drives SR_3 at t+1.
    rig.at(10, Unit::Mem(EAST, 12), write(s(E, 0), 0))
        .output(EAST, 12, 0);
    assert_eq!(rig.rows(), [noise(1)]);

    // Only superlane k of word 100+k was written: gathering others finds nothing.
    rig.at(7, Unit::Mem(EAST, 2), read(s(E, 2), 0));
    let other = MemPart {
        stream: s(E, 0),
        access: mapped(1, 2),
    };
    rig.at(
        10,
        Unit::Mem(EAST, 8),
        Instr::Mem {
            read: Some(other),
            write: None,
        },
    );
    assert_eq!(rig.kind(), FaultKind::EmptyStream);
    let mut rig = rig.clone();
    rig.at(8, Unit::Mem(EAST, 2), read(s(E, 2), 0));
    assert_eq!(rig.kind(), FaultKind::Uninitialised);
}

#[test]
fn repeats_step_through_words_while_a_bank_is_written() {
    // MEM_E4 reads words 10, 8, 6 of bank 0 every second cycle; MEM_E8 stores them from 4100 on upwards.
    let mut rig = Rig::default();
    for k in 0..3u16 {
        rig.word(EAST, 4, 10 - 2 * k, &noise(k.into()));
    }
    let direct = |stream, addr, step| MemPart {
        stream,
        access: MemAccess::Direct { addr, step },
    };
    let from = Instr::Mem {
        read: Some(direct(s(E, 0), 10, -2)),
        write: None,
    };
    let to = Instr::Mem {
        read: None,
        write: Some(direct(s(E, 0), 4100, 1)),
    };
    rig.repeat(0, Unit::Mem(EAST, 4), from, 2, 2)
        .repeat(1, Unit::Mem(EAST, 8), to, 2, 2);
    for k in 0..3 {
        rig.output(EAST, 8, 4100 + k);
    }
    let (rows, outcome) = rig.run();
    assert_eq!(rows, [noise(0), noise(1), noise(2)]);
    assert_eq!(outcome.cycles, 5 + 6 + 19);
    assert_eq!(
        outcome.dispatches[Unit::Mem(EAST, 4).queue().unwrap().index()],
        3
    );
}

#[test]
fn one_instruction_reads_one_bank_and_writes_the_other() {
    let mut rig = Rig::default();
    rig.word(EAST, 4, 4096, &noise(1))
        .word(EAST, 0, 0, &noise(2));
    rig.at(0, Unit::Mem(EAST, 0), read(s(E, 0), 0));
    let direct = |stream, addr| MemPart {
        stream,
        access: MemAccess::Direct { addr, step: 0 },
    };
    let both = Instr::Mem {
        read: Some(direct(s(E, 0), 4096)),
        write: Some(direct(s(E, 0), 3)),
    };
    rig.at(1, Unit::Mem(EAST, 4), both)
        .at(2, Unit::Mem(EAST, 8), write(s(E, 0), 0));
    rig.output(EAST, 4, 3).output(EAST, 8, 0);
    assert_eq!(rig.rows(), [noise(2), noise(1)]);
}

#[test]
fn long_pauses_change_nothing_and_are_skipped() {
    let mut rig = Rig::default();
    rig.word(EAST, 0, 0, &noise(1));
    let pause = 40_000_000_000;
    for start in [0, pause] {
        rig.at(start, Unit::Mem(EAST, 0), read(s(E, 0), 0));
        rig.at(start + 1, Unit::Mem(EAST, 4), write(s(E, 0), 0));
    }
    rig.output(EAST, 4, 0);
    assert_eq!(rig.run().1.cycles, pause + 1 + 25);
    // What was on the streams before the pause is gone after it.
    rig.at(pause + 5, Unit::Mem(EAST, 8), write(s(E, 0), 0));
    assert_eq!(rig.kind(), FaultKind::EmptyStream);
}

#[test]
fn inputs_and_outputs_by_lane_and_byte() {
    // i16, 2 rows × 3 columns: column c in lane 5c, the second byte in another slice.
    let machine = Machine::tsp_v1();
    let run = |slice, addr| WordRun {
        hemi: EAST,
        slice,
        addr,
        step: 2,
        count: 2,
    };
    let mut lanes = vec![None; LANES];
    (0..3).for_each(|c| lanes[5 * c as usize] = Some(c));
    let entry = |name: &str, planes| IoEntry {
        name: name.into(),
        elem: ElemType::I16,
        rows: 2,
        cols: 3,
        tiles: vec![IoTile {
            lanes: lanes.clone(),
            planes,
        }],
    };
    let mut rig = Rig::default();
    let direct = |addr| MemPart {
        stream: s(E, 0),
        access: MemAccess::Direct { addr, step: 2 },
    };
    for (from, to) in [(0, 4), (8, 12)] {
        let read = Instr::Mem {
            read: Some(direct(6)),
            write: None,
        };
        let write = Instr::Mem {
            read: None,
            write: Some(direct(16)),
        };
        rig.repeat(0, Unit::Mem(EAST, from), read, 1, 1).repeat(
            1,
            Unit::Mem(EAST, to),
            write,
            1,
            1,
        );
    }
    let mut program = rig.program(&machine);
    program.inputs = vec![entry("x", vec![vec![run(0, 6)], vec![run(8, 6)]])];
    program.outputs = vec![entry("y", vec![vec![run(4, 16)], vec![run(12, 16)]])];
    let x: Vec<u8> = (1..=12).collect();
    let inputs = BTreeMap::from([("x".to_string(), x.clone())]);
    let mut seen = Vec::new();
    let mut progress = |cycle, total| seen.push((cycle, total));
    let options = Options {
        progress: Some(&mut progress),
    };
    let outcome = simulate_with(&program, &machine, &inputs, options).unwrap();
    assert_eq!(outcome.outputs["y"], x);
    assert_eq!(outcome, simulate(&program, &machine, &inputs).unwrap());
    assert_eq!(seen.first(), Some(&(0, 3)));
    assert_eq!(seen.last(), Some(&(3, 3)));
}
