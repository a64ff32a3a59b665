//! From extracted terms to the plan: every node becomes the per-lane operations, passes and views that compute it.
//!
//! Here rounding is fixed: the order of operations in a chain, where K is cut, how a row maximum and a lane sum are
//! formed. A value of one lane that others meet with many (a row's statistics) is computed in all the lanes that are
//! needed, since a pass through ones gives its sum to every lane for nothing.

use std::collections::BTreeMap;
use std::ops::Range;

use tspc_ir::eval::{Array, Data};
use tspc_ir::{ConstData, Diagnostic, Elem, Loc, Place, Type};
use tspc_machine::Numbers;

use super::constants;
use super::plan::{Arg, HeadTile, NodeId, Plan, What, stream, with_rows};
use crate::egraph::facts::Facts;
use crate::egraph::language::{Count, Leaf, Node, Scalar};
use crate::egraph::value;
use crate::tile::cuts::{self, Cut};

/// A term with what decoding must know of its nodes.
pub struct Instance<'a> {
    /// The nodes; children are indices.
    pub nodes: &'a [Node],
    /// Facts, per node.
    pub facts: &'a [Facts],
    /// Where each comes from.
    pub locs: Vec<Loc>,
    /// The leaves.
    pub leaves: Vec<Bound>,
}

/// What a leaf stands for in this instance.
#[derive(Clone, Debug)]
pub enum Bound {
    /// A constant.
    Constant(Array),
    /// An input of the module.
    Input(String, Type),
    /// A value that an earlier region left.
    Node(NodeId),
}

/// What a term's node is once decoded.
#[derive(Clone, Debug)]
pub(super) enum Val {
    Constant(Array),
    Count(usize),
    Input(String, bool),
    Node(NodeId),
}

/// How the tile pass will cut a value wider than a vector that has no heads in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grid {
    /// Into whole vectors and a rest.
    Whole,
    /// Into equal tiles where there are such, so that they can be added up; views say where they begin.
    Equal,
}

/// Decodes terms into a plan.
pub struct Decoder<'a> {
    /// The plan so far.
    pub plan: Plan,
    pub(super) numbers: &'a Numbers,
    grid: Grid,
}

/// A term being decoded.
pub(super) struct Term<'t, 'a> {
    pub(super) decoder: &'t mut Decoder<'a>,
    pub(super) instance: &'t Instance<'t>,
    /// Lanes in which each node is computed.
    widths: Vec<usize>,
    pub(super) vals: Vec<Val>,
    /// Tiles of which only so many lanes count.
    pub(super) firsts: BTreeMap<(NodeId, usize), NodeId>,
}

pub(super) type Decoded<T> = Result<T, Diagnostic>;

impl<'a> Decoder<'a> {
    /// For a machine and a way to cut.
    pub fn new(numbers: &'a Numbers, grid: Grid) -> Decoder<'a> {
        Decoder {
            plan: Plan::default(),
            numbers,
            grid,
        }
    }

    /// The tiles of so many lanes.
    pub(super) fn cuts(&self, lanes: usize) -> Vec<Cut> {
        let unit = self.numbers.lanes_per_superlane as usize;
        let equal = match self.grid {
            Grid::Equal => cuts::equal(lanes, self.lanes(), unit),
            Grid::Whole => None,
        };
        equal.unwrap_or_else(|| cuts::even(lanes, self.lanes()))
    }

    fn lanes(&self) -> usize {
        (self.numbers.superlanes * self.numbers.lanes_per_superlane) as usize
    }

    /// Decodes a term: the nodes of its roots, and per node of the term what was planned for it alone.
    pub fn decode(
        &mut self,
        instance: &Instance,
        roots: &[usize],
    ) -> Decoded<(Vec<NodeId>, Vec<Range<usize>>)> {
        let widths = widths(instance, &|lanes| self.cuts(lanes)[0].count);
        let mut term = Term {
            decoder: self,
            instance,
            widths,
            vals: Vec::new(),
            firsts: BTreeMap::new(),
        };
        let mut spans = Vec::new();
        for i in 0..instance.nodes.len() {
            let start = term.decoder.plan.nodes().len();
            let val = term.node(i)?;
            term.vals.push(val);
            spans.push(start..term.decoder.plan.nodes().len());
        }
        let roots = roots
            .iter()
            .map(|&r| term.stored(r))
            .collect::<Decoded<_>>()?;
        Ok((roots, spans))
    }
}

/// A node's own lanes, or, of one that has a single lane, as many as the widest that meets it has, at most a tile.
fn widths(instance: &Instance, tile: &dyn Fn(usize) -> usize) -> Vec<usize> {
    let last = |i: usize| instance.facts[i].ty.last();
    let mut widths: Vec<usize> = (0..instance.nodes.len()).map(last).collect();
    for (i, node) in instance.nodes.iter().enumerate().rev() {
        let broadcasts = !matches!(
            node,
            Node::Pass(_)
                | Node::Transpose(_)
                | Node::Heads(_)
                | Node::Merge(_)
                | Node::LaneSum(_)
                | Node::Moment(_)
                | Node::MaxRows(_)
        );
        for child in egg::Language::children(node) {
            let c = usize::from(*child);
            if broadcasts && last(c) == 1 {
                let most = if instance.facts[c].ty.rank() > 2 {
                    usize::MAX
                } else {
                    tile(widths[i])
                };
                widths[c] = widths[c].max(widths[i].min(most));
            }
        }
    }
    widths
}

impl Term<'_, '_> {
    pub(super) fn plan(&mut self) -> &mut Plan {
        &mut self.decoder.plan
    }

    pub(super) fn error(&self, i: usize, why: &str) -> Diagnostic {
        let node = &self.instance.nodes[i];
        Diagnostic::new(format!("{node}: {why}"), Place::named("e-graph decoder"))
    }

    fn facts(&self, id: egg::Id) -> &Facts {
        &self.instance.facts[usize::from(id)]
    }

    fn node(&mut self, i: usize) -> Decoded<Val> {
        let (node, loc) = (&self.instance.nodes[i], self.instance.locs[i]);
        if let Some(val) = self.constant(i)? {
            return Ok(val);
        }
        let elem = self.instance.facts[i].ty.elem;
        let id = match node {
            Node::Leaf(Leaf(l)) => {
                return Ok(match &self.instance.leaves[*l] {
                    Bound::Constant(array) => Val::Constant(array.clone()),
                    Bound::Input(name, _) => Val::Input(name.clone(), false),
                    Bound::Node(id) => Val::Node(*id),
                });
            }
            Node::Add([a, b]) => self.binary(i, "add", *a, *b)?,
            Node::Sub([a, b]) => self.binary(i, "sub", *a, *b)?,
            Node::Mul([a, b]) => self.binary(i, "mul", *a, *b)?,
            Node::Max([a, b]) => self.binary(i, "max", *a, *b)?,
            Node::Min([a, b]) => self.binary(i, "min", *a, *b)?,
            Node::Neg([x]) => self.unary(i, "neg", *x)?,
            Node::Exp([x]) => self.unary(i, "exp", *x)?,
            Node::Tanh([x]) => self.unary(i, "tanh", *x)?,
            Node::Rsqrt([x]) => self.unary(i, "rsqrt", *x)?,
            Node::CastF16([x]) | Node::CastF32([x]) => self.unary(i, "cvt", *x)?,
            Node::Recip([x]) => {
                let root = self.unary(i, "rsqrt", *x)?;
                let square = vec![Arg::Node(root), Arg::Node(root)];
                self.plan().alu("mul", square, elem, loc)
            }
            Node::Dequantize([q, s]) => {
                let wide = self.operand(i, *q)?;
                let wide = self.plan().alu("cvt", vec![wide], Elem::F32, loc);
                match self.facts(*s).is_one() {
                    true => wide,
                    false => {
                        let args = vec![Arg::Node(wide), self.operand(i, *s)?];
                        self.plan().alu("mul", args, Elem::F32, loc)
                    }
                }
            }
            Node::Quantize([x, r, o]) => {
                let mut value = self.operand(i, *x)?;
                if !self.facts(*r).is_one() {
                    let args = vec![value, self.operand(i, *r)?];
                    value = Arg::Node(self.plan().alu("mul", args, Elem::F32, loc));
                }
                // Adding +0 changes no quantised value.
                if self.facts(*o).scalar != Some(Scalar(0)) {
                    let args = vec![value, self.operand(i, *o)?];
                    value = Arg::Node(self.plan().alu("add", args, Elem::F32, loc));
                }
                self.plan().alu("cvt", vec![value], elem, loc)
            }
            Node::Transpose([x]) => match self.vals[usize::from(*x)].clone() {
                Val::Input(name, transposed) => return Ok(Val::Input(name, !transposed)),
                _ => {
                    let x = self.stored(usize::from(*x))?;
                    let planned = &self.plan()[x];
                    let (ty, heads) = (swapped(&planned.ty.shape), planned.heads);
                    let ty = stream(ty, elem);
                    self.plan().add(What::Transpose(x), ty, loc, heads)
                }
            },
            Node::Heads([x, n]) => self.heads(i, usize::from(*x), usize::from(*n))?,
            Node::Merge([x]) => {
                let x = self.stored(usize::from(*x))?;
                let planned = &self.plan()[x];
                let (ty, heads) = (planned.ty.clone(), planned.heads);
                let [n, rows, lanes] = ty.shape[..] else {
                    return Err(self.error(i, "has no heads"));
                };
                let tile = self.decoder.lanes();
                let heads = heads.unwrap_or(HeadTile { width: lanes, tile });
                let ty = stream(vec![rows, n * lanes], elem);
                self.plan().add(What::Merge(x), ty, loc, Some(heads))
            }
            Node::Lanes([x, start, n]) => {
                let x = self.stored(usize::from(*x))?;
                let (Val::Count(start), Val::Count(n)) =
                    (&self.vals[usize::from(*start)], &self.vals[usize::from(*n)])
                else {
                    return Err(self.error(i, "lanes are not counted"));
                };
                let (start, n) = (*start, *n);
                self.plan().lanes(x, start, n, loc)
            }
            Node::Pass([x, w]) => {
                let x = self.stored(usize::from(*x))?;
                let w = self.stored(usize::from(*w))?;
                self.pass(x, w, elem, loc)?
            }
            Node::LaneSum([x]) => {
                let x = self.stored(usize::from(*x))?;
                let ones = self.ones(i, x)?;
                self.pass(x, ones, elem, loc)?
            }
            Node::Moment([x, energy, n]) => self.moment(i, *x, *energy, *n)?,
            Node::MaxRows([x]) => {
                let x = self.stored(usize::from(*x))?;
                self.max_rows(x, loc)
            }
            _ => return Err(self.error(i, "has no form on the chip")),
        };
        Ok(Val::Node(id))
    }

    /// What the compiler computes.
    fn constant(&self, i: usize) -> Decoded<Option<Val>> {
        let node = &self.instance.nodes[i];
        if let Node::Count(Count(n)) = node {
            return Ok(Some(Val::Count(*n)));
        }
        if let Some(number) = value::number(node) {
            return Ok(Some(Val::Constant(number)));
        }
        if matches!(node, Node::Leaf(_)) || !self.instance.facts[i].constant {
            return Ok(None);
        }
        let operands = egg::Language::children(node)
            .iter()
            .map(|c| match &self.vals[usize::from(*c)] {
                Val::Constant(array) => Ok(array.clone()),
                Val::Count(_) => value::number(&self.instance.nodes[usize::from(*c)])
                    .ok_or_else(|| self.error(i, "counts too many")),
                _ => Err(self.error(i, "is not constant")),
            })
            .collect::<Decoded<Vec<Array>>>()?;
        let array = value::value(node, &operands).map_err(|e| self.error(i, &e))?;
        Ok(Some(Val::Constant(array)))
    }

    fn unary(&mut self, i: usize, op: &'static str, x: egg::Id) -> Decoded<NodeId> {
        let (elem, loc) = (self.instance.facts[i].ty.elem, self.instance.locs[i]);
        let x = self.operand(i, x)?;
        Ok(self.plan().alu(op, vec![x], elem, loc))
    }

    fn binary(&mut self, i: usize, op: &'static str, a: egg::Id, b: egg::Id) -> Decoded<NodeId> {
        let (elem, loc) = (self.instance.facts[i].ty.elem, self.instance.locs[i]);
        let args = vec![self.operand(i, a)?, self.operand(i, b)?];
        Ok(self.plan().alu(op, args, elem, loc))
    }

    /// A child as an operand of a per-lane operation of node `i`, in the lanes of that node.
    fn operand(&mut self, i: usize, child: egg::Id) -> Decoded<Arg> {
        let (c, lanes) = (usize::from(child), self.widths[i]);
        if let Val::Constant(array) = &self.vals[c]
            && array.data.len() == 1
            && self.decoder.numbers.vxm_immediates
        {
            return Ok(Arg::Imm(array.data.lanes(0..1)[0]));
        }
        let loc = self.instance.locs[c];
        if let Val::Constant(array) = &self.vals[c] {
            let data = constants::rows(array, lanes).map_err(|e| self.error(i, &e))?;
            return Ok(Arg::Node(self.plan().constant(data, loc)));
        }
        let x = self.stored(c)?;
        Ok(Arg::Node(self.widened(x, lanes, loc)))
    }

    /// A value of equal lanes in another number of lanes.
    fn widened(&mut self, x: NodeId, lanes: usize, loc: Loc) -> NodeId {
        let ty = self.plan()[x].ty.clone();
        let own = ty.last();
        let shape = |n: usize| stream([ty.lead(1), &[n]].concat(), ty.elem);
        if own == lanes {
            return x;
        }
        let input = matches!(self.plan()[x].what, What::Input { .. });
        if own > lanes {
            return self
                .plan()
                .add(What::Lanes(x, 0, lanes), shape(lanes), loc, None);
        }
        if input {
            return self
                .plan()
                .add(What::Broadcast(x, lanes), shape(lanes), loc, None);
        }
        // Where the tiles of who takes it begin.
        let mut cuts = self.decoder.cuts(lanes);
        if cuts[0].count > own {
            cuts = cuts::even(lanes, own);
        }
        let parts = cuts.iter().map(|cut| match cut.count == own {
            true => x,
            false => self.decoder.plan.lanes(x, 0, cut.count, loc),
        });
        let parts = parts.collect();
        self.plan()
            .add(What::Concat(parts), shape(lanes), loc, None)
    }

    /// A value that is there as a whole.
    pub(super) fn stored(&mut self, i: usize) -> Decoded<NodeId> {
        let loc = self.instance.locs[i];
        match self.vals[i].clone() {
            Val::Node(id) => Ok(id),
            Val::Count(_) => Err(self.error(i, "is a count")),
            Val::Constant(array) => {
                let lanes = array.last();
                let data = constants::rows(&array, lanes).map_err(|e| self.error(i, &e))?;
                Ok(self.plan().constant(data, loc))
            }
            Val::Input(name, transposed) => {
                let ty = &self.instance.facts[i].ty;
                let ty = stream(with_rows(ty.shape.clone()), ty.elem);
                Ok(self.plan().input(&name, transposed, ty, loc))
            }
        }
    }

    fn heads(&mut self, i: usize, x: usize, n: usize) -> Decoded<NodeId> {
        let Val::Count(heads) = self.vals[n] else {
            return Err(self.error(i, "heads are not counted"));
        };
        let x = self.stored(x)?;
        let ty = self.plan()[x].ty.clone();
        let (lanes, loc) = (self.decoder.lanes(), self.instance.locs[i]);
        let width = ty.last() / heads;
        // An fp16 sum is rounded after 160 lanes (machine.md, MXM): no head may straddle that.
        let tile = match ty.elem {
            Elem::F16 => self.decoder.numbers.mxm_k_f16 as usize,
            _ => lanes,
        };
        let shape = vec![heads, ty.shape[0], width];
        let layout = Some(HeadTile { width, tile });
        let ty = stream(shape, ty.elem);
        Ok(self.plan().add(What::Heads(x, heads), ty, loc, layout))
    }

    /// A pass; where fp16 tiles do not end at multiples of 160 lanes, one per tile, so that the order of the roundings
    /// is written down.
    pub(super) fn pass(&mut self, x: NodeId, w: NodeId, elem: Elem, loc: Loc) -> Decoded<NodeId> {
        let (tx, tw) = (self.plan()[x].ty.clone(), self.plan()[w].ty.clone());
        let rows = tw.shape[tw.rank() - 2];
        let ty = stream([tx.lead(1), &[rows]].concat(), elem);
        // A product over the lanes of heads leaves them apart; one over whole rows takes the place of the weights.
        let apart = self.plan()[x].heads.is_some() || tx.rank() == 2;
        let heads = if apart { None } else { self.plan()[w].heads };
        let k = self.decoder.numbers.mxm_k_f16 as usize;
        let cuts = match self.plan()[x].heads {
            Some(layout) if tx.elem == Elem::F16 && tx.rank() == 2 => layout.cuts(tx.last()),
            _ => Vec::new(),
        };
        if cuts.iter().all(|(start, _)| start % k == 0) {
            let what = What::Pass {
                x,
                w,
                partial: None,
            };
            return Ok(self.plan().add(what, ty, loc, heads));
        }
        let mut partial = None;
        for (start, count) in cuts {
            let part = |t: &Type| stream([t.lead(1), &[count]].concat(), t.elem);
            let (px, pw) = (part(&tx), part(&tw));
            let plan = self.plan();
            let x = plan.add(What::Lanes(x, start, count), px, loc, None);
            let w = plan.add(What::Lanes(w, start, count), pw, loc, None);
            let what = What::Pass { x, w, partial };
            partial = Some(plan.add(what, ty.clone(), loc, heads));
        }
        partial.ok_or_else(|| Diagnostic::new("a pass of no lanes", Place::named("e-graph")))
    }

    /// As many rows of ones as lanes are needed, as wide as `x`.
    pub(super) fn ones(&mut self, i: usize, x: NodeId) -> Decoded<NodeId> {
        let ty = self.plan()[x].ty.clone();
        let mut shape = ty.shape.clone();
        let n = shape.len();
        shape[n - 2] = self.widths[i];
        let count: usize = shape.iter().product();
        let data = match ty.elem {
            Elem::I8 | Elem::U8 => Data::I8(vec![1; count]),
            _ => Data::F32(vec![1.0; count]).convert(Elem::F16),
        };
        let made = Array::new(shape, data).and_then(|a| a.to_const());
        let data: ConstData = made.map_err(|e| self.error(i, &e))?;
        let loc = self.instance.locs[i];
        // Where heads have sums of their own, these lie in the lanes of the heads.
        let heads = (n == 3).then_some(HeadTile {
            width: self.widths[i],
            tile: match ty.elem {
                Elem::F16 => self.decoder.numbers.mxm_k_f16 as usize,
                _ => self.decoder.lanes(),
            },
        });
        let ty = stream(data.shape.clone(), data.elem);
        Ok(self.plan().add(What::Constant(data), ty, loc, heads))
    }

    /// A tree; a row that two parts hold changes no maximum.
    fn max_rows(&mut self, x: NodeId, loc: Loc) -> NodeId {
        let mut x = x;
        loop {
            let ty = self.plan()[x].ty.clone();
            let axis = ty.rank() - 2;
            let rows = ty.shape[axis];
            let (_, parts) = maximum_tree(rows);
            if parts < 2 {
                return x;
            }
            let count = rows.div_ceil(parts);
            let mut shape = ty.shape.clone();
            shape[axis] = count;
            let part = stream(shape, ty.elem);
            let plan = self.plan();
            let mut most = None;
            for i in 0..parts {
                let start = (i * count).min(rows - count);
                let rows = plan.add(What::Rows(x, start, count), part.clone(), loc, None);
                most = Some(match most {
                    Some(most) => {
                        let args = vec![Arg::Node(most), Arg::Node(rows)];
                        plan.alu("max", args, ty.elem, loc)
                    }
                    None => rows,
                });
            }
            x = most.unwrap_or(x);
        }
    }
}

/// How a maximum over this many rows is formed: in as few pipelines one after another as can be, and the first takes the
/// maximum of so many parts of the rows. Numbers of fp32 enter on wires of their own, of which there are eight.
pub fn maximum_tree(rows: usize) -> (u32, usize) {
    const MOST: usize = 4;
    let reaches = |parts: usize, levels: u32| parts.saturating_pow(levels) >= rows;
    let levels = (0..).find(|&n| reaches(MOST, n)).unwrap_or(0);
    let parts = (1..).find(|&parts| reaches(parts, levels)).unwrap_or(1);
    (levels, parts)
}

fn swapped(shape: &[usize]) -> Vec<usize> {
    let mut shape = shape.to_vec();
    let n = shape.len();
    shape.swap(n - 2, n - 1);
    shape
}
