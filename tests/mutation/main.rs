//! The mutation test: a program with one small change must not pass for the program.
//!
//! Hundreds of seeded single changes of compiled programs, spread evenly over the fields of [`fields::FIELDS`], with
//! `uses` left as it is. Changes of time, stream, address, unit, and dropped instructions must be rejected by the
//! checker, all of them. Changes of what is computed must be rejected, fault for a reason that lies in the data, or
//! change an output. What survives fails the test, unless a rule of [`equivalence::RULES`] proves from the two
//! programs that nothing has changed.

mod equivalence;
mod fields;
mod image;
mod operands;
mod ports;
mod programs;
mod subject;
mod table;
#[path = "../tiled/mod.rs"]
mod tiled;
mod time;

use tspc::program::{AluInstr, AluOp, Instr, QueueId, Site};

use fields::Class;
use programs::Compiled;
use subject::{Change, Place, Subject};
use table::{Fate, Judge, KillTable, Summary};

/// The point where a program is put to the test: `changes` changes drawn from `seed`.
fn mutate(compiled: &Compiled, seed: u64, changes: usize) -> KillTable {
    let table = table::run(compiled, seed, changes);
    println!("{table}");
    table
}

#[test]
fn a_change_of_nothing_survives() {
    let compiled = programs::rows();
    let change = |place| Change {
        what: "nothing".into(),
        place,
        program: compiled.program.clone(),
    };
    for class in [Class::Place, Class::Data] {
        let fate = Judge::new(&compiled).fate(&change(Place::Table), class);
        assert!(matches!(fate, Fate::Survived(_)), "{class:?}");
    }
}

#[test]
fn rules_excuse_what_they_prove_and_nothing_else() {
    let compiled = programs::signs();
    let subject = Subject::new(&compiled.program);
    let judge = Judge::new(&compiled);
    let mut excuses = std::collections::BTreeSet::new();
    let mut different = 0;
    for queue in QueueId::all() {
        for (index, instr) in (0..).zip(&compiled.program.queues[queue.index()]) {
            let Instr::Alu(alu) = *instr else { continue };
            let op = match alu.op {
                AluOp::Relu => AluOp::Abs,
                AluOp::Max => AluOp::Min,
                _ => continue,
            };
            let other = Instr::Alu(AluInstr { op, ..alu });
            let change = subject.replaced(Site { queue, index }, &[(0, other)]);
            match judge.fate(&change, Class::Data) {
                Fate::Excused(rule) => _ = excuses.insert(rule),
                Fate::Differs => different += 1,
                _ => panic!("{}", change.what),
            }
        }
    }
    assert_eq!(Vec::from_iter(excuses), ["not-negative", "one-operand"]);
    // The relu of the input itself.
    assert_eq!(different, 1);
}

#[test]
fn every_change_is_killed() {
    let tables = [
        mutate(&programs::matmul(), 1, 200),
        mutate(&programs::attention(), 2, 200),
        mutate(&programs::halves(), 3, 150),
        mutate(&programs::rows(), 4, 150),
    ];
    let summary = Summary::of(&tables);
    println!("{summary}");
    assert!(summary.changes >= 500, "{summary}");
    assert!(summary.excused * 50 <= summary.changes, "{summary}");
    assert!(summary.survivors.is_empty(), "{summary}");
}
