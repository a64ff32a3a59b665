//! E-graphs for other tools: egraph-serialize JSON (extraction-gym, viewers) and dot.

use egg::{Id, Language};
use egraph_serialize as out;

use super::{Distinct, Explained, word};

/// What stands for the cost of an operation that the chip lacks, since JSON has no infinity.
pub const LACKING: f64 = 1e15;

/// A distinct region as JSON: nodes with their cost in cycles, classes with their type, the roots.
pub fn json(explained: &Explained, distinct: &Distinct) -> out::EGraph {
    let graph = distinct.graph();
    let name = |class: Id, i: usize| out::NodeId::from(format!("{class}.{i}"));
    let mut made = out::EGraph::default();
    for class in graph.classes() {
        let id = out::ClassId::from(class.id.to_string());
        for (i, node) in class.iter().enumerate() {
            let cost = explained.cost.of(graph, node);
            let cost = cost.map_or(LACKING, |c| c.total() as f64);
            let node = out::Node {
                op: word(node),
                children: node
                    .children()
                    .iter()
                    .map(|&c| name(graph.find(c), 0))
                    .collect(),
                eclass: id.clone(),
                cost: out::Cost::new(cost).unwrap_or_default(),
                subsumed: graph.analysis.is_replaced(node),
            };
            made.add_node(name(class.id, i), node);
        }
        let data = out::ClassData {
            typ: Some(class.data.ty.to_string()),
            extra: Default::default(),
        };
        made.class_data.insert(id, data);
    }
    let roots = explained.first(distinct).encoded.roots.iter();
    let roots = roots.map(|(_, id)| distinct.class(usize::from(*id)));
    made.root_eclasses = roots.map(|c| out::ClassId::from(c.to_string())).collect();
    made
}

/// A distinct region as dot.
pub fn dot(distinct: &Distinct) -> String {
    distinct.graph().dot().to_string()
}
