//! Which values get their heads side by side though no op demands it: those of attention, where a vector holds two heads
//! or more.
//!
//! Activations: a transpose whose result only streams through weights of as many heads, constant ones or transposed ones
//! that nothing else installs; a pass then serves several heads (`diagonal.rs`). Scores: what is transposed, if all of
//! its class comes from passes of heads side by side and meets nothing but constants and broadcast inputs; a pipeline
//! then serves several heads, and so does a pass.
//! Decides layouts only; every product keeps its sums.

use super::Limits;
use super::cuts::{self, Cut};
use super::diagonal::common;
use super::layout::{Demand, Layouts};
use tspc_ir::{Elem, Entity, Module, Op, Opcode, Value};

struct Gather<'a> {
    layouts: &'a Layouts,
    module: &'a Module,
    users: &'a [Vec<Op>],
    free: &'a [bool],
    constant: &'a [bool],
}

/// Adds demands to a module's layouts, given which values the layout decides and which are constant.
pub fn gather(
    layouts: &mut Layouts,
    module: &Module,
    limits: &Limits,
    (free, constant): (&[bool], &[bool]),
) {
    let users = module.users();
    for &op in module.body_ops() {
        let data = &module[op];
        if data.opcode != Opcode::StreamTranspose {
            continue;
        }
        let (x, y) = (data.operands[0], data.results[0]);
        let ty = module.ty(y);
        let [heads, rows, lanes] = ty.shape[..] else {
            continue;
        };
        // An fp16 sum is rounded after 160 lanes, which no head may straddle.
        let (tile, group) = match ty.elem {
            Elem::F16 => (limits.k_f16, limits.group_f16),
            _ => (limits.lanes, limits.group_i8),
        };
        let fits = |lanes: usize| heads > 1 && 2 * lanes <= tile && lanes.is_multiple_of(group);
        let within = Gather {
            layouts,
            module,
            users: &users,
            free,
            constant,
        };
        if !fits(lanes) || !free[y.index()] || layouts.packed(x) || layouts.packed(y) {
            continue;
        }
        let Some(weights) = within.weights(y) else {
            continue;
        };
        // Passes of a vector of scores add up one after another, which pays if rows stream longer than sums travel.
        let tiles = cuts::dealt(heads, rows, tile);
        let scores = fits(rows)
            && within.scores(x, y)
            && (rows > limits.trip || within.single_passes(x, &tiles));
        let computed = weights.into_iter().filter(|w| !constant[w.index()]);
        layouts.beside.extend(computed.map(|w| (w, y)));
        let class = layouts.find(y.index());
        layouts.demands.insert(class, Demand { heads, tile, op });
        if scores {
            let class = layouts.find(x.index());
            layouts.demands.insert(class, Demand { heads, tile, op });
        }
    }
}

impl Gather<'_> {
    fn made_by(&self, value: Value, opcode: Opcode) -> Option<Op> {
        let op = self.module.def_op(value)?;
        (self.module[op].opcode == opcode).then_some(op)
    }

    /// What a pass installs, if all lanes of its activations count.
    fn installed(&self, pass: Op) -> Option<Value> {
        let data = &self.module[pass];
        let install = self.made_by(*data.operands.get(1)?, Opcode::StreamInstall)?;
        (!data.attrs.has("start")).then_some(self.module[install].operands[0])
    }

    /// All weights that `x` streams through, if it does nothing else and they can be laid out as its heads are.
    fn weights(&self, x: Value) -> Option<Vec<Value>> {
        let streams = |op: Op| {
            let data = &self.module[op];
            data.opcode == Opcode::StreamPass && data.operands[0] == x
        };
        let only = |w: Value| {
            self.users[w.index()].iter().all(|&i| {
                let data = &self.module[i];
                data.opcode == Opcode::StreamInstall
                    && self.users[data.results[0].index()]
                        .iter()
                        .all(|&p| streams(p))
            })
        };
        let weights = self.users[x.index()].iter().map(|&pass| {
            let w = self.installed(pass).filter(|_| streams(pass))?;
            let follows = self.constant[w.index()]
                || self
                    .made_by(w, Opcode::StreamTranspose)
                    .is_some_and(|t| self.layouts.packed(self.module[t].operands[0]))
                    && self.module.ty(w).lead(2) == self.module.ty(x).lead(2)
                    && only(w);
            (follows && self.layouts.packed(self.module[pass].results[0])).then_some(w)
        });
        weights.collect()
    }

    /// Whether the heads of each of these tiles of the class of `x` lie in one tile of what streams through its passes.
    fn single_passes(&self, x: Value, tiles: &[Cut]) -> bool {
        let class = self.layouts.find(x.index());
        let passes = self.module.body_ops().iter().map(|&op| &self.module[op]);
        let mut passes = passes.filter(|data| {
            data.opcode == Opcode::StreamPass && self.layouts.find(data.results[0].index()) == class
        });
        passes.all(|data| {
            let (lanes, columns) = (
                self.module.ty(data.operands[0]).last(),
                self.module.ty(data.results[0]).last(),
            );
            let cuts = self.layouts.cuts(self.module, data.operands[0]);
            let met = |&tile: &Cut| {
                let streams = cuts
                    .iter()
                    .filter(|&&cut| common(cut, tile, lanes, columns).next().is_some());
                streams.count()
            };
            tiles.iter().all(|tile| met(tile) == 1)
        })
    }

    /// Whether the heads of the class of `x` can lie side by side, and only `y` is made of it.
    fn scores(&self, x: Value, y: Value) -> bool {
        let class = self.layouts.find(x.index());
        let heads = self.module.ty(x).lead(2);
        let inside = |v: Value| self.layouts.find(v.index()) == class;
        let alike = |v: Value| self.module.ty(v).lead(2) == heads;
        let dealt = |v: Value| alike(v) && self.layouts.packed(v) && self.free[v.index()];
        let stays = |&user: &Op| {
            let data = &self.module[user];
            match data.opcode {
                Opcode::StreamPipeline | Opcode::StreamRows => inside(data.results[0]),
                _ => data.results.first() == Some(&y),
            }
        };
        let meets = |&v: &Value| {
            inside(v)
                || self.constant[v.index()]
                || self.made_by(v, Opcode::StreamBroadcast).is_some()
        };
        let made = |v: Value| {
            self.module.def_op(v).is_some_and(|op| {
                let data = &self.module[op];
                match data.opcode {
                    Opcode::StreamRows => true,
                    Opcode::StreamPipeline => data.operands.iter().all(meets),
                    Opcode::StreamPass => {
                        data.operands.len() == 2
                            && dealt(data.operands[0])
                            && self.installed(op).is_some_and(dealt)
                    }
                    _ => false,
                }
            })
        };
        let mut members = (0..self.free.len()).map(Value::new).filter(|&v| inside(v));
        members.all(|v| alike(v) && self.users[v.index()].iter().all(stays) && made(v))
    }
}
