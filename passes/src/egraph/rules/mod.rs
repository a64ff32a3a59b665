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

use egg::{Applier, ENodeOrVar, Id, Language, Pattern, PatternAst, Rewrite, Subst, Symbol, Var};
use tspc_ir::Elem;
use tspc_ir::infer::broadcast;

use super::facts::{Graph, Region};
use super::language::{Count, Node, Scalar};

/// What a rule may change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    /// Nothing: the same bits.
    Exact,
    /// Where fp32 values are rounded: a few units in the last place.
    Rounding,
    /// LayerNorm statistics from fp16 operands (numerics.md 3.3), or in fixed point (decision 0015).
    Statistics,
    /// The tanh form of GELU: at most 4.7e-4 off (numerics.md 3.3).
    GeluTanh,
    /// The sigmoid form of GELU: at most 2.0e-2 off (numerics.md 3.3).
    GeluSigmoid,
    /// A softmax written without the row maximum: where its exp overflowed it no longer does.
    RowMax,
    /// Where operands are rounded to fp16: before or after a factor.
    Halves,
}

impl Class {
    /// The classes that a user allows or not, by name; the others are what the chip's own arithmetic is.
    pub const NAMED: [(&'static str, Class); 5] = [
        ("statistics", Class::Statistics),
        ("gelu-tanh", Class::GeluTanh),
        ("gelu-sigmoid", Class::GeluSigmoid),
        ("row-max", Class::RowMax),
        ("halves", Class::Halves),
    ];
    /// Those that keep the accuracy bounds.
    pub const DEFAULT: [Class; 4] = [
        Class::Statistics,
        Class::GeluTanh,
        Class::RowMax,
        Class::Halves,
    ];

    /// The classes that a text such as `statistics+gelu-tanh`, `none` or `default` allows.
    pub fn parse(text: &str) -> Result<Vec<Class>, String> {
        let named: Vec<Class> = match text {
            "none" => Vec::new(),
            "default" => Class::DEFAULT.to_vec(),
            _ => text
                .split('+')
                .map(|name| {
                    let known = Class::NAMED.iter().find(|(n, _)| *n == name);
                    known.map(|(_, class)| *class).ok_or_else(|| {
                        let names = Class::NAMED.map(|(n, _)| n).join(", ");
                        format!("{name:?} should be one of {names}, or all of it none or default")
                    })
                })
                .collect::<Result<_, _>>()?,
        };
        Ok(Class::allowed(&named))
    }

    /// These and what is always allowed.
    pub fn allowed(named: &[Class]) -> Vec<Class> {
        [&[Class::Exact, Class::Rounding], named].concat()
    }
}

/// What a rule does to what it matched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Both sides may be extracted.
    Offers,
    /// The right side is never worse, so the left one is not extracted.
    Replaces,
    /// The right side is how the chip computes the left one; nothing replaces it.
    Forms,
}

/// Whether a condition holds of the classes that its variables stand for.
pub type Holds = fn(&Graph, &[Id]) -> bool;

/// A side condition on the classes that variables stand for.
#[derive(Clone, Copy, Debug)]
pub struct Condition {
    /// What explanations call it.
    pub name: &'static str,
    /// The variables, in the order of the function's argument.
    pub on: &'static [&'static str],
    /// Whether it holds.
    pub holds: Holds,
}

/// What a rule makes.
#[derive(Clone, Copy, Debug)]
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
    /// A pattern whose `?n` is the number of heads of a class.
    Heads {
        /// The pattern.
        pattern: &'static str,
        /// Whose first dimension.
        of: &'static str,
    },
}

/// A rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// Its group.
    pub group: &'static str,
    /// Why it holds and what it is for.
    pub reason: &'static str,
    /// What it may change.
    pub class: Class,
    /// What it does to what it matched.
    pub effect: Effect,
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

/// The names of the groups, in order: what an ablation leaves out one by one.
pub fn groups() -> Vec<&'static str> {
    let mut names: Vec<&str> = all().map(|r| r.group).collect();
    names.dedup();
    names
}

/// The groups that a text such as `attention+layout` names.
pub fn parse_groups(text: &str) -> Result<Vec<&'static str>, String> {
    let group = |name: &str| {
        let known = groups().into_iter().find(|g| *g == name);
        known.ok_or_else(|| format!("{name:?} should be one of {}", groups().join(", ")))
    };
    text.split('+').map(group).collect()
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

/// Known when the module is compiled.
pub const fn constant(on: &'static [&'static str]) -> Condition {
    Condition {
        name: "constant",
        on,
        holds: |g, ids| ids.iter().all(|&id| g[id].data.constant),
    }
}

/// An input of the module.
pub const fn input(on: &'static [&'static str]) -> Condition {
    Condition {
        name: "input",
        on,
        holds: |g, ids| ids.iter().all(|&id| g[id].data.input),
    }
}

/// One lane: a number for each row.
pub const fn one_lane(on: &'static [&'static str]) -> Condition {
    Condition {
        name: "one-lane",
        on,
        holds: |g, ids| ids.iter().all(|&id| g[id].data.ty.last() == 1),
    }
}

/// Several lanes.
pub const fn wide(on: &'static [&'static str]) -> Condition {
    Condition {
        name: "wide",
        on,
        holds: |g, ids| ids.iter().all(|&id| g[id].data.ty.last() > 1),
    }
}

/// Several lanes, one row.
pub const fn row(on: &'static [&'static str]) -> Condition {
    Condition {
        name: "row",
        on,
        holds: |g, ids| {
            let row = |id: &Id| {
                let ty = &g[*id].data.ty;
                ty.last() > 1 && ty.elements() == ty.last()
            };
            ids.iter().all(row)
        },
    }
}

/// Computed, of one shape, of several lanes: no factor of one becomes a factor of more elements.
pub const fn alike(on: &'static [&'static str]) -> Condition {
    Condition {
        name: "alike",
        on,
        holds: |g, ids| {
            let first = &g[ids[0]].data.ty.shape;
            let alike = |id: &Id| {
                let data = &g[*id].data;
                !data.constant && data.ty.last() > 1 && &data.ty.shape == first
            };
            ids.iter().all(alike)
        },
    }
}

/// As many lanes.
pub const fn as_wide(on: &'static [&'static str]) -> Condition {
    Condition {
        name: "as-wide",
        on,
        holds: |g, ids| {
            let last = |id: &Id| g[*id].data.ty.last();
            ids.iter().all(|id| last(id) == last(&ids[0]))
        },
    }
}

/// `b` has a row for each of `n` parts: on `[b, n]`.
pub const fn parts(on: &'static [&'static str]) -> Condition {
    Condition {
        name: "parts",
        on,
        holds: |g, ids| matches!(g[ids[0]].data.ty.shape[..], [n, _] if counts(g, ids[1], n)),
    }
}

/// `b` has one row for each of `n` heads: on `[b, n]`.
pub const fn head_row(on: &'static [&'static str]) -> Condition {
    Condition {
        name: "head-row",
        on,
        holds: |g, ids| matches!(g[ids[0]].data.ty.shape[..], [n, 1, _] if counts(g, ids[1], n)),
    }
}

/// `b` is one row, as wide as the heads of `x` side by side: on `[x, b]`.
pub const fn whole_row(on: &'static [&'static str]) -> Condition {
    Condition {
        name: "whole-row",
        on,
        holds: |g, ids| {
            let (x, b) = (&g[ids[0]].data.ty, &g[ids[1]].data.ty);
            matches!(x.shape[..], [n, _, w] if b.rank() <= 2 && b.last() == n * w && b.elements() == n * w)
        },
    }
}

/// The others broadcast to the first, which keeps its shape: on `[x, …]`.
pub const fn within(on: &'static [&'static str]) -> Condition {
    Condition {
        name: "within",
        on,
        holds: |g, ids| {
            let x = &g[ids[0]].data.ty.shape;
            let within = |id: &Id| broadcast(x, &g[*id].data.ty.shape).is_ok_and(|s| s == *x);
            ids.iter().all(within)
        },
    }
}

/// Not the number 1.
pub const fn not_one(on: &'static [&'static str]) -> Condition {
    Condition {
        name: "not-one",
        on,
        holds: |g, ids| ids.iter().all(|&id| !g[id].data.is_one()),
    }
}

fn counts(g: &Graph, id: Id, n: usize) -> bool {
    g[id].iter().any(|node| *node == Node::Count(Count(n)))
}

/// A number within a millionth of the one with these bits.
pub const fn near<const BITS: u32>(name: &'static str, on: &'static [&'static str]) -> Condition {
    Condition {
        name,
        on,
        holds: |g, ids| {
            let wanted = f32::from_bits(BITS);
            let near = |x: Scalar| (x.value() - wanted).abs() <= 1e-6 * wanted.abs();
            ids.iter().all(|&id| g[id].data.scalar.is_some_and(near))
        },
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

/// No range is known of it.
pub const fn unbounded(on: &'static [&'static str]) -> Condition {
    Condition {
        name: "unbounded",
        on,
        holds: |g, ids| {
            let bounded = |n: &Node| matches!(n, Node::Bounded(_));
            !ids.iter().any(|&id| g[id].iter().any(bounded))
        },
    }
}

/// No product of elements, so that lanes of it may be columns of a matrix.
pub const fn unscaled(on: &'static [&'static str]) -> Condition {
    Condition {
        name: "unscaled",
        on,
        holds: |g, ids| {
            let scaled = |n: &Node| matches!(n, Node::Mul(_));
            !ids.iter().any(|&id| g[id].iter().any(scaled))
        },
    }
}

/// The number `k` is one by the width of `x`, but for its rounding: on `[x, k]`.
pub const fn inverse_width(on: &'static [&'static str]) -> Condition {
    Condition {
        name: "inverse-width",
        on,
        holds: |g, ids| {
            let (x, k) = (&g[ids[0]].data, &g[ids[1]].data);
            let near = |k: Scalar| (k.value() * x.ty.last() as f32 - 1.0).abs() <= 1e-6;
            k.scalar.is_some_and(near)
        },
    }
}

fn variable(name: &str) -> Var {
    name.parse().expect("rules name variables with `?`")
}

/// What stands for `?k` or `?n`, or that the rule does not apply.
type Number = dyn Fn(&Graph, &Subst) -> Option<Node> + Send + Sync;

/// Tests the conditions, adds the number, does as the pattern says, then marks what the effect tells.
struct Guarded {
    when: Vec<(Vec<Var>, Holds)>,
    number: Option<(Var, Box<Number>)>,
    left: Pattern<Node>,
    right: Pattern<Node>,
    effect: Effect,
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
        let mut subst = subst.clone();
        if let Some((var, number)) = &self.number {
            let Some(number) = number(graph, &subst) else {
                return Vec::new();
            };
            subst.insert(*var, graph.add(number));
        }
        let changed = self.right.apply_one(graph, class, &subst, ast, rule);
        match self.effect {
            Effect::Offers => {}
            Effect::Replaces => {
                let root = instances(graph, &self.left, &subst).pop();
                graph.analysis.replaced.extend(root);
            }
            Effect::Forms => {
                let all = instances(graph, &self.right, &subst);
                graph.analysis.formed.extend(all);
            }
        }
        changed
    }
}

/// The nodes of a pattern under a substitution, operands first. In the round that finds nothing more every class has
/// its last name, so that what is marked then is what extraction sees.
fn instances(graph: &Graph, pattern: &Pattern<Node>, subst: &Subst) -> Vec<Node> {
    let mut ids: Vec<Option<Id>> = Vec::new();
    let mut nodes = Vec::new();
    for node in pattern.ast.as_ref() {
        let id = match node {
            ENodeOrVar::Var(v) => Some(graph.find(subst[*v])),
            ENodeOrVar::ENode(node) => {
                let known: Option<Vec<Id>> = node
                    .children()
                    .iter()
                    .map(|&c| ids[usize::from(c)])
                    .collect();
                known.and_then(|known| {
                    let mut known = known.into_iter();
                    let node = node.clone().map_children(|c| known.next().unwrap_or(c));
                    let id = graph.lookup(node.clone()).map(|id| graph.find(id));
                    nodes.extend(id.map(|_| node));
                    id
                })
            }
        };
        ids.push(id);
    }
    nodes
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
        let (pattern, number): (&str, Option<(Var, Box<Number>)>) = match self.right {
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
                    number(&numbers).map(|k| Node::Scalar(k.into()))
                };
                (pattern, Some((variable("?k"), Box::new(compute))))
            }
            Right::Width {
                pattern,
                of,
                number,
            } => {
                let of = variable(of);
                let compute = move |g: &Graph, s: &Subst| {
                    let number = number(g[s[of]].data.ty.last() as f32);
                    Some(Node::Scalar(number.into()))
                };
                (pattern, Some((variable("?k"), Box::new(compute))))
            }
            Right::Heads { pattern, of } => {
                let of = variable(of);
                let compute = move |g: &Graph, s: &Subst| {
                    let heads = g[s[of]].data.ty.shape.first();
                    heads.map(|&n| Node::Count(Count(n)))
                };
                (pattern, Some((variable("?n"), Box::new(compute))))
            }
        };
        let applier = Guarded {
            when: when.collect(),
            number,
            left: parse(self.left),
            right: parse(pattern),
            effect: self.effect,
        };
        Rewrite::new(self.name, parse(self.left), applier)
            .unwrap_or_else(|e| panic!("rule {}: {e}", self.name))
    }
}
