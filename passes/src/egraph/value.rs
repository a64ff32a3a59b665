//! The value of a node, by evaluation of `tensor.*`: what the compiler computes of constants, and what tests compare
//! the sides of rules by.
//!
//! What the chip has is written in the operations of `tensor.*` that define it; where a pass rounds on its way is
//! fixed only by decoding.

use tspc_ir::eval::{Array, Arrays, Data, evaluate};
use tspc_ir::{Attr, Builder, Diagnostic, Elem, Kind, Loc, Opcode, Type, Value};

use super::language::{Count, Node, Scalar};

/// The number that a node without children is; `None` for a leaf.
pub fn number(node: &Node) -> Option<Array> {
    let data = match node {
        Node::Count(Count(n)) => Data::I32(vec![i32::try_from(*n).ok()?]),
        Node::Scalar(Scalar(bits)) => Data::F32(vec![f32::from_bits(*bits)]),
        _ => return None,
    };
    Array::new(Vec::new(), data).ok()
}

/// The value of a node whose children have these.
pub fn value(node: &Node, operands: &[Array]) -> Result<Array, String> {
    let mut b = Builder::new("value");
    let loc = b.locs().path("value");
    let mut writer = Writer { b, loc };
    let mut inputs = Arrays::new();
    let mut x = Vec::new();
    for (i, array) in operands.iter().enumerate() {
        let ty = Type::new(Kind::Tensor, array.shape.clone(), array.data.elem())?;
        x.push(writer.b.input(i.to_string(), ty));
        inputs.insert(i.to_string(), array.clone());
    }
    let mut computed = || -> Result<Option<Array>, Diagnostic> {
        let y = writer.node(node, &x, operands)?;
        let names = [("names", Attr::Strs(vec!["y".into()]))];
        writer.b.build(Opcode::TensorReturn, &[y], &names, loc)?;
        Ok(evaluate(writer.b.module(), &inputs)?.remove("y"))
    };
    computed()
        .map_err(|d| d.message)?
        .ok_or_else(|| "the output is missing".to_string())
}

struct Writer {
    b: Builder,
    loc: Loc,
}

type Written = Result<Value, Diagnostic>;

impl Writer {
    fn op(&mut self, opcode: Opcode, operands: &[Value], attrs: &[(&str, Attr)]) -> Written {
        self.b.one(opcode, operands, attrs, self.loc)
    }

    /// Reduces the dimension that is this many from the last.
    fn reduce(&mut self, x: Value, back: usize, kind: &'static str) -> Written {
        let axis = self.b.ty(x).rank() as i64 - 1 - back as i64;
        let attrs = [("axis", Attr::Int(axis)), ("kind", Attr::Sym(kind))];
        self.op(Opcode::TensorReduce, &[x], &attrs)
    }

    fn permuted(&mut self, x: Value, perm: &[usize]) -> Written {
        let attrs = [("perm", Attr::sizes(perm))];
        self.op(Opcode::TensorTranspose, &[x], &attrs)
    }

    /// The last two dimensions swapped.
    fn transposed(&mut self, x: Value) -> Written {
        let mut perm: Vec<usize> = (0..self.b.ty(x).rank()).collect();
        if let [.., a, b] = &mut perm[..] {
            std::mem::swap(a, b);
        }
        self.permuted(x, &perm)
    }

    fn reshaped(&mut self, x: Value, shape: &[usize]) -> Written {
        let attrs = [("shape", Attr::sizes(shape))];
        self.op(Opcode::TensorReshape, &[x], &attrs)
    }

    fn refuse(&self, why: &str) -> Written {
        let place = tspc_ir::Place::named("value");
        Err(Diagnostic::new(why, place))
    }

    fn node(&mut self, node: &Node, x: &[Value], operands: &[Array]) -> Written {
        let simple = |opcode| (opcode, Vec::new());
        let elem = |opcode, elem| (opcode, vec![("elem", Attr::Elem(elem))]);
        let form = |form| (Opcode::TensorGelu, vec![("form", Attr::Sym(form))]);
        let (opcode, attrs) = match node {
            Node::Count(_) | Node::Scalar(_) | Node::Leaf(_) => {
                return self.refuse("what has no operands is not computed");
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
            Node::LayerNorm(_) => match &operands[3].data {
                Data::F32(eps) if eps.len() == 1 => {
                    let attrs = [("eps", Attr::F32(eps[0].to_bits()))];
                    return self.op(Opcode::TensorLayerNorm, &x[..3], &attrs);
                }
                _ => return self.refuse("epsilon is no number"),
            },
            // x·σ(1.702x), with σ(z) = ½(1 + tanh(z/2)).
            Node::GeluSigmoid(_) => {
                let inner = self.scaled(x[0], 0.851)?;
                let tanh = self.op(Opcode::TensorTanh, &[inner], &[])?;
                let one = self.number(1.0)?;
                let sum = self.op(Opcode::TensorAdd, &[tanh, one], &[])?;
                let product = self.op(Opcode::TensorMul, &[sum, x[0]], &[])?;
                return self.scaled(product, 0.5);
            }
            Node::Softmax(_) => simple(Opcode::TensorSoftmax),
            Node::Mean(_) => return self.mean(x[0]),
            Node::Variance(_) => {
                let mean = self.mean(x[0])?;
                let centred = self.op(Opcode::TensorSub, &[x[0], mean], &[])?;
                let square = self.op(Opcode::TensorMul, &[centred, centred], &[])?;
                return self.mean(square);
            }
            Node::Bounded(_) => simple(Opcode::TensorBounded),
            Node::Moment(_) => match &operands[2].data {
                Data::I32(n) if n[..] == [1] => return self.mean(x[0]),
                Data::I32(n) if n[..] == [2] => {
                    let square = self.op(Opcode::TensorMul, &[x[0], x[0]], &[])?;
                    return self.mean(square);
                }
                _ => return self.refuse("no such moment"),
            },
            Node::SumLast(_) => return self.reduce(x[0], 0, "sum"),
            Node::MaxLast(_) => return self.reduce(x[0], 0, "max"),
            Node::MaxRows(_) => return self.reduce(x[0], 1, "max"),
            Node::Transpose(_) => return self.transposed(x[0]),
            Node::Heads(_) => match (&operands[0].shape[..], &operands[1].data) {
                ([rows @ .., lanes], Data::I32(n))
                    if rows.len() < 2 && n.len() == 1 && n[0] > 0 =>
                {
                    let (rows, heads) = (rows.first().copied().unwrap_or(1), n[0] as usize);
                    let split = self.reshaped(x[0], &[rows, heads, lanes / heads])?;
                    return self.permuted(split, &[1, 0, 2]);
                }
                _ => return self.refuse("no lanes to be divided into heads"),
            },
            Node::Merge(_) => match operands[0].shape[..] {
                [heads, rows, lanes] => {
                    let apart = self.permuted(x[0], &[1, 0, 2])?;
                    return self.reshaped(apart, &[rows, heads * lanes]);
                }
                _ => return self.refuse("no heads to be merged"),
            },
            Node::Split(_) => match (operands[0].shape.split_last(), &operands[1].data) {
                (Some((lanes, lead)), Data::I32(n)) if n.len() == 1 && n[0] > 0 => {
                    let parts = n[0] as usize;
                    let shape = [lead, &[parts, lanes / parts]].concat();
                    return self.reshaped(x[0], &shape);
                }
                _ => return self.refuse("no lanes to be divided"),
            },
            Node::Join(_) => match &operands[0].shape[..] {
                [lead @ .., parts, lanes] => {
                    let shape = [lead, &[parts * lanes]].concat();
                    return self.reshaped(x[0], &shape);
                }
                _ => return self.refuse("no parts to be joined"),
            },
            Node::Swap(_) => return self.permuted(x[0], &[1, 0, 2]),
            Node::Lanes(_) => match (&operands[1].data, &operands[2].data) {
                (Data::I32(start), Data::I32(count)) if start.len() == 1 && count.len() == 1 => {
                    let mut starts = vec![0; operands[0].shape.len()];
                    let mut sizes = operands[0].shape.clone();
                    if let (Some(first), Some(size)) = (starts.last_mut(), sizes.last_mut()) {
                        (*first, *size) = (start[0] as usize, count[0] as usize);
                    }
                    let attrs = [
                        ("starts", Attr::sizes(&starts)),
                        ("sizes", Attr::sizes(&sizes)),
                    ];
                    return self.op(Opcode::TensorSlice, &x[..1], &attrs);
                }
                _ => return self.refuse("lanes are not counted"),
            },
            Node::Pass(_) => {
                let w = self.transposed(x[1])?;
                return self.op(Opcode::TensorMatmul, &[x[0], w], &[]);
            }
            Node::LaneSum(_) => {
                let ones = self.ones(&operands[0])?;
                return self.op(Opcode::TensorMatmul, &[x[0], ones], &[]);
            }
            Node::Recip(_) => {
                let root = self.op(Opcode::TensorRsqrt, x, &[])?;
                return self.op(Opcode::TensorMul, &[root, root], &[]);
            }
        };
        self.op(opcode, x, &attrs)
    }

    fn number(&mut self, x: f32) -> Written {
        match tspc_ir::ConstData::f32s(&[], &[x]) {
            Ok(data) => self.b.constant_op(Opcode::TensorConstant, data, self.loc),
            Err(why) => self.refuse(&why),
        }
    }

    fn scaled(&mut self, x: Value, by: f32) -> Written {
        let by = self.number(by)?;
        self.op(Opcode::TensorMul, &[x, by], &[])
    }

    /// The mean over the last dimension.
    fn mean(&mut self, x: Value) -> Written {
        let width = self.b.ty(x).last() as f32;
        let sum = self.reduce(x, 0, "sum")?;
        let width = self.number(width)?;
        self.op(Opcode::TensorDiv, &[sum, width], &[])
    }

    /// A column of ones that lanes of this type meet.
    fn ones(&mut self, x: &Array) -> Written {
        let lanes = x.last();
        let data = match x.data.elem() {
            Elem::I8 => Data::I8(vec![1; lanes]),
            elem => Data::F32(vec![1.0; lanes]).convert(elem),
        };
        let made = Array::new(vec![lanes, 1], data).and_then(|a| a.to_const());
        match made {
            Ok(data) => self.b.constant_op(Opcode::TensorConstant, data, self.loc),
            Err(why) => self.refuse(&why),
        }
    }
}
