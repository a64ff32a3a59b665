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
        // Weights that lie beside the heads of activations are cut as these are.
        let beside = self.layouts.beside(y);
        let cuts = self.layouts.cuts(self.source, beside.unwrap_or(y));
        let sideways =
            self.source.ty(x).rank() == 3 && (beside.is_some() || self.layouts.packed(y));
        if let (Rep::Lanes(tiles), 3) = (self.rep(x)?.clone(), self.source.ty(x).rank()) {
            if sideways {
                return self.transposed_heads(x, &tiles, &cuts).map(Rep::Lanes);
            }
            // All heads of a tile at once; they come out one under another.
            let block = |t: &Tile| {
                let alone = Tile {
                    cut: t.cut.relative_to(t.cut.start),
                    value: t.value,
                };
                let tiles = self.transposed(&[vec![alone]], &cuts)?;
                Ok(Block { rows: t.cut, tiles })
            };
            return Ok(Rep::Rows(
                tiles.iter().map(block).collect::<Result<_, _>>()?,
            ));
        }
        let heads = self.separate(x)?;
        if sideways || self.source.ty(x).rank() == 2 {
            return self.transposed(&heads, &cuts).map(Rep::Lanes);
        }
        let heads = heads.chunks(1).map(|head| self.transposed(head, &cuts));
        Ok(Rep::Heads(heads.collect::<Result<_, _>>()?))
    }

    /// The transposes of what the tiles of each head make up, side by side, with their lanes cut like this.
    fn transposed(&mut self, heads: &[Vec<Tile>], cuts: &[Cut]) -> Result<Vec<Tile>, Diagnostic> {
        let mut out = Vec::new();
        let Some(tiles) = heads.first() else {
            return Ok(out);
        };
        let rows = tiles.iter().map(|t| t.cut.count).sum();
        for &cut in cuts {
            let mut sum = None;
            for (i, tile) in tiles.iter().enumerate() {
                let ty = self.ty(tile.value).clone();
                let mut columns = Vec::new();
                for (h, tiles) in heads.iter().enumerate() {
                    let own = Cut::new(h * ty.shape[0], ty.shape[0]);
                    if let Some(part) = cut.overlap(own) {
                        columns.push(self.rows(tiles[i].value, part.relative_to(own.start))?);
                    }
                }
                let identity = self.picks(rows, tile.cut, ty.elem, |row, lane| row == lane)?;
                let weights = self.install(&columns)?;
                sum = Some(self.pass_of(identity, weights, sum, None)?);
            }
            if let (Some(sum), Some(tile)) = (sum, tiles.first()) {
                let value = self.convert(sum, self.ty(tile.value).elem)?;
                out.push(Tile { cut, value });
            }
        }
        Ok(out)
    }

    pub fn convert(&mut self, x: Value, elem: Elem) -> Result<Value, Diagnostic> {
        let loc = self.loc();
        let attrs = [("op", Attr::Sym("cvt")), ("elem", Attr::Elem(elem))];
        let results = self.rewriter.builder.pipeline(&[x], loc, |b, args| {
            Ok(vec![b.one(Opcode::StreamAlu, args, &attrs, loc)?])
        })?;
        Ok(results[0])
    }
}
