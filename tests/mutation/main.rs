//! The mutation test: a program with one small change must not pass for the program.
//!
//! Hundreds of seeded single changes of compiled programs, spread evenly over the fields of [`fields::FIELDS`], with
//! `uses` left as it is. Changes of time, stream, address, unit, and dropped instructions must be rejected by the
//! checker, all of them. Changes of what is computed must be rejected, fault for a reason that lies in the data, or
//! change an output. What survives fails the test, unless a rule of [`equivalence::RULES`] proves from the two
//! programs that nothing has changed.

mod encoders;
mod equivalence;
mod fields;
mod image;
mod operands;
mod ports;
mod programs;
mod subject;
#[path = "../support/mod.rs"]
mod support;
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
    let clock = std::time::Instant::now();
    let programs = [
        encoders::toy("toy int8", "int8"),
        encoders::toy("toy fp16", "fp16"),
        encoders::minilm(),
    ];
    println!("compiled {:?}", clock.elapsed());
    for p in &programs {
        let clock = std::time::Instant::now();
        let r = tspc::check::check(&p.program, &p.machine);
        println!(
            "{} check {:?} {:?} cycles",
            p.name,
            clock.elapsed(),
            r.cycles
        );
        let clock = std::time::Instant::now();
        tspc::sim::simulate(&p.program, &p.machine, &p.inputs[0]).unwrap();
        println!("sim {:?}", clock.elapsed());
        let clock = std::time::Instant::now();
        let q = p.program.clone();
        println!(
            "clone {:?} {}",
            clock.elapsed(),
            q.image.iter().map(|s| s.bytes.len()).sum::<usize>()
        );
        let clock = std::time::Instant::now();
        let _ = Subject::new(&q);
        println!(
            "subject {:?} {}",
            clock.elapsed(),
            q.queues.iter().map(|s| s.len()).sum::<usize>()
        );
    }
    let mut tables = Vec::new();
    for (i, p) in programs.iter().enumerate() {
        let clock = std::time::Instant::now();
        tables.push(mutate(
            p,
            1 + i as u64,
            std::env::var("N").map_or(100, |n| n.parse().unwrap()),
        ));
        println!("{:?}", clock.elapsed());
    }
    let summary = Summary::of(&tables);
    println!("{summary}");
    assert!(summary.changes >= 500, "{summary}");
    assert!(summary.excused * 50 <= summary.changes, "{summary}");
    assert!(summary.survivors.is_empty(), "{summary}");
}
