//! Rewrite rules as tables, by subject. README.md beside this file says how to write one.
//!
//! A rule is directed and never makes its input worse; there is no blanket commutativity or associativity. Its side
//! conditions are named functions of the facts, and its `class` says what it may do to rounding.

mod activation;
mod algebra;
mod attention;
mod layout;
mod normalisation;
mod quantisation;

use egg::{Applier, Id, Pattern, PatternAst, Rewrite, Subst, Symbol, Var};
use tspc_ir::Elem;

use super::facts::{Graph, Region};
use super::language::{Node, Scalar};

/// What a rule may change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    /// Nothing: the same bits.
    Exact,
    /// Where fp32 values are rounded: a few units in the last place.
    Rounding,
    /// LayerNorm statistics from fp16 operands (numerics.md 3.3).
    Statistics,
    /// The tanh form of GELU: at most 4.7e-4 off (numerics.md 3.3).
    GeluTanh,
}

/// Whether a condition holds of the classes that its variables stand for.
pub type Holds = fn(&Graph, &[Id]) -> bool;

/// A side condition on the classes that variables stand for.
#[derive(Clone, Copy)]
pub struct Condition {
    /// What explanations call it.
    pub name: &'static str,
    /// The variables, in the order of the function's argument.
    pub on: &'static [&'static str],
    /// Whether it holds.
    pub holds: Holds,
}

/// What a rule makes.
pub enum Right {
    /// A pattern.
    Pattern(&'static str),
    /// A pattern whose `?k` is a number computed from scalars that the left side names.
    Computed {
        /// The pattern.
        pattern: &'static str,
        /// The scalars.
        of: &'static [&'static str],
        /// The number; `None`: the rule does not apply.
        number: fn(&[f32]) -> Option<f32>,
    },
    /// A pattern whose `?k` is the width of a class.
    Width {
        /// The pattern.
        pattern: &'static str,
        /// Whose last dimension.
        of: &'static str,
        /// From the width.
        number: fn(f32) -> f32,
    },
}

/// A rule.
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// Its group.
    pub group: &'static str,
    /// Why it holds and what it is for.
    pub reason: &'static str,
    /// What it may change.
    pub class: Class,
    /// What it looks for.
    pub left: &'static str,
    /// What is equal.
    pub right: Right,
    /// When.
    pub when: &'static [Condition],
}

/// All rules, in the order in which they are tried.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    let tables = [
        algebra::RULES,
        layout::RULES,
        quantisation::RULES,
        attention::RULES,
        normalisation::RULES,
        activation::RULES,
    ];
    tables.into_iter().flatten()
}

/// Number known to the compiler.
pub const fn scalar(on: &'static [&'static str]) -> Condition {
    Condition {
        name: "scalar",
        on,
        holds: |g, ids| ids.iter().all(|&id| g[id].data.scalar.is_some()),
    }
}

/// One element, so that it broadcasts the same after a transposition.
pub const fn single(on: &'static [&'static str]) -> Condition {
    Condition {
        name: "single",
        on,
        holds: |g, ids| ids.iter().all(|&id| g[id].data.ty.elements() == 1),
    }
}

/// Two dimensions or more, so that it can be transposed.
pub const fn matrix(on: &'static [&'static str]) -> Condition {
    Condition {
        name: "matrix",
        on,
        holds: |g, ids| ids.iter().all(|&id| g[id].data.ty.rank() >= 2),
    }
}

/// Elements that the MXM multiplies.
pub const fn narrow(on: &'static [&'static str]) -> Condition {
    Condition {
        name: "narrow",
        on,
        holds: |g, ids| {
            let narrow = |id: &Id| matches!(g[*id].data.ty.elem, Elem::I8 | Elem::F16);
            ids.iter().all(narrow)
        },
    }
}

/// Not known before the chip runs.
pub const fn computed(on: &'static [&'static str]) -> Condition {
    Condition {
        name: "computed",
        on,
        holds: |g, ids| ids.iter().all(|&id| !g[id].data.constant),
    }
}

/// Never below zero.
pub const fn non_negative(on: &'static [&'static str]) -> Condition {
    Condition {
        name: "non-negative",
        on,
        holds: |g, ids| ids.iter().all(|&id| g[id].data.non_negative),
    }
}

/// The number `n` is the width of `x`: on `[x, n]`.
pub const fn width(on: &'static [&'static str]) -> Condition {
    Condition {
        name: "width",
        on,
        holds: |g, ids| {
            let (x, n) = (&g[ids[0]].data, &g[ids[1]].data);
            n.scalar == Some(Scalar::from(x.ty.last() as f32))
        },
    }
}

fn variable(name: &str) -> Var {
    name.parse().expect("rules name variables with `?`")
}

/// The number that stands for `?k`, or that the rule does not apply.
type Number = dyn Fn(&Graph, &Subst) -> Option<Scalar> + Send + Sync;

/// Tests the conditions, adds the number, then does as the pattern says.
struct Guarded {
    when: Vec<(Vec<Var>, Holds)>,
    number: Option<Box<Number>>,
    pattern: Pattern<Node>,
}

impl Applier<Node, Region> for Guarded {
    fn apply_one(
        &self,
        graph: &mut Graph,
        class: Id,
        subst: &Subst,
        ast: Option<&PatternAst<Node>>,
        rule: Symbol,
    ) -> Vec<Id> {
        let holds = |(on, holds): &(Vec<Var>, Holds)| {
            let ids: Vec<Id> = on.iter().map(|&v| graph.find(subst[v])).collect();
            holds(graph, &ids)
        };
        if !self.when.iter().all(holds) {
            return Vec::new();
        }
        let Some(number) = &self.number else {
            return self.pattern.apply_one(graph, class, subst, ast, rule);
        };
        let Some(number) = number(graph, subst) else {
            return Vec::new();
        };
        let mut subst = subst.clone();
        subst.insert(variable("?k"), graph.add(Node::Scalar(number)));
        self.pattern.apply_one(graph, class, &subst, ast, rule)
    }
}

impl Rule {
    /// The rule for egg. Panics if the table is malformed; a test compiles every rule.
    pub fn compile(&self) -> Rewrite<Node, Region> {
        let parse = |text: &str| -> Pattern<Node> {
            text.parse()
                .unwrap_or_else(|e| panic!("rule {}: {text}: {e}", self.name))
        };
        let when = self
            .when
            .iter()
            .map(|c| (c.on.iter().map(|v| variable(v)).collect(), c.holds));
        let (pattern, number): (&str, Option<Box<Number>>) = match self.right {
            Right::Pattern(text) => (text, None),
            Right::Computed {
                pattern,
                of,
                number,
            } => {
                let of: Vec<Var> = of.iter().map(|v| variable(v)).collect();
                let compute = move |g: &Graph, s: &Subst| {
                    let numbers = of.iter().map(|&v| g[s[v]].data.scalar.map(Scalar::value));
                    let numbers = numbers.collect::<Option<Vec<f32>>>()?;
                    number(&numbers).map(Scalar::from)
                };
                (pattern, Some(Box::new(compute)))
            }
            Right::Width {
                pattern,
                of,
                number,
            } => {
                let of = variable(of);
                let compute = move |g: &Graph, s: &Subst| {
                    Some(Scalar::from(number(g[s[of]].data.ty.last() as f32)))
                };
                (pattern, Some(Box::new(compute)))
            }
        };
        let applier = Guarded {
            when: when.collect(),
            number,
            pattern: parse(pattern),
        };
        Rewrite::new(self.name, parse(self.left), applier)
            .unwrap_or_else(|e| panic!("rule {}: {e}", self.name))
    }
}
