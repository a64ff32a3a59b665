//! What stands for a value once it is tiled, and how an op gets a tile of it.

use super::Tiler;
use super::constants::Part;
use super::cuts::Cut;
use tspc_ir::{Attr, ConstData, Diagnostic, Op, Opcode, Value};

/// Some lanes of a value, as a new value of two dimensions.
#[derive(Clone, Copy)]
pub struct Tile {
    pub cut: Cut,
    pub value: Value,
}

/// Some rows of a value, in tiles of their lanes.
#[derive(Clone)]
pub struct Block {
    pub rows: Cut,
    pub tiles: Vec<Tile>,
}

/// The lanes of an input that a view shows.
#[derive(Clone, Copy)]
pub enum Columns {
    Run(Cut),
    /// The one lane, repeated.
    Repeated,
    /// Some of those that a `stream.gather` names.
    Picked(Op, Cut),
}

/// A view of an input; tiles are made of it where they are needed.
#[derive(Clone, Copy)]
pub struct InputView {
    pub root: Value,
    pub columns: Columns,
    /// First row, number of rows, step; none: all rows.
    pub rows: Option<(i64, usize, i64)>,
}

/// What stands for a value of the untiled module.
#[derive(Clone)]
pub enum Rep {
    Constant(ConstData),
    Input(InputView),
    /// Tiles of the lanes; heads, if there are any, lie side by side.
    Lanes(Vec<Tile>),
    /// For each head, tiles of its lanes.
    Heads(Vec<Vec<Tile>>),
    /// Blocks of rows; heads, if there are any, lie one under another.
    Rows(Vec<Block>),
}

impl Tiler<'_> {
    /// What stands for an old value.
    pub fn rep(&self, old: Value) -> Result<&Rep, Diagnostic> {
        let rep = self.reps.get(&old);
        rep.ok_or_else(|| self.refuse(format!("{old} is not a stream that can be tiled")))
    }

    /// A tile of a value, as it is there. With a head, `cut` counts that head's lanes, and a value without heads is
    /// the same for all; without one, it counts those of all heads side by side.
    pub fn lanes_of(
        &mut self,
        old: Value,
        head: Option<usize>,
        cut: Cut,
    ) -> Result<Value, Diagnostic> {
        let ty = self.source.ty(old).clone();
        let head = head.filter(|_| ty.rank() == 3);
        // A single head meets all heads.
        let own = head.map(|h| h.min(ty.shape[0] - 1));
        let rep = self.rep(old)?.clone();
        match (rep, own) {
            (Rep::Constant(_), own) => {
                let part = match own {
                    Some(h) => Part::Head(h),
                    None if ty.rank() == 3 => Part::SideBySide(ty.shape[0]),
                    None => Part::Whole,
                };
                let whole = self.constant_part(old, part)?;
                self.lanes(whole, cut)
            }
            (Rep::Input(view), _) => self.input_lanes(&view, cut),
            (Rep::Lanes(tiles), None) => self.pick(&tiles, cut),
            (Rep::Lanes(tiles), Some(h)) => self.pick(&tiles, cut.after(h * ty.last())),
            (Rep::Heads(heads), Some(h)) => self.pick(&heads[h], cut),
            (Rep::Rows(blocks), Some(h)) => {
                let rows = ty.shape[1];
                let rows = Cut::new(h * rows, rows);
                let block = blocks
                    .iter()
                    .find(|b| b.rows.overlap(rows) == Some(rows))
                    .ok_or_else(|| {
                        self.refuse(format!(
                            "the rows of head {h} of {old} lie in several tiles"
                        ))
                    })?;
                let tile = self.pick(&block.tiles, cut)?;
                self.rows(tile, rows.relative_to(block.rows.start))
            }
            (Rep::Heads(_), None) => Err(self.refuse(format!(
                "the heads of {old} are tiled one by one, expected them side by side in the lanes"
            ))),
            (Rep::Rows(_), None) => Err(self.refuse(format!(
                "{old} is a concatenation of rows, which can only be installed"
            ))),
        }
    }

    /// How a value (with a head, that head of it) is cut; none where any tile can be made.
    pub fn cuts_of(&self, old: Value, head: Option<usize>) -> Result<Option<Vec<Cut>>, Diagnostic> {
        let cuts = |tiles: &[Tile]| Some(tiles.iter().map(|t| t.cut).collect());
        Ok(match (self.rep(old)?, head) {
            (Rep::Constant(_) | Rep::Input(_), _) => None,
            (Rep::Lanes(_), Some(_)) if self.source.ty(old).rank() == 3 => None,
            (Rep::Lanes(tiles), _) => cuts(tiles),
            (Rep::Heads(heads), h) => cuts(&heads[h.unwrap_or(0).min(heads.len() - 1)]),
            (Rep::Rows(blocks), _) => cuts(&blocks[0].tiles),
        })
    }

    /// The tile at `cut`, or the first lanes of one that begins there: a vector may be read for fewer lanes than it
    /// has, but not from another lane on.
    pub fn pick(&mut self, tiles: &[Tile], cut: Cut) -> Result<Value, Diagnostic> {
        match tiles
            .iter()
            .find(|t| t.cut.start == cut.start && t.cut.count >= cut.count)
        {
            Some(tile) => self.lanes(tile.value, Cut::new(0, cut.count)),
            None => {
                let there: Vec<String> = tiles.iter().map(|t| t.cut.to_string()).collect();
                Err(self.refuse(format!(
                    "lanes {cut} are needed in one tile, but the tiles are {}",
                    there.join(", ")
                )))
            }
        }
    }

    /// Some lanes of a new value.
    pub fn lanes(&mut self, value: Value, cut: Cut) -> Result<Value, Diagnostic> {
        if cut == Cut::new(0, self.ty(value).last()) {
            return Ok(value);
        }
        self.shared(Opcode::StreamLanes, &[value], &run(cut))
    }

    /// Consecutive rows of a new value.
    pub fn rows(&mut self, value: Value, cut: Cut) -> Result<Value, Diagnostic> {
        self.stepped_rows(value, (cut.start as i64, cut.count, 1))
    }

    /// Rows of a new value: first, count, step.
    pub fn stepped_rows(
        &mut self,
        value: Value,
        (start, count, step): (i64, usize, i64),
    ) -> Result<Value, Diagnostic> {
        if (start, step, count) == (0, 1, self.ty(value).shape[0]) {
            return Ok(value);
        }
        let [start_attr, count_attr] = run(Cut::new(0, count));
        let attrs = [
            (start_attr.0, Attr::Int(start)),
            count_attr,
            ("step", Attr::Int(step)),
        ];
        self.shared(Opcode::StreamRows, &[value], &attrs)
    }

    fn input_lanes(&mut self, view: &InputView, cut: Cut) -> Result<Value, Diagnostic> {
        let columns = match view.columns {
            Columns::Run(all) => self.lanes(view.root, cut.after(all.start))?,
            Columns::Picked(op, all) => {
                let named = self.source[op].attrs.sizes("lanes");
                let named = named.map_err(|e| self.refuse(e))?;
                let lanes = &named[all.start + cut.start..][..cut.count];
                let lanes = [("lanes", Attr::sizes(lanes))];
                self.shared(Opcode::StreamGather, &[view.root], &lanes)?
            }
            Columns::Repeated => {
                let lanes = [("lanes", Attr::Int(cut.count as i64))];
                self.shared(Opcode::StreamBroadcast, &[view.root], &lanes)?
            }
        };
        match view.rows {
            Some(rows) => self.stepped_rows(columns, rows),
            None => Ok(columns),
        }
    }
}

/// The attributes that name a run.
pub fn run(cut: Cut) -> [(&'static str, Attr); 2] {
    [
        ("start", Attr::Int(cut.start as i64)),
        ("count", Attr::Int(cut.count as i64)),
    ]
}
