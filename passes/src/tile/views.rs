//! Views: none of them moves anything; each says which tiles of its operand are its own.

use super::Tiler;
use super::cuts::{self, Cut};
use super::values::{Block, Columns, InputView, Rep, Tile};
use tspc_ir::{Attr, Diagnostic, Op, Opcode, Value};

impl Tiler<'_> {
    /// `stream.rows`.
    pub fn rows_view(&mut self, op: Op) -> Result<Rep, Diagnostic> {
        let (x, count) = (self.source[op].operands[0], self.size("count")?);
        let (start, step) = (self.int("start")?, self.int("step")?);
        match self.rep(x)?.clone() {
            Rep::Input(view) => {
                let (first, _, by) = view.rows.unwrap_or((0, 0, 1));
                let rows = Some((first + start * by, count, step * by));
                Ok(Rep::Input(InputView { rows, ..view }))
            }
            Rep::Lanes(tiles) => self
                .rows_of_tiles(&tiles, (start, count, step))
                .map(Rep::Lanes),
            _ => {
                let heads = self.separate(x)?;
                let heads = heads
                    .iter()
                    .map(|tiles| self.rows_of_tiles(tiles, (start, count, step)));
                Ok(Rep::Heads(heads.collect::<Result<_, _>>()?))
            }
        }
    }

    fn rows_of_tiles(
        &mut self,
        tiles: &[Tile],
        rows: (i64, usize, i64),
    ) -> Result<Vec<Tile>, Diagnostic> {
        let rows = |t: &Tile| {
            let value = self.stepped_rows(t.value, rows)?;
            Ok(Tile { value, ..*t })
        };
        tiles.iter().map(rows).collect()
    }

    /// Every head of a value on its own.
    pub fn separate(&mut self, x: Value) -> Result<Vec<Vec<Tile>>, Diagnostic> {
        let heads = self.source.ty(x).lead(2).first().copied();
        let heads: Vec<Option<usize>> = heads.map_or(vec![None], |n| (0..n).map(Some).collect());
        heads.into_iter().map(|h| self.tiles_of(x, h)).collect()
    }

    /// All tiles of a value, or of a head of it; where nothing says how to cut it, evenly.
    pub fn tiles_of(&mut self, x: Value, head: Option<usize>) -> Result<Vec<Tile>, Diagnostic> {
        let cuts = self.cuts_of(x, head)?;
        let cuts = cuts.unwrap_or_else(|| cuts::even(self.source.ty(x).last(), self.limits.lanes));
        self.tiles_at(x, head, &cuts)
    }

    /// Tiles of a value at these cuts.
    fn tiles_at(
        &mut self,
        x: Value,
        head: Option<usize>,
        cuts: &[Cut],
    ) -> Result<Vec<Tile>, Diagnostic> {
        let tile = |&cut: &Cut| {
            let value = self.lanes_of(x, head, cut)?;
            Ok(Tile { cut, value })
        };
        cuts.iter().map(tile).collect()
    }

    /// `stream.lanes`: whole tiles, and of the last one perhaps only its first lanes.
    pub fn lanes_view(&mut self, op: Op) -> Result<Rep, Diagnostic> {
        let x = self.source[op].operands[0];
        let cut = Cut::new(self.size("start")?, self.size("count")?);
        match self.rep(x)?.clone() {
            Rep::Input(InputView {
                root,
                columns: Columns::Run(all),
                rows,
            }) => {
                let columns = Columns::Run(cut.after(all.start));
                Ok(Rep::Input(InputView {
                    root,
                    columns,
                    rows,
                }))
            }
            Rep::Input(InputView {
                root,
                columns: Columns::Picked(gather, all),
                rows,
            }) => {
                let columns = Columns::Picked(gather, cut.after(all.start));
                Ok(Rep::Input(InputView {
                    root,
                    columns,
                    rows,
                }))
            }
            Rep::Input(repeated) => Ok(Rep::Input(repeated)),
            Rep::Lanes(_) if self.source.ty(x).rank() == 3 => Err(self.refuse(
                "some lanes of each head, where heads lie side by side: expected whole heads",
            )),
            Rep::Lanes(tiles) => self.some_lanes(&tiles, cut).map(Rep::Lanes),
            Rep::Heads(heads) => {
                let heads = heads.iter().map(|tiles| self.some_lanes(tiles, cut));
                Ok(Rep::Heads(heads.collect::<Result<_, _>>()?))
            }
            Rep::Rows(blocks) => {
                let block = |b: &Block| {
                    let tiles = self.some_lanes(&b.tiles, cut)?;
                    Ok(Block {
                        rows: b.rows,
                        tiles,
                    })
                };
                Ok(Rep::Rows(
                    blocks.iter().map(block).collect::<Result<_, _>>()?,
                ))
            }
            Rep::Constant(_) => Err(self.refuse("a view of a constant is folded")),
        }
    }

    fn some_lanes(&mut self, tiles: &[Tile], cut: Cut) -> Result<Vec<Tile>, Diagnostic> {
        let mut out = Vec::new();
        for tile in tiles {
            let Some(part) = tile.cut.overlap(cut) else {
                continue;
            };
            if part.start != tile.cut.start {
                return Err(self.refuse(format!(
                    "lanes {cut} begin inside the tile {}, expected at the first lane of a tile",
                    tile.cut
                )));
            }
            let value = self.lanes(tile.value, Cut::new(0, part.count))?;
            out.push(Tile {
                cut: part.relative_to(cut.start),
                value,
            });
        }
        Ok(out)
    }

    /// `stream.gather` of an input.
    pub fn gather_view(&mut self, op: Op) -> Result<Rep, Diagnostic> {
        let data = &self.source[op];
        let count = self.source.ty(data.results[0]).last();
        match self.rep(data.operands[0])? {
            Rep::Input(view) if matches!(view.columns, Columns::Run(all) if all.start == 0) => {
                Ok(Rep::Input(InputView {
                    columns: Columns::Picked(op, Cut::new(0, count)),
                    ..*view
                }))
            }
            _ => Err(self.refuse("expected an input, whose lanes the host fills")),
        }
    }

    /// `stream.broadcast` of an input.
    pub fn broadcast_view(&mut self, op: Op) -> Result<Rep, Diagnostic> {
        match self.rep(self.source[op].operands[0])? {
            // Lane 0 of the root is the only one: a run of an input that is wider would have to move lanes.
            Rep::Input(view) if self.ty(view.root).last() == 1 => Ok(Rep::Input(InputView {
                columns: Columns::Repeated,
                ..*view
            })),
            _ => Err(self.refuse("expected an input of one lane, or a constant")),
        }
    }

    /// `stream.byte`.
    pub fn byte_view(&mut self, op: Op) -> Result<Rep, Diagnostic> {
        let (x, byte) = (self.source[op].operands[0], self.int("byte")?);
        let attrs = [("byte", Attr::Int(byte))];
        let rep = self.rep(x)?.clone();
        let mut bytes = |tiles: &[Tile]| -> Result<Vec<Tile>, Diagnostic> {
            let byte = |t: &Tile| {
                let value = self.shared(Opcode::StreamByte, &[t.value], &attrs)?;
                Ok(Tile { value, ..*t })
            };
            tiles.iter().map(byte).collect()
        };
        match rep {
            Rep::Lanes(tiles) => bytes(&tiles).map(Rep::Lanes),
            Rep::Heads(heads) => {
                let heads = heads.iter().map(|tiles| bytes(tiles));
                Ok(Rep::Heads(heads.collect::<Result<_, _>>()?))
            }
            Rep::Constant(_) | Rep::Input(_) | Rep::Rows(_) => {
                Err(self.refuse("expected a value that a pipeline or pass makes"))
            }
        }
    }

    /// `stream.heads` and `stream.merge`: the same tiles under another shape.
    pub fn heads_view(&mut self, op: Op) -> Result<Rep, Diagnostic> {
        let (x, y) = (self.source[op].operands[0], self.source[op].results[0]);
        let cuts = self.layouts.cuts(self.source, y);
        if !matches!(self.rep(x)?, Rep::Lanes(_) | Rep::Input(_)) {
            return Err(self.refuse(format!(
                "{x} does not have its heads side by side in the lanes"
            )));
        }
        self.tiles_at(x, None, &cuts).map(Rep::Lanes)
    }

    /// `stream.concat`.
    pub fn concat_view(&mut self, op: Op) -> Result<Rep, Diagnostic> {
        let data = &self.source[op];
        let rank = self.source.ty(data.results[0]).rank();
        let sideways = data.attrs.sym("axis").map_err(|e| self.refuse(e))? == "lanes";
        match (rank, sideways) {
            (2, true) => self.side_by_side(&data.operands, None).map(Rep::Lanes),
            (_, true) => {
                let heads = 0..self.source.ty(data.results[0]).shape[0];
                let heads = heads.map(|h| self.side_by_side(&data.operands, Some(h)));
                Ok(Rep::Heads(heads.collect::<Result<_, _>>()?))
            }
            (2, false) => self.one_under_another(&data.operands).map(Rep::Rows),
            _ => Err(self.refuse("rows of heads cannot be concatenated")),
        }
    }

    fn side_by_side(
        &mut self,
        parts: &[Value],
        head: Option<usize>,
    ) -> Result<Vec<Tile>, Diagnostic> {
        let (mut at, mut out) = (0, Vec::new());
        for &part in parts {
            let tiles = self.tiles_of(part, head)?;
            out.extend(tiles.iter().map(|t| Tile {
                cut: t.cut.after(at),
                ..*t
            }));
            at += self.source.ty(part).last();
        }
        Ok(out)
    }

    fn one_under_another(&mut self, parts: &[Value]) -> Result<Vec<Block>, Diagnostic> {
        let mut cuts = None;
        for &part in parts {
            cuts = cuts.or(self.cuts_of(part, None)?);
        }
        let even = || cuts::even(self.source.ty(parts[0]).last(), self.limits.lanes);
        let cuts = cuts.unwrap_or_else(even);
        let (mut at, mut out) = (0, Vec::new());
        for &part in parts {
            let rows = Cut::new(at, self.source.ty(part).shape[0]);
            let tiles = self.tiles_at(part, None, &cuts)?;
            out.push(Block { rows, tiles });
            at = rows.end();
        }
        Ok(out)
    }

    /// `stream.return`: each output is its tiles side by side.
    pub fn outputs(&mut self, op: Op) -> Result<(), Diagnostic> {
        let mut outputs = Vec::new();
        for &v in &self.source[op].operands {
            if self.source.ty(v).rank() != 2 {
                return Err(self.refuse(format!("output {v} has heads, expected rows and lanes")));
            }
            let tiles = self.tiles_of(v, None)?;
            let values: Vec<Value> = tiles.iter().map(|t| t.value).collect();
            outputs.push(match values[..] {
                [one] => one,
                _ => {
                    let axis = [("axis", Attr::Sym("lanes"))];
                    self.shared(Opcode::StreamConcat, &values, &axis)?
                }
            });
        }
        let (attrs, loc) = (self.rewriter.attrs(op), self.loc());
        self.rewriter
            .builder
            .build(Opcode::StreamReturn, &outputs, &attrs, loc)?;
        Ok(())
    }
}
