//! Regions: stretches of a module between values that a quantiser takes and that live on, one e-graph each.
//!
//! In an encoder those are the residual streams: one region per attention block and one per feed-forward block. Two
//! regions with the same term up to the content of constants are saturated once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use egg::{Id, Language, RecExpr};
use tspc_ir::eval::Data;
use tspc_ir::{Diagnostic, Elem, Entity, Module, Op, Opcode, Value};

use super::facts::{LeafFacts, Role};
use super::language::{Count, Leaf, Node, Scalar};

/// A region as a term.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// All nodes, operands first.
    pub term: RecExpr<Node>,
    /// Per node, the op that it stands for.
    pub ops: Vec<Option<Op>>,
    /// What is computed for later regions or for the output.
    pub roots: Vec<(Value, Id)>,
    /// What each leaf stands for.
    pub leaves: Vec<(Value, LeafFacts)>,
    /// The node of each value; a view that is half of a layout has none.
    pub of: BTreeMap<Value, Id>,
}

impl Encoded {
    /// Equal for regions that the e-graph cannot tell apart.
    pub fn key(&self) -> String {
        let leaves: Vec<String> = self
            .leaves
            .iter()
            .map(|(_, l)| format!("{} {:?} {}", l.ty, l.role, l.non_negative))
            .collect();
        let roots: Vec<usize> = self.roots.iter().map(|(_, id)| usize::from(*id)).collect();
        let nodes: Vec<String> = self
            .term
            .as_ref()
            .iter()
            .map(|n| format!("{n:?}"))
            .collect();
        format!("{leaves:?}{roots:?}{nodes:?}")
    }
}

/// Cuts the body, its return excepted, into regions.
pub fn cut(module: &Module) -> Vec<Vec<Op>> {
    let users = module.users();
    let body: Vec<Op> = module
        .body_ops()
        .iter()
        .copied()
        .filter(|&op| module[op].opcode != Opcode::TensorReturn)
        .collect();
    let mut left: Vec<usize> = users.iter().map(Vec::len).collect();
    let mut live: BTreeSet<Value> = BTreeSet::new();
    let mut regions = vec![Vec::new()];
    for op in body {
        regions.last_mut().expect("there is a region").push(op);
        let data = &module[op];
        for v in &data.operands {
            left[v.index()] -= 1;
            if left[v.index()] == 0 {
                live.remove(v);
            }
        }
        if data.opcode != Opcode::TensorConstant {
            live.extend(data.results.iter().filter(|v| left[v.index()] > 0));
        }
        // Only one value lives on, some pass takes it, and something else does later.
        let mut values = live.iter();
        if let (Some(&v), None) = (values.next(), values.next()) {
            let narrows = |u: &Op| {
                matches!(
                    module[*u].opcode,
                    Opcode::TensorQuantize | Opcode::TensorCast
                )
            };
            if data.results.contains(&v)
                && left[v.index()] > 1
                && users[v.index()].iter().any(narrows)
            {
                regions.push(Vec::new());
            }
        }
    }
    regions.retain(|r| !r.is_empty());
    regions
}

/// Encodes regions, one after the other.
pub struct Encoder<'m> {
    module: &'m Module,
    outputs: BTreeSet<Value>,
}

struct Building<'m> {
    module: &'m Module,
    users: Vec<Vec<Op>>,
    term: RecExpr<Node>,
    ops: Vec<Option<Op>>,
    /// Of each node's term.
    depths: Vec<usize>,
    seen: BTreeMap<Node, Id>,
    of: BTreeMap<Value, Id>,
    leaves: Vec<(Value, LeafFacts)>,
}

impl<'m> Encoder<'m> {
    /// For a module.
    pub fn new(module: &'m Module) -> Encoder<'m> {
        let outputs = module.outputs().into_iter().map(|(_, v)| v).collect();
        Encoder { module, outputs }
    }

    /// The term of a region.
    pub fn encode(&self, region: &[Op]) -> Result<Encoded, Diagnostic> {
        let inside: BTreeSet<Op> = region.iter().copied().collect();
        let mut building = Building {
            module: self.module,
            users: self.module.users(),
            term: RecExpr::default(),
            ops: Vec::new(),
            depths: Vec::new(),
            seen: BTreeMap::new(),
            of: BTreeMap::new(),
            leaves: Vec::new(),
        };
        let mut roots = Vec::new();
        for &op in region {
            let Some(&result) = self.module[op].results.first() else {
                continue;
            };
            let outside = |u: &Op| !inside.contains(u);
            let escapes = self.outputs.contains(&result)
                || building.users[result.index()].iter().any(outside);
            let constant = self.module[op].opcode == Opcode::TensorConstant;
            // Views and constants become part of who takes them; gathered inputs are as if they were inputs.
            if !constant && !gathers(self.module, op) && (escapes || !is_view(self.module, op)) {
                let id = building.value(result, &inside)?;
                if escapes {
                    roots.push((result, id));
                }
            }
        }
        Ok(Encoded {
            term: building.term,
            ops: building.ops,
            roots,
            leaves: building.leaves,
            of: building.of,
        })
    }
}

/// Whether this is an op that picks lanes of an input, which the host does.
pub fn gathers(module: &Module, op: Op) -> bool {
    let data = &module[op];
    data.opcode == Opcode::TensorGather && module.def_op(data.operands[0]).is_none()
}

fn is_view(module: &Module, op: Op) -> bool {
    matches!(
        module[op].opcode,
        Opcode::TensorReshape | Opcode::TensorTranspose
    )
}

impl Building<'_> {
    fn add(&mut self, node: Node, op: Option<Op>) -> Id {
        if let Some(&id) = self.seen.get(&node) {
            return id;
        }
        let id = self.term.add(node.clone());
        let children = node.children().iter();
        let below = children.map(|&c| self.depths[usize::from(c)] + 1).max();
        self.depths.push(below.unwrap_or_default());
        self.ops.push(op);
        self.seen.insert(node, id);
        id
    }

    fn value(&mut self, v: Value, inside: &BTreeSet<Op>) -> Result<Id, Diagnostic> {
        if let Some(&id) = self.of.get(&v) {
            return Ok(id);
        }
        let op = self.module.def_op(v);
        let id = match op {
            Some(op) if self.module[op].opcode == Opcode::TensorConstant => self.constant(v, op),
            Some(op) if gathers(self.module, op) => self.leaf(v, Role::Computed),
            Some(op) if inside.contains(&op) => self.op(op, inside)?,
            Some(_) => self.leaf(v, Role::Computed),
            None => self.leaf(v, Role::Input),
        };
        self.of.insert(v, id);
        Ok(id)
    }

    fn leaf(&mut self, v: Value, role: Role) -> Id {
        let node = Node::Leaf(Leaf(self.leaves.len()));
        let ty = self.module.ty(v).clone();
        let facts = LeafFacts {
            ty,
            role,
            non_negative: self.positive_scale(v),
        };
        self.leaves.push((v, facts));
        self.add(node, None)
    }

    /// Whether this is a constant that a quantiser or dequantiser multiplies by, with no element below zero.
    fn positive_scale(&self, v: Value) -> bool {
        let scales = |u: &Op| {
            let data = &self.module[*u];
            let opcode = data.opcode;
            matches!(opcode, Opcode::TensorQuantize | Opcode::TensorDequantize)
                && data.operands[1] == v
        };
        let constant = self
            .module
            .def_op(v)
            .and_then(|op| self.module.constant(op));
        self.users[v.index()].iter().any(scales)
            && constant.is_some_and(|c| match Data::from_const(c) {
                Data::F32(x) => x.iter().all(|&x| x >= 0.0),
                _ => false,
            })
    }

    /// Numbers are visible, and so is a zero of one element; other constants are opaque.
    fn constant(&mut self, v: Value, op: Op) -> Id {
        let data = self.module.constant(op);
        let bits = data.filter(|d| d.elem == Elem::F32 && d.elements() == 1);
        match bits.and_then(|d| Some((d.bits(0)?, d.shape.is_empty()))) {
            Some((bits, scalar)) if scalar || bits == 0 => {
                self.add(Node::Scalar(Scalar(bits)), Some(op))
            }
            _ => self.leaf(v, Role::Constant),
        }
    }

    /// Operands of a commutative operation in one order: numbers last, other constants before them; then the wider
    /// first; of two alike the one that is computed here, and the deeper one, so that it does not matter which of them
    /// the module computes first.
    fn ordered(&self, op: Op, ids: &mut [Id]) {
        let data = &self.module[op];
        let commutes = matches!(
            data.opcode,
            Opcode::TensorAdd | Opcode::TensorMul | Opcode::TensorMax | Opcode::TensorMin
        );
        let (&[a, b], &mut [x, y]) = (&data.operands[..], &mut *ids) else {
            return;
        };
        let rank = |v: Value, id: Id| {
            let (kind, leaf) = match &self.term[id] {
                Node::Scalar(_) => (2, true),
                Node::Leaf(Leaf(i)) => {
                    (usize::from(self.leaves[*i].1.role == Role::Constant), true)
                }
                _ => (0, false),
            };
            (
                kind,
                Reverse(self.module.ty(v).elements()),
                leaf,
                Reverse(self.depths[usize::from(id)]),
                Reverse(id),
            )
        };
        if commutes && rank(a, x) > rank(b, y) {
            ids.swap(0, 1);
        }
    }

    fn op(&mut self, op: Op, inside: &BTreeSet<Op>) -> Result<Id, Diagnostic> {
        let data = &self.module[op];
        if let Some(id) = self.view(op, inside)? {
            return Ok(id);
        }
        let mut ids = data
            .operands
            .iter()
            .map(|&v| self.value(v, inside))
            .collect::<Result<Vec<Id>, _>>()?;
        self.ordered(op, &mut ids);
        let node = self.node(op, &ids).map_err(|why| {
            let name = data.opcode.def().name;
            Diagnostic::new(format!("{name}: {why}"), self.module.place(op))
        })?;
        Ok(self.add(node, Some(op)))
    }

    fn node(&mut self, op: Op, ids: &[Id]) -> Result<Node, String> {
        let data = &self.module[op];
        let one = || [ids[0]];
        let two = || [ids[0], ids[1]];
        Ok(match data.opcode {
            Opcode::TensorMatmul => Node::Matmul(two()),
            Opcode::TensorAdd => Node::Add(two()),
            Opcode::TensorSub => Node::Sub(two()),
            Opcode::TensorMul => Node::Mul(two()),
            Opcode::TensorDiv => Node::Div(two()),
            Opcode::TensorMax => Node::Max(two()),
            Opcode::TensorMin => Node::Min(two()),
            Opcode::TensorNeg => Node::Neg(one()),
            Opcode::TensorExp => Node::Exp(one()),
            Opcode::TensorTanh => Node::Tanh(one()),
            Opcode::TensorErf => Node::Erf(one()),
            Opcode::TensorSqrt => Node::Sqrt(one()),
            Opcode::TensorRsqrt => Node::Rsqrt(one()),
            Opcode::TensorGelu if data.attrs.sym("form")? == "erf" => Node::GeluErf(one()),
            Opcode::TensorGelu => Node::GeluTanh(one()),
            Opcode::TensorSoftmax => Node::Softmax(one()),
            Opcode::TensorQuantize if data.attrs.elem("elem")? == Elem::I8 => {
                Node::Quantize([ids[0], ids[1], ids[2]])
            }
            Opcode::TensorDequantize => Node::Dequantize(two()),
            Opcode::TensorCast => match data.attrs.elem("elem")? {
                Elem::F16 => Node::CastF16(one()),
                Elem::F32 => Node::CastF32(one()),
                other => return Err(format!("no casts to {} here", other.name())),
            },
            Opcode::TensorReduce => {
                let last = self.module.ty(data.operands[0]).rank() - 1;
                match (data.attrs.size("axis")? == last, data.attrs.sym("kind")?) {
                    (true, "sum") => Node::SumLast(one()),
                    (true, _) => Node::MaxLast(one()),
                    (false, _) => return Err("expected a reduction of the last dimension".into()),
                }
            }
            Opcode::TensorBounded => Node::Bounded(two()),
            Opcode::TensorLayerNorm => {
                let eps = self.add(Node::Scalar(Scalar::from(data.attrs.f32("eps")?)), None);
                Node::LayerNorm([ids[0], ids[1], ids[2], eps])
            }
            Opcode::TensorSlice => {
                let (x, y) = (
                    self.module.ty(data.operands[0]),
                    self.module.ty(data.results[0]),
                );
                if x.lead(1) != y.lead(1) {
                    return Err("expected a slice of the last dimension".into());
                }
                let start = data.attrs.sizes("starts")?.last().copied().unwrap_or(0);
                let start = self.add(Node::Count(Count(start)), None);
                let count = self.add(Node::Count(Count(y.last())), None);
                Node::Lanes([ids[0], start, count])
            }
            _ => return Err("the e-graph has no such operation".into()),
        })
    }

    /// Reshapes and transpositions that are heads, their merge, or a swap of the last two dimensions.
    fn view(&mut self, op: Op, inside: &BTreeSet<Op>) -> Result<Option<Id>, Diagnostic> {
        let module = self.module;
        let data = &module[op];
        let made = |v: Value, opcode: Opcode| {
            module
                .def_op(v)
                .filter(|o| module[*o].opcode == opcode && inside.contains(o))
        };
        let refuse = |why: &str| {
            let name = data.opcode.def().name;
            Err(Diagnostic::new(format!("{name}: {why}"), module.place(op)))
        };
        match data.opcode {
            Opcode::TensorTranspose => {
                let x = data.operands[0];
                let perm = data.attrs.sizes("perm").unwrap_or_default();
                let split = made(x, Opcode::TensorReshape).filter(|&r| {
                    let (from, to) = (module.ty(module[r].operands[0]), module.ty(x));
                    from.rank() == 2 && to.rank() == 3 && from.shape[0] == to.shape[0]
                });
                if let (Some(reshape), [1, a, b]) = (split, &perm[..]) {
                    let inner = self.value(module[reshape].operands[0], inside)?;
                    let count = self.add(Node::Count(Count(module.ty(x).shape[1])), None);
                    let heads = self.add(Node::Heads([inner, count]), Some(op));
                    return Ok(match (a, b) {
                        (0, 2) => Some(heads),
                        _ => Some(self.add(Node::Transpose([heads]), Some(op))),
                    });
                }
                if perm == [1, 0, 2] {
                    let inner = self.value(x, inside)?;
                    return Ok(Some(self.add(Node::Swap([inner]), Some(op))));
                }
                let n = perm.len();
                let mut swap: Vec<usize> = (0..n).collect();
                if n >= 2 {
                    swap.swap(n - 2, n - 1);
                }
                if perm == swap {
                    let inner = self.value(x, inside)?;
                    if n < 2 {
                        return Ok(Some(inner));
                    }
                    return Ok(Some(self.add(Node::Transpose([inner]), Some(op))));
                }
                refuse(
                    "expected a swap of the last two dimensions, or heads: reshape [S, H] to [S, heads, d] \
                    and transpose [1, 0, 2] or [1, 2, 0]",
                )
            }
            Opcode::TensorReshape => {
                let x = data.operands[0];
                let merged = made(x, Opcode::TensorTranspose).filter(|&t| {
                    let perm = module[t].attrs.sizes("perm").unwrap_or_default();
                    let (to, ty) = (module.ty(x), module.ty(data.results[0]));
                    perm == [1, 0, 2] && ty.rank() == 2 && ty.shape[0] == to.shape[0]
                });
                match merged {
                    Some(transpose) => {
                        let inner = self.value(module[transpose].operands[0], inside)?;
                        Ok(Some(self.add(Node::Merge([inner]), Some(op))))
                    }
                    None => {
                        let (from, to) = (module.ty(x), module.ty(data.results[0]));
                        let inner = self.value(x, inside)?;
                        if from.rank() == to.rank() + 1 && from.lead(2) == to.lead(1) {
                            return Ok(Some(self.add(Node::Join([inner]), Some(op))));
                        }
                        if from.rank() + 1 == to.rank() && from.lead(1) == to.lead(2) {
                            let parts = to.shape[to.rank() - 2];
                            let count = self.add(Node::Count(Count(parts)), None);
                            return Ok(Some(self.add(Node::Split([inner, count]), Some(op))));
                        }
                        refuse(
                            "expected the lanes to become heads [S, heads, d], or such heads to lie side by side \
                            in [S, heads·d]",
                        )
                    }
                }
            }
            _ => Ok(None),
        }
    }
}
