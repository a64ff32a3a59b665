//! Which passes run in one chain: those whose results a pipeline takes together.
//!
//! A pass joins a chain only if nobody else takes its result, so it needs no memory. Chosen from the module alone; a chain
//! has no more passes than the machine has planes for it. Decides no side and no time.

use std::collections::{BTreeMap, BTreeSet};

use tspc_ir as ir;
use tspc_ir::{Elem, Entity, Opcode};
use tspc_machine::Machine;

use super::halves;
use crate::Refusal;

/// Planes of a hemisphere that run int8 passes; fp16 passes take both (machine.md, MXM).
const PLANES: usize = 2;

/// The chains of a module, as far as their passes go.
pub struct Groups {
    /// By the op that ends the chain, a pipeline or a pass: its passes, in order.
    chains: BTreeMap<usize, Vec<ir::Op>>,
    /// Passes in the chain of another op.
    joined: BTreeSet<usize>,
    /// Chip passes that a chain may have.
    room: usize,
}

impl Groups {
    /// Forms the chains of a module; `users` are those of each value.
    pub fn new(
        module: &ir::Module,
        users: &[Vec<ir::Op>],
        machine: &Machine,
    ) -> Result<Groups, Refusal> {
        let mut groups = Groups {
            chains: BTreeMap::new(),
            joined: BTreeSet::new(),
            room: room(module),
        };
        let ends = module.body_ops().iter().rev().copied();
        for end in ends {
            let tails = match module[end].opcode {
                Opcode::StreamPipeline => taken(module, users, end),
                Opcode::StreamPass if !groups.joined.contains(&end.index()) => vec![end],
                _ => continue,
            };
            groups.chain(module, machine, end, &tails)?;
        }
        Ok(groups)
    }

    /// The passes of the chain that ends with this op.
    pub fn of(&self, end: ir::Op) -> &[ir::Op] {
        self.chains.get(&end.index()).map_or(&[], Vec::as_slice)
    }

    /// Whether a pass runs in the chain of a later op.
    pub fn joins(&self, pass: ir::Op) -> bool {
        self.joined.contains(&pass.index())
    }

    /// Whether the halves of an fp16 pass hand on their sums.
    pub fn relays_halves(&self) -> bool {
        self.room > 1
    }

    fn chain(
        &mut self,
        module: &ir::Module,
        machine: &Machine,
        end: ir::Op,
        tails: &[ir::Op],
    ) -> Result<(), Refusal> {
        let mut left = self.room;
        let mut chain = Vec::new();
        for &tail in tails {
            // The first one always runs: halves that find no room go through memory.
            let cost = halves(module, tail, machine)?.len();
            if chain.is_empty() || cost <= left {
                left = left.saturating_sub(cost);
                chain.push(tail);
            }
        }
        let others = chain.iter().map(|pass| pass.index());
        self.joined.extend(others.filter(|&p| p != end.index()));
        self.chains.insert(end.index(), chain);
        Ok(())
    }
}

/// Passes of a kind that could run at once. Where fp16 runs beside int8, sides and planes are dealt out already.
fn room(module: &ir::Module) -> usize {
    let mut f16 = false;
    let mut i8 = false;
    for &op in module.body_ops() {
        let data = &module[op];
        if data.opcode == Opcode::StreamPass {
            let half = module.ty(data.operands[0]).elem == Elem::F16;
            (f16, i8) = (f16 || half, i8 || !half);
        }
    }
    match (f16, i8) {
        (true, true) => 1,
        (true, false) => 2,
        _ => 2 * PLANES,
    }
}

/// Passes whose results a pipeline alone takes, as rows like its own.
fn taken(module: &ir::Module, users: &[Vec<ir::Op>], pipeline: ir::Op) -> Vec<ir::Op> {
    let data = &module[pipeline];
    let rows = |v: ir::Value| module.ty(v).shape[0];
    let most = data.operands.iter().map(|&v| rows(v)).max();
    let alone = |v: ir::Value| {
        let pass = module.def_op(v)?;
        let only = users[v.index()].len() == 1 && Some(rows(v)) == most;
        (module[pass].opcode == Opcode::StreamPass && only).then_some(pass)
    };
    data.operands.iter().filter_map(|&v| alone(v)).collect()
}
