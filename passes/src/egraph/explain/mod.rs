//! What the e-graph did and why: fusions with the rules that made them, and answers to "why not".
//!
//! A query: it solves the regions of a module again, exactly as the pass does, and changes nothing. Numbers of
//! pipelines and names of values are those of the module that the pass takes and of the one that it gives.

pub mod bisect;
mod blocked;
pub mod dump;
mod fusions;
mod near;
mod pipelines;
mod remarks;
mod why_not;

pub use fusions::{Fusion, Side};
pub use remarks::{gap, remarks, text, units};
pub use why_not::{Answer, why_not};

use std::collections::BTreeMap;

use egg::{Id, Language};
use tspc_ir::{Diagnostic, Module, Value};
use tspc_machine::Machine;

use super::cost::Cost;
use super::facts::Graph;
use super::language::Node;
use super::rules;
use super::saturate::{Saturated, Settings, Solved, choose, saturate};
use super::{Part, parts};

/// A module with what was found for its regions.
pub struct Explained<'m> {
    /// The module, as the pass takes it.
    pub source: &'m Module,
    /// The chip.
    pub machine: &'m Machine,
    /// Its regions.
    pub parts: Vec<Part>,
    /// Their distinct terms, in order of appearance.
    pub distinct: Vec<Distinct>,
    cost: Cost,
}

/// A term that one or more regions have.
pub struct Distinct {
    /// The regions, by number.
    pub instances: Vec<usize>,
    /// The e-graph.
    pub saturated: Saturated<'static>,
    /// What was extracted, or why nothing was.
    pub solved: Result<Solved, String>,
    /// Limits and classes, with the fuel that was left.
    pub settings: Settings,
}

/// Solves the regions of a module.
pub fn explain<'m>(
    source: &'m Module,
    machine: &'m Machine,
    settings: &Settings,
) -> Result<Explained<'m>, Diagnostic> {
    let rules: Vec<_> = rules::all().collect();
    let cost = Cost::new(machine);
    let parts = parts(source)?;
    let mut settings = settings.clone();
    let mut distinct: Vec<Distinct> = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        if let Some(known) = distinct.get_mut(part.which) {
            known.instances.push(i);
            continue;
        }
        let saturated = saturate(&part.encoded, &rules, &settings, false)
            .map_err(|why| part.refuse(source, why))?;
        let solved = choose(&part.encoded, &saturated, &cost, &settings);
        let used = settings.clone();
        settings.spend(saturated.log.applied.len());
        distinct.push(Distinct {
            instances: vec![i],
            saturated,
            solved,
            settings: used,
        });
    }
    for known in &mut distinct {
        if let Ok(solved) = &mut known.solved {
            solved.statistics.instances = known.instances.len();
        }
    }
    Ok(Explained {
        source,
        machine,
        parts,
        distinct,
        cost,
    })
}

impl Explained<'_> {
    /// The first region of a distinct term.
    fn first(&self, distinct: &Distinct) -> &Part {
        &self.parts[distinct.instances[0]]
    }

    /// A value with its operation and where it comes from.
    fn describe(&self, value: Value) -> String {
        match self.source.def_op(value) {
            Some(op) => {
                let data = &self.source[op];
                let at = self.source.locs().describe(data.loc);
                format!("{value} = {} at {at}", data.opcode.def().name)
            }
            None => format!("{value}, an input"),
        }
    }

    /// Where a region ends.
    fn place(&self, part: &Part) -> String {
        let last = part.ops.last().map(|&op| self.source[op].loc);
        last.map_or(String::new(), |loc| self.source.locs().describe(loc))
    }
}

impl Distinct {
    fn graph(&self) -> &Graph {
        &self.saturated.runner.egraph
    }

    /// The class of a node of the encoded term.
    fn class(&self, node: usize) -> Id {
        self.graph().find(self.saturated.ids[node])
    }

    /// A node of the encoded term with classes as children.
    fn encoded(&self, part: &Part, node: usize) -> Node {
        let node = part.encoded.term.as_ref()[node].clone();
        node.map_children(|c| self.class(usize::from(c)))
    }

    /// Where classes stand in the extracted term.
    fn extracted(&self) -> BTreeMap<Id, usize> {
        let solved = self.solved.iter();
        let classes = solved.flat_map(|s| s.term.classes.iter().enumerate());
        classes.map(|(i, &c)| (self.graph().find(c), i)).collect()
    }

    /// A node of the extracted term with classes as children.
    fn chosen(&self, solved: &Solved, node: usize) -> Node {
        let class = |c: Id| self.graph().find(solved.term.classes[usize::from(c)]);
        solved.term.nodes[node].clone().map_children(class)
    }
}

/// The operation of a node in one word, without what it is applied to.
fn word(node: &Node) -> String {
    node.to_string()
}

/// Whether a node is computed element by element, so that it can stand in a pipeline.
fn per_lane(node: &Node) -> bool {
    matches!(
        node,
        Node::Add(_)
            | Node::Sub(_)
            | Node::Mul(_)
            | Node::Div(_)
            | Node::Max(_)
            | Node::Min(_)
            | Node::Neg(_)
            | Node::Exp(_)
            | Node::Tanh(_)
            | Node::Erf(_)
            | Node::Sqrt(_)
            | Node::Rsqrt(_)
            | Node::Recip(_)
            | Node::Quantize(_)
            | Node::Dequantize(_)
            | Node::CastF16(_)
            | Node::CastF32(_)
    )
}
