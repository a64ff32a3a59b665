//! Products of several heads in one pass: where the heads of the activations and those of the result lie side by side,
//! the weights are blocks along a diagonal.
//!
//! A pass takes a tile of activations and makes a tile of the result: its weight columns hold, for every head of both,
//! that head's weights in the lanes where the activations have the head, and zeros elsewhere. The columns of the tile's
//! other heads are zeros, and the tiles of the activations add up through partial sums. Zeros change no sum but for the
//! sign of a zero, as long as all numbers are finite; fp16 groups are checked as in `products.rs`.
//!
//! Weights that are transposed for this come out of their pass with the zeros in place.

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

impl Tiler<'_> {
    /// `stream.pass` of these tiles of activations through blocks of weights.
    pub fn diagonal_pass(
        &mut self,
        op: Op,
        w: Value,
        activations: &[Tile],
    ) -> Result<Rep, Diagnostic> {
        let data = &self.source[op];
        let (x, result, partial) = (data.operands[0], data.results[0], data.operands.get(2));
        let (lanes, columns) = (self.source.ty(x).last(), self.source.ty(result).last());
        let (heads, elem) = (self.source.ty(result).shape[0], self.source.ty(w).elem);
        let mut tiles = Vec::new();
        for cut in self.layouts.cuts(self.source, result) {
            let mut sum = partial.map(|&p| self.lanes_of(p, None, cut)).transpose()?;
            for tile in activations {
                let (mut parts, mut zeros) = (Vec::new(), 0);
                for h in 0..heads {
                    let Some(columns) = cut.overlap(head(h, columns)) else {
                        continue;
                    };
                    let Some(own) = tile.cut.overlap(head(h, lanes)) else {
                        zeros += columns.count;
                        continue;
                    };
                    let inside = own.relative_to(tile.cut.start).start;
                    let own = own.relative_to(h * lanes);
                    self.rounds_alike(x, own, inside, own.start == 0)?;
                    if zeros > 0 {
                        parts.push(self.zeros(zeros, tile.cut.count, elem)?);
                        zeros = 0;
                    }
                    let place = Part::Placed {
                        head: h,
                        lanes: own,
                        before: inside,
                        all: tile.cut.count,
                    };
                    parts.push(self.block(w, place, columns)?);
                }
                if parts.is_empty() {
                    continue;
                }
                if zeros > 0 {
                    parts.push(self.zeros(zeros, tile.cut.count, elem)?);
                }
                let weights = self.install(&parts)?;
                sum = Some(self.pass_of(tile.value, weights, sum, None)?);
            }
            tiles.push(self.tile(cut, sum)?);
        }
        Ok(Rep::Lanes(tiles))
    }

    /// The weights at `place` of the columns `rows`, which count those of all heads.
    fn block(&mut self, w: Value, place: Part, rows: Cut) -> Result<Value, Diagnostic> {
        let Rep::Diagonal(blocks) = self.rep(w)?.clone() else {
            let whole = self.constant_part(w, place)?;
            let own = rows.start % self.ty(whole).shape[0];
            return self.rows(whole, Cut::new(own, rows.count));
        };
        let mut blocks = blocks.iter();
        let block = blocks.find(|b| b.cut.overlap(rows) == Some(rows));
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
                let place = places.iter().find_map(|all| {
                    let own = head(h, keys);
                    (all.overlap(own)? == own).then_some((own.start - all.start, all.count))
                });
                if let (Some(place), Some(part)) = (place, tile.cut.overlap(head(h, lanes))) {
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
                let rows = parts.iter().map(|p| p.relative_to(tile.cut.start));
                let rows: Vec<usize> = rows.flat_map(|p| p.start..p.end()).collect();
                let identity = self.identity(&rows, Cut::new(0, tile.cut.count), elem)?;
                let sum = self.pass_of(identity, weights, None, None)?;
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
