//! Which matches are applied: all of them, in the order of rules, classes and substitutions, until the fuel is used up.
//!
//! Every application that changes the e-graph is written down, so that the n-th rewrite means the same in every run.
//! Nothing is ever banned: a rule set that explodes meets the limit of nodes, and is told.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use egg::{Id, Rewrite, RewriteScheduler, SearchMatches, Symbol};

use super::facts::{Graph, Region};
use super::language::Node;

/// What was searched and applied in one saturation.
#[derive(Clone, Default, Debug)]
pub struct Log {
    /// Per application that did something, in order: the rule, and the class that it matched.
    pub applied: Vec<(Symbol, Id)>,
    /// Matches of each rule, over all rounds.
    pub matched: BTreeMap<Symbol, usize>,
    /// Whether a match was not applied for want of fuel.
    pub starved: bool,
}

/// A log that outlives the runner, which owns its scheduler.
pub type Shared = Rc<RefCell<Log>>;

/// Applies matches in order while there is fuel.
pub struct Fueled {
    fuel: Option<usize>,
    log: Shared,
}

impl Fueled {
    /// With this many applications; all if `None`.
    pub fn new(fuel: Option<usize>) -> (Fueled, Shared) {
        let log = Shared::default();
        let scheduler = Fueled {
            fuel,
            log: log.clone(),
        };
        (scheduler, log)
    }
}

impl RewriteScheduler<Node, Region> for Fueled {
    fn apply_rewrite(
        &mut self,
        _: usize,
        graph: &mut Graph,
        rewrite: &Rewrite<Node, Region>,
        matches: Vec<SearchMatches<Node>>,
    ) -> usize {
        let mut log = self.log.borrow_mut();
        let found: usize = matches.iter().map(|m| m.substs.len()).sum();
        *log.matched.entry(rewrite.name).or_default() += found;
        let before = log.applied.len();
        for found in &matches {
            // Only explanations need to know what was matched.
            let ast = found.ast.as_ref().map(|ast| ast.as_ref());
            let ast = ast.filter(|_| graph.are_explanations_enabled());
            for subst in &found.substs {
                if self.fuel == Some(log.applied.len()) {
                    // Whether it would have changed anything is not known; what is left is not tried.
                    log.starved = true;
                    break;
                }
                let name = rewrite.name;
                let made = rewrite
                    .applier
                    .apply_one(graph, found.eclass, subst, ast, name);
                log.applied
                    .extend(made.iter().map(|_| (name, found.eclass)));
            }
        }
        log.applied.len() - before
    }
}
