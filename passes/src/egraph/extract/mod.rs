//! Extraction: one node per class, such that the sum over the classes used is least; what is shared counts once.
//!
//! Finding the least is NP-hard. The greedy choice comes first; branch and bound improves it where the e-graph is
//! small enough, and says how far from the least the term may be. The next cheapest terms are found on the same way.

mod exact;
mod greedy;

use std::collections::{BTreeMap, BTreeSet};

use egg::{Id, Language};

use super::cost::{Cost, Cycles};
use super::facts::Graph;
use super::language::Node;
use exact::search;
use greedy::{choice, greedy};

/// A term as a list, children first. Shared sub-terms are there once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Term {
    /// The nodes; their children are indices into the list.
    pub nodes: Vec<Node>,
    /// The e-class of each node.
    pub classes: Vec<Id>,
    /// What was asked for.
    pub roots: Vec<usize>,
    /// The sum of the nodes' costs.
    pub cost: Cycles,
}

/// How well a term was chosen, in cycles.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// What the greedy term costs.
    pub greedy: u64,
    /// What no term costs less than; 0 where the e-graph is too large to tell.
    pub bound: u64,
    /// Choices that branch and bound tried.
    pub steps: usize,
}

/// Terms for the same roots.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Extracted {
    /// Different terms, the cheapest first; of equals the one that greedy extraction would find.
    pub terms: Vec<Term>,
    /// Of the first.
    pub gap: Gap,
}

/// What a node of a class costs; `None`: it may not be chosen.
pub type Price<'a> = dyn Fn(Id, &Node) -> Option<Cycles> + 'a;

/// One node per class.
type Choice = BTreeMap<Id, Node>;

/// Extracts the roots; the error is a root that has no form on the chip.
pub fn extract(graph: &Graph, cost: &Cost, roots: &[Id]) -> Result<Term, Id> {
    extract_with(graph, &|_, node| cost.of(graph, node), roots)
}

/// The same, with another cost of a node of a class.
pub fn extract_with(graph: &Graph, price: &Price, roots: &[Id]) -> Result<Term, Id> {
    extract_best(graph, price, roots, 1).map(|mut found| found.terms.remove(0))
}

/// Up to `count` terms, of which the first does not depend on how many are wanted.
pub fn extract_best(
    graph: &Graph,
    price: &Price,
    roots: &[Id],
    count: usize,
) -> Result<Extracted, Id> {
    let best = greedy(graph, price);
    let formless = |root: &&Id| !best.contains_key(&graph.find(**root));
    if let Some(root) = roots.iter().find(formless) {
        return Err(graph.find(*root));
    }
    let term = |choice: &Choice| read(graph, price, choice, roots);
    let known = vec![choice(&best)];
    let greedy = term(&known[0]).cost.total();
    let mut found = search(graph, price, &best, roots, known, 1);
    let (bound, steps) = (found.bound, found.steps);
    if count > 1 {
        found = search(graph, price, &best, roots, found.choices, count);
    }
    Ok(Extracted {
        terms: found.choices.iter().map(term).collect(),
        gap: Gap {
            greedy,
            bound,
            steps,
        },
    })
}

/// The classes that have a form.
pub fn with_form(graph: &Graph, price: &Price) -> BTreeSet<Id> {
    greedy(graph, price).into_keys().collect()
}

/// The term that a choice makes of the roots.
fn read(graph: &Graph, price: &Price, choice: &Choice, roots: &[Id]) -> Term {
    let mut reader = Reader {
        graph,
        choice,
        placed: BTreeMap::new(),
        nodes: Vec::new(),
        classes: Vec::new(),
    };
    let roots = roots.iter().map(|&root| reader.visit(graph.find(root)));
    let roots = roots.collect();
    let own = |id: &Id| price(*id, &choice[id]).unwrap_or_default();
    Term {
        cost: reader.classes.iter().map(own).sum(),
        nodes: reader.nodes,
        classes: reader.classes,
        roots,
    }
}

struct Reader<'a> {
    graph: &'a Graph,
    choice: &'a Choice,
    placed: BTreeMap<Id, usize>,
    nodes: Vec<Node>,
    classes: Vec<Id>,
}

impl Reader<'_> {
    fn visit(&mut self, id: Id) -> usize {
        if let Some(&at) = self.placed.get(&id) {
            return at;
        }
        let node = self.choice[&id].clone();
        let node = node.map_children(|child| Id::from(self.visit(self.graph.find(child))));
        self.nodes.push(node);
        self.classes.push(id);
        self.placed.insert(id, self.nodes.len() - 1);
        self.nodes.len() - 1
    }
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
        extract(&graph, &cost(), &[root]).unwrap().cost.total()
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
        assert_eq!(both.cost.total(), of(leaves, texts[1]));
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

    fn best(graph: &Graph, roots: &[Id], count: usize) -> Extracted {
        let cost = cost();
        extract_best(graph, &|_, node| cost.of(graph, node), roots, count).unwrap()
    }

    /// Two roots, each with two operations of its own, or three that both share. An operation takes four cycles.
    fn shared() -> (Graph, [Id; 2]) {
        let texts = [
            "(exp (neg (neg v0)))",
            "(tanh (exp (exp v0)))",
            "(exp (neg (exp (add v0 v1))))",
            "(tanh (neg (exp (add v0 v1))))",
        ];
        let (mut graph, [a, b, c, d]) = graph("f32 64x320, f32 64x320", texts);
        graph.union(a, c);
        graph.union(b, d);
        graph.rebuild();
        (graph, [a, b])
    }

    #[test]
    fn what_is_dear_for_each_and_cheap_for_both_is_found() {
        let (graph, roots) = shared();
        let found = best(&graph, &roots, 1);
        assert_eq!(found.terms[0].cost.total(), 4 * 5);
        let gap = found.gap;
        assert_eq!((gap.greedy, gap.bound), (4 * 6, 4 * 5));
        assert!(gap.steps > 0);
        let alone = best(&graph, &roots[..1], 1);
        let cycles = [
            alone.gap.greedy,
            alone.gap.bound,
            alone.terms[0].cost.total(),
        ];
        assert_eq!(cycles, [4 * 3; 3]);
    }

    #[test]
    fn terms_come_by_cost_and_are_different() {
        let (graph, roots) = shared();
        for count in 1..6 {
            let found = best(&graph, &roots, count);
            let costs: Vec<u64> = found.terms.iter().map(|t| t.cost.total() / 4).collect();
            assert_eq!(costs, [5, 6, 7, 7][..count.min(4)], "{count}");
            assert_eq!(found.terms[0], best(&graph, &roots, 1).terms[0]);
            for (i, term) in found.terms.iter().enumerate() {
                assert!(!found.terms[..i].contains(term));
            }
        }
    }

    #[test]
    fn what_is_too_large_is_chosen_greedily() {
        let (mut graph, [mut top]) = graph("f32 16x320", ["v0"]);
        for _ in 0..1_000 {
            top = graph.add(Node::Neg([top]));
        }
        graph.rebuild();
        let found = best(&graph, &[top], 1);
        let gap = found.gap;
        assert_eq!((gap.greedy, gap.bound, gap.steps), (1_000, 0, 0));
    }

    /// Many pairs like [`shared`], each with operands of its own: too many ways to try them all.
    #[test]
    fn where_the_budget_ends_the_bound_is_below() {
        const PAIRS: usize = 12;
        let leaves = vec!["f32 64x320"; 2 * PAIRS].join(", ");
        let (mut graph, []) = graph::<0>(&leaves, []);
        let mut roots = Vec::new();
        for pair in 0..PAIRS {
            let (v, w) = (2 * pair, 2 * pair + 1);
            let texts = [
                format!("(exp (neg (neg v{v})))"),
                format!("(tanh (exp (exp v{v})))"),
                format!("(exp (neg (exp (add v{v} v{w}))))"),
                format!("(tanh (neg (exp (add v{v} v{w}))))"),
            ];
            let [a, b, c, d] = texts.map(|t| graph.add_expr(&t.parse().unwrap()));
            graph.union(a, c);
            graph.union(b, d);
            roots.extend([a, b]);
        }
        graph.rebuild();
        let found = best(&graph, &roots, 1);
        let (gap, cycles) = (found.gap, found.terms[0].cost.total());
        assert_eq!(gap.greedy, 4 * 6 * PAIRS as u64);
        assert!(
            gap.bound < cycles && cycles < gap.greedy,
            "{gap:?}: {cycles}"
        );
        assert_eq!(best(&graph, &roots, 1), found);
    }

    /// All ways to choose, one after the other.
    fn least(graph: &Graph, roots: &[Id]) -> Option<u64> {
        let cost = cost();
        let classes: Vec<Vec<(Id, Node)>> = graph
            .classes()
            .map(|c| c.iter().map(|n| (graph.find(c.id), n.clone())).collect())
            .collect();
        let ways: usize = classes.iter().map(Vec::len).product();
        let cheapest = |mut way: usize| {
            let mut choice = Choice::new();
            for of in &classes {
                choice.extend([of[way % of.len()].clone()]);
                way /= of.len();
            }
            // From the leaves up: what is never reached is on a cycle or has no form.
            let mut known: BTreeMap<Id, Cycles> = BTreeMap::new();
            for _ in &choice {
                for (id, node) in &choice {
                    let below = node
                        .children()
                        .iter()
                        .all(|c| known.contains_key(&graph.find(*c)));
                    let own = cost.of(graph, node).filter(|_| below);
                    known.extend(own.map(|own| (*id, own)));
                }
            }
            let (mut seen, mut todo) = (BTreeSet::new(), roots.to_vec());
            let mut total = 0;
            while let Some(id) = todo.pop().map(|id| graph.find(id)) {
                total += known.get(&id)?.total();
                todo.extend(choice[&id].children());
                todo.retain(|c| !seen.contains(&graph.find(*c)) && graph.find(*c) != id);
                seen.insert(id);
            }
            Some(total)
        };
        (0..ways).filter_map(cheapest).min()
    }

    #[test]
    fn nothing_is_cheaper_than_what_is_found() {
        let leaves = "f32 16x320, f32 16x320";
        let (mut better, mut state) = (0, 1u64);
        let mut next = |n: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize % n
        };
        for _ in 0..200 {
            let mut texts: Vec<String> = vec!["v0".into(), "v1".into()];
            for _ in 0..7 {
                let (a, b) = (next(texts.len()), next(texts.len()));
                texts.push(match next(4) {
                    0 => format!("(neg {})", texts[a]),
                    1 => format!("(exp {})", texts[a]),
                    2 => format!("(recip {})", texts[a]),
                    _ => format!("(add {} {})", texts[a], texts[b]),
                });
            }
            let texts: [&str; 9] = std::array::from_fn(|i| texts[i].as_str());
            let (mut graph, ids) = graph(leaves, texts);
            for _ in 0..5 {
                let (a, b) = (2 + next(7), 2 + next(7));
                graph.union(ids[a], ids[b]);
            }
            graph.rebuild();
            let roots = &ids[7..];
            let found = best(&graph, roots, 1);
            let cycles = found.terms[0].cost.total();
            assert_eq!(Some(cycles), least(&graph, roots), "{texts:?}");
            assert_eq!(found.gap.bound, cycles);
            better += usize::from(cycles < found.gap.greedy);
        }
        assert!(better > 0, "greedy extraction always finds the least");
    }
}
