//! Products of several heads in one pass: where the heads of the activations and those of the result lie side by side,
//! the weights are blocks along a diagonal.
//!
//! A pass takes a tile of activations and makes a tile of the result: its weight columns hold, for every head of both,
//! that head's weights in the lanes where the activations have the head, and zeros elsewhere. The columns of the tile's
//! other heads are zeros, and the tiles of the activations add up through partial sums. Zeros change no sum but for the
//! sign of a zero, as long as all numbers are finite; fp16 groups are checked as in `products.rs`.
//!
//! Where the zeros come from: constants are written with them; weights that are transposed come out of their pass with
//! them; of weights that a pipeline makes, it emits a copy for each slot, with the heads of other slots masked
//! (`pipelines.rs`), and a window hides heads of the activations that no column is for.

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
    /// Lanes of the tile of activations before these.
    before: usize,
    /// That tile, its lanes counted over all heads.
    tile: Cut,
}

impl Tiler<'_> {
    /// Whether blocks of these weights can lie along a diagonal.
    pub fn lies_diagonal(&self, w: Value) -> Result<bool, Diagnostic> {
        Ok(match self.rep(w)? {
            Rep::Diagonal(_) | Rep::Constant(_) => true,
            _ => self.layouts.spread(w).is_some(),
        })
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
            let sum = partial.map(|&p| self.lanes_of(p, None, cut)).transpose()?;
            let sum = self.through_blocks(w, activations, cut, sum)?;
            tiles.push(self.tile(cut, sum)?);
        }
        Ok(Rep::Lanes(tiles))
    }

    /// One tile of a result.
    fn through_blocks(
        &mut self,
        w: Value,
        activations: &[Tile],
        cut: Cut,
        mut sum: Option<Value>,
    ) -> Result<Option<Value>, Diagnostic> {
        let ty = self.source.ty(w);
        let (elem, lanes, columns) = (ty.elem, ty.last(), ty.shape[ty.rank() - 2]);
        let heads = cut.start / columns..cut.end().div_ceil(columns);
        for tile in activations {
            let (mut parts, mut zeros) = (Vec::new(), 0);
            let mut window = Cut::new(tile.cut.count, 0);
            for h in heads.clone() {
                let Some(rows) = cut.overlap(head(h, columns)) else {
                    continue;
                };
                let Some(own) = tile.cut.overlap(head(h, lanes)) else {
                    zeros += rows.count;
                    continue;
                };
                if zeros > 0 {
                    parts.push(self.zeros(zeros, tile.cut.count, elem)?);
                    zeros = 0;
                }
                let inside = own.relative_to(tile.cut.start);
                let start = window.start.min(inside.start);
                window = Cut::new(start, inside.end() - start);
                let place = Place {
                    head: h,
                    rows: rows.relative_to(h * columns),
                    lanes: own.relative_to(h * lanes),
                    before: inside.start,
                    tile: tile.cut,
                };
                self.rounds_alike(w, place.lanes, inside.start, place.lanes.start == 0)?;
                parts.push(self.block(w, place)?);
            }
            if parts.is_empty() {
                continue;
            }
            if zeros > 0 {
                parts.push(self.zeros(zeros, tile.cut.count, elem)?);
            }
            let weights = self.install(&parts)?;
            // Other heads of the tile have the same slots.
            let hides = self.layouts.spread(w).is_some() && window.count < tile.cut.count;
            sum = Some(self.pass_of(tile.value, weights, sum, hides.then_some(window))?);
        }
        Ok(sum)
    }

    /// The weights of one head.
    fn block(&mut self, w: Value, place: Place) -> Result<Value, Diagnostic> {
        match self.rep(w)?.clone() {
            Rep::Constant(_) => {
                let part = Part::Placed {
                    head: place.head,
                    lanes: place.lanes,
                    before: place.before,
                    all: place.tile.count,
                };
                let whole = self.constant_part(w, part)?;
                self.rows(whole, place.rows)
            }
            Rep::Diagonal(blocks) => {
                let ty = self.source.ty(w);
                let rows = place.rows.after(place.head * ty.shape[ty.rank() - 2]);
                let block = blocks.iter().find(|b| b.cut.overlap(rows) == Some(rows));
                let block = block.ok_or_else(|| {
                    self.refuse(format!("the columns {rows} of {w} lie in several tiles"))
                })?;
                self.rows(block.value, rows.relative_to(block.cut.start))
            }
            Rep::Lanes(tiles) => {
                let tile = self.pick(&tiles, place.tile)?;
                let slot = self.slot(w, place.head);
                let masked = slot.and_then(|slot| self.spread.get(&(tile, slot)).copied());
                let masked = masked.ok_or_else(|| {
                    self.refuse(format!("there is no copy of {w} with single heads"))
                })?;
                self.rows(masked, place.rows)
            }
            _ => Err(self.refuse(format!("the heads of {w} do not lie side by side"))),
        }
    }

    /// Tiles of a transpose of heads that lie side by side, so that its own do: a row of the activations picks the same
    /// row of every head, and the weights keep the heads apart.
    pub fn transposed_heads(
        &mut self,
        x: Value,
        tiles: &[Tile],
        cuts: &[Cut],
    ) -> Result<Vec<Tile>, Diagnostic> {
        let ty = self.source.ty(x);
        let (rows, elem) = (ty.last(), ty.elem);
        let mut picks = Vec::new();
        for tile in tiles {
            let value = self.picks(rows, tile.cut, elem, |row, lane| lane % rows == row)?;
            picks.push(Tile { value, ..*tile });
        }
        let mut out = Vec::new();
        for &cut in cuts {
            let sum = self.through_blocks(x, &picks, cut, None)?;
            let sum = self.tile(cut, sum)?.value;
            let value = self.convert(sum, elem)?;
            out.push(Tile { cut, value });
        }
        Ok(out)
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
