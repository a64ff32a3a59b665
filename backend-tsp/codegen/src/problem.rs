//! What is to be placed and scheduled, as plain data: buffers in memory and chains between them.
//!
//! A chain is a rigid pipeline, MEM → (MXM, several passes) → (VXM) → MEM, through which `rows` vectors flow, one a cycle;
//! fixing the cycle of its first row fixes all its instructions. Chains meet only in memory, row by row: a chain may start as
//! soon as each row that it reads has been written, so chains overlap wherever the data allow it.
//! Knows sizes, no slice, no cycle, no word.

use tspc_program::ElemType;

use crate::mesh;

/// Index of a buffer in [`Problem::buffers`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BufferId(pub u32);

/// Index of a chain in [`Problem::chains`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ChainId(pub u32);

/// What a buffer holds before cycle 0.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Constant words, 320 bytes each.
    Constant(Vec<u8>),
    /// One byte plane of a tile of a program input, as its [`Port`] says.
    Input,
    /// Nothing: a chain writes it.
    Written,
}

/// Words of one byte plane that live in one slice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Buffer {
    /// Words of 320 bytes.
    pub words: u32,
    /// What is there at cycle 0.
    pub origin: Origin,
}

/// One read a cycle: word `start + i·step` for row i; step 0 repeats a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Read {
    /// From where.
    pub buffer: BufferId,
    /// Word of row 0.
    pub start: u32,
    /// Words per row.
    pub step: i32,
}

/// Rows of a run that come from one buffer: from `first` on, to the next piece or the last row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// First row.
    pub first: u32,
    /// Word of that row, and words per row.
    pub read: Read,
}

/// One vector a row, as byte planes in little-endian order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// Element type; its size is the number of byte planes.
    pub ty: ElemType,
    /// Per byte, the pieces, the first from row 0 on; different bytes are in different slices.
    pub bytes: Vec<Vec<Piece>>,
}

/// Consecutive weight groups that are loaded from the same sixteen buffers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Segment {
    /// First group.
    pub group: u8,
    /// Groups.
    pub count: u8,
    /// The sixteen streams; iteration i reads `start + i·step`.
    pub streams: Vec<Read>,
    /// A distributor map for them on their way, read again for each group; all segments of an install have one or none
    /// has, since it costs time.
    pub window: Option<Read>,
}

/// Weights of a pass.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Install {
    /// Installs of one number hold the same, from copies of their own.
    pub weights: u32,
    /// In order of groups, covering 0…groups.
    pub segments: Vec<Segment>,
    /// Groups of the `iw`.
    pub groups: u8,
    /// `Some(p)`: fp16, lanes 160p….
    pub f16: Option<u8>,
}

/// A pass of rows through one plane (int8) or one unit of two planes (fp16).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pass {
    /// The weights.
    pub install: Install,
    /// The activations.
    pub act: Source,
    /// A distributor map (one word, source lane within the superlane, ≥ 16 for zero) applied on the way.
    pub window: Option<Vec<Piece>>,
    /// A partial sum to add, i32 or f32.
    pub partial: Option<Partial>,
}

/// A partial sum on its way to the port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Partial {
    /// From memory.
    Memory(Source),
    /// The result of the pass before in the chain, which runs on the other side: its inward streams are outward ones
    /// beyond the VXM (machine.md, section 2).
    Relay,
}

/// What feeds an input of the VXM stage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Feed {
    /// The result of this pass of the chain.
    Pass(usize),
    /// Memory.
    Memory(Source),
}

/// The VXM stage: a dataflow graph without directions; place adds them.
#[derive(Clone, PartialEq, Debug)]
pub struct Vxm {
    /// What arrives; in the order of the graph's inputs.
    pub feeds: Vec<Feed>,
    /// The operations.
    pub nodes: Vec<mesh::Node>,
    /// Nodes whose values leave, in order.
    pub outputs: Vec<usize>,
}

/// Rows `first`, `first + step`, … of one byte of a result, stored in words 0, 1, … of a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Write {
    /// Output of the VXM stage, or 0 for the last pass of a chain without one.
    pub output: u32,
    /// Byte of the element.
    pub byte: u8,
    /// First row.
    pub first: u32,
    /// Rows from one word to the next, ≥ 1.
    pub step: u32,
    /// Words.
    pub count: u32,
    /// Where to.
    pub buffer: BufferId,
}

/// A rigid pipeline.
#[derive(Clone, PartialEq, Debug)]
pub struct Chain {
    /// Vectors that flow through.
    pub rows: u32,
    /// MXM stage, each pass on a plane of its own; without a VXM stage the last one's result is stored.
    pub passes: Vec<Pass>,
    /// VXM stage; at least one of the two is there.
    pub vxm: Option<Vxm>,
    /// What is stored.
    pub writes: Vec<Write>,
    /// The part of the model that it serves.
    pub location: String,
}

/// A program input or output: tiles of at most 320 columns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Port {
    /// Name.
    pub name: String,
    /// Element type.
    pub elem: ElemType,
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub cols: u32,
    /// Per tile: the column of each lane, and a buffer per byte.
    pub tiles: Vec<(Vec<Option<u32>>, Vec<BufferId>)>,
}

/// Everything that the back end needs to know.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Problem {
    /// Memory.
    pub buffers: Vec<Buffer>,
    /// Work, producers before consumers.
    pub chains: Vec<Chain>,
    /// Program inputs.
    pub inputs: Vec<Port>,
    /// Program outputs.
    pub outputs: Vec<Port>,
}

impl Piece {
    /// All rows of a run.
    pub fn whole(read: Read) -> Piece {
        Piece { first: 0, read }
    }
}

/// Each piece of a byte plane with its number of rows, of `rows` in all.
pub fn spans(pieces: &[Piece], rows: u32) -> impl Iterator<Item = (&Piece, u32)> {
    let ends = pieces.iter().skip(1).map(|p| p.first).chain([rows]);
    pieces.iter().zip(ends).map(|(p, end)| (p, end - p.first))
}

impl Install {
    /// Whether distributors mask lanes of the weights on their way.
    pub fn windowed(&self) -> bool {
        self.segments.iter().any(|s| s.window.is_some())
    }
}

impl Pass {
    /// The partial sum that comes from memory, if one does.
    pub fn stored_partial(&self) -> Option<&Source> {
        match &self.partial {
            Some(Partial::Memory(source)) => Some(source),
            _ => None,
        }
    }

    /// Whether the partial sum is the result of the pass before.
    pub fn relayed(&self) -> bool {
        self.partial == Some(Partial::Relay)
    }
}

impl Chain {
    /// Every byte plane of a row run: activations, partial sums, VXM operands.
    pub fn planes(&self) -> impl Iterator<Item = &Vec<Piece>> {
        let passes = self.passes.iter().flat_map(|p| {
            let partial = p.stored_partial().into_iter().flat_map(|s| &s.bytes);
            p.act.bytes.iter().chain(&p.window).chain(partial)
        });
        let vxm = self
            .vxm
            .iter()
            .flat_map(|v| &v.feeds)
            .flat_map(|feed| match feed {
                Feed::Pass(_) => &[][..],
                Feed::Memory(source) => &source.bytes[..],
            });
        passes.chain(vxm)
    }

    /// Every read of a row run with its number of rows.
    pub fn row_reads(&self) -> impl Iterator<Item = (&Read, u32)> {
        let spans = self.planes().flat_map(|plane| spans(plane, self.rows));
        spans.map(|(piece, rows)| (&piece.read, rows))
    }

    /// Changes every read, of rows and of the install.
    pub fn each_read(&mut self, mut change: impl FnMut(&mut Read)) {
        let mut planes: Vec<&mut Piece> = Vec::new();
        for pass in &mut self.passes {
            let streams = pass
                .install
                .segments
                .iter_mut()
                .flat_map(|s| &mut s.streams);
            streams.for_each(&mut change);
            let partial = match &mut pass.partial {
                Some(Partial::Memory(source)) => &mut source.bytes[..],
                _ => &mut [],
            };
            let rows = pass
                .act
                .bytes
                .iter_mut()
                .chain(&mut pass.window)
                .chain(partial);
            planes.extend(rows.flatten());
        }
        for feed in self.vxm.iter_mut().flat_map(|v| &mut v.feeds) {
            if let Feed::Memory(source) = feed {
                planes.extend(source.bytes.iter_mut().flatten());
            }
        }
        planes.into_iter().for_each(|piece| change(&mut piece.read));
    }

    /// Every read of weights of the install.
    pub fn install_reads(&self) -> impl Iterator<Item = (&Segment, &Read)> {
        let segments = self.passes.iter().flat_map(|p| &p.install.segments);
        segments.flat_map(|s| s.streams.iter().map(move |r| (s, r)))
    }
}

impl std::ops::Index<BufferId> for [Buffer] {
    type Output = Buffer;
    fn index(&self, id: BufferId) -> &Buffer {
        &self[id.0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_where_the_next_begins() {
        let piece = |first: u32| Piece {
            first,
            read: Read {
                buffer: BufferId(first),
                start: 0,
                step: 1,
            },
        };
        let pieces = [piece(0), piece(64), piece(96)];
        let rows: Vec<u32> = spans(&pieces, 100).map(|(_, rows)| rows).collect();
        assert_eq!(rows, [64, 32, 4]);
    }
}
