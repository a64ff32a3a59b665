//! The dependences of chains and how far each is from the end of the program: priorities and rough times, no facts.

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::problem::Problem;

/// Rough length of a trip through the chip, in cycles, beside the rows that stream.
const TRIP: u64 = 100;

/// Which chains wait for which.
pub struct Order {
    graph: DiGraph<(), ()>,
    /// Per chain, the length of the longest way from its start to the end of the program.
    pub tail: Vec<u64>,
}

impl Order {
    /// The order of a problem.
    pub fn new(problem: &Problem) -> Order {
        let graph = dependences(problem);
        let mut tail = vec![0u64; problem.chains.len()];
        for c in (0..problem.chains.len()).rev() {
            let after = graph.neighbors(NodeIndex::new(c)).map(|n| tail[n.index()]);
            let after = after.max().unwrap_or(0);
            tail[c] = after + TRIP + u64::from(problem.chains[c].rows);
        }
        Order { graph, tail }
    }

    /// The chains that read what chain `c` writes.
    pub fn consumers(&self, c: usize) -> impl Iterator<Item = usize> + '_ {
        self.graph
            .neighbors(NodeIndex::new(c))
            .map(NodeIndex::index)
    }

    /// The number of chains that write what chain `c` reads.
    pub fn producers(&self, c: usize) -> usize {
        let from = Direction::Incoming;
        self.graph
            .neighbors_directed(NodeIndex::new(c), from)
            .count()
    }
}

/// An edge from each chain to those that read what it writes.
fn dependences(problem: &Problem) -> DiGraph<(), ()> {
    let mut graph = DiGraph::with_capacity(problem.chains.len(), problem.chains.len());
    let mut writer = vec![None; problem.buffers.len()];
    for chain in &problem.chains {
        let node = graph.add_node(());
        let rows = chain.row_reads().map(|(r, _)| r);
        for read in rows.chain(chain.install_reads().map(|(_, r)| r)) {
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
