//! Fusions: stretches of the model that another form took the place of, with the rules that led there and both costs.
//!
//! The chain of rules is egg's own: the region is saturated once more with explanations, and the steps from the old
//! form to the new are read off; steps that are taken and taken back (to make an operand match) are left out.

use std::collections::{BTreeMap, BTreeSet};

use egg::{FlatTerm, Id, Language, RecExpr};
use tspc_ir::Value;

use super::{Distinct, Explained, word};
use crate::egraph::cost::Cycles;
use crate::egraph::facts::Graph;
use crate::egraph::language::Node;
use crate::egraph::rules;
use crate::egraph::saturate::{Solved, saturate};

/// One side of a fusion.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Side {
    /// Its operations, last first.
    pub operations: Vec<String>,
    /// What those cost that the chip has.
    pub cycles: Cycles,
    /// Those that the chip has no form of.
    pub lacking: Vec<String>,
}

/// A stretch of the model in another form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fusion {
    /// Which distinct region.
    pub region: usize,
    /// The value that it computes, in each region that has the term.
    pub values: Vec<Value>,
    /// The nodes of the encoded term that are gone, or that changed.
    pub replaced: Vec<usize>,
    /// As the model has it.
    pub before: Side,
    /// As the chip has it.
    pub after: Side,
    /// Rules, in the order in which they are needed.
    pub rules: Vec<String>,
}

impl Explained<'_> {
    /// The fusions of a distinct region; none if it has no form.
    pub fn fusions(&self, region: usize) -> Vec<Fusion> {
        let distinct = &self.distinct[region];
        let Ok(solved) = &distinct.solved else {
            return Vec::new();
        };
        let part = self.first(distinct);
        let extracted = distinct.extracted();
        let sources: BTreeSet<Id> = (0..part.encoded.term.len())
            .map(|n| distinct.class(n))
            .collect();
        let mut chains = Chains::new(self, distinct);
        let (mut seen, mut fusions) = (BTreeSet::new(), Vec::new());
        for node in 0..part.encoded.term.len() {
            let class = distinct.class(node);
            let Some(&at) = extracted.get(&class) else {
                continue;
            };
            if distinct.graph()[class].data.constant || !seen.insert(class) {
                continue;
            }
            let same = |n: usize| distinct.class(n) == class;
            let written = (0..part.encoded.term.len()).filter(|&n| same(n));
            let chosen = distinct.chosen(solved, at);
            if written.clone().any(|n| distinct.encoded(part, n) == chosen) {
                continue;
            }
            let replaced = self.cone(
                distinct,
                node,
                &|n| children(&part.encoded.term.as_ref()[n]),
                &|n| extracted.contains_key(&distinct.class(n)),
                &|n| distinct.class(n),
            );
            let made = self.cone(
                distinct,
                at,
                &|n| children(&solved.term.nodes[n]),
                &|n| sources.contains(&distinct.graph().find(solved.term.classes[n])),
                &|n| solved.term.classes[n],
            );
            let before: Vec<Node> = replaced
                .iter()
                .map(|&n| distinct.encoded(part, n))
                .collect();
            let after: Vec<Node> = made.iter().map(|&n| distinct.chosen(solved, n)).collect();
            fusions.push(Fusion {
                region,
                values: self.values(distinct, node),
                rules: chains.between(part.encoded.term.as_ref(), node, &replaced, solved, at),
                before: self.side(distinct, &before),
                after: self.side(distinct, &after),
                replaced,
            });
        }
        fusions
    }

    /// The value of a node of the term in each region that has it.
    fn values(&self, distinct: &Distinct, node: usize) -> Vec<Value> {
        let of = |&i: &usize| {
            let encoded = &self.parts[i].encoded;
            let op = encoded.ops[node]?;
            self.source[op].results.first().copied()
        };
        distinct.instances.iter().filter_map(of).collect()
    }

    fn side(&self, distinct: &Distinct, nodes: &[Node]) -> Side {
        let mut side = Side::default();
        for node in nodes {
            side.operations.push(word(node));
            match self.cost.of_form(distinct.graph(), node) {
                Some(cycles) => side.cycles = side.cycles + cycles,
                None if side.lacking.contains(&word(node)) => {}
                None => side.lacking.push(word(node)),
            }
        }
        side
    }

    /// What is computed below a node, the node first, up to where `stops` says.
    fn cone(
        &self,
        distinct: &Distinct,
        root: usize,
        children: &dyn Fn(usize) -> Vec<usize>,
        stops: &dyn Fn(usize) -> bool,
        class: &dyn Fn(usize) -> Id,
    ) -> Vec<usize> {
        let (mut found, mut todo) = (vec![root], children(root));
        while let Some(node) = todo.pop() {
            let constant = distinct.graph()[class(node)].data.constant;
            if !constant && !stops(node) && !found.contains(&node) {
                found.push(node);
                todo.extend(children(node));
            }
        }
        found
    }
}

fn children(node: &Node) -> Vec<usize> {
    node.children().iter().map(|&c| usize::from(c)).collect()
}

/// An e-graph that can say why two terms are equal.
struct Chains<'a> {
    distinct: &'a Distinct,
    /// `None` if the rules stopped elsewhere, which a limit may cause.
    graph: Option<Graph>,
}

impl<'a> Chains<'a> {
    fn new(explained: &Explained, distinct: &'a Distinct) -> Chains<'a> {
        let rules: Vec<_> = rules::all().collect();
        let encoded = &explained.first(distinct).encoded;
        let graph = saturate(encoded, &rules, &distinct.settings, true);
        Chains {
            distinct,
            graph: graph.ok().map(|s| s.runner.egraph),
        }
    }

    /// The rules from a node of the encoded term to the extracted node of its class, over the same operands.
    fn between(
        &mut self,
        term: &[Node],
        node: usize,
        replaced: &[usize],
        solved: &Solved,
        at: usize,
    ) -> Vec<String> {
        let Some(graph) = &mut self.graph else {
            return Vec::new();
        };
        let mut old = RecExpr::default();
        let extracted = self.distinct.extracted();
        let mut made = Made {
            distinct: self.distinct,
            term,
            replaced,
            solved,
            at: &extracted,
            made: BTreeMap::new(),
        };
        made.written(node, &mut old);
        let mut new = RecExpr::default();
        made.made.clear();
        made.extracted(at, &mut new);
        let known = |graph: &Graph, expr| graph.lookup_expr(expr).map(|id| graph.find(id));
        let (a, b) = (known(graph, &old), known(graph, &new));
        if a.is_none() || a != b {
            return Vec::new();
        }
        let mut explanation = graph.explain_equivalence(&old, &new);
        let mut steps: Vec<(String, i64)> = Vec::new();
        for flat in explanation.make_flat_explanation() {
            count(flat, &mut steps);
        }
        let needed = steps.into_iter().filter(|(_, n)| *n > 0);
        needed.map(|(rule, _)| rule).collect()
    }
}

/// Counts the rewrites below a term: those forward less those back.
fn count(term: &FlatTerm<Node>, steps: &mut Vec<(String, i64)>) {
    let mut step = |rule: &egg::Symbol, by: i64| {
        let name = rule.to_string();
        match steps.iter_mut().find(|(known, _)| *known == name) {
            Some((_, n)) => *n += by,
            None => steps.push((name, by)),
        }
    };
    if let Some(rule) = &term.forward_rule {
        step(rule, 1);
    }
    if let Some(rule) = &term.backward_rule {
        step(rule, -1);
    }
    for child in &term.children {
        count(child, steps);
    }
}

/// Writes the two forms of a fusion as terms over the same operands, which are as extracted.
struct Made<'a> {
    distinct: &'a Distinct,
    term: &'a [Node],
    replaced: &'a [usize],
    solved: &'a Solved,
    at: &'a BTreeMap<Id, usize>,
    /// What is there already: a node of the encoded term (`true`) or of the extracted one.
    made: BTreeMap<(bool, usize), Id>,
}

impl Made<'_> {
    fn written(&mut self, node: usize, into: &mut RecExpr<Node>) -> Id {
        let class = self.distinct.class(node);
        if let Some(&at) = self.at.get(&class)
            && !self.replaced.contains(&node)
        {
            return self.extracted(at, into);
        }
        if let Some(&id) = self.made.get(&(true, node)) {
            return id;
        }
        let made = self.term[node].clone();
        let made = made.map_children(|c| self.written(usize::from(c), into));
        let id = into.add(made);
        self.made.insert((true, node), id);
        id
    }

    fn extracted(&mut self, at: usize, into: &mut RecExpr<Node>) -> Id {
        if let Some(&id) = self.made.get(&(false, at)) {
            return id;
        }
        let made = self.solved.term.nodes[at].clone();
        let made = made.map_children(|c| self.extracted(usize::from(c), into));
        let id = into.add(made);
        self.made.insert((false, at), id);
        id
    }
}
