//! Exact extraction: branch and bound over the choices of the classes that are used.
//!
//! A state is a set of classes that have chosen and a set that is wanted. What is wanted costs at least the cheapest
//! node of each class that *every* term below it has; a state whose bound is no less than the worst term that is kept
//! is left. The budget is counted in choices that are tried, never in time.

use std::collections::BTreeMap;

use egg::{Id, Language};

use super::greedy::Cone;
use super::{Choice, Price};
use crate::egraph::cost::Rank;
use crate::egraph::facts::Graph;
use crate::egraph::language::Node;

/// Choices that may be tried.
const BUDGET: usize = 20_000;
/// Classes of an e-graph on which it is tried at all: bounds are sets of classes for each class.
const CLASSES: usize = 1_000;

/// What a search found.
pub struct Found {
    /// Up to as many choices as were asked for, the cheapest first.
    pub choices: Vec<Choice>,
    /// What no term costs less than; 0 if nothing was tried.
    pub bound: u64,
    /// Choices that were tried.
    pub steps: usize,
}

/// The cheapest choices for these roots, all of which have a form. Those that are known come first among equals.
pub fn search(
    graph: &Graph,
    price: &Price,
    best: &BTreeMap<Id, Cone>,
    roots: &[Id],
    known: Vec<Choice>,
    count: usize,
) -> Found {
    let Some(problem) = Problem::new(graph, price, best, roots) else {
        return Found {
            choices: known,
            bound: 0,
            steps: 0,
        };
    };
    let mut search = Search {
        chosen: vec![None; problem.options.len()],
        kept: Vec::new(),
        count,
        steps: 0,
        problem: &problem,
    };
    for choice in &known {
        search.keep(problem.numbered(choice));
    }
    let whole = search.bound(&problem.roots);
    // Nothing is cheaper than what no term is cheaper than.
    if !search.full() || whole < search.worst() {
        search.branch(problem.roots.clone(), (0, 0));
    }
    let cheapest = search.kept.first().map_or(whole, |(rank, _)| *rank);
    let bound = match search.steps < BUDGET {
        true => cheapest.0,
        false => whole.0,
    };
    Found {
        choices: search
            .kept
            .iter()
            .map(|(_, chosen)| problem.named(chosen))
            .collect(),
        bound,
        steps: search.steps,
    }
}

/// A node that a class may choose.
struct Candidate {
    node: Node,
    rank: Rank,
    children: Vec<usize>,
}

/// Per class, the number of the candidate that it has chosen.
type Chosen = Vec<Option<usize>>;

/// Classes by number.
struct Problem {
    ids: Vec<Id>,
    /// Per class, the cheapest cone first.
    options: Vec<Vec<Candidate>>,
    /// Per class, the classes that every term below it has, itself among them.
    within: Vec<Set>,
    /// Per class, its cheapest node.
    least: Vec<Rank>,
    roots: Vec<usize>,
}

impl Problem {
    /// What is below the roots; `None` if that is too much.
    fn new(
        graph: &Graph,
        price: &Price,
        best: &BTreeMap<Id, Cone>,
        roots: &[Id],
    ) -> Option<Problem> {
        if best.len() > CLASSES {
            return None;
        }
        let ids: Vec<Id> = best.keys().copied().collect();
        let number: BTreeMap<Id, usize> = ids.iter().enumerate().map(|(i, id)| (*id, i)).collect();
        let options: Vec<Vec<Candidate>> = ids
            .iter()
            .map(|&id| {
                let candidate = |node: &Node| {
                    Some(Candidate {
                        rank: price(id, node)?.rank(),
                        children: children(graph, &number, node)?,
                        node: node.clone(),
                    })
                };
                // What leads to its own class by the greedy choices may not by others: it comes last.
                let order = |candidate: &Candidate| {
                    let cone = Cone::of(graph, price, best, id, &candidate.node);
                    let cone = cone.map(|cone| (cone.rank, cone.costs.len()));
                    (cone.is_none(), cone, candidate.node.clone())
                };
                let mut of: Vec<Candidate> = graph[id].iter().filter_map(candidate).collect();
                of.sort_by_cached_key(order);
                of
            })
            .collect();
        let least = options.iter().map(|of| {
            let ranks = of.iter().map(|candidate| candidate.rank);
            ranks.min().unwrap_or_default()
        });
        Some(Problem {
            within: within(&options),
            least: least.collect(),
            roots: roots
                .iter()
                .map(|root| number[&graph.find(*root)])
                .collect(),
            ids,
            options,
        })
    }

    fn numbered(&self, choice: &Choice) -> Chosen {
        let mut chosen = vec![None; self.ids.len()];
        let mut wanted = self.roots.clone();
        while let Some(class) = wanted.pop() {
            let options = &self.options[class];
            let taken = choice.get(&self.ids[class]);
            let at = options.iter().position(|c| Some(&c.node) == taken);
            if let (None, Some(at)) = (chosen[class], at) {
                chosen[class] = Some(at);
                wanted.extend(&options[at].children);
            }
        }
        chosen
    }

    fn named(&self, chosen: &Chosen) -> Choice {
        let taken = chosen.iter().enumerate();
        taken
            .filter_map(|(class, at)| {
                Some((self.ids[class], self.options[class][(*at)?].node.clone()))
            })
            .collect()
    }

    fn rank(&self, chosen: &Chosen) -> Rank {
        let ranks = chosen.iter().enumerate();
        ranks.fold((0, 0), |sum, (class, at)| match at {
            Some(at) => plus(sum, self.options[class][*at].rank),
            None => sum,
        })
    }
}

/// The classes that a node takes, each once; `None` if one has no form.
fn children(graph: &Graph, number: &BTreeMap<Id, usize>, node: &Node) -> Option<Vec<usize>> {
    let mut children: Vec<usize> = Vec::new();
    for &child in node.children() {
        let child = *number.get(&graph.find(child))?;
        if !children.contains(&child) {
            children.push(child);
        }
    }
    Some(children)
}

fn plus(a: Rank, b: Rank) -> Rank {
    (a.0.saturating_add(b.0), a.1.saturating_add(b.1))
}

/// The greatest sets such that a class has itself and what the children of each of its candidates have.
fn within(options: &[Vec<Candidate>]) -> Vec<Set> {
    let mut within = vec![Set::full(options.len()); options.len()];
    loop {
        let mut changed = false;
        for (class, candidates) in options.iter().enumerate() {
            let mut all = Set::full(options.len());
            for candidate in candidates {
                let mut of = Set::empty(options.len());
                for &child in &candidate.children {
                    of.unite(&within[child]);
                }
                all.intersect(&of);
            }
            all.insert(class);
            if all != within[class] {
                within[class] = all;
                changed = true;
            }
        }
        if !changed {
            return within;
        }
    }
}

struct Search<'a> {
    problem: &'a Problem,
    chosen: Chosen,
    /// Terms, the cheapest first.
    kept: Vec<(Rank, Chosen)>,
    count: usize,
    steps: usize,
}

impl Search<'_> {
    /// Decides a class that is wanted, then the others; `spent` is what has chosen so far.
    fn branch(&mut self, mut wanted: Vec<usize>, spent: Rank) {
        while wanted.last().is_some_and(|&c| self.chosen[c].is_some()) {
            wanted.pop();
        }
        let Some(class) = wanted.pop() else {
            self.keep(self.chosen.clone());
            return;
        };
        for (at, candidate) in self.problem.options[class].iter().enumerate() {
            if self.steps == BUDGET {
                return;
            }
            self.steps += 1;
            if candidate.children.iter().any(|&c| self.leads(c, class)) {
                continue;
            }
            self.chosen[class] = Some(at);
            let mut next = wanted.clone();
            next.extend(&candidate.children);
            let spent = plus(spent, candidate.rank);
            if !self.full() || plus(spent, self.bound(&next)) < self.worst() {
                self.branch(next, spent);
            }
            self.chosen[class] = None;
        }
    }

    /// Whether what has chosen leads from one class to another.
    fn leads(&self, from: usize, to: usize) -> bool {
        let (mut seen, mut todo) = (Set::empty(self.chosen.len()), vec![from]);
        while let Some(class) = todo.pop() {
            if class == to {
                return true;
            }
            if let (Some(at), true) = (self.chosen[class], seen.insert(class)) {
                todo.extend(&self.problem.options[class][at].children);
            }
        }
        false
    }

    /// What the classes that are wanted and have not chosen cost at least.
    fn bound(&self, wanted: &[usize]) -> Rank {
        let mut needed = Set::empty(self.chosen.len());
        for &class in wanted {
            if self.chosen[class].is_none() {
                needed.unite(&self.problem.within[class]);
            }
        }
        let open = needed.iter().filter(|&class| self.chosen[class].is_none());
        open.fold((0, 0), |sum, class| plus(sum, self.problem.least[class]))
    }

    fn full(&self) -> bool {
        self.kept.len() >= self.count
    }

    fn worst(&self) -> Rank {
        self.kept
            .last()
            .map_or((u64::MAX, u64::MAX), |(rank, _)| *rank)
    }

    /// Keeps a term if there is room or a dearer one goes; equals stay in the order in which they came.
    fn keep(&mut self, chosen: Chosen) {
        if self.kept.iter().any(|(_, known)| *known == chosen) {
            return;
        }
        let rank = self.problem.rank(&chosen);
        let at = self.kept.partition_point(|(known, _)| *known <= rank);
        self.kept.insert(at, (rank, chosen));
        self.kept.truncate(self.count);
    }
}

/// A set of classes.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Set(Vec<u64>);

impl Set {
    fn empty(size: usize) -> Set {
        Set(vec![0; size.div_ceil(64)])
    }

    /// Every class, and bits beyond: a class with a form has a term, which has classes only.
    fn full(size: usize) -> Set {
        Set(vec![u64::MAX; size.div_ceil(64)])
    }

    /// Whether it was not there.
    fn insert(&mut self, class: usize) -> bool {
        let (word, bit) = (&mut self.0[class / 64], 1 << (class % 64));
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    fn unite(&mut self, other: &Set) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    fn intersect(&mut self, other: &Set) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= b);
    }

    fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let bits = |(i, &word): (usize, &u64)| {
            (0..64)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| i * 64 + bit)
        };
        self.0.iter().enumerate().flat_map(bits)
    }
}
