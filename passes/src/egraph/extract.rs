//! Extraction: one node per class, such that the sum over the classes used is small; what is shared counts once.
//!
//! Greedy: each class takes the node whose cone of chosen classes is cheapest, until nothing improves. Finding the
//! least is NP-hard; on published e-graphs greedy DAG extraction is about 1 % off.
//!
//! The choice has no cycle: a cone is dearer, or at equal cost larger, than the cones of its node's children were
//! when it was chosen, and what a class has chosen only becomes cheaper or smaller.

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

/// What a node of a class costs; `None`: it may not be chosen.
pub type Price<'a> = dyn Fn(Id, &Node) -> Option<u64> + 'a;

/// Extracts the roots; the error is a root that has no form on the chip.
pub fn extract(graph: &Graph, cost: &Cost, roots: &[Id]) -> Result<Term, Id> {
    extract_with(graph, &|_, node| cost.of(graph, node), roots)
}

/// The same, with another cost of a node of a class.
pub fn extract_with(graph: &Graph, cost: &Price, roots: &[Id]) -> Result<Term, Id> {
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
    cost: &Price,
    best: &BTreeMap<Id, Cone>,
    id: Id,
    node: &Node,
) -> Option<Cone> {
    let own = cost(id, node)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egraph::facts::tests::graph;
    use egg::RecExpr;
    use tspc_machine::Machine;

    fn text(term: &Term) -> String {
        RecExpr::from(term.nodes.clone()).to_string()
    }

    fn cost() -> Cost {
        Cost::new(&Machine::tsp_v1())
    }

    /// The cost of a term that has one form.
    fn of(leaves: &str, text: &str) -> u64 {
        let (graph, [root]) = graph(leaves, [text]);
        extract(&graph, &cost(), &[root]).unwrap().cost
    }

    #[test]
    fn what_is_shared_counts_once() {
        let leaves = "i8 64x64, constant i8 64x64, f32 64x64";
        let shared = "(add (tanh (cast-f32 (pass v0 v1))) (exp (cast-f32 (pass v0 v1))))";
        // Two chains of per-lane operations, of which both together are dearer than the pass, each alone is not.
        let chain =
            |leaf: &str, n: usize| (0..n).fold(leaf.to_string(), |x, _| format!("(neg {x})"));
        let one = of(leaves, "(cast-f32 (pass v0 v1))");
        let length = (1..)
            .find(|&n| of(leaves, &chain("v2", n)) > one * 3 / 4)
            .unwrap();
        let apart = format!(
            "(add {} {})",
            chain("(exp v2)", length),
            chain("v2", length)
        );
        let (mut graph, [a, b]) = graph(leaves, [shared, &apart]);
        graph.union(a, b);
        graph.rebuild();
        let term = extract(&graph, &cost(), &[a]).unwrap();
        assert_eq!(text(&term), shared);
        let passes = term.nodes.iter().filter(|n| matches!(n, Node::Pass(_)));
        assert_eq!(passes.count(), 1);
        let (left, right) = shared.split_at(shared.find(" (exp").unwrap());
        let left = left.strip_prefix("(add ").unwrap();
        let right = right.trim().strip_suffix(')').unwrap();
        let tree = |a: &str, b: &str| of(leaves, a) + of(leaves, b);
        let other = tree(&chain("(exp v2)", length), &chain("v2", length));
        assert!(
            tree(left, right) > other,
            "as a tree the other one is cheaper"
        );
    }

    #[test]
    fn roots_share_too() {
        let leaves = "i8 64x64, constant i8 64x64";
        let texts = ["(cast-f32 (pass v0 v1))", "(exp (cast-f32 (pass v0 v1)))"];
        let (graph, roots) = graph(leaves, texts);
        let both = extract(&graph, &cost(), &roots).unwrap();
        assert_eq!(both.roots.len(), 2);
        assert_eq!(both.cost, of(leaves, texts[1]));
    }

    #[test]
    fn ties_do_not_depend_on_the_order_of_insertion() {
        let texts = ["(exp v0)", "(neg v0)"];
        for texts in [texts, [texts[1], texts[0]]] {
            let (mut graph, [a, b]) = graph("f32 64x64", texts);
            graph.union(a, b);
            graph.rebuild();
            let term = extract(&graph, &cost(), &[a]).unwrap();
            assert_eq!(text(&term), "(neg v0)");
        }
    }

    #[test]
    fn cycles_are_not_chosen() {
        // x = -(-x) beside x = exp v.
        let (mut graph, [x, y]) = graph("f32 64x64", ["(exp v0)", "(neg (neg (exp v0)))"]);
        graph.union(x, y);
        graph.rebuild();
        let term = extract(&graph, &cost(), &[x]).unwrap();
        assert_eq!(text(&term), "(exp v0)");
    }

    #[test]
    fn what_the_chip_lacks_is_an_error() {
        let (graph, [root]) = graph("f32 64x64", ["(neg (erf v0))"]);
        assert_eq!(extract(&graph, &cost(), &[root]), Err(root));
    }
}
