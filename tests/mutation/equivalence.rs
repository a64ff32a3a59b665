//! Rules that prove a changed program equivalent to the original, from the two programs alone, never from outputs.
//!
//! Before: the checker accepts both, so that every operand comes from the dispatch that `uses` names. A rule may be
//! too weak, and the survivor fails the test; it may not be wrong, and the test fails if an output differs.

use tspc::program::{AluInstr, AluOp, Consumer, ElemType, Instr, Program, Site, Source};

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
];

/// The operation before and after, where nothing else of the instruction has changed.
fn operations(original: &Program, change: &Change) -> Option<(Site, AluInstr, AluOp)> {
    let Place::Instr(site) = change.place else {
        return None;
    };
    let at = |p: &Program| p.queues[site.queue.index()][site.index as usize];
    match (at(original), at(&change.program)) {
        (Instr::Alu(old), Instr::Alu(new)) if (AluInstr { op: old.op, ..new }) == old => {
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
