//! Facts about classes: type, whether compile-time, whether never negative. Rules ask them, cost reads them.
//!
//! A class whose members disagree about their type means that a rule is wrong: the first such finding is kept and
//! fails the pass.

use std::collections::BTreeSet;

use egg::{Analysis, DidMerge, EGraph, Id, Language};
use tspc_ir::infer::broadcast;
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
    /// Whether it is a quantisation scale without an element below zero. Other constants are not looked into: layers
    /// should differ by nothing but numbers.
    pub non_negative: bool,
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

/// The analysis: the leaves of the region, and which nodes are not worth extracting.
#[derive(Clone, Default, Debug)]
pub struct Region {
    /// By number.
    pub leaves: Vec<LeafFacts>,
    /// A class or node without a type, if a rule made one.
    pub unsound: Option<String>,
    /// Nodes that rules put something as good or better in place of, so that spellings of one function end in one
    /// program. Their classes keep them: other rules may need them.
    pub replaced: BTreeSet<Node>,
    /// Nodes of the forms that rules wrote for the chip; they are never replaced.
    pub formed: BTreeSet<Node>,
}

impl Region {
    /// The analysis of a region with these leaves.
    pub fn new(leaves: Vec<LeafFacts>) -> Region {
        Region {
            leaves,
            ..Region::default()
        }
    }

    /// Whether a node need not be extracted, since its class has one in its place.
    pub fn is_replaced(&self, node: &Node) -> bool {
        self.replaced.contains(node) && !self.formed.contains(node)
    }
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

impl Facts {
    /// The number 1, by which nothing need be multiplied.
    pub fn is_one(&self) -> bool {
        self.scalar == Some(Scalar::from(1.0))
    }
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
        let leaf = match node {
            Node::Leaf(Leaf(i)) => graph.analysis.leaves.get(*i),
            _ => None,
        };
        let role = |wanted: Role| leaf.is_some_and(|l| l.role == wanted);
        let scalar = match node {
            Node::Scalar(x) => Some(*x),
            _ => None,
        };
        let all = |f: fn(&Facts) -> bool| children.iter().all(|c| f(data(c)));
        let non_negative = match node {
            Node::Count(_) => true,
            Node::Scalar(x) => x.value() >= 0.0,
            Node::Exp(_) | Node::Sqrt(_) | Node::Rsqrt(_) | Node::Recip(_) => true,
            Node::Softmax(_) | Node::Variance(_) => true,
            Node::Max([a, b]) => data(a).non_negative || data(b).non_negative,
            Node::Mul([a, b]) if a == b => true,
            Node::Bounded([x, _]) | Node::Moment([x, ..]) => data(x).non_negative,
            Node::Leaf(_) => leaf.is_some_and(|l| l.non_negative),
            Node::Neg(_) | Node::Sub(_) | Node::LayerNorm(_) => false,
            // A quantiser without offset keeps the sign.
            Node::Quantize([x, r, o]) => {
                let zero = data(o).scalar == Some(Scalar::from(0.0));
                zero && data(x).non_negative && data(r).non_negative
            }
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
        | Node::GeluSigmoid([x])
        | Node::Softmax([x])
        | Node::LayerNorm([x, ..]) => Ok(ty(x).clone()),
        Node::SumLast([x]) | Node::MaxLast([x]) | Node::Mean([x]) | Node::Variance([x]) => {
            made(with_last(&ty(x).shape, 1), ty(x).elem)
        }
        Node::Moment([x, energy, n]) => match (count(graph, *n)?, ty(energy).elements()) {
            (1 | 2, 1) => made(with_last(&ty(x).shape, 1), ty(x).elem),
            (n, _) => Err(format!("no moment {n} within {}", ty(energy))),
        },
        Node::Bounded([x, energy]) => match ty(energy).elements() {
            1 => Ok(ty(x).clone()),
            _ => Err(format!("{} is not one number", ty(energy))),
        },
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
            let heads = count(graph, *n)?;
            match ty(x).shape[..] {
                // A vector is one row.
                [lanes] if heads > 0 && lanes % heads == 0 => {
                    made(vec![heads, 1, lanes / heads], ty(x).elem)
                }
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
        Node::Split([x, n]) => {
            let parts = count(graph, *n)?;
            let lanes = ty(x).last();
            if ty(x).rank() == 0 || parts == 0 || lanes % parts != 0 {
                return Err(format!("{} does not divide into {parts} parts", ty(x)));
            }
            let shape = [ty(x).lead(1), &[parts, lanes / parts]].concat();
            made(shape, ty(x).elem)
        }
        Node::Join([x]) => match ty(x).shape[..] {
            [.., parts, lanes] => made([ty(x).lead(2), &[parts * lanes]].concat(), ty(x).elem),
            _ => Err(format!("{} has no parts", ty(x))),
        },
        Node::Swap([x]) => match ty(x).shape[..] {
            [a, b, c] => made(vec![b, a, c], ty(x).elem),
            _ => Err(format!("{} has not three dimensions", ty(x))),
        },
        Node::Lanes([x, start, n]) => {
            let (start, n) = (count(graph, *start)?, count(graph, *n)?);
            match ty(x).rank() > 0 && n > 0 && start + n <= ty(x).last() {
                true => made(with_last(&ty(x).shape, n), ty(x).elem),
                false => Err(format!("{} has no {n} lanes from {start}", ty(x))),
            }
        }
        Node::Matmul([a, b]) => product(ty(a), &swapped(&ty(b).shape)),
        Node::Pass([x, w]) => product(ty(x), &ty(w).shape),
    }
}

/// The number of a class that is a count.
pub(super) fn count(graph: &Graph, id: Id) -> Result<usize, String> {
    let counted = graph[id].iter().find_map(|n| match n {
        Node::Count(c) => Some(c.0),
        _ => None,
    });
    counted.ok_or_else(|| "what should be a count is none".into())
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use egg::RecExpr;

    /// The e-graph of terms over leaves such as `constant f32 2x3, i8 4`, and their classes.
    pub(in crate::egraph) fn graph<const N: usize>(
        leaves: &str,
        terms: [&str; N],
    ) -> (Graph, [Id; N]) {
        let leaf = |text: &str| {
            let words: Vec<&str> = text.trim().split(' ').collect();
            let role = match words[0] {
                "constant" | "scale" => Role::Constant,
                "input" => Role::Input,
                _ => Role::Computed,
            };
            let [.., elem, shape] = words[..] else {
                panic!("{text}")
            };
            let shape: Vec<usize> = shape.split('x').map(|d| d.parse().unwrap()).collect();
            let elem = tspc_ir::types::elem_from_name(elem).unwrap();
            let ty = Type::new(Kind::Tensor, shape, elem).unwrap();
            LeafFacts {
                ty,
                role,
                non_negative: words[0] == "scale",
            }
        };
        let mut graph = Graph::new(Region::new(leaves.split(',').map(leaf).collect()));
        let roots = terms.map(|text| {
            let term: RecExpr<Node> = text.parse().unwrap();
            graph.add_expr(&term)
        });
        graph.rebuild();
        (graph, roots)
    }

    fn facts(leaves: &str, term: &str) -> Facts {
        let (graph, [root]) = graph(leaves, [term]);
        assert_eq!(graph.analysis.unsound, None, "{term}");
        graph[root].data.clone()
    }

    #[test]
    fn types_follow_the_operations() {
        for (leaves, term, ty) in [
            ("f32 2x1x5, f32 3x1", "(add v0 v1)", "tensor<2x3x5xf32>"),
            ("f32 4x6", "(split v0 2)", "tensor<4x2x3xf32>"),
            ("f32 4x2x3", "(join v0)", "tensor<4x6xf32>"),
            ("f32 4x2x3", "(swap v0)", "tensor<2x4x3xf32>"),
            ("f32 4x6", "(lanes v0 2 3)", "tensor<4x3xf32>"),
            ("f32 2x4x6", "(softmax v0)", "tensor<2x4x6xf32>"),
            ("f32 4x6", "(variance v0)", "tensor<4x1xf32>"),
            ("i8 4x7, i8 7x3", "(matmul v0 v1)", "tensor<4x3xi32>"),
            ("f16 2x4x7, f16 2x3x7", "(pass v0 v1)", "tensor<2x4x3xf32>"),
            ("i8 4x7", "(lane-sum v0)", "tensor<4x1xi32>"),
            (
                "f32 4x7, constant f32 1",
                "(moment v0 v1 2)",
                "tensor<4x1xf32>",
            ),
            (
                "f32 4x7, constant f32 1",
                "(bounded v0 v1)",
                "tensor<4x7xf32>",
            ),
            ("f32 2x4x7", "(max-rows v0)", "tensor<2x1x7xf32>"),
            ("f32 2x4x7", "(sum-last v0)", "tensor<2x4x1xf32>"),
            ("f32 4x6", "(t (heads v0 3))", "tensor<3x2x4xf32>"),
            ("f32 3x4x2", "(merge v0)", "tensor<4x6xf32>"),
            ("f32 4x6, f32 6", "(quantize v0 v1 0.0)", "tensor<4x6xi8>"),
            ("i32 4x6, f32 1x6", "(dequantize v0 v1)", "tensor<4x6xf32>"),
            ("f32 4x6", "(cast-f16 v0)", "tensor<4x6xf16>"),
            ("f32 4x6", "0.5", "tensor<f32>"),
        ] {
            assert_eq!(facts(leaves, term).ty.to_string(), ty, "{term}");
        }
    }

    #[test]
    fn what_has_no_type_is_unsound() {
        for (leaves, term, why) in [
            (
                "f32 2x5, f32 3x5",
                "(add v0 v1)",
                "[2, 5] and [3, 5] do not broadcast",
            ),
            ("i8 2x5, i8 4x6", "(pass v0 v1)", "by [4, 6]"),
            ("i32 2x5", "(lane-sum v0)", "no products of i32"),
            ("f32 4x6", "(moment v0 1.0 3)", "no moment 3"),
            ("f32 4x6", "(bounded v0 v0)", "is not one number"),
            ("f32 5", "(t v0)", "has no rows"),
            ("f32 5", "(max-rows v0)", "no rows"),
            ("f32 4x6", "(heads v0 4)", "does not divide into 4 heads"),
            ("f32 4x6", "(merge v0)", "has no heads"),
            ("f32 4x6", "(split v0 4)", "does not divide into 4 parts"),
            ("f32 6", "(join v0)", "has no parts"),
            ("f32 4x6", "(swap v0)", "has not three dimensions"),
            ("f32 4x6", "(lanes v0 4 3)", "has no 3 lanes from 4"),
            ("f32 4x6", "v1", "no such leaf"),
        ] {
            let found = graph(leaves, [term]).0.analysis.unsound;
            assert!(
                found.as_ref().is_some_and(|f| f.contains(why)),
                "{term}: {found:?}"
            );
        }
    }

    #[test]
    fn a_class_of_two_types_is_unsound() {
        let (mut graph, [a, b]) = graph("f32 2x3, f32 3x2", ["v0", "v1"]);
        graph.union(a, b);
        graph.rebuild();
        let found = graph.analysis.unsound.unwrap();
        assert_eq!(found, "a class of tensor<2x3xf32> and tensor<3x2xf32>");
    }

    #[test]
    fn signs() {
        let leaves = "f32 4x6, i8 4x6, constant f32 6, scale f32 6";
        for term in [
            "(exp v0)",
            "(sum-last (exp v0))",
            "(max v0 0.0)",
            "(mul v0 v0)",
            "(add (mul v0 v0) 1e-12)",
            "(heads (exp v0) 3)",
            "(t (exp v0))",
            "(quantize (exp v0) v3 0.0)",
            "(lane-sum (quantize (exp v0) 127.0 0.0))",
            "(moment (bounded (exp v0) 1.0) 1.0 1)",
            "(dequantize (quantize (exp v0) 127.0 0.0) 0.0078740157)",
        ] {
            assert!(facts(leaves, term).non_negative, "{term}");
        }
        for term in [
            "v0",
            "(neg (exp v0))",
            "(sub (exp v0) (exp v0))",
            "(add (exp v0) -0.5)",
            "(min (exp v0) v0)",
            "(quantize (exp v0) 127.0 -128.0)",
            "(quantize (exp v0) v2 0.0)",
            "(dequantize (quantize (exp v0) 127.0 0.0) v2)",
            "(dequantize (quantize (exp v0) 127.0 0.0) -1.0)",
            "(layer-norm (exp v0) 1.0 0.0 1e-12)",
            "(gelu-erf v0)",
            "(bounded v0 1.0)",
        ] {
            assert!(!facts(leaves, term).non_negative, "{term}");
        }
    }

    #[test]
    fn constants_and_inputs() {
        let leaves = "constant f32 6x6, input f32 1x6, f32 6x6";
        let of = |term| {
            let facts = facts(leaves, term);
            (facts.constant, facts.input)
        };
        assert_eq!(of("(mul (t v0) 2.0)"), (true, false));
        assert_eq!(of("(mul v0 v2)"), (false, false));
        assert_eq!(of("(t v1)"), (false, true));
        assert_eq!(of("(neg v1)"), (false, false));
        assert_eq!(facts(leaves, "0.5").scalar, Some(Scalar::from(0.5)));
    }
}
