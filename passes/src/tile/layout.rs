//! Where each value is cut, decided before anything is tiled.
//!
//! Values that meet lane by lane in a pipeline, as partial sum and sum, or as the same lanes under another shape are
//! of one class and are cut alike. `stream.heads` and `stream.merge` demand that no head of their class straddles two
//! tiles and put the heads side by side; so does `gather.rs`, where several heads can share a pass. Every other class is
//! cut into whole vectors and a rest, or into equal tiles where views of lanes begin at those and nothing is fp16, and
//! its heads are tiled one by one.
//! Views of inputs and constants belong to no class, because they can be cut anywhere; parts and concatenations of
//! lanes have the tiles that they come from.

use super::Limits;
use super::cuts::{self, Cut};
use super::gather::gather;
use std::collections::{BTreeMap, BTreeSet};
use tspc_ir::{Diagnostic, Elem, Entity, Module, Op, Opcode, Value};

/// What `stream.heads` or `stream.merge` asks of a class.
#[derive(Clone, Copy)]
pub(super) struct Demand {
    pub heads: usize,
    pub tile: usize,
    pub op: Op,
}

/// The classes of a module's values.
pub struct Layouts {
    /// Per value, one nearer to the representative of its class.
    parent: Vec<usize>,
    /// By representative.
    pub(super) demands: BTreeMap<usize, Demand>,
    /// By representative, where views of lanes begin, or lanes that others meet.
    starts: BTreeMap<usize, BTreeSet<usize>>,
    /// Lanes of values that pipelines take, and what these make.
    views: Vec<(Value, Cut, Value)>,
    /// Representatives of classes with fp16 values: where these are cut decides what is rounded.
    halves: BTreeSet<usize>,
    /// Transposed weights, and the activations beside whose heads theirs lie.
    pub(super) beside: BTreeMap<Value, Value>,
    lanes: usize,
    /// Lanes that equal tiles have a multiple of.
    unit: usize,
}

impl Layouts {
    /// Analyses a module; an error names two ops that ask for different cuts of one value.
    pub fn new(module: &Module, limits: &Limits) -> Result<Layouts, Diagnostic> {
        let mut layouts = Layouts {
            parent: (0..module.values().count()).collect(),
            demands: BTreeMap::new(),
            starts: BTreeMap::new(),
            views: Vec::new(),
            halves: BTreeSet::new(),
            beside: BTreeMap::new(),
            lanes: limits.lanes,
            unit: limits.group_i8,
        };
        let (free, constant) = free(module);
        let mut demands = Vec::new();
        for &op in module.body_ops() {
            let data = &module[op];
            let joined: Vec<Value> = match data.opcode {
                Opcode::StreamPipeline => data.operands.clone(),
                Opcode::StreamPass => data.operands.iter().skip(2).copied().collect(),
                Opcode::StreamRows | Opcode::StreamByte => data.operands.clone(),
                Opcode::StreamHeads | Opcode::StreamMerge => {
                    demands.push(demand(module, op, limits)?);
                    data.operands.clone()
                }
                _ => continue,
            };
            let reshapes = matches!(data.opcode, Opcode::StreamHeads | Opcode::StreamMerge);
            let first = data.results[0];
            let heads = |v: Value| module.ty(v).lead(2);
            let joined = joined
                .into_iter()
                .filter(|&v| reshapes || heads(v) == heads(first));
            for v in joined.chain(data.results.iter().copied()) {
                if free[v.index()] && free[first.index()] {
                    layouts.join(v, first);
                }
            }
        }
        for demand in demands {
            let class = layouts.find(module[demand.op].results[0].index());
            let first = *layouts.demands.entry(class).or_insert(demand);
            if (first.heads, first.tile) != (demand.heads, demand.tile) {
                let wants = |d: Demand| format!("{} heads in tiles of {} lanes", d.heads, d.tile);
                let message = format!(
                    "a value is cut in two ways: {}, and {}",
                    wants(first),
                    wants(demand)
                );
                let here = module.place(demand.op).label(wants(demand));
                return Err(
                    Diagnostic::new(message, here).with(module.place(first.op).label(wants(first)))
                );
            }
        }
        gather(&mut layouts, module, limits, (&free, &constant));
        layouts.seen(module, &free)?;
        Ok(layouts)
    }

    /// The activations beside whose heads these weights lie.
    pub fn beside(&self, weights: Value) -> Option<Value> {
        self.beside.get(&weights).copied()
    }

    /// What views and element types say about the classes.
    fn seen(&mut self, module: &Module, free: &[bool]) -> Result<(), Diagnostic> {
        for (v, _) in module.values() {
            if free[v.index()] && module.ty(v).elem == Elem::F16 {
                self.halves.insert(self.find(v.index()));
            }
        }
        let mut starts = Vec::new();
        for &op in module.body_ops() {
            let data = &module[op];
            match data.opcode {
                Opcode::StreamLanes if free[data.operands[0].index()] => {
                    let start = data.attrs.size("start");
                    let start = start.map_err(|e| Diagnostic::new(e, module.place(op)))?;
                    starts.push((data.operands[0], start));
                }
                Opcode::StreamPipeline if free[data.results[0].index()] => {
                    let parts = data
                        .operands
                        .iter()
                        .filter_map(|&v| side_by_side(module, v));
                    let views = data.operands.iter().filter_map(|&v| lanes_of(module, v));
                    let views = views.filter(|(x, _)| free[x.index()]);
                    self.views
                        .extend(views.map(|(x, cut)| (x, cut, data.results[0])));
                    for parts in parts {
                        let mut start = 0;
                        for &part in parts {
                            starts.push((data.results[0], start));
                            start += module.ty(part).last();
                        }
                    }
                }
                _ => {}
            }
        }
        for (v, start) in starts {
            let class = self.find(v.index());
            self.starts.entry(class).or_default().insert(start);
        }
        Ok(())
    }

    /// Whether tiles begin wherever views of lanes do, and are those of what takes them.
    pub fn met(&self, module: &Module) -> bool {
        let begins = self.starts.iter().all(|(&class, starts)| {
            let cuts = self.cuts(module, Value::new(class));
            begin(&cuts, starts)
        });
        let alike = |&(x, lanes, y): &(Value, Cut, Value)| {
            let tiles = self.cuts(module, x).into_iter();
            let seen = tiles.filter_map(|c| Some(c.overlap(lanes)?.relative_to(lanes.start)));
            self.packed(x) || self.packed(y) || seen.eq(self.cuts(module, y))
        };
        begins && self.views.iter().all(alike)
    }

    /// Whether the heads of this value lie side by side in the lanes.
    pub fn packed(&self, value: Value) -> bool {
        self.demands.contains_key(&self.find(value.index()))
    }

    /// The tiles of a value; where heads lie side by side, of all of them, else of one head.
    pub fn cuts(&self, module: &Module, value: Value) -> Vec<Cut> {
        let ty = module.ty(value);
        let class = self.find(value.index());
        match self.demands.get(&class) {
            Some(d) if ty.rank() == 3 => cuts::dealt(ty.shape[0], ty.last(), d.tile),
            Some(d) => cuts::dealt(d.heads, ty.last() / d.heads, d.tile),
            None => {
                let whole = cuts::even(ty.last(), self.lanes);
                let equal = cuts::equal(ty.last(), self.lanes, self.unit);
                match (self.starts.get(&class), equal) {
                    (Some(starts), Some(equal))
                        if !self.halves.contains(&class)
                            && !begin(&whole, starts)
                            && begin(&equal, starts) =>
                    {
                        equal
                    }
                    _ => whole,
                }
            }
        }
    }

    pub(super) fn find(&self, mut value: usize) -> usize {
        while self.parent[value] != value {
            value = self.parent[value];
        }
        value
    }

    /// The smaller number represents both, so that the result does not depend on the order.
    fn join(&mut self, a: Value, b: Value) {
        let (a, b) = (self.find(a.index()), self.find(b.index()));
        self.parent[a.max(b)] = a.min(b);
    }
}

/// Whether there is a cut from each of these lanes on.
fn begin(cuts: &[Cut], starts: &BTreeSet<usize>) -> bool {
    starts.iter().all(|s| cuts.iter().any(|c| c.start == *s))
}

/// The value that a value is some lanes of, and which.
fn lanes_of(module: &Module, v: Value) -> Option<(Value, Cut)> {
    let data = &module[module.def_op(v)?];
    if data.opcode != Opcode::StreamLanes {
        return None;
    }
    let number = |name| data.attrs.size(name).ok();
    let lanes = Cut::new(number("start")?, number("count")?);
    Some((data.operands[0], lanes))
}

/// The parts of a value that is some of them side by side.
fn side_by_side(module: &Module, v: Value) -> Option<&[Value]> {
    let data = &module[module.def_op(v)?];
    let lanes = data.attrs.sym("axis") == Ok("lanes");
    (data.opcode == Opcode::StreamConcat && lanes).then_some(&data.operands)
}

fn demand(module: &Module, op: Op, limits: &Limits) -> Result<Demand, Diagnostic> {
    let data = &module[op];
    let shaped = match data.opcode {
        Opcode::StreamHeads => data.results[0],
        _ => data.operands[0],
    };
    let tile = data.attrs.size("tile");
    let tile = tile.map_err(|e| Diagnostic::new(e, module.place(op)))?;
    if tile > limits.lanes {
        let message = format!("a tile has at most {} lanes, not {tile}", limits.lanes);
        return Err(Diagnostic::new(message, module.place(op)));
    }
    Ok(Demand {
        heads: module.ty(shaped).shape[0],
        tile,
        op,
    })
}

/// By value, whether the layout decides how it is cut, and whether it is constant.
fn free(module: &Module) -> (Vec<bool>, Vec<bool>) {
    let mut free = vec![false; module.values().count()];
    let mut constant = free.clone();
    for &op in module.body_ops() {
        let data = &module[op];
        let any = data.operands.iter().any(|v| free[v.index()]);
        let folded = data.operands.iter().all(|v| constant[v.index()]);
        let decides = match data.opcode {
            Opcode::StreamPass | Opcode::StreamPipeline => true,
            Opcode::StreamHeads => !folded,
            Opcode::StreamRows
            | Opcode::StreamByte
            | Opcode::StreamMerge
            | Opcode::StreamTranspose => any,
            _ => false,
        };
        for v in &data.results {
            free[v.index()] = decides;
            constant[v.index()] = folded && !decides;
        }
    }
    (free, constant)
}
