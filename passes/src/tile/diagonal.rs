//! Products of several heads in one pass: where the heads of the activations and those of the result lie side by side,
//! the weights are blocks along a diagonal.
//!
//! A pass takes a tile of activations and makes a tile of the result: its weight columns hold, for every head of both,
//! that head's weights in the lanes where the activations have the head, and zeros elsewhere. The columns of the tile's
//! other heads are zeros, and the tiles of the activations add up through partial sums. Zeros change no sum but for the
//! sign of a zero, as long as all numbers are finite; fp16 groups are checked as in `products.rs`.
//!
//! Where the zeros come from: constants are written with them; of weights whose own heads lie side by side, as those of
//! the activations do, a `stream.window` shows one head at a time.

use super::Tiler;
use super::constants::Part;
use super::cuts::Cut;
use super::values::{Rep, Tile, run};
use tspc_ir::{Diagnostic, Op, Opcode, Value};

/// What a pass through blocks does with what it streams.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Streams {
    /// Numbers, which add up.
    Sums,
    /// Rows that pick one lane of each head that they share.
    Picks,
}

/// Head `h` of heads of this many positions.
fn head(h: usize, positions: usize) -> Cut {
    Cut::new(h * positions, positions)
}

/// The heads of `lanes` and `columns` positions that a tile of activations and one of the result have in common.
pub(super) fn common(
    tile: Cut,
    cut: Cut,
    lanes: usize,
    columns: usize,
) -> impl Iterator<Item = usize> {
    let last = cut.end().div_ceil(columns);
    (cut.start / columns..last).filter(move |&h| tile.overlap(head(h, lanes)).is_some())
}

/// Where a block of weights lies.
struct Place {
    head: usize,
    /// Of the head: the rows that become columns, and the lanes.
    rows: Cut,
    lanes: Cut,
    /// The tile of activations, and its lanes before these.
    tile: Cut,
    before: usize,
}

impl Tiler<'_> {
    /// Whether some pass from these tiles of activations to these of a result of so many columns serves several heads.
    pub fn shares(&self, w: Value, activations: &[Tile], cuts: &[Cut], columns: usize) -> bool {
        let lanes = self.source.ty(w).last();
        let several = |tile: Cut, cut: Cut| common(tile, cut, lanes, columns).nth(1).is_some();
        activations
            .iter()
            .any(|tile| cuts.iter().any(|&cut| several(tile.cut, cut)))
    }

    /// `stream.pass` of these tiles of activations through blocks of weights.
    pub fn diagonal_pass(
        &mut self,
        op: Op,
        w: Value,
        activations: &[Tile],
    ) -> Result<Rep, Diagnostic> {
        let data = &self.source[op];
        let (result, partial) = (data.results[0], data.operands.get(2));
        let mut tiles = Vec::new();
        for cut in self.layouts.cuts(self.source, result) {
            let mut sum = partial.map(|&p| self.lanes_of(p, None, cut)).transpose()?;
            for tile in activations {
                let blocks = self.blocks(w, tile.cut, cut, Streams::Sums)?;
                if !blocks.is_empty() {
                    let weights = self.install(&blocks)?;
                    sum = Some(self.pass_of(tile.value, weights, sum, None)?);
                }
            }
            tiles.push(self.tile(cut, sum)?);
        }
        Ok(Rep::Lanes(tiles))
    }

    /// Tiles of a transpose of heads that lie side by side, so that its own do: row i of the activations picks lane i of
    /// each head that a tile of x and one of the transpose have in common.
    pub fn transposed_heads(
        &mut self,
        x: Value,
        tiles: &[Tile],
        cuts: &[Cut],
    ) -> Result<Vec<Tile>, Diagnostic> {
        let ty = self.source.ty(x);
        let (columns, rows, elem) = (ty.shape[1], ty.last(), ty.elem);
        let mut out = Vec::new();
        for &cut in cuts {
            let mut sum = None;
            for tile in tiles {
                let blocks = self.blocks(x, tile.cut, cut, Streams::Picks)?;
                if blocks.is_empty() {
                    continue;
                }
                let heads: Vec<usize> = common(tile.cut, cut, rows, columns).collect();
                let picked =
                    |row: usize, lane: usize| lane % rows == row && heads.contains(&(lane / rows));
                let picks = self.picks(rows, tile.cut, elem, picked)?;
                let weights = self.install(&blocks)?;
                sum = Some(self.pass_of(picks, weights, sum, None)?);
            }
            let sum = self.tile(cut, sum)?.value;
            let value = self.convert(sum, elem)?;
            out.push(Tile { cut, value });
        }
        Ok(out)
    }

    /// The columns `cut` of all heads of weights, in the lanes `tile` of all heads of the activations; none if these have
    /// no head in common.
    fn blocks(
        &mut self,
        w: Value,
        tile: Cut,
        cut: Cut,
        streams: Streams,
    ) -> Result<Vec<Value>, Diagnostic> {
        let ty = self.source.ty(w);
        let (elem, lanes, columns) = (ty.elem, ty.last(), ty.shape[ty.rank() - 2]);
        // Rows that pick lanes of one head see no other.
        let alone = streams == Streams::Picks && common(tile, cut, lanes, columns).count() == 1;
        let (mut blocks, mut zeros) = (Vec::new(), 0);
        for h in cut.start / columns..cut.end().div_ceil(columns) {
            let Some(rows) = cut.overlap(head(h, columns)) else {
                continue;
            };
            let Some(own) = tile.overlap(head(h, lanes)) else {
                zeros += rows.count;
                continue;
            };
            if zeros > 0 {
                blocks.push(self.zeros(zeros, tile.count, elem)?);
                zeros = 0;
            }
            let place = Place {
                head: h,
                rows: rows.relative_to(h * columns),
                lanes: own.relative_to(h * lanes),
                tile,
                before: own.start - tile.start,
            };
            if streams == Streams::Sums {
                self.rounds_alike(w, place.lanes, place.before, place.lanes.start == 0)?;
            }
            blocks.push(self.block(w, place, !alone)?);
        }
        if zeros > 0 && !blocks.is_empty() {
            blocks.push(self.zeros(zeros, tile.count, elem)?);
        }
        Ok(blocks)
    }

    /// The weights of one head, others in lanes beside it zeroed if asked for.
    fn block(&mut self, w: Value, place: Place, windowed: bool) -> Result<Value, Diagnostic> {
        if let Rep::Constant(_) = self.rep(w)? {
            let part = Part::Placed {
                head: place.head,
                lanes: place.lanes,
                before: place.before,
                all: place.tile.count,
            };
            let whole = self.constant_part(w, part)?;
            return self.rows(whole, place.rows);
        }
        let all = self.lanes_of(w, None, place.tile)?;
        let rows = self.rows(all, place.rows)?;
        if !windowed || place.lanes.count == place.tile.count {
            return Ok(rows);
        }
        let own = Cut::new(place.before, place.lanes.count);
        self.shared(Opcode::StreamWindow, &[rows], &run(own))
    }
}
