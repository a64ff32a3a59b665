//! Modules that come from a file and lack a fact, or contradict themselves, are refused at the op.

use tspc_ir as ir;
use tspc_machine::Machine;
use tspc_program::{Instr, Source};

use super::emit;

const MEM: &str = "hemisphere = west, slice = 3, bank = 0, word = 5";

/// Copies two words; `read` and `write` are the facts of the two instructions.
fn copy(read: &str, write: &str) -> ir::stage::Tsp {
    let text = format!(
        "module @copy() {{\n\
         %0 = tsp.input() {{name = \"x\", elem = i8, rows = 2, cols = 4, tile = 0, byte = 0, {MEM}}} : mem<2xi8>\n\
         %1 = tsp.read(%0) {{start = 0, step = 1, count = 2, interval = 1{read}}} : seq<2xi8>\n\
         %2 = tsp.write(%1) {{byte = 0, start = 0, step = 1, words = 2{write}}} : mem<2xi8>\n\
         tsp.output(%2) {{name = \"y\", elem = i8, rows = 2, cols = 4, tile = 0, byte = 0}}\n}}\n"
    );
    let module = ir::text::parse("copy", &text, &Default::default());
    ir::stage::Tsp::new(module.unwrap_or_else(|d| panic!("{d}"))).unwrap()
}

const READ: &str = ", cycle = 0, dir = west, stream = 0";
const WRITE: &str =
    ", hemisphere = west, slice = 9, bank = 1, cycle = 2, dir = west, stream = 0, word = 7";

fn refused(read: &str, write: &str) -> String {
    let program = emit(&copy(read, write), &Machine::tsp_v1());
    program.expect_err("a refusal").to_string()
}

#[test]
fn a_copy_becomes_two_instructions_and_their_repeats() {
    let program = emit(&copy(READ, WRITE), &Machine::tsp_v1()).unwrap();
    let queues: Vec<&Vec<Instr>> = program.queues.iter().filter(|q| !q.is_empty()).collect();
    let lengths: Vec<usize> = queues.iter().map(|q| q.len()).collect();
    assert_eq!(lengths, [2, 3], "one of them waits for two cycles");
    assert_eq!(queues[1][0], Instr::Nop { n: 2 });
    let sources: Vec<Source> = program.uses.iter().map(|u| u.source).collect();
    assert_eq!(sources[0], Source::Image { word: 5, step: 1 });
    assert!(matches!(
        sources[1..],
        [Source::Dispatch { .. }, Source::Dispatch { .. }]
    ));
    assert_eq!(program.outputs[0].tiles[0].planes[0][0].addr, 1 << 12 | 7);
}

#[test]
fn missing_and_impossible_facts_are_refused_at_the_op() {
    assert!(refused("", WRITE).contains("tsp.read: attribute dir is missing"));
    assert!(refused(READ, "").contains("tsp.write: attribute bank is missing"));
    let far = WRITE.replace("slice = 9", "slice = 44");
    assert!(refused(READ, &far).contains("the chip has no such unit"));
    let far = WRITE.replace("word = 7", "word = 4096");
    assert!(refused(READ, &far).contains("there is no word 4096 in a bank 1"));
    // The second of two words.
    let far = WRITE.replace("word = 7", "word = 4095");
    assert!(refused(READ, &far).contains("word 4096 is beyond the bank"));
    let far = READ.replace("stream = 0", "stream = 300");
    assert!(refused(&far, WRITE).contains("stream 300 is out of range"));
    let far = READ.replace("cycle = 0", "cycle = -1");
    assert!(refused(&far, WRITE).contains("is busy until cycle 0, needed at -1"));
}

#[test]
fn a_queue_dispatches_one_instruction_at_a_time() {
    // The write goes to the bank that is still being read.
    let other = WRITE
        .replace("slice = 9", "slice = 3")
        .replace("cycle = 2", "cycle = 1");
    let same = other.replace("bank = 1", "bank = 0");
    let message = refused(READ, &same);
    assert!(
        message.contains("MEM_W3 is needed twice in cycle 1"),
        "{message}"
    );
    // In the other bank, one instruction does both.
    let program = emit(&copy(READ, &other), &Machine::tsp_v1()).unwrap();
    let queue = program.queues.iter().find(|q| !q.is_empty()).unwrap();
    let both = |i: &Instr| {
        matches!(
            i,
            Instr::Mem {
                read: Some(_),
                write: Some(_)
            }
        )
    };
    assert_eq!(
        queue.iter().map(both).collect::<Vec<_>>(),
        [false, true, false]
    );
    // Every iteration of the split write names the dispatch that made its vector.
    let taken = program.uses.iter().filter(|u| u.slot == 2);
    let made: Vec<u32> = taken
        .map(|u| match u.source {
            Source::Dispatch { site, .. } => site.index,
            _ => panic!("{u:?}"),
        })
        .collect();
    assert_eq!(made, [0, 1]);
}

#[test]
fn ops_without_a_lowering_are_refused() {
    let text = format!(
        "module @shift() {{\n\
         %0 = tsp.input() {{name = \"x\", elem = i8, rows = 2, cols = 4, tile = 0, byte = 0, {MEM}}} : mem<2xi8>\n\
         %1 = tsp.read(%0) {{start = 0, step = 1, count = 2, interval = 1{READ}}} : seq<2xi8>\n\
         %2 = tsp.shift(%1) {{way = up, lanes = 16}} : seq<2xi8>\n}}\n"
    );
    let module = ir::text::parse("shift", &text, &Default::default());
    let tsp = ir::stage::Tsp::new(module.unwrap_or_else(|d| panic!("{d}"))).unwrap();
    let message = emit(&tsp, &Machine::tsp_v1()).unwrap_err().to_string();
    assert!(
        message.contains("tsp.shift: code generation does not emit this op"),
        "{message}"
    );
}
