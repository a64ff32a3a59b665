//! What a proof is about: the terms and the leaf table of a region, from its encoding.
//!
//! The only place where the checker meets terms of the e-graph's language, before anything is rewritten.

use egg::Language;

use super::Leaf;
use super::term::{Head, TermId, Terms};
use crate::egraph::facts::{LeafFacts, Role};
use crate::egraph::language::Node;
use crate::egraph::region::Encoded;

/// The leaf table of a region.
pub fn leaves(encoded: &Encoded) -> Vec<Leaf> {
    let leaf = |(_, facts): &(_, LeafFacts)| Leaf {
        elem: facts.ty.elem.name().to_string(),
        shape: facts.ty.shape.clone(),
        role: match facts.role {
            Role::Constant => "constant",
            Role::Input => "input",
            Role::Computed => "computed",
        }
        .to_string(),
        non_negative: facts.non_negative,
    };
    encoded.leaves.iter().map(leaf).collect()
}

/// Puts the terms of a region into a table; the number of each node.
pub fn insert(terms: &mut Terms, encoded: &Encoded) -> Vec<TermId> {
    let mut ids: Vec<TermId> = Vec::new();
    for node in encoded.term.as_ref() {
        let children = node.children().iter().map(|&c| ids[usize::from(c)]);
        let children = children.collect();
        ids.push(terms.add(head(node), children));
    }
    ids
}

/// What stands at the top of a node.
pub fn head(node: &Node) -> Head {
    match node {
        Node::Scalar(x) => Head::Scalar(x.0),
        Node::Count(n) => Head::Count(n.0),
        Node::Leaf(l) => Head::Leaf(l.0),
        operation => Head::Op(operation.to_string()),
    }
}
