//! Terms: their e-graph, and their value by evaluation of `tensor.*`.
//!
//! What the chip has is written in the operations of `tensor.*` that define it; where sums are rounded on the way
//! is fixed only by decoding.

use egg::{Id, Language, RecExpr};
use tspc_ir::eval::{Array, Arrays, Data, evaluate};
use tspc_ir::{Attr, Builder, ConstData, Elem, Kind, Loc, Opcode, Type, Value, types};
use tspc_passes::egraph::facts::{Graph, LeafFacts, Region, Role};
use tspc_passes::egraph::language::{Count, Leaf, Node, Scalar};

/// Leaves from a text such as `f32 2x3, constant f32 3 within 8`: role, type, and the bound of random values.
pub fn leaves(text: &str) -> Vec<(LeafFacts, f32)> {
    let items = text.split(',').map(str::trim).filter(|t| !t.is_empty());
    items
        .map(|item| {
            let words: Vec<&str> = item.split(' ').collect();
            let (role, words) = match words[0] {
                "constant" => (Role::Constant, &words[1..]),
                "input" => (Role::Input, &words[1..]),
                _ => (Role::Computed, &words[..]),
            };
            let (elem, shape, bound) = match words {
                [elem, shape] => (elem, shape, 2.0),
                [elem, shape, "within", bound] => (elem, shape, bound.parse().unwrap()),
                _ => panic!("{item}"),
            };
            let shape: Vec<usize> = shape.split('x').map(|d| d.parse().unwrap()).collect();
            let elem = types::elem_from_name(elem).unwrap();
            let ty = Type::new(Kind::Tensor, shape, elem).unwrap();
            (LeafFacts { ty, role }, bound)
        })
        .collect()
}

/// The e-graph of a term over leaves, and the term's class.
pub fn graph(leaves: &[(LeafFacts, f32)], term: &RecExpr<Node>) -> (Graph, Id) {
    let mut graph = Graph::new(Region {
        leaves: leaves.iter().map(|(l, _)| l.clone()).collect(),
        unsound: None,
    });
    let root = graph.add_expr(term);
    graph.rebuild();
    assert_eq!(graph.analysis.unsound, None, "{term}");
    (graph, root)
}

/// A leaf's values: where there are 256 bytes or more, every one of them; else random ones (SplitMix64).
pub fn values(leaf: &LeafFacts, bound: f32, seed: u64) -> Array {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let count = leaf.ty.elements();
    let data = match leaf.ty.elem {
        Elem::I8 if count >= 256 => Data::I8((0..count).map(|i| i as u8 as i8).collect()),
        Elem::I8 => Data::I8((0..count).map(|_| next() as i8).collect()),
        elem => {
            let numbers = (0..count).map(|_| (next() % 20_001) as f32 / 10_000.0 - 1.0);
            Data::F32(numbers.map(|x| x * bound).collect()).convert(elem)
        }
    };
    Array::new(leaf.ty.shape.clone(), data).unwrap()
}

/// The value of a term.
pub fn value(term: &RecExpr<Node>, leaves: &[Array]) -> Array {
    let mut b = Builder::new("term");
    let loc = b.locs().path("term");
    let mut writer = Writer {
        b,
        loc,
        values: Vec::new(),
    };
    let mut inputs = Arrays::new();
    let mut parameters = Vec::new();
    for (i, array) in leaves.iter().enumerate() {
        let ty = Type::new(Kind::Tensor, array.shape.clone(), array.data.elem()).unwrap();
        parameters.push(writer.b.input(format!("v{i}"), ty));
        inputs.insert(format!("v{i}"), array.clone());
    }
    for node in term.as_ref() {
        let value = writer.node(term, node, &parameters);
        writer.values.push(value);
    }
    let root = writer.values[writer.values.len() - 1];
    let names = [("names", Attr::Strs(vec!["y".into()]))];
    let root = root.expect("a term is no count");
    writer
        .b
        .build(Opcode::TensorReturn, &[root], &names, writer.loc)
        .unwrap();
    let mut outputs =
        evaluate(&writer.b.finish(), &inputs).unwrap_or_else(|e| panic!("{term}: {e}"));
    outputs.remove("y").unwrap()
}

struct Writer {
    b: Builder,
    loc: Loc,
    /// Per node; counts are no values.
    values: Vec<Option<Value>>,
}

impl Writer {
    fn op(&mut self, opcode: Opcode, operands: &[Value], attrs: &[(&str, Attr)]) -> Value {
        let made = self.b.one(opcode, operands, attrs, self.loc);
        made.unwrap_or_else(|e| panic!("{e}"))
    }

    fn constant(&mut self, array: Array) -> Value {
        let data: ConstData = array.to_const().unwrap();
        let made = self.b.constant_op(Opcode::TensorConstant, data, self.loc);
        made.unwrap()
    }

    fn reduce(&mut self, x: Value, axis: usize, kind: &'static str) -> Value {
        let attrs = [("axis", Attr::Int(axis as i64)), ("kind", Attr::Sym(kind))];
        self.op(Opcode::TensorReduce, &[x], &attrs)
    }

    fn permuted(&mut self, x: Value, perm: &[usize]) -> Value {
        self.op(
            Opcode::TensorTranspose,
            &[x],
            &[("perm", Attr::sizes(perm))],
        )
    }

    fn transposed(&mut self, x: Value) -> Value {
        let n = self.b.ty(x).rank();
        let mut perm: Vec<usize> = (0..n).collect();
        perm.swap(n - 2, n - 1);
        self.permuted(x, &perm)
    }

    fn reshaped(&mut self, x: Value, shape: &[usize]) -> Value {
        self.op(
            Opcode::TensorReshape,
            &[x],
            &[("shape", Attr::sizes(shape))],
        )
    }

    fn node(&mut self, term: &RecExpr<Node>, node: &Node, leaves: &[Value]) -> Option<Value> {
        let x: Vec<Value> = node
            .children()
            .iter()
            .filter_map(|&c| self.values[usize::from(c)])
            .collect();
        let simple = |opcode| (opcode, Vec::new());
        let elem = |opcode, elem| (opcode, vec![("elem", Attr::Elem(elem))]);
        let form = |form| (Opcode::TensorGelu, vec![("form", Attr::Sym(form))]);
        let (opcode, attrs) = match node {
            Node::Count(_) => return None,
            Node::Leaf(Leaf(i)) => return Some(leaves[*i]),
            Node::Scalar(s) => {
                let scalar = Array::f32s(Vec::new(), vec![s.value()]).unwrap();
                return Some(self.constant(scalar));
            }
            Node::Matmul(_) => simple(Opcode::TensorMatmul),
            Node::Add(_) => simple(Opcode::TensorAdd),
            Node::Sub(_) => simple(Opcode::TensorSub),
            Node::Mul(_) => simple(Opcode::TensorMul),
            Node::Div(_) => simple(Opcode::TensorDiv),
            Node::Max(_) => simple(Opcode::TensorMax),
            Node::Min(_) => simple(Opcode::TensorMin),
            Node::Neg(_) => simple(Opcode::TensorNeg),
            Node::Exp(_) => simple(Opcode::TensorExp),
            Node::Tanh(_) => simple(Opcode::TensorTanh),
            Node::Erf(_) => simple(Opcode::TensorErf),
            Node::Sqrt(_) => simple(Opcode::TensorSqrt),
            Node::Rsqrt(_) => simple(Opcode::TensorRsqrt),
            Node::Quantize(_) => elem(Opcode::TensorQuantize, Elem::I8),
            Node::Dequantize(_) => simple(Opcode::TensorDequantize),
            Node::CastF16(_) => elem(Opcode::TensorCast, Elem::F16),
            Node::CastF32(_) => elem(Opcode::TensorCast, Elem::F32),
            Node::GeluErf(_) => form("erf"),
            Node::GeluTanh(_) => form("tanh"),
            Node::LayerNorm([.., eps]) => {
                let eps: Scalar = match &term[*eps] {
                    Node::Scalar(s) => *s,
                    other => panic!("eps is {other}"),
                };
                let attrs = [("eps", Attr::F32(eps.0))];
                return Some(self.op(Opcode::TensorLayerNorm, &x[..3], &attrs));
            }
            Node::SumLast(_) => {
                let axis = self.b.ty(x[0]).rank() - 1;
                return Some(self.reduce(x[0], axis, "sum"));
            }
            Node::MaxLast(_) => {
                let axis = self.b.ty(x[0]).rank() - 1;
                return Some(self.reduce(x[0], axis, "max"));
            }
            Node::MaxRows(_) => {
                let axis = self.b.ty(x[0]).rank() - 2;
                return Some(self.reduce(x[0], axis, "max"));
            }
            Node::Transpose(_) => return Some(self.transposed(x[0])),
            Node::Heads([_, n]) => {
                let heads = match &term[*n] {
                    Node::Count(Count(n)) => *n,
                    other => panic!("heads are {other}"),
                };
                let shape = self.b.ty(x[0]).shape.clone();
                let split = self.reshaped(x[0], &[shape[0], heads, shape[1] / heads]);
                return Some(self.permuted(split, &[1, 0, 2]));
            }
            Node::Merge(_) => {
                let shape = self.b.ty(x[0]).shape.clone();
                let rows = self.permuted(x[0], &[1, 0, 2]);
                return Some(self.reshaped(rows, &[shape[1], shape[0] * shape[2]]));
            }
            Node::Pass(_) => {
                let w = self.transposed(x[1]);
                return Some(self.op(Opcode::TensorMatmul, &[x[0], w], &[]));
            }
            Node::LaneSum(_) => {
                let ty = self.b.ty(x[0]).clone();
                let lanes = ty.last();
                let ones = match ty.elem {
                    Elem::I8 => Data::I8(vec![1; lanes]),
                    elem => Data::F32(vec![1.0; lanes]).convert(elem),
                };
                let ones = self.constant(Array::new(vec![lanes, 1], ones).unwrap());
                return Some(self.op(Opcode::TensorMatmul, &[x[0], ones], &[]));
            }
            Node::Recip(_) => {
                let root = self.op(Opcode::TensorRsqrt, &x, &[]);
                return Some(self.op(Opcode::TensorMul, &[root, root], &[]));
            }
        };
        Some(self.op(opcode, &x, &attrs))
    }
}
