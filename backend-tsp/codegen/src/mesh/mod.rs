//! The VXM mesh: which ALUs and wires a chain of operations takes, and when, for one row a cycle.
//!
//! Before: a dataflow graph and the sides on which its operands enter and its results leave. After: templates, each a
//! legal placement with times relative to the earliest entry. Knows the mesh (machine.md, VXM), no memory and no
//! absolute cycle. `docs/decisions/0008-mesh-templates.md` tells the search.

mod search;

use std::fmt;

use tspc_machine::Machine;
use tspc_program::{AluOp, Direction, ElemType, ResultMode, Stream};

/// An operand that enters the VXM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Input {
    /// Type; its size is the number of streams.
    pub ty: ElemType,
    /// How it flows.
    pub dir: Direction,
}

/// An operand of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arg {
    /// An input of the chain.
    Input(usize),
    /// The result of an earlier node.
    Node(usize),
    /// The node's immediate.
    Imm,
}

/// An operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Which.
    pub op: AluOp,
    /// One or two operands.
    pub args: Vec<Arg>,
    /// Bits of the immediate; 0 without one.
    pub imm: u32,
    /// Type of the result.
    pub ty: ElemType,
}

/// A result that leaves the VXM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Output {
    /// Whose.
    pub node: usize,
    /// How it flows.
    pub dir: Direction,
}

/// A chain: nodes in topological order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain {
    /// What enters.
    pub inputs: Vec<Input>,
    /// What is computed.
    pub nodes: Vec<Node>,
    /// What leaves.
    pub outputs: Vec<Output>,
}

/// Where a placed operand comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Input of the chain.
    Input(usize),
    /// Placed operation of the template.
    Op(usize),
}

/// An operand of a placed operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operand {
    /// The immediate.
    Imm,
    /// A value on a wire.
    Value {
        /// First stream.
        stream: Stream,
        /// Type.
        ty: ElemType,
        /// Who made it.
        source: Source,
    },
}

/// An operation on an ALU.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlacedOp {
    /// Which.
    pub op: AluOp,
    /// Where.
    pub alu: u8,
    /// Dispatch for row 0.
    pub time: i32,
    /// First operand.
    pub a: Operand,
    /// Second operand.
    pub b: Option<Operand>,
    /// Immediate.
    pub imm: u32,
    /// First stream of the result.
    pub result: Stream,
    /// Its type.
    pub ty: ElemType,
    /// Mesh or out.
    pub mode: ResultMode,
}

/// An input's streams, and the cycle in which row 0 is on the SR_0 where it enters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlacedInput {
    /// First stream.
    pub stream: Stream,
    /// Cycle.
    pub entry_time: i32,
}

/// An output's streams, and the cycle in which row 0 is on the SR_0 where it leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlacedOutput {
    /// Index in [`Template::ops`].
    pub op: usize,
    /// First stream.
    pub stream: Stream,
    /// Cycle.
    pub time: i32,
}

/// A byte of a wire that the template needs, from its first column to the last at which it is taken; columns in
/// the order of the direction (0 is where it enters).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WireUse {
    /// The byte stream.
    pub stream: Stream,
    /// First.
    pub first_column: u8,
    /// Last.
    pub last_column: u8,
    /// Cycle at the first column.
    pub time: i32,
}

/// A placed chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template {
    /// Operations, producers first; copies that the search added included.
    pub ops: Vec<PlacedOp>,
    /// In the order of the chain's inputs.
    pub inputs: Vec<PlacedInput>,
    /// In the order of the chain's outputs.
    pub outputs: Vec<PlacedOutput>,
    /// Wires that nobody else may drive meanwhile.
    pub wires: Vec<WireUse>,
}

/// Why a chain has no template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// More operations than ALUs: needed, there.
    TooMany(usize, usize),
    /// More exp, tanh and rsqrt than large ALUs: needed, there.
    TooManyLarge(usize, usize),
    /// No placement within the search budget, in steps.
    NotFound(u64),
    /// The machine has no immediates and the chain uses some.
    Immediates,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::TooMany(need, there) => {
                write!(f, "{need} operations (copies included) for {there} ALUs")
            }
            Refusal::TooManyLarge(need, there) => {
                write!(
                    f,
                    "{need} operations for the {there} ALUs that run exp, tanh and rsqrt"
                )
            }
            Refusal::NotFound(steps) => write!(f, "no placement found in {steps} steps"),
            Refusal::Immediates => write!(f, "the machine has no immediates"),
        }
    }
}

/// Whether an operation needs a large ALU.
pub fn transcendental(op: AluOp) -> bool {
    matches!(op, AluOp::Exp | AluOp::Tanh | AluOp::Rsqrt)
}

/// Up to `limit` templates, on different ALUs where the chain leaves some free.
pub fn place(chain: &Chain, machine: &Machine, limit: usize) -> Result<Vec<Template>, Refusal> {
    if !machine.vxm_immediates && chain.nodes.iter().any(|n| n.args.contains(&Arg::Imm)) {
        return Err(Refusal::Immediates);
    }
    let chain = search::with_output_nodes(chain);
    let alus = machine.vxm_alus as usize;
    if chain.nodes.len() > alus {
        return Err(Refusal::TooMany(chain.nodes.len(), alus));
    }
    let large = chain.nodes.iter().filter(|n| transcendental(n.op)).count();
    if large > machine.vxm_large_alus.len() {
        return Err(Refusal::TooManyLarge(large, machine.vxm_large_alus.len()));
    }
    let mut templates: Vec<Template> = Vec::new();
    let mut steps = 0;
    let mut search = |rows: &[u8], effort| {
        let fits = chain.nodes.len() <= 4 * rows.len();
        let found = fits.then(|| search::search(&chain, machine, rows, effort));
        match found {
            Some(Ok(template)) => Some(template),
            Some(Err(taken)) => {
                steps += taken;
                None
            }
            None => None,
        }
    };
    for effort in search::EFFORTS {
        // Half the rows first, so that two chains fit side by side; all rows where half are too few.
        let halves: [&[u8]; 2] = [&[0, 1], &[2, 3]];
        templates.extend(halves.iter().filter_map(|rows| search(rows, effort)));
        let all: [&[u8]; 2] = [&[0, 1, 2, 3], &[2, 3, 0, 1]];
        if templates.is_empty() {
            templates.extend(all.iter().filter_map(|rows| search(rows, effort)));
        }
        if !templates.is_empty() {
            break;
        }
    }
    // Other rows are worth a short try: what is small leaves the more ALUs to others.
    let others: &[&[u8]] = match chain.nodes.len() {
        0..=4 => &[&[0], &[1], &[2], &[3]],
        5..=8 => &[&[1, 2], &[3, 0], &[0, 2], &[1, 3]],
        9..=12 => &[&[0, 1, 2], &[1, 2, 3], &[2, 3, 0], &[3, 0, 1]],
        _ => &[],
    };
    let short = others.iter();
    templates.extend(short.filter_map(|rows| search(rows, search::SHORT)));
    templates.truncate(limit);
    if templates.is_empty() {
        Err(Refusal::NotFound(steps))
    } else {
        Ok(templates)
    }
}

#[cfg(test)]
mod tests;
