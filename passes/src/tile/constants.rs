//! Constants: views of them are folded, and those that tiling itself needs are made here.

use super::Tiler;
use super::cuts::Cut;
use super::values::Rep;
use std::collections::BTreeMap;
use std::sync::Arc;
use tspc_ir::eval::evaluate;
use tspc_ir::{Attr, Builder, ConstData, Diagnostic, Elem, Op, Opcode, Value};

/// What of a constant becomes a value of two dimensions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Whole,
    Head(usize),
    /// So many heads side by side in the lanes; a constant of one head is repeated.
    SideBySide(usize),
}

impl Tiler<'_> {
    /// The value of a view of constants, if `op` is one: by evaluation, so that folding means what the op means.
    pub fn fold(&self, op: Op) -> Result<Option<ConstData>, Diagnostic> {
        let data = &self.source[op];
        let mut constants = Vec::new();
        for v in &data.operands {
            match self.reps.get(v) {
                Some(Rep::Constant(c)) => constants.push(c.clone()),
                _ => return Ok(None),
            }
        }
        let views = [
            Opcode::StreamRows,
            Opcode::StreamLanes,
            Opcode::StreamBroadcast,
            Opcode::StreamByte,
            Opcode::StreamHeads,
            Opcode::StreamMerge,
            Opcode::StreamConcat,
            Opcode::StreamTranspose,
        ];
        if !views.contains(&data.opcode) {
            return Ok(None);
        }
        let mut b = Builder::new("fold");
        let loc = b.locs().path("fold");
        let operands = constants
            .into_iter()
            .map(|c| b.constant_op(Opcode::StreamConstant, c, loc));
        let operands = operands.collect::<Result<Vec<_>, _>>()?;
        let attrs: Vec<(&str, Attr)> = data.attrs.iter().map(|(n, a)| (n, a.clone())).collect();
        let y = b.one(data.opcode, &operands, &attrs, loc)?;
        let names = [("names", Attr::Strs(vec!["y".into()]))];
        b.build(Opcode::StreamReturn, &[y], &names, loc)?;
        let outputs = evaluate(&b.finish(), &BTreeMap::new())?;
        let folded = outputs["y"].to_const();
        folded.map(Some).map_err(|e| self.refuse(e))
    }

    /// Part of what stands for an old constant, each part made once.
    pub fn constant_part(&mut self, old: Value, part: Part) -> Result<Value, Diagnostic> {
        if let Some(&there) = self.parts.get(&(old, part)) {
            return Ok(there);
        }
        let Rep::Constant(data) = self.rep(old)? else {
            return Err(self.refuse(format!("{old} is not a constant")));
        };
        let n = data.shape.len();
        let (rows, lanes) = (data.shape[n - 2], data.shape[n - 1]);
        let row = lanes * data.elem.bytes();
        let heads: Vec<&[u8]> = data.data.chunks_exact(rows * row).collect();
        let (shape, bytes): (_, Arc<[u8]>) = match part {
            Part::Whole => ([rows, lanes], data.data.clone()),
            Part::Head(h) => ([rows, lanes], heads[h].into()),
            Part::SideBySide(count) => {
                let of = |r: usize, h: usize| &heads[h.min(heads.len() - 1)][r * row..][..row];
                let all = (0..rows).flat_map(|r| (0..count).flat_map(move |h| of(r, h)));
                ([rows, count * lanes], all.copied().collect())
            }
        };
        let part_data = ConstData::new(&shape, data.elem, bytes).map_err(|e| self.refuse(e))?;
        let value = self.constant(part_data)?;
        self.parts.insert((old, part), value);
        Ok(value)
    }

    /// Rows of zeros.
    pub fn zeros(&mut self, rows: usize, lanes: usize, elem: Elem) -> Result<Value, Diagnostic> {
        let zeros = ConstData::new(&[rows, lanes], elem, vec![0; rows * lanes * elem.bytes()]);
        self.constant(zeros.map_err(|e| self.refuse(e))?)
    }

    /// The columns `cut` of the identity of this many rows, i8 or f16.
    pub fn identity(&mut self, rows: usize, cut: Cut, elem: Elem) -> Result<Value, Diagnostic> {
        let one: &[u8] = match elem {
            // 1.0 of fp16 is 3C00.
            Elem::F16 => &[0x00, 0x3c],
            _ => &[1],
        };
        let mut bytes = vec![0; rows * cut.count * one.len()];
        for lane in 0..cut.count.min(rows.saturating_sub(cut.start)) {
            let at = ((cut.start + lane) * cut.count + lane) * one.len();
            bytes[at..at + one.len()].copy_from_slice(one);
        }
        let data = ConstData::new(&[rows, cut.count], elem, bytes);
        self.constant(data.map_err(|e| self.refuse(e))?)
    }

    /// A constant op, one for each content.
    fn constant(&mut self, data: ConstData) -> Result<Value, Diagnostic> {
        let c = self.rewriter.builder.constant(data);
        self.shared(Opcode::StreamConstant, &[], &[("value", Attr::Const(c))])
    }
}
