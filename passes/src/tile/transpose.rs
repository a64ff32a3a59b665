//! Transposes, by the MXM: x is installed and the rows of an identity stream through it.
//!
//! Row i of the identity picks lane i of every installed row, so exact sums give the transpose; int8 and fp16 survive
//! the way through int32 and fp32. An fp16 −0 becomes +0, and numbers must be finite.

use super::Tiler;
use super::cuts::Cut;
use super::values::{Block, Rep, Tile};
use tspc_ir::{Attr, Diagnostic, Elem, Op, Opcode, Value};

impl Tiler<'_> {
    /// `stream.transpose`.
    pub fn transpose(&mut self, op: Op) -> Result<Rep, Diagnostic> {
        let (x, y) = (self.source[op].operands[0], self.source[op].results[0]);
        let elem = self.source.ty(x).elem;
        if !matches!(elem, Elem::I8 | Elem::F16) {
            return Err(self.refuse(format!(
                "only i8 and f16 can be transposed, not {}",
                elem.name()
            )));
        }
        if self.layouts.packed(y) {
            return Err(
                self.refuse("the heads of a transpose cannot lie side by side in the lanes")
            );
        }
        let cuts = self.layouts.cuts(self.source, y);
        if let (Rep::Lanes(tiles), 3) = (self.rep(x)?.clone(), self.source.ty(x).rank()) {
            // All heads of a tile at once; they come out one under another.
            let block = |t: &Tile| {
                let alone = Tile {
                    cut: t.cut.relative_to(t.cut.start),
                    value: t.value,
                };
                let tiles = self.transposed(&[alone], &cuts)?;
                Ok(Block { rows: t.cut, tiles })
            };
            return Ok(Rep::Rows(
                tiles.iter().map(block).collect::<Result<_, _>>()?,
            ));
        }
        let heads = self.separate(x)?;
        let heads = heads.iter().map(|tiles| self.transposed(tiles, &cuts));
        let mut heads: Vec<Vec<Tile>> = heads.collect::<Result<_, _>>()?;
        match self.source.ty(x).rank() {
            2 => Ok(Rep::Lanes(heads.swap_remove(0))),
            _ => Ok(Rep::Heads(heads)),
        }
    }

    /// The transpose of what these tiles make up, with its lanes cut like this.
    fn transposed(&mut self, tiles: &[Tile], cuts: &[Cut]) -> Result<Vec<Tile>, Diagnostic> {
        let rows: usize = tiles.iter().map(|t| t.cut.count).sum();
        let mut out = Vec::new();
        for &cut in cuts {
            let mut sum = None;
            for tile in tiles {
                let elem = self.ty(tile.value).elem;
                let identity = self.identity(rows, tile.cut, elem)?;
                let columns = self.rows(tile.value, cut)?;
                let weights = self.install(&[columns])?;
                sum = Some(self.pass_of(identity, weights, sum, None)?);
            }
            if let (Some(sum), Some(tile)) = (sum, tiles.first()) {
                let value = self.convert(sum, self.ty(tile.value).elem)?;
                out.push(Tile { cut, value });
            }
        }
        Ok(out)
    }

    fn convert(&mut self, x: Value, elem: Elem) -> Result<Value, Diagnostic> {
        let loc = self.loc();
        let attrs = [("op", Attr::Sym("cvt")), ("elem", Attr::Elem(elem))];
        let results = self.rewriter.builder.pipeline(&[x], loc, |b, args| {
            Ok(vec![b.one(Opcode::StreamAlu, args, &attrs, loc)?])
        })?;
        Ok(results[0])
    }
}
