//! Products: passes over whole values become chains of passes over tiles.
//!
//! A chain adds its passes up through their partial sums, in ascending order of the K lanes. Int8 sums are exact, so
//! any cut of K gives them. Fp16 sums are rounded after every 160 lanes from the first on; a cut of K that would put
//! these groups elsewhere is refused. Where heads lie side by side, a pass over one of them either counts only that
//! head's lanes (the heads of x share a tile) or has zero columns for the others (the heads of the result do): both
//! add zeros, which changes nothing but the sign of a zero, as long as all numbers are finite. Where the heads of both
//! do, one pass may serve several: `diagonal.rs`.

use super::Tiler;
use super::cuts::{self, Cut};
use super::values::{Rep, Tile, run};
use tspc_ir::{Attr, Diagnostic, Elem, Op, Opcode, Value};

/// One step of a chain: some K lanes.
pub(super) struct Term {
    pub x: Value,
    /// The lanes of x that count, if not all do.
    pub window: Option<Cut>,
    /// The same lanes of the weights' rows: of this head, or of all heads side by side.
    pub lanes: Cut,
    pub head: Option<usize>,
}

/// Rows of weights that become the columns of a tile, between zero columns.
pub(super) struct Segment {
    pub head: Option<usize>,
    pub before: usize,
    pub rows: Cut,
    pub after: usize,
}

impl Segment {
    /// Those of head `h` of the columns `cut`, which count those of all heads.
    pub fn of(cut: Cut, h: usize, columns: usize) -> Option<Segment> {
        let part = cut.overlap(Cut::new(h * columns, columns))?;
        Some(Segment {
            head: Some(h),
            before: part.start - cut.start,
            rows: part.relative_to(h * columns),
            after: cut.end() - part.end(),
        })
    }
}

impl Tiler<'_> {
    /// `stream.pass`.
    pub fn pass(&mut self, op: Op) -> Result<Rep, Diagnostic> {
        let data = &self.source[op];
        let (x, partial, result) = (
            data.operands[0],
            data.operands.get(2).copied(),
            data.results[0],
        );
        let install = self.source.def_op(data.operands[1]);
        let w = match install.map(|i| &self.source[i]) {
            Some(i) if i.opcode == Opcode::StreamInstall => i.operands[0],
            _ => return Err(self.refuse("expected weights that stream.install made")),
        };
        let ty = self.source.ty(result);
        let cuts = self.layouts.cuts(self.source, result);
        let heads = ty.lead(2).first().copied();
        let (columns, packed) = (ty.last(), self.layouts.packed(result));
        if let (Rep::Lanes(activations), true) = (self.rep(x)?.clone(), heads.is_some() && packed)
            && match self.rep(w)? {
                Rep::Constant(_) => true,
                Rep::Lanes(_) => self.shares(w, &activations, &cuts, columns),
                _ => false,
            }
            && !data.attrs.has("start")
        {
            return self.diagonal_pass(op, w, &activations);
        }
        let terms = (0..heads.unwrap_or(1)).map(|h| self.terms(x, w, heads.map(|_| h)));
        let terms = terms.collect::<Result<Vec<_>, _>>()?;
        if let (Some(heads), true) = (heads, packed) {
            let mut tiles = Vec::new();
            for cut in cuts {
                let segments = (0..heads).filter_map(|h| Segment::of(cut, h, columns));
                let mut sum = partial.map(|p| self.lanes_of(p, None, cut)).transpose()?;
                for segment in segments {
                    sum = self.chain(&terms[segment.head.unwrap_or(0)], w, &segment, sum)?;
                }
                tiles.push(self.tile(cut, sum)?);
            }
            return Ok(Rep::Lanes(tiles));
        }
        let mut out = Vec::new();
        for (h, terms) in terms.iter().enumerate() {
            let head = heads.map(|_| h);
            let mut tiles = Vec::new();
            for &rows in &cuts {
                let segment = Segment {
                    head,
                    before: 0,
                    rows,
                    after: 0,
                };
                let sum = partial.map(|p| self.lanes_of(p, head, rows)).transpose()?;
                let sum = self.chain(terms, w, &segment, sum)?;
                tiles.push(self.tile(rows, sum)?);
            }
            out.push(tiles);
        }
        Ok(match heads {
            Some(_) => Rep::Heads(out),
            None => Rep::Lanes(out.concat()),
        })
    }

    pub fn tile(&self, cut: Cut, sum: Option<Value>) -> Result<Tile, Diagnostic> {
        let value = sum.ok_or_else(|| self.refuse("no lanes to sum over"))?;
        Ok(Tile { cut, value })
    }

    /// The K lanes of a pass, or of one head of it, tile by tile.
    fn terms(&mut self, x: Value, w: Value, head: Option<usize>) -> Result<Vec<Term>, Diagnostic> {
        let (k, attrs) = (self.source.ty(x).last(), &self.source[self.at].attrs);
        let window = match attrs.has("start") {
            true => Cut::new(self.size("start")?, self.size("count")?),
            false => Cut::new(0, k),
        };
        let mut terms = Vec::new();
        if let (Rep::Lanes(tiles), Some(h)) = (self.rep(x)?.clone(), head) {
            // The heads of x lie side by side; those of the weights must, too.
            let window = window.after(h * k);
            for tile in tiles {
                let Some(part) = tile.cut.overlap(window) else {
                    continue;
                };
                let inside = part.relative_to(tile.cut.start);
                self.rounds_alike(x, part.relative_to(h * k), inside.start, terms.is_empty())?;
                terms.push(Term {
                    x: tile.value,
                    window: (part != tile.cut).then_some(inside),
                    lanes: tile.cut,
                    head: None,
                });
            }
            return Ok(terms);
        }
        let cuts = match self.cuts_of(x, head)? {
            Some(cuts) => cuts,
            None => match self.cuts_of(w, head)? {
                Some(cuts) => cuts,
                None => cuts::even(k, self.limits.lanes),
            },
        };
        for cut in cuts {
            let Some(part) = cut.overlap(window) else {
                continue;
            };
            let inside = part.relative_to(cut.start);
            self.rounds_alike(x, part, inside.start, terms.is_empty())?;
            terms.push(Term {
                x: self.lanes_of(x, head, cut)?,
                window: (part != cut).then_some(inside),
                lanes: cut,
                head,
            });
        }
        Ok(terms)
    }

    /// Whether fp16 sums over the K lanes `part`, which lie from lane `inside` of a tile on, are rounded where those
    /// of the whole are.
    pub fn rounds_alike(
        &self,
        x: Value,
        part: Cut,
        inside: usize,
        first: bool,
    ) -> Result<(), Diagnostic> {
        let k = self.limits.k_f16;
        let one_group = |start: usize| start / k == (start + part.count - 1) / k;
        let same_grid = part.start % k == inside % k || one_group(part.start) && one_group(inside);
        if self.source.ty(x).elem != Elem::F16
            || same_grid && (first || part.start.is_multiple_of(k))
        {
            return Ok(());
        }
        Err(self.refuse(format!(
            "fp16 sums are rounded after every {k} K lanes, but lanes {part} of {x} lie from lane {inside} of a tile on"
        )))
    }

    /// Adds the terms of one segment to a partial sum.
    pub(super) fn chain(
        &mut self,
        terms: &[Term],
        w: Value,
        segment: &Segment,
        mut sum: Option<Value>,
    ) -> Result<Option<Value>, Diagnostic> {
        let elem = self.source.ty(w).elem;
        for term in terms {
            let mut parts = Vec::new();
            if segment.before > 0 {
                parts.push(self.zeros(segment.before, term.lanes.count, elem)?);
            }
            parts.extend(self.weight_rows(w, term.head, segment.rows, term.lanes)?);
            if segment.after > 0 {
                parts.push(self.zeros(segment.after, term.lanes.count, elem)?);
            }
            let weights = self.install(&parts)?;
            sum = Some(self.pass_of(term.x, weights, sum, term.window)?);
        }
        Ok(sum)
    }

    /// Rows of what is installed, in pieces that lie one after another.
    fn weight_rows(
        &mut self,
        w: Value,
        head: Option<usize>,
        rows: Cut,
        lanes: Cut,
    ) -> Result<Vec<Value>, Diagnostic> {
        let Rep::Rows(blocks) = self.rep(w)?.clone() else {
            let tile = self.lanes_of(w, head, lanes)?;
            return Ok(vec![self.rows(tile, rows)?]);
        };
        let shape = &self.source.ty(w).shape;
        let rows = match (head, &shape[..]) {
            (Some(h), [_, n, _]) => rows.after(h * n),
            (None, [_, _]) => rows,
            _ => {
                return Err(self.refuse(format!(
                    "the heads of {w} lie one under another, those of the activations side by side in the lanes"
                )));
            }
        };
        let mut out = Vec::new();
        for block in &blocks {
            if let Some(part) = block.rows.overlap(rows) {
                let tile = self.pick(&block.tiles, lanes)?;
                out.push(self.rows(tile, part.relative_to(block.rows.start))?);
            }
        }
        Ok(out)
    }

    /// Installs pieces one after another; each but the last must fill whole groups of weight columns.
    pub fn install(&mut self, parts: &[Value]) -> Result<Value, Diagnostic> {
        for (i, &part) in parts.iter().enumerate() {
            if self.is_input_view(part) {
                return Err(
                    self.refuse("an input cannot be installed; pass it through a pipeline first")
                );
            }
            let ty = self.ty(part);
            let group = match ty.elem {
                Elem::F16 => self.limits.group_f16,
                _ => self.limits.group_i8,
            };
            if i + 1 < parts.len() && !ty.shape[0].is_multiple_of(group) {
                let rows = ty.shape[0];
                return Err(self.refuse(format!(
                    "{rows} weight columns before others, expected a multiple of {group}"
                )));
            }
        }
        let rows = match parts {
            [one] => *one,
            _ => self.shared(Opcode::StreamConcat, parts, &[("axis", Attr::Sym("rows"))])?,
        };
        self.shared(Opcode::StreamInstall, &[rows], &[])
    }

    /// One pass.
    pub fn pass_of(
        &mut self,
        x: Value,
        weights: Value,
        partial: Option<Value>,
        window: Option<Cut>,
    ) -> Result<Value, Diagnostic> {
        let operands: Vec<Value> = [x, weights].into_iter().chain(partial).collect();
        let window: Vec<(&str, Attr)> = window.into_iter().flat_map(run).collect();
        let loc = self.loc();
        self.rewriter
            .builder
            .one(Opcode::StreamPass, &operands, &window, loc)
    }

    /// Whether a new value is a view of an input.
    fn is_input_view(&self, value: Value) -> bool {
        let module = self.rewriter.builder.module();
        match module.def_op(value).map(|op| &module[op]) {
            None => true,
            Some(op)
                if matches!(
                    op.opcode,
                    Opcode::StreamRows
                        | Opcode::StreamLanes
                        | Opcode::StreamWindow
                        | Opcode::StreamBroadcast
                ) =>
            {
                self.is_input_view(op.operands[0])
            }
            Some(_) => false,
        }
    }
}
