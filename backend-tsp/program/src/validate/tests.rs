//! One mutation per rule; each must be found, and found under its number.

use super::*;
use crate::instr::*;
use crate::program::*;
use crate::samples;
use crate::unit::*;

fn queue(name: &str) -> usize {
    QueueId::all()
        .find(|q| q.to_string() == name)
        .unwrap()
        .index()
}

fn rules(program: &Program) -> Vec<u8> {
    match program.validate() {
        Ok(()) => Vec::new(),
        Err(errors) => errors.iter().map(|e| e.rule).collect(),
    }
}

/// The rules that a single instruction of a queue breaks.
fn broken(name: &str, instrs: &[Instr]) -> Vec<u8> {
    let mut program = samples::program(0);
    program.queues = vec![Vec::new(); QUEUES];
    program.uses.clear();
    program.queues[queue(name)] = instrs.to_vec();
    rules(&program)
}

#[test]
fn samples_are_well_formed() {
    for seed in 0..40 {
        assert_eq!(samples::program(seed).validate(), Ok(()), "seed {seed}");
    }
}

#[test]
fn instructions_and_queues() {
    use ElemType::*;
    let s = |id| Stream {
        dir: Direction::East,
        id,
    };
    let direct = |id, addr, step| MemPart {
        stream: s(id),
        access: MemAccess::Direct { addr, step },
    };
    let mapped = |bank, map| MemPart {
        stream: s(0),
        access: MemAccess::Mapped { bank, map: s(map) },
    };
    let read = |part| Instr::Mem {
        read: Some(part),
        write: None,
    };
    let on = |id, ty| Operand::Stream { stream: s(id), ty };
    let alu = |op, a, b, imm, result, ty| {
        Instr::Alu(AluInstr {
            op,
            a,
            b,
            imm,
            result: s(result),
            ty,
            mode: ResultMode::Out,
        })
    };
    let mode = SxmMode::Back;
    let good = read(direct(0, 0, 0));
    let cases: &[(u8, &str, &[Instr])] = &[
        (2, "MEM_W0", &[Instr::Drop]),
        (2, "SXM_E.reserved0", &[Instr::Nop { n: 1 }]),
        (
            2,
            "SXM_E.up",
            &[Instr::Transpose {
                src: 0,
                dst: 0,
                mode,
            }],
        ),
        (
            2,
            "MXM1.weight",
            &[Instr::Iw {
                n: 40,
                f16: Some(0),
            }],
        ),
        (2, "MXM3.act", &[Instr::Act { stream: 0, ty: F16 }]),
        (2, "MXM3.act", &[Instr::Drop]),
        (3, "MEM_W0", &[Instr::Nop { n: 0 }]),
        (4, "MEM_W0", &[Instr::Repeat { n: 1, d: 1 }]),
        (
            4,
            "MEM_W0",
            &[Instr::Nop { n: 1 }, Instr::Repeat { n: 1, d: 1 }],
        ),
        (
            4,
            "MEM_W0",
            &[
                good,
                Instr::Repeat { n: 1, d: 1 },
                Instr::Repeat { n: 1, d: 1 },
            ],
        ),
        (4, "MEM_W0", &[good, Instr::Repeat { n: 0, d: 1 }]),
        (4, "MEM_W0", &[good, Instr::Repeat { n: 1, d: 0 }]),
        (5, "MEM_W0", &[read(direct(32, 0, 0))]),
        (5, "MEM_W0", &[read(mapped(0, 32))]),
        (5, "ALU0", &[alu(AluOp::Neg, on(2, F32), None, 0, 0, F32)]),
        (
            5,
            "ALU0",
            &[alu(AluOp::Convert, on(0, F32), None, 0, 1, F16)],
        ),
        (
            5,
            "MXM0.weight",
            &[Instr::Lw {
                j: 0,
                step: 0,
                b: 8,
                f16: None,
            }],
        ),
        (5, "MXM0.act", &[Instr::Act { stream: 1, ty: F16 }]),
        (5, "MXM0.acc", &[Instr::Out { d: 2 }]),
        (5, "MXM0.acc", &[Instr::Acc { s: 1, d: 0 }]),
        (
            5,
            "SXM_W.transposer0",
            &[Instr::Transpose {
                src: 0,
                dst: 8,
                mode,
            }],
        ),
        (
            5,
            "SXM_W.distributor0",
            &[Instr::Distribute {
                mask: 1,
                map: 9,
                dst: 4,
                mode,
            }],
        ),
        (
            5,
            "SXM_W.permutor",
            &[Instr::Permute {
                src: 3,
                w: 2,
                map: 4,
                dst: 0,
                mode,
            }],
        ),
        (
            5,
            "SXM_W.permutor",
            &[Instr::Permute {
                src: 0,
                w: 2,
                map: 5,
                dst: 0,
                mode,
            }],
        ),
        (
            5,
            "SXM_W.down",
            &[Instr::Shift {
                src: 0,
                w: 4,
                n: 1,
                dst: 1,
                mode,
            }],
        ),
        (
            6,
            "MEM_W0",
            &[Instr::Mem {
                read: None,
                write: None,
            }],
        ),
        (6, "MEM_W0", &[read(direct(0, 0x2000, 0))]),
        (6, "MEM_W0", &[read(direct(0, 0, 4096))]),
        (6, "MEM_W0", &[read(direct(0, 0, -4097))]),
        (6, "MEM_W0", &[read(mapped(2, 0))]),
        (
            7,
            "MXM0.weight",
            &[Instr::Lw {
                j: 20,
                step: 0,
                b: 0,
                f16: None,
            }],
        ),
        (
            7,
            "MXM0.weight",
            &[Instr::Lw {
                j: 40,
                step: 0,
                b: 0,
                f16: Some(0),
            }],
        ),
        (7, "MXM0.weight", &[Instr::Iw { n: 0, f16: None }]),
        (7, "MXM0.weight", &[Instr::Iw { n: 21, f16: None }]),
        (
            7,
            "MXM0.weight",
            &[Instr::Iw {
                n: 40,
                f16: Some(2),
            }],
        ),
        (7, "MXM0.act", &[Instr::Act { stream: 0, ty: F32 }]),
        (
            8,
            "SXM_W.distributor0",
            &[Instr::Distribute {
                mask: 0,
                map: 9,
                dst: 0,
                mode,
            }],
        ),
        (
            8,
            "SXM_W.permutor",
            &[Instr::Permute {
                src: 0,
                w: 0,
                map: 4,
                dst: 0,
                mode,
            }],
        ),
        (
            8,
            "SXM_W.up",
            &[Instr::Shift {
                src: 0,
                w: 5,
                n: 1,
                dst: 0,
                mode,
            }],
        ),
        (
            8,
            "SXM_W.up",
            &[Instr::Shift {
                src: 0,
                w: 1,
                n: 0,
                dst: 0,
                mode,
            }],
        ),
        (
            8,
            "SXM_W.up",
            &[Instr::Shift {
                src: 0,
                w: 1,
                n: 320,
                dst: 0,
                mode,
            }],
        ),
        (9, "ALU0", &[alu(AluOp::Add, on(0, F32), None, 0, 0, F32)]),
        (
            9,
            "ALU0",
            &[alu(AluOp::Neg, on(0, F32), Some(on(0, F32)), 0, 0, F32)],
        ),
        (
            9,
            "ALU0",
            &[alu(AluOp::Add, Operand::Imm, Some(Operand::Imm), 0, 0, F32)],
        ),
        (9, "ALU0", &[alu(AluOp::Neg, on(0, F32), None, 7, 0, F32)]),
    ];
    for (rule, name, instrs) in cases {
        assert_eq!(broken(name, instrs), [*rule], "{name}: {instrs:?}");
    }
    assert!(broken("MEM_W0", &[good, Instr::Repeat { n: 1, d: 1 }, good]).is_empty());
}

#[test]
fn tables() {
    type Case = (u8, fn(&mut Program));
    let cases: &[Case] = &[
        (10, |p| p.image[0].slice = 44),
        (10, |p| p.image[0].bytes.push(0)),
        (10, |p| p.image[0].bytes.clear()),
        (10, |p| p.image[0].addr = 0x2000),
        (10, |p| {
            p.image[0].addr = 0x0FFF;
            p.image[0].bytes = vec![0; 640];
        }),
        (11, |p| p.inputs.push(p.inputs[0].clone())),
        (11, |p| p.outputs[0].name.clear()),
        (11, |p| p.outputs[0].rows = 0),
        (12, |p| p.inputs[0].tiles[0].lanes.push(None)),
        (12, |p| p.inputs[0].tiles[0].lanes[3] = Some(330)),
        (12, |p| p.inputs[0].tiles[0].planes.truncate(1)),
        (12, |p| p.inputs[0].tiles[0].planes[0][0].count = 3),
        (12, |p| p.inputs[0].tiles[0].planes[0][0].slice = 44),
        (12, |p| p.inputs[0].tiles[0].planes[0][0].step = 0),
        (12, |p| p.inputs[0].tiles[0].planes[0][0].addr = 0),
        (13, |p| p.outputs[0].tiles[0].lanes[3] = None),
        (13, |p| p.outputs[0].tiles[0].lanes[3] = Some(0)),
    ];
    for (i, (rule, change)) in cases.iter().enumerate() {
        let mut program = samples::program(0);
        change(&mut program);
        assert_eq!(rules(&program), [*rule], "case {i}");
    }
    let mut program = samples::program(0);
    program.uses.clear();
    program.queues.pop();
    assert_eq!(rules(&program), [1]);
}

#[test]
fn uses() {
    let site = |name, index| Site {
        queue: QueueId::new(queue(name)).unwrap(),
        index,
    };
    let mut program = samples::program(0);
    program.queues = vec![Vec::new(); QUEUES];
    program.queues[queue("MXM0.acc")] = vec![
        Instr::Nop { n: 1 },
        Instr::Out { d: 0 },
        Instr::Repeat { n: 4, d: 1 },
    ];
    program.queues[queue("MXM0.act")] = vec![
        Instr::Act {
            stream: 0,
            ty: ElemType::I8,
        },
        Instr::Repeat { n: 2, d: 1 },
    ];
    let good = Use {
        consumer: Consumer::Instr(site("MXM0.acc", 1)),
        slot: 4,
        first: 2,
        count: 3,
        source: Source::Dispatch {
            site: site("MXM0.act", 0),
            first: 2,
            step: -1,
        },
        loc: 0,
    };
    let output = Use {
        consumer: Consumer::Output { entry: 0, run: 0 },
        slot: 0,
        first: 0,
        count: 2,
        ..good
    };
    let from = |name, index, first, step| Source::Dispatch {
        site: site(name, index),
        first,
        step,
    };
    let cases = [
        (None, good),
        (
            None,
            Use {
                first: 1,
                source: Source::Image {
                    word: 8191,
                    step: 0,
                },
                ..output
            },
        ),
        (
            Some(14),
            Use {
                consumer: Consumer::Instr(site("MXM0.acc", 0)),
                ..good
            },
        ),
        (
            Some(14),
            Use {
                consumer: Consumer::Instr(site("MXM0.acc", 2)),
                ..good
            },
        ),
        (
            Some(14),
            Use {
                consumer: Consumer::Instr(site("MXM0.acc", 9)),
                ..good
            },
        ),
        (Some(14), Use { first: 3, ..good }),
        (Some(14), Use { count: 0, ..good }),
        (
            Some(14),
            Use {
                first: u32::MAX,
                ..good
            },
        ),
        (
            Some(14),
            Use {
                consumer: Consumer::Output { entry: 1, run: 0 },
                ..output
            },
        ),
        (
            Some(14),
            Use {
                consumer: Consumer::Output { entry: 0, run: 1 },
                ..output
            },
        ),
        (Some(14), Use { count: 3, ..output }),
        (Some(15), Use { slot: 0, ..good }),
        (Some(15), Use { slot: 1, ..output }),
        (
            Some(16),
            Use {
                source: from("MXM0.act", 1, 0, 0),
                ..good
            },
        ),
        (
            Some(16),
            Use {
                source: from("MXM0.act", 0, 3, -1),
                ..good
            },
        ),
        (
            Some(16),
            Use {
                source: from("MXM0.act", 0, 1, -1),
                ..good
            },
        ),
        (
            Some(16),
            Use {
                source: from("MXM0.act", 0, 1, 1),
                ..good
            },
        ),
        (
            Some(16),
            Use {
                source: from("MXM0.act", 0, 1, i32::MAX),
                ..good
            },
        ),
        (
            Some(16),
            Use {
                source: Source::Image {
                    word: 8192,
                    step: 0,
                },
                ..output
            },
        ),
        (
            Some(16),
            Use {
                source: Source::Image { word: 0, step: -1 },
                ..output
            },
        ),
        (
            Some(16),
            Use {
                source: Source::Clock { cycle: 3 },
                ..good
            },
        ),
        (Some(17), Use { loc: 2, ..good }),
    ];
    for (rule, record) in cases {
        let record = if rule.is_none() && record.first == 1 {
            Use { count: 1, ..record }
        } else {
            record
        };
        let program = Program {
            uses: vec![record],
            ..program.clone()
        };
        assert_eq!(rules(&program), Vec::from_iter(rule), "{record:?}");
    }
}

#[test]
fn messages_name_place_and_rule() {
    let mut program = samples::program(0);
    program.image[1].slice = 50;
    let errors = program.validate().unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        "image segment 1: slice 50, expected less than 44 (form rule 10)"
    );
    assert_eq!(errors[0].place, FormPlace::Image(1));
}
