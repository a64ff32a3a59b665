//! Equality of modules up to the numbering of their entities.

use crate::attr::Attr;
use crate::entity::{Block, Loc, Value};
use crate::loc::LocData;
use crate::module::Module;
use std::collections::BTreeMap;

/// Whether two modules have the same name, inputs, ops, attributes, constants and locations, in the same order.
pub(crate) fn modules(a: &Module, b: &Module) -> bool {
    let mut pairing = Pairing {
        a,
        b,
        values: BTreeMap::new(),
        locs: BTreeMap::new(),
    };
    a.name == b.name && a.input_names == b.input_names && pairing.blocks(a.body(), b.body())
}

struct Pairing<'m> {
    a: &'m Module,
    b: &'m Module,
    values: BTreeMap<Value, Value>,
    locs: BTreeMap<(Loc, Loc), bool>,
}

impl Pairing<'_> {
    fn define(&mut self, a: &[Value], b: &[Value]) -> bool {
        a.len() == b.len()
            && a.iter().zip(b).all(|(&x, &y)| {
                let types = (
                    self.a.values.get(x).map(|v| &v.ty),
                    self.b.values.get(y).map(|v| &v.ty),
                );
                types.0 == types.1 && self.values.insert(x, y).is_none()
            })
    }

    fn blocks(&mut self, a: Block, b: Block) -> bool {
        let (Some(a), Some(b)) = (self.a.blocks.get(a), self.b.blocks.get(b)) else {
            return false;
        };
        self.define(&a.args, &b.args)
            && a.ops.len() == b.ops.len()
            && a.ops.iter().zip(&b.ops).all(|(&x, &y)| {
                let (Some(x), Some(y)) = (self.a.ops.get(x), self.b.ops.get(y)) else {
                    return false;
                };
                let region = match (x.region, y.region) {
                    (None, None) => true,
                    (Some(r), Some(s)) => self.blocks(r, s),
                    _ => false,
                };
                region
                    && x.opcode == y.opcode
                    && x.operands.len() == y.operands.len()
                    && x.operands
                        .iter()
                        .zip(&y.operands)
                        .all(|(v, w)| self.values.get(v) == Some(w))
                    && x.attrs.iter().count() == y.attrs.iter().count()
                    && x.attrs
                        .iter()
                        .zip(y.attrs.iter())
                        .all(|((n, p), (m, q))| n == m && self.attrs(p, q))
                    && self.locs(x.loc, y.loc)
                    && self.define(&x.results, &y.results)
            })
    }

    fn attrs(&self, a: &Attr, b: &Attr) -> bool {
        match (a, b) {
            (Attr::Const(x), Attr::Const(y)) => self.a.consts.hash(*x) == self.b.consts.hash(*y),
            _ => a == b,
        }
    }

    fn locs(&mut self, a: Loc, b: Loc) -> bool {
        if let Some(&known) = self.locs.get(&(a, b)) {
            return known;
        }
        let equal = match (self.a.locs.get(a), self.b.locs.get(b)) {
            (
                Some(LocData::Fused { rule: r, parts: p }),
                Some(LocData::Fused { rule: s, parts: q }),
            ) => r == s && p.len() == q.len() && p.iter().zip(q).all(|(&x, &y)| self.locs(x, y)),
            (x, y) => x == y,
        };
        self.locs.insert((a, b), equal);
        equal
    }
}
