//! Pipelines: one for each tile of the result. Where several heads share a pass, they also mask.

use super::Tiler;
use super::constants::Part;
use super::cuts::Cut;
use super::values::{Columns, Rep, Tile};
use std::collections::BTreeSet;
use tspc_ir::{Attr, Builder, Diagnostic, Elem, Loc, Op, Opcode, Value};

impl Tiler<'_> {
    /// `stream.pipeline`: what stands for each result.
    pub fn pipeline(&mut self, op: Op) -> Result<Vec<Rep>, Diagnostic> {
        let data = &self.source[op];
        let first = data.results[0];
        let ty = self.source.ty(first);
        for &v in data.operands.iter().chain(&data.results) {
            if self.source.ty(v).last() != ty.last() {
                let lanes = self.source.ty(v).last();
                return Err(self.refuse(format!(
                    "{v} has {lanes} lanes, expected {} as {first}",
                    ty.last()
                )));
            }
        }
        let cuts = self.layouts.cuts(self.source, first);
        let mut reps = Vec::new();
        if ty.rank() == 2 || self.layouts.packed(first) {
            let heads = ty.lead(2).first().copied();
            for tiles in self.tiles(op, &cuts, |t, v, cut| match heads {
                Some(heads) => t.beside(v, heads, cut),
                None => t.lanes_of(v, None, cut),
            })? {
                reps.push(Rep::Lanes(tiles));
            }
            return Ok(reps);
        }
        let mut heads = vec![Vec::new(); data.results.len()];
        for h in 0..ty.shape[0] {
            let results = self.tiles(op, &cuts, |t, v, cut| t.lanes_of(v, Some(h), cut))?;
            for (all, tiles) in heads.iter_mut().zip(results) {
                all.push(tiles);
            }
        }
        Ok(heads.into_iter().map(Rep::Heads).collect())
    }

    /// A copy of the pipeline for each cut: by result, the tiles. `operand` finds the tile of an operand.
    fn tiles(
        &mut self,
        op: Op,
        cuts: &[Cut],
        mut operand: impl FnMut(&mut Self, Value, Cut) -> Result<Value, Diagnostic>,
    ) -> Result<Vec<Vec<Tile>>, Diagnostic> {
        let data = &self.source[op];
        let mut results = vec![Vec::new(); data.results.len()];
        for &cut in cuts {
            let operands = data.operands.iter().map(|&v| operand(self, v, cut));
            let operands = operands.collect::<Result<Vec<_>, _>>()?;
            let made = self.pipeline_copy(op, &operands, cut)?;
            for (tiles, value) in results.iter_mut().zip(made) {
                tiles.push(Tile { cut, value });
            }
        }
        Ok(results)
    }

    /// The pipeline on one tile: its results. Copies of them with the heads of other slots masked leave it too, or, if
    /// it has no room, a pipeline behind it.
    fn pipeline_copy(
        &mut self,
        op: Op,
        operands: &[Value],
        cut: Cut,
    ) -> Result<Vec<Value>, Diagnostic> {
        let (data, loc) = (&self.source[op], self.loc());
        let region = data
            .region
            .ok_or_else(|| self.refuse("the region is missing"))?;
        let region = &self.source[region];
        let mut masks = Vec::new();
        for &v in &data.results {
            masks.push(self.masks(v, cut)?);
        }
        let all: Vec<Value> = masks.iter().flatten().map(|(_, mask)| *mask).collect();
        let room = self.limits.room;
        let fits = region.ops.len() + 2 * all.len() <= room.operations
            && operands.len() + all.len() <= room.inputs;
        let inputs = match fits {
            true => [operands, &all].concat(),
            false => operands.to_vec(),
        };
        let builder = &mut self.rewriter.builder;
        let (block, args) = builder.open_region(Opcode::StreamPipeline, &inputs, loc)?;
        for (&old, &new) in region.args.iter().zip(&args) {
            self.rewriter.replace(old, new);
        }
        for &inner in &region.ops {
            if self.source[inner].opcode != Opcode::StreamYield {
                self.rewriter.copy(inner)?;
                continue;
            }
            let mut yields = self.rewriter.operands(inner)?;
            let builder = &mut self.rewriter.builder;
            let mut left = args[operands.len()..].iter();
            for (i, masks) in masks.iter().enumerate().filter(|_| fits) {
                let masks: Vec<Value> = left.by_ref().take(masks.len()).copied().collect();
                yields.extend(masked(builder, yields[i], &masks, loc)?);
            }
            builder.build(Opcode::StreamYield, &yields, &[], loc)?;
        }
        let builder = &mut self.rewriter.builder;
        let new = builder.close_region(block, &inputs, &[], loc)?;
        let mut results = builder.module()[new].results.clone();
        let mut copies = results.split_off(data.results.len()).into_iter();
        for (&result, masks) in results.iter().zip(&masks) {
            let made: Vec<Value> = match fits || masks.is_empty() {
                true => copies.by_ref().take(masks.len()).collect(),
                false => {
                    let masks = masks.iter().map(|(_, mask)| *mask);
                    let inputs: Vec<Value> = [result].into_iter().chain(masks).collect();
                    let builder = &mut self.rewriter.builder;
                    builder.pipeline(&inputs, loc, |b, args| masked(b, args[0], &args[1..], loc))?
                }
            };
            for ((slot, _), copy) in masks.iter().zip(made) {
                self.spread.insert((result, *slot), copy);
            }
        }
        Ok(results)
    }

    /// The masks of a tile that is wanted once a slot, by slot.
    fn masks(&mut self, v: Value, cut: Cut) -> Result<Vec<(usize, Value)>, Diagnostic> {
        let Some(scores) = self.layouts.spread(v) else {
            return Ok(Vec::new());
        };
        let ty = self.source.ty(v);
        let width = match ty.rank() {
            3 => ty.last(),
            _ => ty.last() / self.source.ty(scores).shape[0],
        };
        let lanes = cut.start..cut.end();
        let slots: Vec<_> = lanes.map(|lane| self.slot(v, lane / width)).collect();
        let used: BTreeSet<usize> = slots.iter().flatten().copied().collect();
        let mut masks = Vec::new();
        for own in used {
            masks.push((own, self.mask(slots.iter().map(|&s| s == Some(own)))?));
        }
        Ok(masks)
    }

    /// The slot of a head of a value that is wanted once a slot: its place among the heads of its tile of scores.
    pub fn slot(&self, v: Value, head: usize) -> Option<usize> {
        let scores = self.layouts.spread(v)?;
        let width = self.source.ty(scores).last();
        let tiles = self.layouts.cuts(self.source, scores);
        let tile = tiles.iter().find(|t| head * width < t.end())?;
        Some(head - tile.start / width)
    }

    /// A tile of an operand that meets `heads` heads side by side; what has no heads of its own is the same for all.
    fn beside(&mut self, v: Value, heads: usize, cut: Cut) -> Result<Value, Diagnostic> {
        let ty = self.source.ty(v);
        let own = if ty.rank() == 3 { ty.shape[0] } else { 1 };
        match self.rep(v)? {
            Rep::Constant(_) => {
                let all = self.constant_part(v, Part::SideBySide(heads))?;
                self.lanes(all, cut)
            }
            Rep::Input(view) if matches!(view.columns, Columns::Repeated) => self.lanes_of(v, None, cut),
            _ if own == heads => self.lanes_of(v, None, cut),
            _ => Err(self.refuse(format!(
                "{v} would have to be repeated for {heads} heads side by side; only constants and broadcast inputs can"
            ))),
        }
    }
}

/// Copies of a value in a pipeline, each with the lanes outside its mask zero. The VXM masks words: those that the value
/// is converted from, or that it is converted to.
fn masked(
    builder: &mut Builder,
    value: Value,
    masks: &[Value],
    loc: Loc,
) -> Result<Vec<Value>, Diagnostic> {
    let elem = builder.ty(value).elem;
    let alu = |b: &mut Builder, op, operands: &[Value], elem| {
        let attrs = [("op", Attr::Sym(op)), ("elem", Attr::Elem(elem))];
        b.one(Opcode::StreamAlu, operands, &attrs, loc)
    };
    let module = builder.module();
    let made = module.def_op(value).map(|op| &module[op]);
    let converted = made.filter(|d| d.attrs.sym("op") == Ok("cvt"));
    let word = converted.map(|d| (d.operands[0], module.ty(d.operands[0]).elem));
    let word = word.filter(|(_, elem)| matches!(elem, Elem::I32 | Elem::F32));
    let (word, wide) = match (word, elem) {
        (Some(word), _) => word,
        (None, Elem::F16) => (alu(builder, "cvt", &[value], Elem::F32)?, Elem::F32),
        (None, _) => (alu(builder, "cvt", &[value], Elem::I32)?, Elem::I32),
    };
    let mut copies = Vec::new();
    for &mask in masks {
        let kept = alu(builder, "mask", &[word, mask], wide)?;
        copies.push(alu(builder, "cvt", &[kept], elem)?);
    }
    Ok(copies)
}
