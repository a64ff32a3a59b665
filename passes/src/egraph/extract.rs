//! Extraction: one node per class, such that the sum over the classes used is small; what is shared counts once.
//!
//! Greedy: each class takes the node whose cone of chosen classes is cheapest, until nothing improves. Finding the
//! least is NP-hard; on published e-graphs greedy DAG extraction is about 1 % off.

use std::collections::BTreeMap;

use egg::{Id, Language};

use super::cost::Cost;
use super::facts::Graph;
use super::language::Node;

/// A term as a list, children first. Shared sub-terms are there once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Term {
    /// The nodes; their children are indices into the list.
    pub nodes: Vec<Node>,
    /// The e-class of each node.
    pub classes: Vec<Id>,
    /// What was asked for.
    pub roots: Vec<usize>,
    /// The sum of the nodes' costs, in cycles.
    pub cost: u64,
}

/// Classes below a choice, with what each costs.
#[derive(Clone, PartialEq, Eq)]
struct Cone {
    node: Node,
    total: u64,
    costs: BTreeMap<Id, u64>,
}

/// Extracts the roots; the error is a root that has no form on the chip.
pub fn extract(graph: &Graph, cost: &Cost, roots: &[Id]) -> Result<Term, Id> {
    let mut best: BTreeMap<Id, Cone> = BTreeMap::new();
    loop {
        let mut changed = false;
        for class in graph.classes() {
            let id = graph.find(class.id);
            for node in class.iter() {
                let Some(cone) = cone(graph, cost, &best, id, node) else {
                    continue;
                };
                let better = |old: &Cone| {
                    (cone.total, cone.costs.len(), &cone.node)
                        < (old.total, old.costs.len(), &old.node)
                };
                if best.get(&id).is_none_or(better) {
                    best.insert(id, cone);
                    changed = true;
                }
            }
        }
        if !changed {
            break;
        }
    }
    let mut term = Term {
        nodes: Vec::new(),
        classes: Vec::new(),
        roots: Vec::new(),
        cost: 0,
    };
    let mut placed = BTreeMap::new();
    for &root in roots {
        let root = graph.find(root);
        if !best.contains_key(&root) {
            return Err(root);
        }
        visit(graph, &best, root, &mut placed, &mut term);
        term.roots.push(placed[&root]);
    }
    let own = |id: &Id| best[id].costs.get(id).copied().unwrap_or(0);
    term.cost = placed.keys().map(own).sum();
    Ok(term)
}

/// The cone of a node whose children are chosen; `None` if one is not, or if the class is below itself.
fn cone(
    graph: &Graph,
    cost: &Cost,
    best: &BTreeMap<Id, Cone>,
    id: Id,
    node: &Node,
) -> Option<Cone> {
    let own = cost.of(graph, node)?;
    let mut costs = BTreeMap::new();
    for &child in node.children() {
        let child = best.get(&graph.find(child))?;
        costs.extend(child.costs.iter().map(|(k, v)| (*k, *v)));
    }
    if costs.insert(id, own).is_some() {
        return None;
    }
    let total = costs.values().fold(0u64, |a, b| a.saturating_add(*b));
    Some(Cone {
        node: node.clone(),
        total,
        costs,
    })
}

fn visit(
    graph: &Graph,
    best: &BTreeMap<Id, Cone>,
    id: Id,
    placed: &mut BTreeMap<Id, usize>,
    term: &mut Term,
) {
    if placed.contains_key(&id) {
        return;
    }
    let node = &best[&id].node;
    for &child in node.children() {
        visit(graph, best, graph.find(child), placed, term);
    }
    let index = |child: Id| Id::from(placed[&graph.find(child)]);
    term.nodes.push(node.clone().map_children(index));
    term.classes.push(id);
    placed.insert(id, term.nodes.len() - 1);
}
