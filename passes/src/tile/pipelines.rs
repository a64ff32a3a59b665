//! Pipelines: one for each tile of the result.

use super::Tiler;
use super::constants::Part;
use super::cuts::Cut;
use super::values::{Columns, Rep, Tile};
use tspc_ir::{Diagnostic, Op, Opcode, Value};

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
            let made = self.pipeline_copy(op, &operands)?;
            for (tiles, value) in results.iter_mut().zip(made) {
                tiles.push(Tile { cut, value });
            }
        }
        Ok(results)
    }

    fn pipeline_copy(&mut self, op: Op, operands: &[Value]) -> Result<Vec<Value>, Diagnostic> {
        let (data, loc) = (&self.source[op], self.loc());
        let region = data
            .region
            .ok_or_else(|| self.refuse("the region is missing"))?;
        let (block, args) =
            self.rewriter
                .builder
                .open_region(Opcode::StreamPipeline, operands, loc)?;
        for (&old, new) in self.source[region].args.iter().zip(args) {
            self.rewriter.replace(old, new);
        }
        for &inner in &self.source[region].ops {
            self.rewriter.copy(inner)?;
        }
        let new = self
            .rewriter
            .builder
            .close_region(block, operands, &[], loc)?;
        Ok(self.rewriter.builder.module()[new].results.clone())
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
