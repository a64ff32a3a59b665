//! Greedy extraction: every class takes the node whose cone of chosen classes is cheapest, until nothing improves.
//!
//! The choice has no cycle: a cone is dearer, or at equal cost larger, than the cones of its node's children were
//! when it was chosen, and what a class has chosen only becomes cheaper or smaller.

use std::collections::BTreeMap;

use egg::{Id, Language};

use super::{Choice, Price};
use crate::egraph::cost::{Cycles, Rank};
use crate::egraph::facts::Graph;
use crate::egraph::language::Node;

/// Classes below a choice, with what each costs.
#[derive(Clone, Debug)]
pub struct Cone {
    /// What was chosen.
    pub node: Node,
    /// All of it, by what costs are compared by.
    pub rank: Rank,
    /// Of each class.
    pub costs: BTreeMap<Id, Cycles>,
}

impl Cone {
    /// The order of choices: ties go to fewer classes.
    pub fn order(&self) -> (Rank, usize, &Node) {
        (self.rank, self.costs.len(), &self.node)
    }

    /// The cone of a node whose children have chosen; `None` if one has not, or if the class is below itself.
    pub fn of(
        graph: &Graph,
        price: &Price,
        best: &BTreeMap<Id, Cone>,
        id: Id,
        node: &Node,
    ) -> Option<Cone> {
        let own = price(id, node)?;
        let mut costs = BTreeMap::new();
        for &child in node.children() {
            let child = best.get(&graph.find(child))?;
            costs.extend(child.costs.iter().map(|(k, v)| (*k, *v)));
        }
        if costs.insert(id, own).is_some() {
            return None;
        }
        Some(Cone {
            node: node.clone(),
            rank: costs.values().copied().sum::<Cycles>().rank(),
            costs,
        })
    }
}

/// What each class chooses; a class without a form on the chip has no entry.
pub fn greedy(graph: &Graph, price: &Price) -> BTreeMap<Id, Cone> {
    let mut best: BTreeMap<Id, Cone> = BTreeMap::new();
    loop {
        let mut changed = false;
        for class in graph.classes() {
            let id = graph.find(class.id);
            for node in class.iter() {
                let Some(cone) = Cone::of(graph, price, &best, id, node) else {
                    continue;
                };
                if best.get(&id).is_none_or(|old| cone.order() < old.order()) {
                    best.insert(id, cone);
                    changed = true;
                }
            }
        }
        if !changed {
            return best;
        }
    }
}

/// The choices of all classes.
pub fn choice(best: &BTreeMap<Id, Cone>) -> Choice {
    best.iter()
        .map(|(id, cone)| (*id, cone.node.clone()))
        .collect()
}
