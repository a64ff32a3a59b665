//! Values in more lanes than channels: made wide where their class is split, and seen without copies elsewhere.

use super::split::{Layout, lane_wise};
use super::{Quantise, TensorConstant};
use std::rc::Rc;
use tspc_ir::Opcode::{TensorGather, TensorSlice};
use tspc_ir::eval::{Array, Data};
use tspc_ir::{Attr, Diagnostic, Elem, Loc, Op, Value};

/// Where lanes of inputs come from.
const INPUT: &str = "input";

impl Quantise<'_> {
    /// The layout of the result of an op, if it is split.
    pub(super) fn layout_of(&self, op: Op) -> Option<Rc<Layout>> {
        let result = self.rewriter.source()[op].results.first()?;
        self.plan.layouts.get(result).cloned()
    }

    /// Notes what stands for the result of an op, in the lanes of its layout.
    pub(super) fn made(&mut self, op: Op, new: Value) -> Result<(), Diagnostic> {
        let data = &self.rewriter.source()[op];
        let result = data.results[0];
        if self.plan.layouts.contains_key(&result) {
            self.wide.insert(result, new);
            return Ok(());
        }
        let loc = self.rewriter.loc(data.loc);
        self.replaced(result, new, loc)
    }

    /// The new value of an old one, in the lanes of its layout.
    pub(super) fn wide(&mut self, old: Value) -> Result<Value, Diagnostic> {
        let Some(layout) = self.plan.layouts.get(&old).cloned() else {
            return self.value(old);
        };
        if let Some(&wide) = self.wide.get(&old) {
            return Ok(wide);
        }
        // What is not made yet is an input, whose lanes the host can fill as it likes.
        let input = self.rewriter.value(old)?;
        let lanes = [("lanes", Attr::sizes(layout.lanes()))];
        let loc = self.rewriter.builder.locs().path(INPUT);
        let wide = self.op(TensorGather, &[input], &lanes, loc)?;
        self.wide.insert(old, wide);
        Ok(wide)
    }

    /// The channels of a split value, each once: its first lanes.
    pub(super) fn narrow(&mut self, old: Value) -> Result<Value, Diagnostic> {
        if let Some(&narrow) = self.narrow.get(&old) {
            return Ok(narrow);
        }
        let wide = self.wide(old)?;
        let module = self.rewriter.source();
        let loc = match module.def_op(old) {
            Some(op) => self.rewriter.loc(module[op].loc),
            None => self.rewriter.builder.locs().path(INPUT),
        };
        let shape = &module.ty(old).shape;
        let starts = Attr::sizes(&vec![0; shape.len()]);
        let attrs = [("starts", starts), ("sizes", Attr::sizes(shape))];
        let first = self.op(TensorSlice, &[wide], &attrs, loc)?;
        let narrow = self.bounded(old, first, loc)?;
        self.narrow.insert(old, narrow);
        Ok(narrow)
    }

    /// An op that is no product and whose result is split: the same on more lanes.
    pub(super) fn widened(&mut self, op: Op, layout: &Layout) -> Result<Value, Diagnostic> {
        let module = self.rewriter.source();
        let data = &module[op];
        debug_assert!(lane_wise(data.opcode));
        let (attrs, loc) = (self.rewriter.attrs(op), self.rewriter.loc(data.loc));
        let mut operands = Vec::new();
        for &v in &data.operands {
            let lanes = module.ty(v).last() == layout.channels();
            operands.push(match self.constant_of(v) {
                Some((_, data)) if lanes => {
                    self.gathered(&data.shape, Data::from_const(data), layout, loc)?
                }
                _ => self.wide(v)?,
            });
        }
        self.op(data.opcode, &operands, &attrs, loc)
    }

    /// A constant matrix in f16, its columns those of a layout.
    pub(super) fn half_columns(
        &mut self,
        old: Value,
        layout: Option<Rc<Layout>>,
        loc: Loc,
    ) -> Result<Value, Diagnostic> {
        match (layout, self.constant_of(old)) {
            (Some(layout), Some((_, data))) => {
                let half = Data::from_const(data).convert(Elem::F16);
                self.gathered(&data.shape, half, &layout, loc)
            }
            _ => self.half(old, loc),
        }
    }

    /// A constant with the last dimension in the lanes of a layout.
    fn gathered(
        &mut self,
        shape: &[usize],
        data: Data,
        layout: &Layout,
        loc: Loc,
    ) -> Result<Value, Diagnostic> {
        let (rows, mut shape) = (data.len() / layout.channels(), shape.to_vec());
        if let Some(last) = shape.last_mut() {
            *last = layout.lanes().len();
        }
        let row = |r: usize| {
            layout
                .lanes()
                .iter()
                .map(move |&c| r * layout.channels() + c)
        };
        let at: Vec<usize> = (0..rows).flat_map(row).collect();
        let wide = Array::new(shape, data.gather(&at)).and_then(|a| a.to_const());
        let data = wide.map_err(|why| self.refuse(why, loc))?;
        self.rewriter.builder.constant_op(TensorConstant, data, loc)
    }
}
