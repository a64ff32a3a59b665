//! Programs that the checker accepts, with the latency worked out by hand.

mod build;

use build::*;
use tspc_check::{Rule, check};
use tspc_machine::Machine;
use tspc_program::*;

fn assert_accepted(program: &Program) -> tspc_check::Report {
    let report = report(program);
    let text: Vec<_> = report.violations.iter().map(|v| v.to_string()).collect();
    assert!(report.accepted(), "{}", text.join("\n"));
    report
}

#[test]
fn an_empty_program() {
    let report = assert_accepted(&Build::default().program);
    assert_eq!((report.dispatches, report.cycles), (0, None));
}

#[test]
fn memory_to_vxm_to_memory() {
    let report = assert_accepted(&copy_program().build.program);
    // The last write is at 9 + 7; 6 to be readable, 19 of stagger.
    assert_eq!(report.cycles, Some(16 + 6 + 19));
    assert_eq!(report.dispatches, 24);
    assert_eq!(report.sram_words, 16);
    // Three instructions with a repeat each, two of them after a nop.
    assert_eq!(report.text_bytes, 3 * (16 + 4) + 2 * 4);
}

#[test]
fn install_pass_accumulate_and_write_back() {
    let report = assert_accepted(&matrix_program().build.program);
    assert_eq!(report.cycles, Some(98 + 6 + 19));
}

#[test]
fn every_kind_of_sxm_trip() {
    assert_accepted(&exchange_program(lane_map(|l| 319 - l)).build.program);
}

#[test]
fn sxm_results_go_on_to_the_mxm_port() {
    // As the exchange, but the shift by 17 lanes (d = 5) delivers at 20 + 5 + 5 = 30 on stream 0 of the port, where
    // the second load would have found the undisturbed byte.
    let mut m = matrix_program();
    let b = &mut m.build;
    b.image(East, 26, 0, 1, 9);
    let source = b.fetch(East, 26, 20 - to_sxm(26), e(28), 0);
    let shift = Instr::Shift {
        src: 28,
        w: 1,
        n: 17,
        dst: 0,
        mode: SxmMode::On,
    };
    let shift = b.at(Unit::Sxm(East, SxmUnit::ShiftDown), 20, shift);
    b.takes(shift, [0], 1, made_by(source));
    // Load 10 dispatches at 30: its slot 0 is now the shift's.
    let i = b
        .program
        .uses
        .iter()
        .position(|u| u.consumer == Consumer::Instr(m.lw) && u.slot == 0)
        .unwrap();
    let old = b.program.uses[i];
    let Source::Dispatch { site, .. } = old.source else {
        unreachable!()
    };
    b.program.uses[i].count = 10;
    let source = Source::Dispatch {
        site: shift,
        first: 0,
        step: 0,
    };
    b.program.uses.push(Use {
        first: 10,
        count: 1,
        source,
        ..old
    });
    let source = Source::Dispatch {
        site,
        first: 11,
        step: 1,
    };
    b.program.uses.push(Use {
        first: 11,
        count: 9,
        source,
        ..old
    });
    assert_accepted(&b.program);
}

#[test]
fn values_pass_the_vxm_without_an_alu() {
    // W3 read at 0: SR_0(W) at 1, SR_0(E) at 6, taken there by E0.
    let mut b = Build::default();
    b.image(West, 3, 0, 1, 1);
    let from = b.fetch(West, 3, 0, e(7), 0);
    b.keep(East, 0, 6, e(7), 0, from);
    assert_accepted(&b.program);
}

#[test]
fn mesh_columns_chain_and_loop_back() {
    // ALU0 at 6; ALU1 eastward three later; it sends westward to column 0, where ALU0 takes it three later again.
    let mut b = Build::default();
    b.image(West, 3, 0, 1, 1);
    let from = b.fetch(West, 3, 0, e(0), 0);
    let mesh = ResultMode::Mesh;
    let first = b.at(alu(0), 6, copy(e(0), e(1), mesh));
    let second = b.at(alu(1), 9, copy(e(1), w(2), mesh));
    let third = b.at(alu(0), 12, copy(w(2), e(3), ResultMode::Out));
    b.takes(first, [0], 1, made_by(from));
    b.takes(second, [0], 1, made_by(first));
    b.takes(third, [0], 1, made_by(second));
    b.keep(East, 0, 15, e(3), 0, third);
    assert_accepted(&b.program);
}

#[test]
fn a_word_is_read_six_cycles_after_its_write() {
    let mut c = copy_program();
    let b = &mut c.build;
    // Row 7 is written at 16.
    let again = b.at(Unit::Mem(East, 0), 22, read(e(5), 207, 0));
    b.takes(
        again,
        [0],
        1,
        Source::Dispatch {
            site: c.write,
            first: 7,
            step: 0,
        },
    );
    assert_accepted(&b.program);
}

#[test]
fn gather_and_scatter_follow_their_maps() {
    let report = assert_accepted(&gather_program().program);
    assert_eq!(report.sram_words, 5);
}

/// A copied map is still a constant.
#[test]
fn maps_may_be_copied_within_memory() {
    let mut b = Build::default();
    b.image_bytes(East, 0, 0, word_map(|k| k));
    b.image(East, 8, 0, 20, 7);
    let map = b.fetch(East, 0, 0, e(0), 0);
    let copied = b.keep(East, 4, 1, e(0), 50, map);
    let again = b.at(Unit::Mem(East, 4), 7, read(e(0), 50, 0));
    b.takes(again, [0], 1, made_by(copied));
    let get = b.at(Unit::Mem(East, 8), 8, gather(e(9), 0, e(0)));
    b.takes(get, [1], 1, made_by(again));
    b.gathers_image(get, |k| k);
    assert_accepted(&b.program);
}

/// One fp16 K half on plane 0: 40 loads, `iw.f16`, one row.
#[test]
fn fp16_on_the_even_plane() {
    let b = half_program();
    let report = assert_accepted(&b.program);
    assert_eq!(report.cycles, None);
}

fn half_program() -> Build {
    let mut b = Build::default();
    let weight = Unit::Mxm(West, 0, MxmQueue::Weight);
    let lw = b.repeated(
        weight,
        20,
        Instr::Lw {
            j: 0,
            step: 1,
            b: 16,
            f16: Some(1),
        },
        39,
        1,
    );
    for s in 0..16 {
        b.image(West, s, 0, 40, s);
        let from = b.repeated(
            Unit::Mem(West, s),
            20 - to_port(s),
            read(w(16 + s), 0, 1),
            39,
            1,
        );
        b.reads_image(from, 40);
        b.takes(lw, [s], 40, made_by(from));
    }
    let iw = b.at(
        weight,
        60,
        Instr::Iw {
            n: 40,
            f16: Some(1),
        },
    );
    for j in 0..40 {
        b.takes(
            iw,
            [j],
            1,
            Source::Dispatch {
                site: lw,
                first: u32::from(j),
                step: 0,
            },
        );
    }
    let act = Instr::Act {
        stream: 0,
        ty: ElemType::F16,
    };
    let act = b.at(Unit::Mxm(West, 0, MxmQueue::Activation), 63, act);
    b.takes(act, [2], 1, made_by(iw));
    for byte in 0..2 {
        b.image(West, 17 + byte, 0, 1, 0);
        let from = b.fetch(West, 17 + byte, 63 - to_port(17), w(byte), 0);
        b.takes(act, [byte], 1, made_by(from));
    }
    let out = b.at(Unit::Mxm(West, 0, MxmQueue::Accumulate), 76, Instr::Drop);
    b.takes(out, [4], 1, made_by(act));
    b
}

/// What breaks when an activation is one byte of a number: the highest has the sign, the others have none.
#[test]
fn activations_may_be_bytes_of_numbers() {
    let broken = |byte: u8, ty: ElemType| {
        let Matrix {
            build: mut b, act, ..
        } = matrix_program();
        // Out of the way of the number, which has the stream of the rows.
        let rows = Unit::Mem(East, 17).queue().unwrap().index();
        for instr in &mut b.program.queues[rows] {
            if let Instr::Mem {
                read: Some(part), ..
            } = instr
            {
                part.stream = e(24);
            }
        }
        // Column 0 five cycles after SR_0(W); out on SR_0(E) at 23, at the port 20 later.
        let neg = unary(
            AluOp::Neg,
            e(16),
            ElemType::I32,
            e(16),
            ElemType::I32,
            ResultMode::Out,
        );
        let neg = b.repeated(alu(4), 20, neg, 1, 1);
        for s in 0..4 {
            b.image(West, s, 0, 2, s);
            let from = b.repeated(Unit::Mem(West, s), 14, read(e(16 + s), 0, 1), 1, 1);
            b.reads_image(from, 2);
            b.takes(neg, [s], 2, made_by(from));
        }
        let stream = 16 + byte;
        b.program.queues[act.queue.index()][act.index as usize] = Instr::Act { stream, ty };
        for u in &mut b.program.uses {
            if u.consumer == Consumer::Instr(act) && u.slot == 0 {
                u.source = made_by(neg);
            }
        }
        rules(&b.program)
    };
    assert_eq!(broken(3, ElemType::I8), []);
    for byte in 0..3 {
        assert_eq!(broken(byte, ElemType::U8), []);
        assert_eq!(broken(byte, ElemType::I8), [Rule::ByteOrder]);
    }
    assert_eq!(broken(3, ElemType::U8), [Rule::ByteOrder]);
}

/// The odd plane is free before the first and after the last cycle of fp16 only.
#[test]
fn the_odd_plane_idles_beside_fp16() {
    let drop = |cycle| {
        let mut b = half_program();
        let odd = Unit::Mxm(West, 1, MxmQueue::Accumulate);
        b.at(odd, cycle, Instr::Drop);
        let mut rules = rules(&b.program);
        rules.retain(|r| *r == Rule::OddPlane);
        !rules.is_empty()
    };
    // First load at 20; the row of 63 would be out at 63 + 53 = 116.
    assert_eq!(
        [19, 20, 61, 116, 117].map(drop),
        [false, true, true, true, false]
    );
}

#[test]
fn other_machines_have_other_delays() {
    let mut c = copy_program();
    let slow = Machine::tsp_v1().with(&["vxm_latency=4"]).unwrap();
    c.build.program.machine = slow.name.clone();
    c.build.program.machine_hash = slow.hash.clone();
    let rules: Vec<_> = check(&c.build.program, &slow)
        .violations
        .iter()
        .map(|v| v.rule)
        .collect();
    // At 9 there is no result yet: the first write takes row 3, which came past the ALU.
    assert!(rules.contains(&Rule::OperandMismatch), "{rules:?}");
}
