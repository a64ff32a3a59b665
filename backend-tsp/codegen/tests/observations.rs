//! Delays of the code generator against the public observations (machine.md section 6), which the micro-programs in
//! `lit-tests/machine` hold for checker and simulator.
//!
//! The numbers are written out here from the observations; nothing is computed by the code generator or read from
//! the machine file.

use tspc_codegen::compile;
use tspc_ir::text::parse;
use tspc_ir::{ConstData, ConstPool};
use tspc_machine::Machine;
use tspc_program::{
    AluInstr, Consumer, Direction, Hemisphere, Instr, MxmQueue, Program, Site, Source, Unit, Use,
    dispatches,
};

fn program(text: &str, constants: &ConstPool) -> Program {
    let module = parse("observations", text, constants).unwrap_or_else(|d| panic!("{d}"));
    compile(&module, &Machine::tsp_v1()).unwrap_or_else(|refusal| panic!("{refusal}"))
}

/// `ops` chained operations on eight rows.
fn chain(ops: usize) -> Program {
    let alus: String = (0..ops)
        .map(|i| {
            let line = "stream.alu(%A) {op = mul, elem = f32, imm = 1073741824} : stream<320xf32>";
            let line = line.replace('A', &(i + 1).to_string());
            format!("    %{} = {line}\n", i + 2)
        })
        .collect();
    let (last, result) = (ops + 1, ops + 2);
    let text = format!(
        "module @chain(%0 \"x\": stream<8x320xf32>) {{
  %{result} = stream.pipeline(%0) {{
  ^bb1(%1: stream<320xf32>):
{alus}    stream.yield(%{last})
  }} : stream<8x320xf32>
  stream.return(%{result}) {{names = [\"y\"]}}
}}
"
    );
    program(&text, &ConstPool::default())
}

/// A product with constant weights, to fp32.
fn product() -> Program {
    let weights = ConstData::i8s(&[320, 320], &[1; 320 * 320]).unwrap();
    let name = weights.hash().short();
    let mut constants = ConstPool::default();
    constants.add(weights);
    let text = format!(
        "module @product(%0 \"x\": stream<8x320xi8>) {{
  %1 = stream.constant() {{value = ref<320x320xi8, \"{name}\">}} : stream<320x320xi8>
  %2 = stream.install(%1) : weights<320x320xi8>
  %3 = stream.pass(%0, %2) : stream<8x320xi32>
  %6 = stream.pipeline(%3) {{
  ^bb1(%4: stream<320xi32>):
    %5 = stream.alu(%4) {{op = cvt, elem = f32}} : stream<320xf32>
    stream.yield(%5)
  }} : stream<8x320xf32>
  stream.return(%6) {{names = [\"y\"]}}
}}
"
    );
    program(&text, &constants)
}

/// First dispatch of an instruction.
fn cycle(program: &Program, site: Site) -> i64 {
    let queue = &program.queues[site.queue.index()];
    let found = dispatches(queue).find(|d| d.index == site.index as usize);
    found.expect("a dispatch").first as i64
}

fn instr(program: &Program, site: Site) -> &Instr {
    &program.queues[site.queue.index()][site.index as usize]
}

/// Producer, consumer and cycles between them, where both are the first iteration of an instruction.
fn edges(program: &Program) -> Vec<(Site, Site, i64)> {
    let edge = |u: &Use| match (u.consumer, u.source) {
        (Consumer::Instr(to), Source::Dispatch { site, first: 0, .. }) if u.first == 0 => {
            Some((site, to, cycle(program, to) - cycle(program, site)))
        }
        _ => None,
    };
    program.uses.iter().filter_map(edge).collect()
}

/// Columns that a value passes in the VXM before this one.
fn columns(alu: u8, dir: Direction) -> i64 {
    match dir {
        Direction::East => i64::from(alu % 4),
        Direction::West => 3 - i64::from(alu % 4),
    }
}

/// The direction of operand a.
fn operand(instr: &Instr) -> Direction {
    let Instr::Alu(AluInstr {
        a: tspc_program::Operand::Stream { stream, .. },
        ..
    }) = instr
    else {
        panic!("expected a stream: {instr}")
    };
    stream.dir
}

/// Cycles from producer to consumer that the observations and the floor plan give; `None` if they are not fixed.
fn observed(program: &Program, from: Site, to: Site) -> Option<i64> {
    use MxmQueue::{Accumulate, Activation, Weight};
    let group = |slice: u8| i64::from(slice / 4);
    let to_instr = instr(program, to);
    Some(match (from.queue.unit(), to.queue.unit()) {
        // C6, C7: one cycle to read, a hop a group, 5 into the VXM, 3 a column.
        (Unit::Mem(_, s), Unit::Alu(a)) => 1 + group(s) + 5 + 3 * columns(a, operand(to_instr)),
        // C1, C6, C7: 3 an operation, 3 a column that waits.
        (Unit::Alu(a), Unit::Alu(b)) => {
            let dir = operand(to_instr);
            3 * (columns(b, dir) - columns(a, dir))
        }
        // C6, C7: 3, then a hop a group.
        (Unit::Alu(_), Unit::Mem(_, s)) => 3 + group(s),
        // C3: a read of slice 25 is 4 hops and 9 cycles from the MXM.
        (Unit::Mem(_, s), Unit::Mxm(_, _, Weight | Activation)) => 1 + (10 - group(s)) + 9,
        (Unit::Mxm(_, _, Activation), Unit::Mxm(_, _, Accumulate)) => 13,
        // C3: the sum is there 34 after the accumulator's dispatch; 6 out, 11 registers, 5 into the VXM.
        (Unit::Mxm(_, _, Accumulate), Unit::Alu(a)) => {
            34 + 6 + 11 + 5 + 3 * columns(a, operand(to_instr))
        }
        _ => return None,
    })
}

#[test]
fn every_hop_is_as_observed() {
    let mut kinds = std::collections::BTreeSet::new();
    for program in [chain(1), chain(2), chain(4), product()] {
        for (from, to, cycles) in edges(&program) {
            if let Some(expected) = observed(&program, from, to) {
                assert_eq!(cycles, expected, "{} to {}", from.queue, to.queue);
                let kind = |site: Site| match site.queue.unit() {
                    Unit::Mem(..) => "mem",
                    Unit::Alu(_) => "alu",
                    Unit::Mxm(_, _, MxmQueue::Weight) => "weight",
                    Unit::Mxm(_, _, MxmQueue::Activation) => "act",
                    Unit::Mxm(_, _, MxmQueue::Accumulate) => "acc",
                    Unit::Sxm(..) => "sxm",
                };
                kinds.insert((kind(from), kind(to)));
            }
        }
    }
    let all = [
        ("acc", "alu"),
        ("act", "acc"),
        ("alu", "alu"),
        ("alu", "mem"),
        ("mem", "act"),
        ("mem", "alu"),
        ("mem", "weight"),
    ];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), all);
}

/// C6: read, two operations, write, and 6 until the word may be read: 1 + 5 + 3 + 3 + 6 = 18 on slices 0-3.
/// C7: four operations on slices 4-7, 26. A chain in adjacent columns next to the VXM takes no cycle more.
#[test]
fn chains_take_what_c6_and_c7_took() {
    for (ops, observed, group) in [(2, 18, 0), (4, 26, 1)] {
        let program = chain(ops);
        let spans = program.uses.iter().filter_map(|u| {
            let (Consumer::Instr(to), Unit::Mem(hemi, s)) = (u.consumer, unit(u)?) else {
                return None;
            };
            Some((hemi, i64::from(s / 4), cycle(&program, to)))
        });
        let spans: Vec<(Hemisphere, i64, i64)> = spans.collect();
        let (_, read_group, read) = spans.iter().min_by_key(|s| s.2).unwrap();
        let (_, write_group, write) = spans.iter().max_by_key(|s| s.2).unwrap();
        let beside = write - read - read_group - write_group;
        assert_eq!(beside + 2 * group + 6, observed, "{ops} operations");
    }
}

/// The unit of a use's consumer.
fn unit(u: &Use) -> Option<Unit> {
    match u.consumer {
        Consumer::Instr(site) => Some(site.queue.unit()),
        Consumer::Output { .. } => None,
    }
}

/// C4: 16 streams install a plane in 20 cycles. C5: `iw` follows the last load, the first row 3 cycles later.
#[test]
fn installs_take_what_c4_and_c5_took() {
    let program = product();
    let of = |wanted: fn(&Instr) -> bool| {
        let queues = program.queues.iter();
        let all = queues.flat_map(|queue| {
            dispatches(queue)
                .filter(move |d| wanted(&queue[d.index]))
                .map(|d| (d.first as i64, d.last() as i64))
        });
        all.min().expect("an instruction of this kind")
    };
    let (first_load, last_load) = of(|i| matches!(i, Instr::Lw { .. }));
    let (install, _) = of(|i| matches!(i, Instr::Iw { .. }));
    let (row, _) = of(|i| matches!(i, Instr::Act { .. }));
    assert_eq!(last_load - first_load, 19);
    assert_eq!(install - last_load, 1);
    assert_eq!(row - install, 3);
}
