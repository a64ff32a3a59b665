//! Rules that match but were not applied, with what stood in their way.

use std::collections::BTreeSet;

use egg::{ENodeOrVar, Id, Language, Pattern, Subst, Var};

use crate::egraph::facts::{Facts, Graph};
use crate::egraph::language::Node;
use crate::egraph::rules::{Class, Right, Rule};
use crate::egraph::saturate::Settings;

/// What stood in the way of a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Why {
    /// A condition does not hold of these variables, of which this is known.
    Condition(&'static str, Vec<String>),
    /// Its class may not be used.
    Class(Class),
    /// Its group is left out.
    Group(&'static str),
    /// It finds no number.
    Number,
}

impl Why {
    /// Equal for reasons that need to be told once.
    fn kind(&self) -> Option<&'static str> {
        match self {
            Why::Condition(name, _) => Some(name),
            Why::Class(_) | Why::Group(_) | Why::Number => None,
        }
    }
}

/// A rule that matches and does nothing.
#[derive(Clone, Debug)]
pub struct Blocked {
    /// The rule.
    pub rule: &'static Rule,
    /// Why.
    pub why: Why,
}

/// Rules whose left side has all of `among` inside, and that were held back there; of those that are
/// switched off, also where it has one of them. A rule that was applied at the same class in another way is not held back.
pub fn blocked(
    graph: &Graph,
    rules: &[&'static Rule],
    settings: &Settings,
    among: &[Id],
) -> Vec<Blocked> {
    let mut found: Vec<Blocked> = Vec::new();
    for &rule in rules {
        let Ok(pattern) = rule.left.parse::<Pattern<Node>>() else {
            continue;
        };
        for matches in rule.compile().searcher.search(graph) {
            let off = if !settings.classes.contains(&rule.class) {
                Some(Why::Class(rule.class))
            } else if settings.without.contains(&rule.group) {
                Some(Why::Group(rule.group))
            } else {
                None
            };
            let relevant = |subst: &&Subst| {
                let inside = inside(graph, &pattern, subst);
                match off {
                    None => among.iter().all(|id| inside.contains(id)),
                    Some(_) => among.iter().any(|id| inside.contains(id)),
                }
            };
            let held = matches.substs.iter().filter(relevant).map(|s| match &off {
                Some(why) => Some(why.clone()),
                None => held_back(graph, rule, s),
            });
            let held: Option<Vec<Why>> = held.collect();
            if let Some(why) = held.and_then(|h| h.into_iter().next())
                && !found
                    .iter()
                    .any(|b| b.rule.name == rule.name && b.why.kind() == why.kind())
            {
                found.push(Blocked { rule, why });
            }
        }
    }
    found
}

/// The classes of the operations of a match.
fn inside(graph: &Graph, pattern: &Pattern<Node>, subst: &Subst) -> BTreeSet<Id> {
    let mut ids: Vec<Option<Id>> = Vec::new();
    let mut inside = BTreeSet::new();
    for part in pattern.ast.as_ref() {
        ids.push(match part {
            ENodeOrVar::Var(var) => subst.get(*var).map(|&id| graph.find(id)),
            ENodeOrVar::ENode(node) => {
                let known = node.all(|c| ids[usize::from(c)].is_some());
                let class = known.then(|| {
                    let child = |c: Id| ids[usize::from(c)].unwrap_or(c);
                    graph.lookup(node.clone().map_children(child))
                });
                let class = class.flatten();
                inside.extend(class.filter(|_| !node.is_leaf()));
                class
            }
        });
    }
    inside
}

fn held_back(graph: &Graph, rule: &Rule, subst: &Subst) -> Option<Why> {
    let class = |name: &str| {
        let var: Option<Var> = name.parse().ok();
        var.and_then(|v| subst.get(v)).map(|&id| graph.find(id))
    };
    for condition in rule.when {
        let ids: Vec<Id> = condition.on.iter().filter_map(|v| class(v)).collect();
        if !(condition.holds)(graph, &ids) {
            let known = condition.on.iter().zip(&ids);
            let known = known.map(|(v, &id)| format!("{v} is {}", facts(&graph[id].data)));
            return Some(Why::Condition(condition.name, known.collect()));
        }
    }
    let Right::Computed { of, number, .. } = &rule.right else {
        return None;
    };
    let scalar = |v: &&str| class(v).and_then(|id| graph[id].data.scalar);
    let numbers: Option<Vec<f32>> = of.iter().map(|v| Some(scalar(v)?.value())).collect();
    match numbers.and_then(|n| number(&n)) {
        Some(_) => None,
        None => Some(Why::Number),
    }
}

/// Facts in words.
fn facts(facts: &Facts) -> String {
    let mut words = match facts.scalar {
        Some(scalar) => format!("the number {scalar}"),
        None => facts.ty.to_string(),
    };
    if facts.scalar.is_none() {
        words += if facts.constant {
            ", constant"
        } else if facts.input {
            ", an input"
        } else {
            ", computed"
        };
    }
    if !facts.non_negative {
        words += ", perhaps negative";
    }
    words
}
