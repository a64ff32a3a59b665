//! Rules that prove a changed program equivalent to the original, from the two programs alone, never from outputs.
//!
//! Before: the checker accepts both, so that every operand comes from the dispatch that `uses` names. A rule may be
//! too weak, and the survivor fails the test; it may not be wrong, and the test fails if an output differs.

use tspc::program::{
    AluInstr, AluOp, Consumer, ElemType, Instr, Operand, Program, Site, Source, Use,
};

use crate::bounds::Bounds;
use crate::subject::{Change, Place};

/// A rule: its name, why it is right, and the proof.
pub struct Rule {
    pub name: &'static str,
    pub why: &'static str,
    pub proves: fn(&Program, &Change) -> bool,
}

pub const RULES: &[Rule] = &[
    Rule {
        name: "one-operand",
        why: "max, min, and, or of a value and itself are the value",
        proves: one_operand,
    },
    Rule {
        name: "not-negative",
        why: "abs and relu are the same of an exp, of a square, of an abs and of a relu",
        proves: not_negative,
    },
    Rule {
        name: "unsigned",
        why: "a byte from 0 to 127 is the same signed and unsigned",
        proves: unsigned,
    },
    Rule {
        name: "absorbed",
        why: "two floors are the same if the sum that takes the result is the same of both",
        proves: absorbed,
    },
    Rule {
        name: "squared",
        why: "the sign of a factor is nothing to a square",
        proves: squared,
    },
];

/// One instruction before and after; none if the change is elsewhere.
fn instructions(original: &Program, change: &Change) -> Option<(Site, Instr, Instr)> {
    let Place::Instr(site) = change.place else {
        return None;
    };
    let at = |p: &Program| p.queues[site.queue.index()][site.index as usize];
    Some((site, at(original), at(&change.program)))
}

/// An immediate of an f32 operation before and after, where nothing else of the instruction has changed.
fn immediates(original: &Program, change: &Change) -> Option<(Site, AluInstr, [f32; 2])> {
    match instructions(original, change)? {
        (site, Instr::Alu(old), Instr::Alu(new))
            if (AluInstr {
                imm: old.imm,
                ..new
            }) == old =>
        {
            let both = [old.imm, new.imm].map(f32::from_bits);
            (old.ty == ElemType::F32).then_some((site, old, both))
        }
        _ => None,
    }
}

/// Whether all that take the results of an instruction are operations of this kind.
fn takers(original: &Program, site: Site, kind: impl Fn(AluInstr) -> bool) -> bool {
    let made = |u: &&Use| matches!(u.source, Source::Dispatch { site: s, .. } if s == site);
    original.uses.iter().filter(made).all(|u| match u.consumer {
        Consumer::Instr(s) => match original.queues[s.queue.index()][s.index as usize] {
            Instr::Alu(alu) => kind(alu),
            _ => false,
        },
        Consumer::Output { .. } => false,
    })
}

fn unsigned(original: &Program, change: &Change) -> bool {
    let byte = |a, b| {
        matches!(
            (a, b),
            (ElemType::I8, ElemType::U8) | (ElemType::U8, ElemType::I8)
        )
    };
    let site = match instructions(original, change) {
        Some((site, Instr::Alu(old), Instr::Alu(new)))
            if old.op == AluOp::Convert
                && (AluInstr { ty: old.ty, ..new }) == old
                && byte(old.ty, new.ty) =>
        {
            site
        }
        Some((
            site,
            Instr::Act { stream, ty },
            Instr::Act {
                stream: same,
                ty: new,
            },
        )) if stream == same && byte(ty, new) => site,
        _ => return false,
    };
    let repeats = match original.queues[site.queue.index()].get(site.index as usize + 1) {
        Some(&Instr::Repeat { n, .. }) => u32::from(n),
        _ => 0,
    };
    let bounds = Bounds::new(original);
    (0..=repeats).all(|i| {
        let taken = bounds.taken(site, 0, i);
        taken.is_some_and(|(least, greatest)| least >= 0.0 && greatest <= 127.0)
    })
}

fn absorbed(original: &Program, change: &Change) -> bool {
    immediates(original, change).is_some_and(|(site, old, floors)| {
        // Sums are monotonic: that of all between is the same too.
        let same = |taker: AluInstr| {
            let [a, b] = floors.map(|floor| (floor + f32::from_bits(taker.imm)).to_bits());
            taker.op == AluOp::Add
                && taker.ty == ElemType::F32
                && taker.b == Some(Operand::Imm)
                && a == b
        };
        old.op == AluOp::Max && takers(original, site, same)
    })
}

fn squared(original: &Program, change: &Change) -> bool {
    immediates(original, change).is_some_and(|(site, old, [a, b])| {
        let square = |taker: AluInstr| taker.op == AluOp::Mul && taker.b == Some(taker.a);
        old.op == AluOp::Mul && a == -b && takers(original, site, square)
    })
}

/// The operation before and after, where nothing else of the instruction has changed.
fn operations(original: &Program, change: &Change) -> Option<(Site, AluInstr, AluOp)> {
    match instructions(original, change)? {
        (site, Instr::Alu(old), Instr::Alu(new)) if (AluInstr { op: old.op, ..new }) == old => {
            Some((site, old, new.op))
        }
        _ => None,
    }
}

fn one_operand(original: &Program, change: &Change) -> bool {
    let idempotent = |op| matches!(op, AluOp::Max | AluOp::Min | AluOp::And | AluOp::Or);
    operations(original, change)
        .is_some_and(|(_, old, new)| old.b == Some(old.a) && idempotent(old.op) && idempotent(new))
}

fn not_negative(original: &Program, change: &Change) -> bool {
    let same = |op| matches!(op, AluOp::Abs | AluOp::Relu);
    let Some((site, old, new)) = operations(original, change) else {
        return false;
    };
    // An i32 abs wraps, and so does a square.
    same(old.op) && same(new) && old.ty == ElemType::F32 && {
        let makers = original
            .uses
            .iter()
            .filter(|u| u.consumer == Consumer::Instr(site) && u.slot < 4);
        makers.map(|u| u.source).all(|source| match source {
            Source::Dispatch { site, .. } => {
                match original.queues[site.queue.index()][site.index as usize] {
                    Instr::Alu(maker) => match maker.op {
                        AluOp::Exp | AluOp::Abs | AluOp::Relu => true,
                        AluOp::Mul => maker.b == Some(maker.a),
                        _ => false,
                    },
                    _ => false,
                }
            }
            Source::Image { .. } | Source::Clock { .. } => false,
        })
    }
}
