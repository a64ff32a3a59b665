//! Facts about classes: type, whether compile-time, whether never negative. Rules ask them, cost reads them.
//!
//! A class whose members disagree about their type means that a rule is wrong: the first such finding is kept and
//! fails the pass.

use egg::{Analysis, DidMerge, EGraph, Id, Language};
use tspc_ir::{Elem, Kind, Type};

use super::language::{Leaf, Node, Scalar};

/// The e-graph of a region.
pub type Graph = EGraph<Node, Region>;

/// What is known of a leaf.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeafFacts {
    /// Shape and element type.
    pub ty: Type,
    /// What stands there: a constant, an input of the module, or a value of an earlier region.
    pub role: Role,
}

/// Where a leaf comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// A constant.
    Constant,
    /// An input of the module.
    Input,
    /// Computed before.
    Computed,
}

/// The analysis: the leaves of the region.
#[derive(Clone, Default, Debug)]
pub struct Region {
    /// By number.
    pub leaves: Vec<LeafFacts>,
    /// A class or node without a type, if a rule made one.
    pub unsound: Option<String>,
}

/// Facts of a class.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Shape and element type, as a tensor.
    pub ty: Type,
    /// The number, of a scalar.
    pub scalar: Option<Scalar>,
    /// Known when the module is compiled.
    pub constant: bool,
    /// An input of the module, perhaps transposed.
    pub input: bool,
    /// No element is below zero.
    pub non_negative: bool,
}

impl Analysis<Node> for Region {
    type Data = Facts;

    fn make(graph: &mut Graph, node: &Node, _: Id) -> Facts {
        let ty = match type_of(graph, node) {
            Ok(ty) => ty,
            Err(why) => {
                graph
                    .analysis
                    .unsound
                    .get_or_insert(format!("{node}: {why}"));
                scalar_type(Elem::F32)
            }
        };
        let data = |id: &Id| &graph[*id].data;
        let children = node.children();
        let leaf = |Leaf(i): &Leaf| graph.analysis.leaves.get(*i).map(|l| l.role);
        let role = |wanted: Role| matches!(node, Node::Leaf(l) if leaf(l) == Some(wanted));
        let scalar = match node {
            Node::Scalar(x) => Some(*x),
            _ => None,
        };
        let all = |f: fn(&Facts) -> bool| children.iter().all(|c| f(data(c)));
        let non_negative = match node {
            Node::Count(_) => true,
            Node::Scalar(x) => x.value() >= 0.0,
            Node::Exp(_) | Node::Sqrt(_) | Node::Rsqrt(_) | Node::Recip(_) => true,
            Node::Max([a, b]) => data(a).non_negative || data(b).non_negative,
            Node::Mul([a, b]) if a == b => true,
            Node::Leaf(_) | Node::Neg(_) | Node::Sub(_) | Node::LayerNorm(_) => false,
            // A quantiser without offset keeps the sign.
            Node::Quantize([x, _, o]) => {
                data(x).non_negative && data(o).scalar == Some(Scalar::from(0.0))
            }
            Node::Dequantize([q, _]) => data(q).non_negative,
            _ => !children.is_empty() && all(|f| f.non_negative),
        };
        Facts {
            ty,
            scalar,
            constant: match node {
                Node::Leaf(_) => role(Role::Constant),
                _ => all(|f| f.constant),
            },
            input: role(Role::Input) || matches!(node, Node::Transpose([x]) if data(x).input),
            non_negative,
        }
    }

    fn merge(&mut self, a: &mut Facts, b: Facts) -> DidMerge {
        if a.ty != b.ty {
            self.unsound
                .get_or_insert(format!("a class of {} and {}", a.ty, b.ty));
        }
        let joined = Facts {
            ty: a.ty.clone(),
            scalar: a.scalar.or(b.scalar),
            constant: a.constant || b.constant,
            input: a.input || b.input,
            non_negative: a.non_negative || b.non_negative,
        };
        let changed = DidMerge(*a != joined, b != joined);
        *a = joined;
        changed
    }
}

fn scalar_type(elem: Elem) -> Type {
    Type {
        kind: Kind::Tensor,
        shape: Vec::new(),
        elem,
    }
}

fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let dim = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).map_or(1, |j| s[j]);
    (0..rank)
        .map(|i| match (dim(a, i), dim(b, i)) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            _ => Err(format!("{a:?} does not meet {b:?}")),
        })
        .collect()
}

fn product_elem(elem: Elem) -> Result<Elem, String> {
    match elem {
        Elem::I8 => Ok(Elem::I32),
        Elem::F16 | Elem::F32 => Ok(Elem::F32),
        other => Err(format!("no products of {}", other.name())),
    }
}

/// Swaps the last two dimensions; a shape of less than two stays.
fn swapped(shape: &[usize]) -> Vec<usize> {
    let mut shape = shape.to_vec();
    let n = shape.len();
    if n >= 2 {
        shape.swap(n - 2, n - 1);
    }
    shape
}

fn with_last(shape: &[usize], last: usize) -> Vec<usize> {
    let mut shape = shape.to_vec();
    if let Some(dim) = shape.last_mut() {
        *dim = last;
    }
    shape
}

fn type_of(graph: &Graph, node: &Node) -> Result<Type, String> {
    let ty = |id: &Id| &graph[*id].data.ty;
    let made = |shape: Vec<usize>, elem: Elem| Type::new(Kind::Tensor, shape, elem);
    match node {
        Node::Count(_) => Ok(scalar_type(Elem::I32)),
        Node::Scalar(_) => Ok(scalar_type(Elem::F32)),
        Node::Leaf(Leaf(i)) => match graph.analysis.leaves.get(*i) {
            Some(leaf) => Ok(leaf.ty.clone()),
            None => Err("no such leaf".into()),
        },
        Node::Add([a, b])
        | Node::Sub([a, b])
        | Node::Mul([a, b])
        | Node::Div([a, b])
        | Node::Max([a, b])
        | Node::Min([a, b]) => made(broadcast(&ty(a).shape, &ty(b).shape)?, ty(a).elem),
        Node::Neg([x])
        | Node::Exp([x])
        | Node::Tanh([x])
        | Node::Erf([x])
        | Node::Sqrt([x])
        | Node::Rsqrt([x])
        | Node::Recip([x])
        | Node::GeluErf([x])
        | Node::GeluTanh([x])
        | Node::LayerNorm([x, ..]) => Ok(ty(x).clone()),
        Node::SumLast([x]) | Node::MaxLast([x]) => made(with_last(&ty(x).shape, 1), ty(x).elem),
        Node::LaneSum([x]) => made(with_last(&ty(x).shape, 1), product_elem(ty(x).elem)?),
        Node::MaxRows([x]) => {
            let mut shape = ty(x).shape.clone();
            let n = shape.len();
            *n.checked_sub(2)
                .and_then(|i| shape.get_mut(i))
                .ok_or("no rows")? = 1;
            made(shape, ty(x).elem)
        }
        Node::Quantize([x, ..]) => made(ty(x).shape.clone(), Elem::I8),
        Node::Dequantize([q, s]) => made(broadcast(&ty(q).shape, &ty(s).shape)?, Elem::F32),
        Node::CastF16([x]) => made(ty(x).shape.clone(), Elem::F16),
        Node::CastF32([x]) => made(ty(x).shape.clone(), Elem::F32),
        Node::Transpose([x]) if ty(x).rank() < 2 => Err(format!("{} has no rows", ty(x))),
        Node::Transpose([x]) => made(swapped(&ty(x).shape), ty(x).elem),
        Node::Heads([x, n]) => {
            let heads = graph[*n]
                .iter()
                .find_map(|n| match n {
                    Node::Count(c) => Some(c.0),
                    _ => None,
                })
                .ok_or("heads are not counted")?;
            match ty(x).shape[..] {
                [rows, lanes] if heads > 0 && lanes % heads == 0 => {
                    made(vec![heads, rows, lanes / heads], ty(x).elem)
                }
                _ => Err(format!("{} does not divide into {heads} heads", ty(x))),
            }
        }
        Node::Merge([x]) => match ty(x).shape[..] {
            [heads, rows, lanes] => made(vec![rows, heads * lanes], ty(x).elem),
            _ => Err(format!("{} has no heads", ty(x))),
        },
        Node::Matmul([a, b]) => product(ty(a), &swapped(&ty(b).shape)),
        Node::Pass([x, w]) => product(ty(x), &ty(w).shape),
    }
}

/// Rows of `a` by the rows of `w`.
fn product(a: &Type, w: &[usize]) -> Result<Type, String> {
    let ([.., m, k], [.., n, k2]) = (&a.shape[..], w) else {
        return Err(format!("{a} by {w:?}"));
    };
    if k != k2 {
        return Err(format!("{a} by {w:?}"));
    }
    let mut shape = broadcast(a.lead(2), &w[..w.len() - 2])?;
    shape.extend([*m, *n]);
    Type::new(Kind::Tensor, shape, product_elem(a.elem)?)
}
