//! What the decoder builds before it writes `stream.*`: a graph of views, passes and per-lane operations, in which
//! pipelines are not yet formed.

use std::collections::BTreeMap;

use crate::tile::cuts::dealt;

use tspc_ir::{ConstData, Elem, Kind, Loc, Type};

/// Index of a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NodeId(pub usize);

/// An operand of a per-lane operation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Arg {
    /// A node of the same lanes, whose rows broadcast.
    Node(NodeId),
    /// Bits.
    Imm(u32),
}

/// What a node is.
#[derive(Clone, PartialEq, Debug)]
pub enum What {
    /// An input of the module; transposed if one of its dimensions is 1, which moves no byte.
    Input {
        /// Its name.
        name: String,
        /// Declared the other way round.
        transposed: bool,
    },
    /// A constant.
    Constant(ConstData),
    /// Rows through installed rows, plus a partial sum.
    Pass {
        /// What streams.
        x: NodeId,
        /// What is installed.
        w: NodeId,
        /// What is added.
        partial: Option<NodeId>,
    },
    /// Rows become lanes.
    Transpose(NodeId),
    /// Lanes become heads.
    Heads(NodeId, usize),
    /// Heads become lanes.
    Merge(NodeId),
    /// Consecutive rows: start, count.
    Rows(NodeId, usize, usize),
    /// Consecutive lanes: start, count.
    Lanes(NodeId, usize, usize),
    /// One byte of each i32.
    Byte(NodeId, u8),
    /// Lanes of an input, by number.
    Gather(NodeId, Vec<usize>),
    /// Side by side.
    Concat(Vec<NodeId>),
    /// One lane, repeated.
    Broadcast(NodeId, usize),
    /// A per-lane operation.
    Alu(&'static str, Vec<Arg>),
}

/// How heads share lanes: width of a head, lanes of a tile.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct HeadTile {
    /// Lanes of a head.
    pub width: usize,
    /// Lanes of a tile.
    pub tile: usize,
}

impl HeadTile {
    /// The tiles of `lanes` lanes, as start and count: those that the tile pass will make.
    pub fn cuts(self, lanes: usize) -> Vec<(usize, usize)> {
        let cuts = dealt(lanes / self.width, self.width, self.tile);
        cuts.into_iter().map(|c| (c.start, c.count)).collect()
    }
}

/// A node.
#[derive(Clone, PartialEq, Debug)]
pub struct Planned {
    /// What it is.
    pub what: What,
    /// Its type, a stream.
    pub ty: Type,
    /// Where it comes from, in the module that is decoded.
    pub loc: Loc,
    /// Heads in the lanes of it, if some are.
    pub heads: Option<HeadTile>,
}

impl What {
    /// The nodes that it takes.
    pub fn operands(&self) -> Vec<NodeId> {
        match self {
            What::Input { .. } | What::Constant(_) => Vec::new(),
            What::Pass { x, w, partial } => [*x, *w].into_iter().chain(*partial).collect(),
            What::Transpose(x)
            | What::Heads(x, _)
            | What::Merge(x)
            | What::Rows(x, ..)
            | What::Lanes(x, ..)
            | What::Byte(x, _)
            | What::Gather(x, _)
            | What::Broadcast(x, _) => vec![*x],
            What::Concat(parts) => parts.clone(),
            What::Alu(_, args) => args
                .iter()
                .filter_map(|a| match a {
                    Arg::Node(n) => Some(*n),
                    Arg::Imm(_) => None,
                })
                .collect(),
        }
    }
}

/// The graph, operands first.
#[derive(Default, Debug)]
pub struct Plan {
    nodes: Vec<Planned>,
    inputs: BTreeMap<(String, bool), NodeId>,
    constants: BTreeMap<String, NodeId>,
    lanes: BTreeMap<(NodeId, usize, usize), NodeId>,
}

impl std::ops::Index<NodeId> for Plan {
    type Output = Planned;
    fn index(&self, id: NodeId) -> &Planned {
        &self.nodes[id.0]
    }
}

/// A stream type; its sizes come from types that keep the limits.
pub fn stream(shape: Vec<usize>, elem: Elem) -> Type {
    Type {
        kind: Kind::Stream,
        shape,
        elem,
    }
}

/// The shape with at least rows and lanes: a vector is one row.
pub fn with_rows(mut shape: Vec<usize>) -> Vec<usize> {
    while shape.len() < 2 {
        shape.insert(0, 1);
    }
    shape
}

impl Plan {
    /// All nodes.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (NodeId, &Planned)> {
        self.nodes.iter().enumerate().map(|(i, n)| (NodeId(i), n))
    }

    /// Whether a node, or what it is a view of, is computed after another one.
    pub fn computed_after(&self, id: NodeId, other: NodeId) -> bool {
        let what = &self[id].what;
        id > other
            && match what {
                What::Alu(..) | What::Pass { .. } | What::Transpose(_) => true,
                _ => what
                    .operands()
                    .iter()
                    .any(|&n| self.computed_after(n, other)),
            }
    }

    /// Adds a node.
    pub fn add(&mut self, what: What, ty: Type, loc: Loc, heads: Option<HeadTile>) -> NodeId {
        self.nodes.push(Planned {
            what,
            ty,
            loc,
            heads,
        });
        NodeId(self.nodes.len() - 1)
    }

    /// An input, once for each way round.
    pub fn input(&mut self, name: &str, transposed: bool, ty: Type, loc: Loc) -> NodeId {
        let key = (name.to_string(), transposed);
        if let Some(&id) = self.inputs.get(&key) {
            return id;
        }
        let name = name.to_string();
        let id = self.add(What::Input { name, transposed }, ty, loc, None);
        self.inputs.insert(key, id);
        id
    }

    /// Consecutive lanes, once for each run of a node.
    pub fn lanes(&mut self, x: NodeId, start: usize, count: usize, loc: Loc) -> NodeId {
        if let Some(&id) = self.lanes.get(&(x, start, count)) {
            return id;
        }
        let ty = &self[x].ty;
        let ty = stream([ty.lead(1), &[count]].concat(), ty.elem);
        let id = self.add(What::Lanes(x, start, count), ty, loc, None);
        self.lanes.insert((x, start, count), id);
        id
    }

    /// A constant of at least two dimensions, once for each content.
    pub fn constant(&mut self, data: ConstData, loc: Loc) -> NodeId {
        let key = format!("{:?} {}", data.shape, data.hash().short());
        if let Some(&id) = self.constants.get(&key) {
            return id;
        }
        let ty = stream(data.shape.clone(), data.elem);
        let id = self.add(What::Constant(data), ty, loc, None);
        self.constants.insert(key, id);
        id
    }

    /// A per-lane operation; the rows broadcast.
    pub fn alu(&mut self, op: &'static str, args: Vec<Arg>, elem: Elem, loc: Loc) -> NodeId {
        let nodes: Vec<NodeId> = args
            .iter()
            .filter_map(|a| match a {
                Arg::Node(n) => Some(*n),
                Arg::Imm(_) => None,
            })
            .collect();
        let mut shape: Vec<usize> = Vec::new();
        let mut heads = None;
        for &n in &nodes {
            let own = &self[n].ty.shape;
            let rank = shape.len().max(own.len());
            let dim = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).map_or(1, |j| s[j]);
            shape = (0..rank).map(|i| dim(&shape, i).max(dim(own, i))).collect();
            heads = heads.or(self[n].heads);
        }
        self.add(What::Alu(op, args), stream(shape, elem), loc, heads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_hold_whole_heads_or_parts_of_one() {
        let cuts = |width, tile, lanes| HeadTile { width, tile }.cuts(lanes);
        assert_eq!(cuts(64, 320, 768), [(0, 256), (256, 256), (512, 256)]);
        assert_eq!(cuts(48, 320, 384), [(0, 192), (192, 192)]);
        assert_eq!(
            cuts(336, 320, 672),
            [(0, 320), (320, 16), (336, 320), (656, 16)]
        );
    }
}
