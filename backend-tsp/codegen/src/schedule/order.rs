//! The order in which chains are scheduled: the longest way to the end of the program first.

use petgraph::graph::{DiGraph, NodeIndex};

use crate::problem::Problem;

/// Rough length of a trip through the chip, in cycles, beside the rows that stream; a priority, not a fact.
const TRIP: u64 = 100;

/// Chains such that producers come before consumers and long tails before short ones.
pub fn by_tail(problem: &Problem) -> Vec<usize> {
    let graph = dependences(problem);
    let mut tail = vec![0u64; problem.chains.len()];
    for c in (0..problem.chains.len()).rev() {
        let after = graph
            .neighbors(NodeIndex::new(c))
            .map(|n| tail[n.index()])
            .max()
            .unwrap_or(0);
        tail[c] = after + TRIP + u64::from(problem.chains[c].rows);
    }
    let mut order: Vec<usize> = (0..problem.chains.len()).collect();
    order.sort_by_key(|&c| (std::cmp::Reverse(tail[c]), c));
    order
}

/// An edge from each chain to those that read what it writes.
fn dependences(problem: &Problem) -> DiGraph<(), ()> {
    let mut graph = DiGraph::with_capacity(problem.chains.len(), problem.chains.len());
    let mut writer = vec![None; problem.buffers.len()];
    for chain in &problem.chains {
        let node = graph.add_node(());
        for read in chain
            .row_reads()
            .chain(chain.install_reads().map(|(_, r)| r))
        {
            if let Some(from) = writer[read.buffer.0 as usize] {
                graph.update_edge(from, node, ());
            }
        }
        for write in &chain.writes {
            writer[write.buffer.0 as usize] = Some(node);
        }
    }
    graph
}
