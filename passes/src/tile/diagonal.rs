//! Products of several heads in one pass: where the heads of the activations and those of the result lie side by side,
//! the weights are blocks along a diagonal.
//!
//! A pass takes a tile of activations and makes a tile of the result: its weight columns hold, for every head of both,
//! that head's weights in the lanes where the activations have the head, and zeros elsewhere. The columns of the tile's
//! other heads are zeros, and the tiles of the activations add up through partial sums. Zeros change no sum but for the
//! sign of a zero, as long as all numbers are finite; fp16 groups are checked as in `products.rs`.
//!
//! Where the zeros come from: constants are written with them; weights that are transposed come out of their pass with
//! them.

use super::Tiler;
use super::constants::Part;
use super::cuts::Cut;
use super::values::{Rep, Tile};
use std::collections::BTreeMap;
use tspc_ir::{Diagnostic, Op, Value};

/// Head `h` of heads of this many positions.
fn head(h: usize, positions: usize) -> Cut {
    Cut::new(h * positions, positions)
}

/// Where a block of weights lies.
struct Place {
    head: usize,
    /// Of the head: the rows that become columns, and the lanes.
    rows: Cut,
    lanes: Cut,
    /// Lanes of the tile of activations before these, and all of them.
    before: usize,
    all: usize,
}

impl Tiler<'_> {
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
                let blocks = self.blocks(w, tile.cut, cut)?;
                if !blocks.is_empty() {
                    let weights = self.install(&blocks)?;
                    sum = Some(self.pass_of(tile.value, weights, sum, None)?);
                }
            }
            tiles.push(self.tile(cut, sum)?);
        }
        Ok(Rep::Lanes(tiles))
    }

    /// The columns `cut` of all heads of weights, in the lanes `tile` of all heads of the activations; none if these have
    /// no head in common.
    fn blocks(&mut self, w: Value, tile: Cut, cut: Cut) -> Result<Vec<Value>, Diagnostic> {
        let ty = self.source.ty(w);
        let (elem, lanes, columns) = (ty.elem, ty.last(), ty.shape[ty.rank() - 2]);
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
                before: own.start - tile.start,
                all: tile.count,
            };
            self.rounds_alike(w, place.lanes, place.before, place.lanes.start == 0)?;
            blocks.push(self.block(w, place)?);
        }
        if zeros > 0 && !blocks.is_empty() {
            blocks.push(self.zeros(zeros, tile.count, elem)?);
        }
        Ok(blocks)
    }

    /// The weights of one head.
    fn block(&mut self, w: Value, place: Place) -> Result<Value, Diagnostic> {
        let Rep::Diagonal(blocks) = self.rep(w)?.clone() else {
            let part = Part::Placed {
                head: place.head,
                lanes: place.lanes,
                before: place.before,
                all: place.all,
            };
            let whole = self.constant_part(w, part)?;
            return self.rows(whole, place.rows);
        };
        let ty = self.source.ty(w);
        let rows = place.rows.after(place.head * ty.shape[ty.rank() - 2]);
        let block = blocks.iter().find(|b| b.cut.overlap(rows) == Some(rows));
        let block = block.ok_or_else(|| {
            self.refuse(format!("the columns {rows} of {w} lie in several tiles"))
        })?;
        self.rows(block.value, rows.relative_to(block.cut.start))
    }

    /// The transpose of heads that lie side by side, as weights of `activations`: one pass for the heads of a tile that
    /// come to lie in the same lanes.
    pub fn transposed_beside(&mut self, x: Value, activations: Value) -> Result<Rep, Diagnostic> {
        let Rep::Lanes(tiles) = self.rep(x)?.clone() else {
            return Err(self.refuse(format!("the heads of {x} do not lie side by side")));
        };
        let ty = self.source.ty(x).clone();
        let (keys, lanes, elem) = (ty.shape[1], ty.last(), ty.elem);
        let places = self.layouts.cuts(self.source, activations);
        let mut blocks = Vec::new();
        for tile in tiles {
            // By zeros before and lanes in all.
            let mut alike: BTreeMap<(usize, usize), Vec<Cut>> = BTreeMap::new();
            for h in 0..ty.shape[0] {
                let own = head(h, keys);
                let all = places.iter().find(|all| all.overlap(own) == Some(own));
                if let (Some(all), Some(part)) = (all, tile.cut.overlap(head(h, lanes))) {
                    let place = (own.start - all.start, all.count);
                    alike.entry(place).or_default().push(part);
                }
            }
            for ((before, all), parts) in alike {
                let mut columns = vec![tile.value];
                if before > 0 {
                    columns.insert(0, self.zeros(before, tile.cut.count, elem)?);
                }
                if all > before + keys {
                    columns.push(self.zeros(all - before - keys, tile.cut.count, elem)?);
                }
                let weights = self.install(&columns)?;
                let rows: Vec<usize> = parts.iter().flat_map(|p| p.start..p.end()).collect();
                let picks = self.picks(rows.len(), tile.cut, elem, |i, lane| rows[i] == lane)?;
                let sum = self.pass_of(picks, weights, None, None)?;
                let value = self.convert(sum, elem)?;
                let mut at = 0;
                for cut in parts {
                    let value = self.rows(value, Cut::new(at, cut.count))?;
                    blocks.push(Tile { cut, value });
                    at += cut.count;
                }
            }
        }
        Ok(Rep::Diagonal(blocks))
    }
}
