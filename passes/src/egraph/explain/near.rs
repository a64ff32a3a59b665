//! Rules whose left side a term has but for one place: a constant that is off, an operation in another position.

use std::collections::{BTreeMap, BTreeSet};

use egg::{ENodeOrVar, Id, Language, Pattern, PatternAst, Var};

use super::word;
use crate::egraph::facts::Graph;
use crate::egraph::language::Node;
use crate::egraph::rules::Rule;

/// A rule that almost matches.
pub struct Near {
    /// The rule.
    pub rule: &'static Rule,
    /// What the rule has there.
    pub wanted: String,
    /// What the term has there.
    pub found: String,
    /// The operations that match.
    pub matched: usize,
    classes: BTreeSet<Id>,
}

/// How much of a pattern a class has.
#[derive(Clone, Default)]
struct Partial {
    matched: usize,
    classes: BTreeSet<Id>,
    bound: BTreeMap<Var, Id>,
    wrong: Vec<(String, String)>,
}

impl Partial {
    /// More is better: fewer mistakes, then more operations.
    fn rank(&self) -> (std::cmp::Reverse<usize>, usize) {
        (std::cmp::Reverse(self.wrong.len()), self.matched)
    }
}

/// Rules that match but for one place, with all of `among` in what matches; those that match most operations.
pub fn near(graph: &Graph, rules: &[&'static Rule], among: &[Id]) -> Vec<Near> {
    let mut all: Vec<Near> = Vec::new();
    for &rule in rules {
        let Ok(pattern) = rule.left.parse::<Pattern<Node>>() else {
            continue;
        };
        let root = Id::from(pattern.ast.len() - 1);
        for class in graph.classes() {
            let partial = partial(graph, &pattern.ast, root, class.id, &Partial::default());
            let all_in = among.iter().all(|id| partial.classes.contains(id));
            if let ([(wanted, found)], true) = (&partial.wrong[..], all_in && partial.matched >= 3)
            {
                all.push(Near {
                    rule,
                    wanted: wanted.clone(),
                    found: found.clone(),
                    matched: partial.matched,
                    classes: partial.classes,
                });
            }
        }
    }
    let most = all.iter().map(|n| n.matched).max().unwrap_or(0);
    all.retain(|n| n.matched == most);
    all.dedup_by(|a, b| a.rule.name == b.rule.name && a.classes == b.classes);
    all
}

fn partial(graph: &Graph, ast: &PatternAst<Node>, at: Id, class: Id, before: &Partial) -> Partial {
    let class = graph.find(class);
    let mut partial = before.clone();
    match &ast[at] {
        ENodeOrVar::Var(var) => {
            let bound = *partial.bound.entry(*var).or_insert(class);
            if bound != class {
                partial
                    .wrong
                    .push((format!("{var} again"), "something else".into()));
            }
            partial
        }
        ENodeOrVar::ENode(wanted) => {
            let alike = graph[class].iter().filter(|node| node.matches(wanted));
            let tried = alike.map(|node| {
                let mut tried = before.clone();
                tried.matched += usize::from(!wanted.is_leaf());
                tried.classes.insert(class);
                for (&below, &child) in wanted.children().iter().zip(node.children()) {
                    tried = self::partial(graph, ast, below, child, &tried);
                }
                tried
            });
            // The first of the best, so that the answer does not depend on how classes grew.
            let best = tried.reduce(|a, b| if b.rank() > a.rank() { b } else { a });
            best.unwrap_or_else(|| {
                let found: BTreeSet<String> = graph[class].iter().map(word).collect();
                let found: Vec<String> = found.into_iter().collect();
                partial.wrong.push((word(wanted), found.join(" or ")));
                partial
            })
        }
    }
}
