//! Random unfused graphs from the operations that the e-graph takes. Every value is computed as the graph grows, so
//! that functions are only taken where they are well conditioned: roots and divisions away from zero, exponentials of
//! small numbers, LayerNorm of rows that vary.

use std::collections::BTreeMap;

use tspc_ir::Opcode::{self, *};
use tspc_ir::eval::{Array, Arrays, evaluate};
use tspc_ir::{Attr, Builder, ConstData, Elem, Kind, Loc, Module, Type, Value};

/// Values are kept within this.
const BOUND: f32 = 4.0;

/// A graph with its inputs.
pub struct Random {
    pub module: Module,
    pub inputs: Arrays,
    /// Lanes, which products sum over.
    pub lanes: usize,
}

/// The graph of a seed: some blocks, each over what is there, with residual additions between them.
pub fn random(seed: u64) -> Random {
    let mut g = Graph::new(seed);
    for _ in 0..2 + g.below(5) {
        let y = g.block();
        let y = g.tamed(y);
        g.pool.push(y);
    }
    let last = g.pool[g.pool.len() - 1];
    let mut outputs = vec![last];
    if g.below(3) == 0 {
        outputs = vec![g.linear(last)];
    }
    // Another output keeps what it shares with the first one alive.
    if g.below(4) == 0 {
        let other = g.any();
        if g.computed(other) && !outputs.contains(&other) {
            outputs.push(other);
        }
    }
    let names = (0..outputs.len()).map(|i| format!("y{i}")).collect();
    let names = [("names", Attr::Strs(names))];
    g.b.build(TensorReturn, &outputs, &names, g.loc).unwrap();
    Random {
        module: g.b.finish(),
        inputs: g.inputs,
        lanes: g.lanes,
    }
}

struct Graph {
    b: Builder,
    loc: Loc,
    state: u64,
    rows: usize,
    lanes: usize,
    heads: usize,
    mask: Value,
    inputs: Arrays,
    /// What each value is.
    arrays: BTreeMap<Value, Array>,
    /// Values of all rows and lanes that blocks start from.
    pool: Vec<Value>,
}

impl Graph {
    fn new(seed: u64) -> Graph {
        let mut b = Builder::new("random");
        let loc = b.locs().path("random");
        let mut state = seed;
        let mut pick = |n: usize| (split_mix(&mut state) % n as u64) as usize;
        let (rows, (lanes, heads)) = (
            1 + pick(24),
            [(32, 2), (48, 3), (64, 4), (96, 2), (200, 1)][pick(5)],
        );
        let mut input = |name: &str, shape: [usize; 2]| {
            b.input(name, Type::new(Kind::Tensor, shape, Elem::F32).unwrap())
        };
        let (x, mask) = (input("x", [rows, lanes]), input("mask", [1, rows]));
        let mut g = Graph {
            b,
            loc,
            state,
            rows,
            lanes,
            heads,
            mask,
            inputs: Arrays::new(),
            arrays: BTreeMap::new(),
            pool: vec![x],
        };
        let data = g.numbers(rows * lanes, 2.0);
        let valid = 1 + g.below(rows);
        let mask_data = (0..rows).map(|i| if i < valid { 0.0 } else { -30.0 });
        for (name, value, shape, data) in [
            ("x", x, [rows, lanes], data),
            ("mask", mask, [1, rows], mask_data.collect()),
        ] {
            let array = Array::f32s(shape, data).unwrap();
            g.arrays.insert(value, array.clone());
            g.inputs.insert(name.into(), array);
        }
        g
    }

    fn below(&mut self, n: usize) -> usize {
        (split_mix(&mut self.state) % n as u64) as usize
    }

    /// Numbers from minus to plus this bound.
    fn numbers(&mut self, n: usize, bound: f32) -> Vec<f32> {
        let mut one = || (split_mix(&mut self.state) % 20_001) as f32 / 10_000.0 - 1.0;
        (0..n).map(|_| one() * bound).collect()
    }

    /// One op with one result, and its value.
    fn op_with(&mut self, opcode: Opcode, operands: &[Value], attrs: &[(&str, Attr)]) -> Value {
        let made = self.b.one(opcode, operands, attrs, self.loc);
        let made = made.unwrap_or_else(|d| panic!("{d}"));
        let mut alone = Builder::new("alone");
        let loc = alone.locs().path("alone");
        let mut inputs = Arrays::new();
        let mut known: BTreeMap<Value, Value> = BTreeMap::new();
        for &v in operands {
            known.entry(v).or_insert_with(|| {
                let name = format!("x{}", inputs.len());
                inputs.insert(name.clone(), self.arrays[&v].clone());
                alone.input(name, self.b.ty(v).clone())
            });
        }
        let operands: Vec<Value> = operands.iter().map(|v| known[v]).collect();
        let y = alone.one(opcode, &operands, attrs, loc).unwrap();
        let names = [("names", Attr::Strs(vec!["y".into()]))];
        alone.build(TensorReturn, &[y], &names, loc).unwrap();
        let mut outputs = evaluate(&alone.finish(), &inputs).unwrap_or_else(|d| panic!("{d}"));
        self.arrays.insert(made, outputs.remove("y").unwrap());
        made
    }

    fn op(&mut self, opcode: Opcode, operands: &[Value]) -> Value {
        self.op_with(opcode, operands, &[])
    }

    fn constant(&mut self, shape: &[usize], data: Vec<f32>) -> Value {
        let array = Array::f32s(shape, data).unwrap();
        let data: ConstData = array.to_const().unwrap();
        let made = self.b.constant_op(TensorConstant, data, self.loc).unwrap();
        self.arrays.insert(made, array);
        made
    }

    fn number(&mut self, x: f32) -> Value {
        self.constant(&[], vec![x])
    }

    /// A number for each lane, around this one.
    fn vector(&mut self, around: f32) -> Value {
        let data = self.numbers(self.lanes, 0.5);
        let data = data.into_iter().map(|x| x + around).collect();
        match self.below(2) {
            0 => self.constant(&[self.lanes], data),
            _ => self.constant(&[1, self.lanes], data),
        }
    }

    fn numbers_of(&self, v: Value) -> &[f32] {
        self.arrays[&v].data.f32s().unwrap()
    }

    fn range(&self, v: Value) -> (f32, f32) {
        let (low, high) = (f32::INFINITY, f32::NEG_INFINITY);
        let data = self.numbers_of(v).iter();
        data.fold((low, high), |(a, b), &x| (a.min(x), b.max(x)))
    }

    fn computed(&self, v: Value) -> bool {
        self.b.module().def_op(v).is_some()
    }

    /// A value to start from, mostly one of the last two.
    fn any(&mut self) -> Value {
        let n = self.pool.len();
        let back = if self.below(4) == 0 { n } else { n.min(2) };
        let i = n - 1 - self.below(back);
        self.pool[i]
    }

    /// The same with two operands in either order.
    fn either(&mut self, opcode: Opcode, a: Value, b: Value) -> Value {
        match self.below(2) {
            0 => self.op(opcode, &[a, b]),
            _ => self.op(opcode, &[b, a]),
        }
    }

    fn times(&mut self, x: Value, k: f32) -> Value {
        match self.below(3) {
            0 => {
                let k = self.number(1.0 / k);
                self.op(TensorDiv, &[x, k])
            }
            _ => {
                let k = self.number(k);
                self.either(TensorMul, x, k)
            }
        }
    }

    fn plus(&mut self, x: Value, k: f32) -> Value {
        match self.below(3) {
            0 => {
                let k = self.number(-k);
                self.op(TensorSub, &[x, k])
            }
            _ => {
                let k = self.number(k);
                self.either(TensorAdd, x, k)
            }
        }
    }

    fn sum(&mut self, x: Value, kind: &'static str) -> Value {
        let last = self.b.ty(x).rank() as i64 - 1;
        let attrs = [("kind", Attr::Sym(kind)), ("axis", Attr::Int(last))];
        self.op_with(TensorReduce, &[x], &attrs)
    }

    fn transpose(&mut self, x: Value, perm: &[usize]) -> Value {
        self.op_with(TensorTranspose, &[x], &[("perm", Attr::sizes(perm))])
    }

    fn reshape(&mut self, x: Value, shape: &[usize]) -> Value {
        self.op_with(TensorReshape, &[x], &[("shape", Attr::sizes(shape))])
    }

    /// Scaled down if it became large.
    fn tamed(&mut self, x: Value) -> Value {
        let (low, high) = self.range(x);
        let size = high.max(-low);
        assert!(size.is_finite());
        if size <= BOUND {
            return x;
        }
        self.times(x, BOUND / 2.0 / size)
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// What graphs consist of.
impl Graph {
    fn block(&mut self) -> Value {
        let x = self.any();
        match self.below(20) {
            0..=3 => self.linear(x),
            4 | 5 => self.unary(x),
            6..=9 => self.binary(x),
            10 => self.divided(x),
            11..=13 => self.gelu(x),
            14 | 15 => self.layer_norm(x),
            16 | 17 => self.attention(x),
            18 => {
                let y = self.linear(x);
                self.either(TensorAdd, x, y)
            }
            _ => self.seldom(x),
        }
    }

    /// x·W + b, W as it is or transposed, perhaps without b.
    fn linear(&mut self, x: Value) -> Value {
        let n = self.lanes;
        let data = self.numbers(n * n, (3.0 / n as f32).sqrt());
        let mut w = self.constant(&[n, n], data);
        if self.below(3) == 0 {
            w = self.transpose(w, &[1, 0]);
        }
        let y = self.op(TensorMatmul, &[x, w]);
        if self.below(4) == 0 {
            return y;
        }
        let bias = self.vector(0.0);
        self.either(TensorAdd, y, bias)
    }

    fn unary(&mut self, x: Value) -> Value {
        match self.below(5) {
            0 => self.op(TensorNeg, &[x]),
            1 => self.op(TensorTanh, &[x]),
            2 => {
                let x = self.times(x, 0.25);
                self.op(TensorExp, &[x])
            }
            3 => {
                let y = self.op(TensorMul, &[x, x]);
                let y = self.plus(y, 0.5);
                self.op(TensorRsqrt, &[y])
            }
            _ => {
                let y = self.plus(x, 0.75);
                self.times(y, -0.5)
            }
        }
    }

    fn binary(&mut self, x: Value) -> Value {
        let y = match self.below(5) {
            0 => self.vector(0.0),
            1 => self.number(0.375),
            _ => self.any(),
        };
        match self.below(6) {
            0 | 1 => self.either(TensorAdd, x, y),
            2 => self.either(TensorSub, x, y),
            3 => self.either(TensorMul, x, y),
            4 => self.either(TensorMax, x, y),
            _ => self.either(TensorMin, x, y),
        }
    }

    /// By something above zero, as far as the e-graph can see.
    fn divided(&mut self, x: Value) -> Value {
        let y = self.any();
        let small = self.times(y, 0.25);
        let squares = self.op(TensorMul, &[y, y]);
        let squares = self.plus_number(squares, 1.0);
        let positive = match self.below(4) {
            0 => self.op(TensorExp, &[small]),
            1 => squares,
            2 => self.op(TensorSqrt, &[squares]),
            _ => {
                let least = self.number(0.25);
                self.either(TensorMax, y, least)
            }
        };
        let x = if self.below(4) == 0 {
            self.number(1.0)
        } else {
            x
        };
        self.op(TensorDiv, &[x, positive])
    }

    /// An addition that keeps the sign visible.
    fn plus_number(&mut self, x: Value, k: f32) -> Value {
        let k = self.number(k);
        self.either(TensorAdd, x, k)
    }

    /// By erf, tanh or a sigmoid, with the factors in some order.
    fn gelu(&mut self, x: Value) -> Value {
        if self.below(4) == 0 {
            let e = self.times(x, -1.702);
            let e = self.op(TensorExp, &[e]);
            let e = self.plus_number(e, 1.0);
            return self.op(TensorDiv, &[x, e]);
        }
        let inner = match self.below(2) {
            0 => {
                let u = self.times(x, std::f32::consts::FRAC_1_SQRT_2);
                self.op(TensorErf, &[u])
            }
            _ => {
                let square = self.op(TensorMul, &[x, x]);
                let cube = self.either(TensorMul, square, x);
                let cube = self.times(cube, 0.044715);
                let u = self.either(TensorAdd, x, cube);
                let u = self.times(u, 0.797_884_6);
                self.op(TensorTanh, &[u])
            }
        };
        let inner = self.plus(inner, 1.0);
        match self.below(3) {
            0 => {
                let half = self.times(x, 0.5);
                self.either(TensorMul, half, inner)
            }
            1 => {
                let half = self.times(inner, 0.5);
                self.either(TensorMul, x, half)
            }
            _ => {
                let y = self.either(TensorMul, x, inner);
                self.times(y, 0.5)
            }
        }
    }

    /// Of rows that vary; of others a linear layer.
    fn layer_norm(&mut self, x: Value) -> Value {
        let varies = |row: &[f32]| {
            let n = row.len() as f32;
            let mean = row.iter().sum::<f32>() / n;
            let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / n;
            variance > 0.1 && variance > mean * mean
        };
        if !self.numbers_of(x).chunks(self.lanes).all(varies) {
            return self.linear(x);
        }
        let n = 1.0 / self.lanes as f32;
        let mean = self.sum(x, "sum");
        let mean = self.times(mean, n);
        let centred = self.op(TensorSub, &[x, mean]);
        let variance = match self.below(2) {
            0 => {
                let squares = self.op(TensorMul, &[centred, centred]);
                let sum = self.sum(squares, "sum");
                self.times(sum, n)
            }
            _ => {
                let squares = self.op(TensorMul, &[x, x]);
                let sum = self.sum(squares, "sum");
                let squares = self.times(sum, n);
                let square = self.op(TensorMul, &[mean, mean]);
                self.op(TensorSub, &[squares, square])
            }
        };
        let variance = self.plus_number(variance, 1e-5);
        let normal = match self.below(3) {
            0 => {
                let root = self.op(TensorRsqrt, &[variance]);
                self.either(TensorMul, centred, root)
            }
            1 => {
                let root = self.op(TensorSqrt, &[variance]);
                self.op(TensorDiv, &[centred, root])
            }
            _ => {
                let (one, root) = (self.number(1.0), self.op(TensorSqrt, &[variance]));
                let root = self.op(TensorDiv, &[one, root]);
                self.either(TensorMul, centred, root)
            }
        };
        let (gamma, beta) = (self.vector(1.0), self.vector(0.0));
        let scaled = self.either(TensorMul, normal, gamma);
        self.either(TensorAdd, scaled, beta)
    }

    /// With the scale before or after, with a mask or without, with the maximum of a row or without.
    fn attention(&mut self, x: Value) -> Value {
        let (s, n, h) = (self.rows, self.heads, self.lanes);
        let scale = 1.0 / ((h / n) as f32).sqrt();
        let mut q = self.linear(x);
        let before = self.below(3) == 0;
        if before {
            q = self.times(q, scale);
        }
        let [k, v] = [(); 2].map(|()| self.linear(x));
        let [q, k, v] = [q, k, v].map(|y| self.reshape(y, &[s, n, h / n]));
        let q = self.transpose(q, &[1, 0, 2]);
        let k = self.transpose(k, &[1, 2, 0]);
        let v = self.transpose(v, &[1, 0, 2]);
        let mut a = self.op(TensorMatmul, &[q, k]);
        if !before {
            a = self.times(a, scale);
        }
        if self.below(2) == 0 {
            a = self.either(TensorAdd, a, self.mask);
        }
        if self.below(3) > 0 {
            let max = self.sum(a, "max");
            a = self.op(TensorSub, &[a, max]);
        }
        let e = self.op(TensorExp, &[a]);
        let sum = self.sum(e, "sum");
        let weights = self.op(TensorDiv, &[e, sum]);
        let context = self.op(TensorMatmul, &[weights, v]);
        let context = self.transpose(context, &[1, 0, 2]);
        self.reshape(context, &[s, h])
    }

    /// What mostly has no form on the chip: reductions and roots by themselves, two transpositions.
    fn seldom(&mut self, x: Value) -> Value {
        match self.below(4) {
            0 => {
                let max = self.sum(x, "max");
                self.op(TensorSub, &[x, max])
            }
            1 => {
                let sum = self.sum(x, "sum");
                self.either(TensorMul, x, sum)
            }
            2 => {
                let y = self.op(TensorMul, &[x, x]);
                let y = self.plus_number(y, 0.5);
                self.op(TensorSqrt, &[y])
            }
            _ => {
                let y = self.transpose(x, &[1, 0]);
                let y = self.op(TensorTanh, &[y]);
                self.transpose(y, &[1, 0])
            }
        }
    }
}
