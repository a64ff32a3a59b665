//! The mutation test: a program with one small change must not pass for the program.
//!
//! Hundreds of seeded single changes of compiled programs, spread evenly over the fields of [`fields::FIELDS`], with
//! `uses` left as it is. Changes of time, stream, address, unit, and dropped instructions must be rejected by the
//! checker, all of them. Changes of what is computed must be rejected, fault for a reason that lies in the data, or
//! change an output. What survives fails the test, unless a rule of [`equivalence::RULES`] proves from the two
//! programs that nothing has changed.

mod bounds;
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

use std::collections::BTreeSet;

use tspc::program::{AluInstr, AluOp, ElemType, Instr, Operand, QueueId, Site};

use fields::Class;
use programs::Compiled;
use subject::{Change, Place, Subject};
use table::{Fate, Judge, KillTable, Summary};

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

/// Every change of one kind of the instructions of a program: which rules excuse some, and how many differ.
fn fates(
    compiled: &Compiled,
    variants: impl Fn(&Instr) -> Vec<Instr>,
) -> (BTreeSet<&'static str>, usize) {
    let subject = Subject::new(&compiled.program);
    let judge = Judge::new(compiled);
    let (mut excuses, mut different) = (BTreeSet::new(), 0);
    for queue in QueueId::all() {
        for (index, instr) in (0..).zip(&compiled.program.queues[queue.index()]) {
            for other in variants(instr) {
                let change = subject.replaced(Site { queue, index }, &[(0, other)]);
                match judge.fate(&change, Class::Data) {
                    Fate::Excused(rule) => _ = excuses.insert(rule),
                    Fate::Differs => different += 1,
                    Fate::Survived(why) => panic!("{}: {why}", change.what),
                    Fate::Rejected(_) | Fate::Faulted => {}
                }
            }
        }
    }
    (excuses, different)
}

#[test]
fn rules_for_operations() {
    let other = |instr: &Instr| match *instr {
        Instr::Alu(alu) => match alu.op {
            AluOp::Relu => vec![Instr::Alu(AluInstr {
                op: AluOp::Abs,
                ..alu
            })],
            AluOp::Max => vec![Instr::Alu(AluInstr {
                op: AluOp::Min,
                ..alu
            })],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    let (excuses, different) = fates(&programs::signs(), other);
    assert_eq!(Vec::from_iter(excuses), ["not-negative", "one-operand"]);
    // The relu of the input itself.
    assert_eq!(different, 1);
}

#[test]
fn rule_for_bytes() {
    let bytes = |instr: &Instr| match *instr {
        Instr::Alu(alu) if alu.ty == ElemType::I8 => {
            let ty = ElemType::U8;
            vec![Instr::Alu(AluInstr { ty, ..alu })]
        }
        Instr::Act {
            stream,
            ty: ElemType::I8,
        } => {
            let ty = ElemType::U8;
            vec![Instr::Act { stream, ty }]
        }
        _ => Vec::new(),
    };
    let (excuses, different) = fates(&encoders::toy("toy int8", "int8"), bytes);
    assert_eq!(Vec::from_iter(excuses), ["unsigned"]);
    assert!(different > 10, "{different}");
}

#[test]
fn rules_for_immediates() {
    let floor = programs::floor();
    let signs = |instr: &Instr| match *instr {
        Instr::Alu(alu) if alu.op == AluOp::Mul && alu.b == Some(Operand::Imm) => {
            let imm = alu.imm ^ 1 << 31;
            vec![Instr::Alu(AluInstr { imm, ..alu })]
        }
        _ => Vec::new(),
    };
    let (excuses, different) = fates(&floor, signs);
    assert_eq!(Vec::from_iter(excuses), ["squared"]);
    assert_eq!(different, 1);
    let floors = |instr: &Instr| match *instr {
        Instr::Alu(alu) if alu.op == AluOp::Max && alu.b == Some(Operand::Imm) => {
            let all = [20, 29, 30, 31].map(|bit| alu.imm ^ 1 << bit);
            all.map(|imm| Instr::Alu(AluInstr { imm, ..alu })).to_vec()
        }
        _ => Vec::new(),
    };
    let (excuses, different) = fates(&floor, floors);
    assert_eq!(Vec::from_iter(excuses), ["absorbed"]);
    // A floor of 2.
    assert_eq!(different, 1);
}

/// Makes a program.
type Make = fn() -> Compiled;

#[test]
fn every_change_is_killed() {
    let programs: [(Make, usize); 7] = [
        (encoders::minilm, 300),
        (|| encoders::toy("toy int8", "int8"), 300),
        (|| encoders::toy("toy fp16", "fp16"), 300),
        (programs::matmul, 100),
        (programs::attention, 100),
        (programs::halves, 100),
        (programs::rows, 100),
    ];
    let tables: Vec<KillTable> = std::thread::scope(|scope| {
        let threads = (1..)
            .zip(programs)
            .map(|(seed, (make, changes))| scope.spawn(move || table::run(&make(), seed, changes)));
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    tables.iter().for_each(|table| println!("{table}"));
    let summary = Summary::of(&tables);
    println!("{summary}");
    assert!(summary.changes >= 500, "{summary}");
    assert!(summary.excused * 50 <= summary.changes, "{summary}");
    // One input does not show every bit of every weight: rounding hides some.
    let weights = |s: &&String| s.contains("image: weights");
    let hidden = summary.survivors.iter().filter(weights).count();
    assert!(hidden * 200 <= summary.changes, "{summary}");
    assert_eq!(summary.survivors.len(), hidden, "{summary}");
}
