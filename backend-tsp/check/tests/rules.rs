//! For every rule a program that breaks it and no other: an accepted program with one change.

mod build;

use build::*;
use tspc_check::{Rule, VIOLATIONS_KEPT, Violation, check};
use tspc_machine::Machine;
use tspc_program::*;

/// A program that breaks `rule`, and on which machine.
fn breaking(rule: Rule) -> (Program, Machine) {
    let setting: &[&str] = match rule {
        Rule::MachineMismatch => &["vxm_entry=4"],
        Rule::TextCapacity => &["text_slices_west=[]", "text_slices_east=[]"],
        Rule::ActTooEarly => &["mxm_iw_to_act=4"],
        _ => &[],
    };
    let machine = Machine::tsp_v1().with(setting).unwrap();
    let mut program = match rule {
        Rule::MachineMismatch => Build::default().program,
        Rule::Form
        | Rule::GroupAlignment
        | Rule::BankExit
        | Rule::UseSource
        | Rule::TextCapacity
        | Rule::TextSlice
        | Rule::WordOverlap
        | Rule::UseMissing
        | Rule::UseTwice
        | Rule::UseUnknown => of_shape(rule),
        Rule::OperandMissing
        | Rule::OperandMismatch
        | Rule::ByteOrder
        | Rule::ValueLost
        | Rule::StreamConflict
        | Rule::PortConflict
        | Rule::MeshConflict => of_streams(rule),
        Rule::SameBank
        | Rule::WriteToRead
        | Rule::ReadUndefined
        | Rule::MapConstant
        | Rule::MapRange => of_memory(rule),
        Rule::MapBijection => exchange_program(lane_map(|l| l.min(318))).build.program,
        Rule::MapStream => {
            let mut x = exchange_program(lane_map(|l| l));
            set(&mut x.build.program, x.distribute, |i| {
                let Instr::Distribute { map, .. } = i else {
                    unreachable!()
                };
                *map = 15;
            });
            let from = source_of(&x.build.program, x.transpose, 15);
            retarget(&mut x.build.program, x.distribute, 8, from);
            x.build.program
        }
        Rule::WireReach
        | Rule::WireDirections
        | Rule::MeshEdge
        | Rule::SmallAlu
        | Rule::Immediate
        | Rule::OpTypes => of_alus(rule),
        Rule::GroupRange
        | Rule::LwTooEarly
        | Rule::IwGroups
        | Rule::InstallTime
        | Rule::WeightForm
        | Rule::ActTooEarly
        | Rule::ActWithoutWeights
        | Rule::ActUnmet
        | Rule::AccumulateUnmet
        | Rule::OddPlane => of_planes(rule),
    };
    if rule != Rule::MachineMismatch {
        program.machine.clone_from(&machine.name);
        program.machine_hash.clone_from(&machine.hash);
    }
    (program, machine)
}

#[test]
fn every_rule_is_broken_alone() {
    for &rule in Rule::ALL {
        let (program, machine) = breaking(rule);
        let mut rules: Vec<_> = check(&program, &machine)
            .violations
            .iter()
            .map(|v| v.rule)
            .collect();
        rules.sort();
        rules.dedup();
        match rule {
            // The replacer is reported beside the consumer.
            Rule::ValueLost => assert_eq!(rules, [Rule::OperandMismatch, rule]),
            _ => assert_eq!(rules, [rule], "{rule}"),
        }
    }
}

fn instr(program: &mut Program, site: Site) -> &mut Instr {
    &mut program.queues[site.queue.index()][site.index as usize]
}

fn set(program: &mut Program, site: Site, change: impl FnOnce(&mut Instr)) {
    change(instr(program, site));
}

fn set_alu(program: &mut Program, site: Site, change: impl FnOnce(&mut AluInstr)) {
    set(program, site, |i| {
        let Instr::Alu(alu) = i else { unreachable!() };
        change(alu);
    });
}

fn find(program: &mut Program, site: Site, slot: u8) -> &mut Use {
    let consumer = Consumer::Instr(site);
    program
        .uses
        .iter_mut()
        .find(|u| u.consumer == consumer && u.slot == slot)
        .unwrap()
}

fn source_of(program: &Program, site: Site, slot: u8) -> Source {
    let consumer = Consumer::Instr(site);
    program
        .uses
        .iter()
        .find(|u| u.consumer == consumer && u.slot == slot)
        .unwrap()
        .source
}

fn retarget(program: &mut Program, site: Site, slot: u8, source: Source) {
    find(program, site, slot).source = source;
}

fn of_shape(rule: Rule) -> Program {
    let Copy {
        mut build,
        read: from,
        alu,
        ..
    } = copy_program();
    match rule {
        Rule::TextSlice => build.image(West, 38, 0, 1, 0),
        Rule::WordOverlap => build.image(West, 3, 99, 2, 0),
        _ => {}
    }
    let mut p = build.program;
    match rule {
        Rule::Form => p.queues[1].push(Instr::Nop { n: 0 }),
        Rule::GroupAlignment => set_alu(&mut p, alu, |a| {
            a.a = Operand::Stream {
                stream: e(1),
                ty: ElemType::I32,
            };
            (a.op, a.ty) = (AluOp::Neg, ElemType::I32);
        }),
        Rule::BankExit => set(&mut p, from, |i| *i = read(e(0), 4092, 1)),
        Rule::UseSource => {
            find(&mut p, alu, 0).source = Source::Dispatch {
                site: from,
                first: 1,
                step: 1,
            };
        }
        Rule::UseMissing => find(&mut p, alu, 0).count = 7,
        Rule::UseTwice => {
            let u = *find(&mut p, alu, 0);
            let source = Source::Dispatch {
                site: from,
                first: 7,
                step: 1,
            };
            p.uses.push(Use {
                first: 7,
                count: 1,
                source,
                ..u
            });
        }
        Rule::UseUnknown => {
            let u = *find(&mut p, alu, 0);
            p.uses.push(Use { slot: 1, ..u });
        }
        _ => {}
    }
    p
}

fn of_streams(rule: Rule) -> Program {
    if rule == Rule::ByteOrder {
        // The third byte of the sum goes where the fourth should.
        let Matrix {
            mut build, writes, ..
        } = matrix_program();
        set(&mut build.program, writes[3], |i| *i = write(w(2), 0, 0));
        return build.program;
    }
    let Copy {
        mut build,
        read: from,
        write: to,
        ..
    } = copy_program();
    let b = &mut build;
    b.image(West, 7, 0, 1, 0);
    match rule {
        Rule::OperandMissing => {
            let site = b.at(alu(1), 6, copy(e(8), e(8), ResultMode::Out));
            let source = b.fetch(West, 7, 0, e(9), 0);
            b.takes(site, [0], 1, made_by(source));
        }
        // The row itself, which went past the ALU three cycles ago.
        Rule::OperandMismatch => retarget(&mut b.program, to, 2, made_by(from)),
        Rule::ValueLost => {
            // W7's value reaches SR_0 at 2; W2 puts its own there.
            b.image(West, 2, 0, 1, 0);
            let lost = b.fetch(West, 7, 0, e(9), 0);
            b.fetch(West, 2, 1, e(9), 0);
            b.keep(East, 4, 8, e(9), 0, lost);
        }
        // W6 and W7 both drive SR_1.
        Rule::StreamConflict => {
            b.image(West, 6, 0, 1, 0);
            b.fetch(West, 6, 0, e(9), 0);
            b.fetch(West, 7, 0, e(9), 0);
        }
        Rule::PortConflict => {
            for (i, cycle) in [(0, 30), (1, 30)] {
                let unit = [SxmUnit::ShiftUp, SxmUnit::ShiftDown][i];
                b.image(East, 2 + i as u8, 0, 1, 0);
                let id = 30 + i as u8;
                let from = b.fetch(East, 2 + i as u8, cycle - to_sxm(2), e(id), 0);
                let shift = Instr::Shift {
                    src: id,
                    w: 1,
                    n: 1,
                    dst: 20,
                    mode: SxmMode::On,
                };
                let shift = b.at(Unit::Sxm(East, unit), cycle, shift);
                b.takes(shift, [0], 1, made_by(from));
            }
        }
        Rule::MeshConflict => {
            // ALU1 and ALU5 take the same byte in column 1, at 9, and both drive e13 of column 2.
            for n in [1, 5] {
                let site = b.at(alu(n), 10, copy(e(9), e(13), ResultMode::Mesh));
                let source = Site {
                    queue: Unit::Mem(West, 7).queue().unwrap(),
                    index: 0,
                };
                b.takes(site, [0], 1, made_by(source));
            }
            b.fetch(West, 7, 0, e(9), 0);
        }
        _ => unreachable!(),
    }
    build.program
}

fn of_memory(rule: Rule) -> Program {
    let Copy {
        mut build,
        write: to,
        ..
    } = copy_program();
    let b = &mut build;
    b.image(East, 0, 0, 2, 0);
    // A gather of E4 at 41 whose map was read from E0 at 40.
    let mapped = |b: &mut Build, map: Site| {
        b.image(East, 4, 0, 20, 0);
        let get = b.at(Unit::Mem(East, 4), 41, gather(e(9), 0, e(1)));
        b.takes(get, [1], 1, made_by(map));
        get
    };
    match rule {
        Rule::SameBank => {
            let both = Instr::Mem {
                read: Some(MemPart {
                    stream: e(5),
                    access: direct(0, 0),
                }),
                write: Some(MemPart {
                    stream: w(1),
                    access: direct(300, 0),
                }),
            };
            // E5 drives SR_1 inward at 40, which E0 takes then.
            b.image(East, 5, 0, 1, 0);
            let from = b.fetch(East, 5, 39, w(1), 0);
            let site = b.at(Unit::Mem(East, 0), 40, both);
            b.reads_image(site, 1);
            b.takes(site, [2], 1, made_by(from));
        }
        Rule::WriteToRead => {
            let again = b.at(Unit::Mem(East, 0), 21, read(e(5), 207, 0));
            b.takes(
                again,
                [0],
                1,
                Source::Dispatch {
                    site: to,
                    first: 7,
                    step: 0,
                },
            );
        }
        Rule::ReadUndefined => {
            b.fetch(East, 0, 40, e(5), 300);
        }
        Rule::MapConstant => {
            let map = b.at(Unit::Mem(East, 0), 40, read(e(1), 200, 0));
            b.takes(map, [0], 1, made_by(to));
            let get = mapped(b, map);
            b.gathers_image(get, |k| k);
        }
        Rule::MapRange => {
            b.image_bytes(East, 0, 50, word_map(|k| if k == 19 { 4096 } else { k }));
            let map = b.fetch(East, 0, 40, e(1), 50);
            let get = mapped(b, map);
            b.gathers_image(get, |k| k);
        }
        _ => unreachable!(),
    }
    build.program
}

fn of_alus(rule: Rule) -> Program {
    let Copy {
        build,
        alu: site,
        write: to,
        ..
    } = copy_program();
    let mut b = build;
    match rule {
        Rule::WireReach => {
            // Stream 16 is on wire 4; row 0 reaches 0…3.
            set_alu(&mut b.program, site, |a| a.result = e(16));
            set(&mut b.program, to, |i| *i = write(e(16), 200, 1));
        }
        Rule::WireDirections => {
            // i32 operands on e4… from the West and w4… from the East, both in column 1 at 40.
            // West: entry at 40 − 5 − 3 = 32, read of W0 (group 0) at 31. East: two columns in, 40 − 5 − 6 = 29, at 28.
            let mut sources = Vec::new();
            for byte in 0..4 {
                b.image(West, byte, 0, 1, 0);
                b.image(East, byte, 0, 1, 0);
                sources.push(b.fetch(West, byte, 31, e(4 + byte), 0));
            }
            for byte in 0..4 {
                sources.push(b.fetch(East, byte, 28, w(4 + byte), 0));
            }
            let operand = |stream| Operand::Stream {
                stream,
                ty: ElemType::I32,
            };
            let add = b.at(
                alu(1),
                40,
                Instr::Alu(AluInstr {
                    op: AluOp::AddSat,
                    a: operand(e(4)),
                    b: Some(operand(w(4))),
                    imm: 0,
                    result: e(4),
                    ty: ElemType::I32,
                    mode: ResultMode::Out,
                }),
            );
            for (slot, source) in sources.into_iter().enumerate() {
                b.takes(add, [slot as u8], 1, made_by(source));
            }
        }
        Rule::MeshEdge => {
            // Row 0 again in the last column, nine cycles after column 0, and to nobody.
            let edge = b.at(alu(3), 15, copy(e(0), e(0), ResultMode::Mesh));
            let source = source_of(&b.program, site, 0);
            b.takes(edge, [0], 1, source);
        }
        Rule::SmallAlu | Rule::Immediate | Rule::OpTypes => {
            for byte in 0..4 {
                b.image(West, 4 + byte, 0, 1, 0);
                b.fetch(West, 4 + byte, 30, e(8 + byte), 0);
            }
            // W4… drive SR_1 at 31, SR_0 at 32, column 1 at 40.
            let (op, imm) = match rule {
                Rule::SmallAlu => (AluOp::Exp, 0),
                Rule::Immediate => (AluOp::Neg, 1),
                _ => (AluOp::Convert, 0),
            };
            let mut instr = unary(
                op,
                e(8),
                ElemType::F32,
                e(8),
                ElemType::F32,
                ResultMode::Out,
            );
            if let Instr::Alu(alu) = &mut instr {
                alu.imm = imm;
            }
            let site = b.at(alu(1), 40, instr);
            for byte in 0..4 {
                let queue = Unit::Mem(West, 4 + byte).queue().unwrap();
                b.takes(site, [byte], 1, made_by(Site { queue, index: 1 }));
            }
        }
        _ => unreachable!(),
    }
    b.program
}

fn of_planes(rule: Rule) -> Program {
    let Matrix {
        mut build, iw, act, ..
    } = matrix_program();
    let b = &mut build;
    // More of what the matrix program has, on plane 3: a row that is in flight already, a load of stream 0…15.
    let odd = |queue| Unit::Mxm(East, 1, queue);
    match rule {
        Rule::InstallTime => {
            retarget(
                &mut b.program,
                iw,
                INSTALL_TIME,
                Source::Clock { cycle: 41 },
            );
        }
        Rule::GroupRange => set(&mut b.program, iw, |i| *i = Instr::Iw { n: 9, f16: None }),
        Rule::LwTooEarly => load_again(b, plane2(MxmQueue::Weight), 42, None),
        Rule::IwGroups => {
            let again = b.at(plane2(MxmQueue::Weight), 70, Instr::Iw { n: 10, f16: None });
            b.takes(again, 0..10, 1, made_by(iw));
        }
        Rule::WeightForm => {
            load_again(b, plane2(MxmQueue::Weight), 60, None);
            load_again(b, plane2(MxmQueue::Weight), 61, Some(0));
        }
        Rule::ActTooEarly => {}
        Rule::ActWithoutWeights => {
            let row = Instr::Act {
                stream: 16,
                ty: ElemType::I8,
            };
            let site = b.at(odd(MxmQueue::Activation), 43, row);
            let source = source_of(&b.program, act, 0);
            b.takes(site, [0], 1, source);
            let source = source_of(&b.program, act, 2);
            b.takes(site, [2], 1, source);
            let out = b.at(odd(MxmQueue::Accumulate), 56, Instr::Drop);
            b.takes(out, [4], 1, made_by(site));
        }
        Rule::ActUnmet => {
            b.image(East, 29, 0, 1, 0);
            let row = b.fetch(East, 29, 45 - to_port(29), e(31), 0);
            let site = b.at(
                plane2(MxmQueue::Activation),
                45,
                Instr::Act {
                    stream: 31,
                    ty: ElemType::I8,
                },
            );
            b.takes(site, [0], 1, made_by(row));
            b.takes(site, [2], 1, made_by(iw));
        }
        Rule::AccumulateUnmet => {
            let site = b.at(plane2(MxmQueue::Accumulate), 58, Instr::Drop);
            b.takes(site, [4], 1, made_by(act));
        }
        Rule::OddPlane => load_again(b, odd(MxmQueue::Weight), 60, Some(0)),
        _ => unreachable!(),
    }
    build.program
}

/// A `lw` of group 0 on streams 0…15 at `cycle`, from E0… and E15.
fn load_again(b: &mut Build, unit: Unit, cycle: u64, f16: Option<u8>) {
    let lw = b.at(
        unit,
        cycle,
        Instr::Lw {
            j: 0,
            step: 0,
            b: 0,
            f16,
        },
    );
    for s in 0..16 {
        let from = b.fetch(East, s, cycle - to_port(s), e(s), 0);
        b.takes(lw, [s], 1, made_by(from));
    }
}

#[test]
fn a_violation_names_both_places_and_the_shortfall() {
    let mut c = copy_program();
    // The ALU one cycle late: rows 1… are in time, the last finds nothing.
    c.build.program.queues[0][0] = Instr::Nop { n: 7 };
    let report = report(&c.build.program);
    let first = &report.violations[0];
    assert_eq!(first.rule, Rule::OperandMismatch);
    assert_eq!(
        (first.cycle, first.unit.as_str(), first.iteration),
        (Some(7), "ALU0", 0)
    );
    assert_eq!(first.site, Some(c.alu));
    assert_eq!(first.location, "encoder/0");
    assert_eq!(
        first.message,
        "slot 0: e0 at mesh column 0 in cycle 7 holds the result of MEM_W3[0] iteration 1 (cycle 1); \
         expected that of MEM_W3[0] iteration 0 (cycle 0), which is there 1 cycles earlier"
    );
    assert!(
        first
            .to_string()
            .starts_with("cycle 7, ALU0[1]: operand-mismatch: slot 0: ")
    );
    assert!(
        report
            .violations
            .iter()
            .any(|v| v.rule == Rule::OperandMissing && v.cycle == Some(14))
    );
    assert!(
        report
            .violations
            .is_sorted_by_key(|v| (v.cycle, v.site, v.iteration))
    );
}

#[test]
fn the_report_keeps_some_and_counts_all() {
    let mut p = Build::default().program;
    p.queues[0] = vec![
        copy(e(0), e(0), ResultMode::Out),
        Instr::Repeat { n: 999, d: 1 },
    ];
    let report = report(&p);
    // One record is missing, a thousand operands are not there.
    assert_eq!(report.total, 1001);
    assert_eq!(report.violations.len(), VIOLATIONS_KEPT);
}

#[test]
fn a_wrong_number_of_queues_is_a_violation() {
    let mut p = copy_program().build.program;
    p.queues.pop();
    assert_eq!(rules(&p), [Rule::Form]);
    p.queues.clear();
    assert_eq!(rules(&p), [Rule::Form]);
}

#[test]
fn words_of_the_image_are_told_apart() {
    // Another row of the input, in every iteration; other rows from the second on; and the word that `uses` names.
    for (addr, step, wrong) in [(101, 1, 8), (100, 0, 7), (100, 1, 0)] {
        let mut c = copy_program();
        // Rows 101… of the input go to 108.
        c.build.image(West, 3, 108, 1, 0);
        set(&mut c.build.program, c.read, |i| {
            *i = read(e(0), addr, step)
        });
        let report = report(&c.build.program);
        let at = |v: &Violation| v.rule == Rule::OperandMismatch && v.site == Some(c.read);
        assert_eq!(report.violations.iter().filter(|v| at(v)).count(), wrong);
        assert_eq!(report.total, wrong as u64);
        if wrong == 8 {
            assert_eq!(
                report.violations[0].message,
                "slot 0: MEM_W3 word 101 is from the initial image or an input, word 101, \
                 expected from the initial image or an input, word 100"
            );
        }
    }
}

#[test]
fn the_clock_is_for_the_time_of_an_iw() {
    let mut c = copy_program();
    retarget(&mut c.build.program, c.alu, 0, Source::Clock { cycle: 6 });
    assert_eq!(rules(&c.build.program), [Rule::Form]);
    let mut c = copy_program();
    c.build
        .takes(c.alu, [INSTALL_TIME], 1, Source::Clock { cycle: 6 });
    assert_eq!(rules(&c.build.program), [Rule::UseUnknown]);
}

#[test]
fn a_source_is_a_word_that_a_slice_has() {
    for (word, step) in [(8185, 1), (6, -1), (8192, 0)] {
        let mut c = copy_program();
        retarget(
            &mut c.build.program,
            c.read,
            0,
            Source::Image { word, step },
        );
        assert_eq!(rules(&c.build.program), [Rule::UseSource]);
    }
}

#[test]
fn an_output_word_must_be_made_by_the_write_that_uses_names() {
    let mut c = copy_program();
    c.build.program.outputs[0].tiles[0].planes[0][0].addr = 201;
    assert_eq!(
        rules(&c.build.program),
        [Rule::OperandMismatch, Rule::ReadUndefined]
    );
}
