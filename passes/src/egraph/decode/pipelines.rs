//! Which per-lane operations form one pipeline.
//!
//! Operations in order; each joins the latest pipeline of an operand that it can: the same rows and lanes, room for
//! it, and everything else that it takes is there before that pipeline starts. Pipelines so formed can run in order
//! of their numbers.

use std::collections::BTreeSet;

use super::plan::{NodeId, Plan, What};

/// How much one pass over the VXM can hold; more is cut into several pipelines.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Operations; the mesh needs some of its ALUs for copies.
    pub operations: usize,
    /// Values that enter: each takes a wire of four bytes.
    pub inputs: usize,
}

/// A pipeline: its operations in order.
#[derive(Clone, Default, Debug)]
pub struct Pipeline {
    /// The operations.
    pub members: Vec<NodeId>,
    /// What enters.
    pub inputs: BTreeSet<NodeId>,
}

/// The pipelines, in an order in which they can run, and for each node the pipeline that it is in.
pub fn form(plan: &Plan, room: Room) -> (Vec<Pipeline>, Vec<Option<usize>>) {
    let mut pipelines: Vec<Pipeline> = Vec::new();
    let mut of: Vec<Option<usize>> = Vec::new();
    // The first pipeline that may take a node from outside.
    let mut from: Vec<usize> = Vec::new();
    for (id, node) in plan.nodes() {
        let operands = node.what.operands();
        let earliest = operands.iter().map(|n| from[n.0]).max().unwrap_or(0);
        if !matches!(node.what, What::Alu(..)) {
            of.push(None);
            from.push(earliest);
            continue;
        }
        let mut candidates: BTreeSet<usize> = operands.iter().filter_map(|n| of[n.0]).collect();
        let mut chosen = None;
        while let Some(p) = candidates.pop_last() {
            let pipeline = &pipelines[p];
            let outside = operands.iter().filter(|n| of[n.0] != Some(p));
            let ready = outside.clone().all(|n| from[n.0] <= p);
            let entering = pipeline
                .inputs
                .iter()
                .chain(outside)
                .collect::<BTreeSet<_>>();
            let same = plan[pipeline.members[0]].ty.shape == node.ty.shape;
            if ready
                && same
                && pipeline.members.len() < room.operations
                && entering.len() <= room.inputs
            {
                chosen = Some(p);
                break;
            }
        }
        let p = chosen.unwrap_or_else(|| {
            pipelines.push(Pipeline::default());
            pipelines.len() - 1
        });
        let outside = operands.iter().filter(|n| of[n.0] != Some(p));
        let entering: Vec<NodeId> = outside.copied().collect();
        pipelines[p].inputs.extend(entering);
        pipelines[p].members.push(id);
        of.push(Some(p));
        from.push(p + 1);
    }
    (pipelines, of)
}
