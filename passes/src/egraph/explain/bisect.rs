//! The first rewrite that breaks something: fuel in halves.
//!
//! The n-th rewrite is the same in every run, so what n of them make of a module is a function of n. With too few of
//! them there is no program; what is known of the others decides.

use std::collections::BTreeMap;

use egg::{Id, Language};
use tspc_ir::eval::{Array, Arrays, Data};
use tspc_ir::{Diagnostic, Module, Place, Value};
use tspc_machine::Machine;

use super::{Distinct, Explained, explain};
use crate::egraph::Part;
use crate::egraph::cost::Cycles;
use crate::egraph::extract::{Term, extract_with};
use crate::egraph::facts::Role;
use crate::egraph::language::{Leaf, Node};
use crate::egraph::saturate::Settings;
use crate::egraph::value;

/// What a test says of a number of rewrites.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing is broken.
    Good,
    /// Something is.
    Bad,
    /// There is nothing to test: no program.
    Unknown,
}

/// Where it breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum First {
    /// Nowhere: good, or unknown, with all rewrites.
    Nowhere(Verdict),
    /// Already with this many, the least that there is a verdict on.
    Already(usize),
    /// With this many, not with one less.
    At(usize),
}

/// The first of `0..=total` rewrites with which it is bad. What is unknown is unknown for all smaller numbers.
pub fn first_bad<E>(
    total: usize,
    test: &mut dyn FnMut(usize) -> Result<Verdict, E>,
) -> Result<First, E> {
    let all = test(total)?;
    if all != Verdict::Bad {
        return Ok(First::Nowhere(all));
    }
    // `good` and below: good or unknown; `bad`: bad.
    let (mut good, mut bad, mut known) = (None, total, false);
    while bad > good.map_or(0, |g: usize| g + 1) {
        let low = good.map_or(0, |g| g + 1);
        let middle = low + (bad - low) / 2;
        match test(middle)? {
            Verdict::Bad => bad = middle,
            verdict => {
                known |= verdict == Verdict::Good;
                good = Some(middle);
            }
        }
    }
    match bad == 0 || (!known) {
        true => Ok(First::Already(bad)),
        false => Ok(First::At(bad)),
    }
}

/// The n-th rewrite, in words: its rule, and where it was applied.
pub fn rewrite(explained: &Explained, n: usize) -> Option<String> {
    let mut left = n.checked_sub(1)?;
    for (region, distinct) in explained.distinct.iter().enumerate() {
        let log = &distinct.saturated.log.applied;
        let Some((rule, class)) = log.get(left) else {
            left -= log.len();
            continue;
        };
        let part = explained.first(distinct);
        let class = distinct.graph().find(*class);
        let of = part.encoded.of.iter();
        let mut of = of.filter(|(_, id)| distinct.class(usize::from(**id)) == class);
        let at = match of.next() {
            Some((&value, _)) => explained.describe(value),
            None => format!(
                "a form in between, in the region of {}",
                explained.place(part)
            ),
        };
        return Some(format!("{rule}, in region {region}, for {at}"));
    }
    None
}

/// How many rewrites a module takes.
pub fn rewrites(
    source: &Module,
    machine: &Machine,
    settings: &Settings,
) -> Result<usize, Diagnostic> {
    let explained = explain(source, machine, settings)?;
    let counts = explained
        .distinct
        .iter()
        .map(|d| d.saturated.log.applied.len());
    Ok(counts.sum())
}

/// The outputs of a module by the terms that are extracted, evaluated as `tensor.*` defines them. What has no form on
/// the chip is evaluated too, so that every number of rewrites has outputs; forms nearer to the chip come first.
pub fn outputs(explained: &Explained, inputs: &Arrays) -> Result<Vec<(String, Array)>, Diagnostic> {
    let mut known: BTreeMap<Value, Array> = BTreeMap::new();
    for part in &explained.parts {
        let distinct = &explained.distinct[part.which];
        let roots: Vec<Id> = part
            .encoded
            .roots
            .iter()
            .map(|(_, id)| distinct.class(usize::from(*id)))
            .collect();
        let price = |_: Id, node: &Node| Some(price(explained, distinct, node));
        let place = || Place::named(explained.place(part));
        let refuse = |why: String| Diagnostic::new(why, place());
        let term = extract_with(distinct.graph(), &price, &roots)
            .map_err(|class| refuse(format!("class {class} has no term")))?;
        let leaves = leaves(explained, part, inputs, &known).map_err(refuse)?;
        let values = evaluated(&term, &leaves).map_err(refuse)?;
        let of_roots = part.encoded.roots.iter().zip(&term.roots);
        known.extend(of_roots.map(|((v, _), &r)| (*v, values[r].clone())));
    }
    let source = explained.source;
    let of = |(name, value): (&str, Value)| {
        let missing = || Diagnostic::new("the output is not computed", Place::named(name));
        let array = known.get(&value).cloned().ok_or_else(missing)?;
        Ok((name.to_string(), array))
    };
    source.outputs().into_iter().map(of).collect()
}

/// Cycles, and far above them how far a node is from the chip.
fn price(explained: &Explained, distinct: &Distinct, node: &Node) -> Cycles {
    const FAR: u64 = 1 << 40;
    let graph = distinct.graph();
    let replaced = match graph.analysis.is_replaced(node) {
        true => FAR / 2,
        false => 0,
    };
    let steps = match node {
        Node::GeluErf(_) => 2,
        Node::GeluTanh(_) | Node::GeluSigmoid(_) | Node::LayerNorm(_) | Node::Softmax(_) => 1,
        _ => 3,
    };
    let waiting = |latency: u64| Cycles {
        latency,
        ..Cycles::default()
    };
    let cycles = explained.cost.of_form(graph, node);
    cycles.unwrap_or(waiting(steps * FAR)) + waiting(replaced)
}

fn leaves(
    explained: &Explained,
    part: &Part,
    inputs: &Arrays,
    known: &BTreeMap<Value, Array>,
) -> Result<Vec<Array>, String> {
    let source = explained.source;
    let of = |(value, facts): &(Value, crate::egraph::facts::LeafFacts)| match facts.role {
        Role::Constant => {
            let data = source.def_op(*value).and_then(|op| source.constant(op));
            let data = data.ok_or("the constant is not in the pool")?;
            Array::new(data.shape.clone(), Data::from_const(data))
        }
        Role::Input => {
            let input = source.inputs().find(|(_, v)| v == value);
            let array = input.and_then(|(name, _)| inputs.get(name));
            array
                .cloned()
                .ok_or_else(|| format!("input {value} is missing"))
        }
        Role::Computed => {
            let array = known.get(value).cloned();
            array.ok_or_else(|| format!("{value} is not computed"))
        }
    };
    part.encoded.leaves.iter().map(of).collect()
}

fn evaluated(term: &Term, leaves: &[Array]) -> Result<Vec<Array>, String> {
    let mut values: Vec<Array> = Vec::new();
    for node in &term.nodes {
        let array = match (node, value::number(node)) {
            (Node::Leaf(Leaf(i)), _) => leaves[*i].clone(),
            (_, Some(number)) => number,
            _ => {
                let children = node.children().iter();
                let operands: Vec<Array> =
                    children.map(|&c| values[usize::from(c)].clone()).collect();
                value::value(node, &operands)?
            }
        };
        values.push(array);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Unknown below `known`, good below `bad`, bad from there on; with how many tests.
    fn search(total: usize, known: usize, bad: usize) -> (First, usize) {
        let mut tests = 0;
        let found = first_bad(total, &mut |n| {
            tests += 1;
            Ok::<_, ()>(match n {
                n if n < known => Verdict::Unknown,
                n if n < bad => Verdict::Good,
                _ => Verdict::Bad,
            })
        });
        (found.unwrap(), tests)
    }

    #[test]
    fn the_first_bad_one_is_found_in_few_tests() {
        for total in [1, 2, 7, 100] {
            for bad in 1..=total {
                let (found, tests) = search(total, 0, bad);
                assert_eq!(found, First::At(bad), "{total}");
                assert!(tests <= 2 + total.ilog2() as usize + 1, "{total}: {tests}");
            }
        }
    }

    #[test]
    fn what_is_unknown_is_told_from_what_is_good() {
        assert_eq!(search(9, 0, 0).0, First::Already(0));
        assert_eq!(search(9, 4, 4).0, First::Already(4));
        assert_eq!(search(9, 4, 5).0, First::At(5));
        assert_eq!(search(9, 4, 20).0, First::Nowhere(Verdict::Good));
        assert_eq!(search(9, 20, 20).0, First::Nowhere(Verdict::Unknown));
    }
}
