//! Random valid modules of every dialect, from a seed.

use tspc_ir::infer::LANES;
use tspc_ir::ops::ALU_OPS;
use tspc_ir::{Attr, Builder, ConstData, Elem, Kind, Loc, Module, Opcode, Type, Value};

/// A splitmix64 generator.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 … n−1.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

struct Generator {
    random: Random,
    b: Builder,
    values: Vec<Value>,
    locs: Vec<Loc>,
}

/// A module; the seed decides dialect and contents.
pub fn module(seed: u64) -> Module {
    let mut g = Generator {
        random: Random(seed),
        b: Builder::new(format!("m{seed}")),
        values: Vec::new(),
        locs: Vec::new(),
    };
    let first = g.b.locs().path("a \"quoted\"\npath");
    g.locs.push(first);
    match seed % 3 {
        0 => g.tensor(),
        1 => g.stream(),
        _ => g.tsp(),
    }
    g.b.finish()
}

impl Generator {
    fn loc(&mut self) -> Loc {
        let (a, b) = (self.random.pick(&self.locs), self.random.pick(&self.locs));
        let n = self.random.below(100) as u32;
        let loc = match self.random.below(4) {
            0 => self.b.locs().file("f.mlir", n, 1 + n),
            1 => self.b.locs().fuse(format!("rule-{n}"), &[a, b]),
            2 => self.b.locs().path(format!("layer/{n}")),
            _ => a,
        };
        self.locs.push(loc);
        loc
    }

    /// Tries an op on random values; refused ones are forgotten.
    fn attempt(&mut self, opcode: Opcode, operands: &[Value], attrs: &[(&str, Attr)]) {
        let loc = self.loc();
        if let Ok(op) = self.b.build(opcode, operands, attrs, loc) {
            self.values.extend(&self.b.module()[op].results);
        }
    }

    fn data(&mut self, shape: &[usize], elem: Elem) -> ConstData {
        let n = shape.iter().product::<usize>() * elem.bytes();
        let bytes: Vec<u8> = (0..n).map(|_| self.random.next() as u8).collect();
        ConstData::new(shape, elem, bytes).unwrap()
    }

    fn constant(&mut self, opcode: Opcode) {
        let shape = [1 + self.random.below(4), 1 + self.random.below(6)];
        let elem = self.random.pick(&Elem::ALL);
        let data = self.data(&shape, elem);
        let value = Attr::Const(self.b.constant(data));
        self.attempt(opcode, &[], &[("value", value)]);
    }

    fn some(&mut self) -> Value {
        let values = self.values.clone();
        self.random.pick(&values)
    }

    fn tensor(&mut self) {
        use Opcode::*;
        let x = self
            .b
            .input("x", Type::new(Kind::Tensor, [3, 4], Elem::F32).unwrap());
        self.values.push(x);
        for _ in 0..40 {
            let (x, y, n) = (self.some(), self.some(), self.random.below(3) as i64);
            let elem = self.random.pick(&Elem::ALL);
            match self.random.below(10) {
                0 => self.constant(TensorConstant),
                1 => self.attempt(TensorMatmul, &[x, y], &[]),
                2 => {
                    let op = self
                        .random
                        .pick(&[TensorAdd, TensorSub, TensorMul, TensorDiv, TensorMax]);
                    self.attempt(op, &[x, y], &[]);
                }
                3 => {
                    let op = self
                        .random
                        .pick(&[TensorNeg, TensorExp, TensorErf, TensorSoftmax]);
                    self.attempt(op, &[x], &[]);
                }
                4 => self.attempt(
                    TensorReduce,
                    &[x],
                    &[("axis", n.into()), ("kind", Attr::Sym("max"))],
                ),
                5 => self.attempt(TensorTranspose, &[x], &[("perm", Attr::Ints(vec![1, 0]))]),
                6 => self.attempt(TensorConcat, &[x, y, x], &[("axis", n.into())]),
                7 => self.attempt(TensorCast, &[x], &[("elem", elem.into())]),
                8 => self.attempt(TensorQuantize, &[x, y, y], &[("elem", elem.into())]),
                _ => self.attempt(TensorGelu, &[x], &[("form", Attr::Sym("tanh"))]),
            }
        }
        let out = self.some();
        self.attempt(
            TensorReturn,
            &[out],
            &[("names", Attr::Strs(vec!["y\\".into()]))],
        );
    }

    fn stream(&mut self) {
        use Opcode::*;
        let x = self
            .b
            .input("x", Type::new(Kind::Stream, [6, 8], Elem::F16).unwrap());
        self.values.push(x);
        for _ in 0..40 {
            let (x, y, n) = (self.some(), self.some(), self.random.below(3) as i64);
            match self.random.below(8) {
                0 => self.constant(StreamConstant),
                1 => self.attempt(
                    StreamRows,
                    &[x],
                    &[
                        ("step", (-n).into()),
                        ("start", 4.into()),
                        ("count", 3.into()),
                    ],
                ),
                2 => self.attempt(
                    StreamLanes,
                    &[x],
                    &[("start", n.into()), ("count", 2.into())],
                ),
                3 => self.attempt(StreamTranspose, &[x], &[]),
                4 => self.attempt(StreamInstall, &[x], &[]),
                5 => self.attempt(StreamPass, &[x, y], &[]),
                6 => self.attempt(StreamConcat, &[x, y], &[("axis", Attr::Sym("rows"))]),
                _ => self.pipeline(x, y),
            }
        }
        let out = self.some();
        self.attempt(
            StreamReturn,
            &[out],
            &[("names", Attr::Strs(vec!["y".into()]))],
        );
    }

    fn pipeline(&mut self, x: Value, y: Value) {
        let fits = |t: &Type| t.kind == Kind::Stream && t.rank() == 2;
        let (a, b) = (self.b.ty(x).clone(), self.b.ty(y).clone());
        let inputs = if fits(&a) && a == b {
            vec![x, y]
        } else {
            vec![x]
        };
        if !fits(&a) {
            return;
        }
        let loc = self.loc();
        let steps: Vec<_> = (0..5)
            .map(|_| {
                (
                    self.random.pick(ALU_OPS),
                    self.random.pick(&Elem::ALL),
                    self.random.next(),
                )
            })
            .collect();
        let results = self.b.pipeline(&inputs, loc, |b, args| {
            let mut values = args.to_vec();
            for (op, elem, bits) in steps {
                let (x, y) = (
                    values[bits as usize % values.len()],
                    values[values.len() - 1],
                );
                let mut attrs = vec![("op", Attr::Sym(op)), ("elem", Attr::Elem(elem))];
                let pair = [x, y];
                let operands = &pair[..1 + (bits >> 8 & 1) as usize];
                if bits >> 9 & 1 == 1 {
                    attrs.push(("imm", Attr::Int(i64::from(bits as u32))));
                }
                if let Ok(value) = b.one(Opcode::StreamAlu, operands, &attrs, loc) {
                    values.push(value);
                }
            }
            Ok(vec![values[values.len() - 1]])
        });
        self.values.extend(results.unwrap());
    }

    fn tsp(&mut self) {
        use Opcode::*;
        for _ in 0..3 {
            let rows = 1 + self.random.below(20);
            let data = self.data(&[rows, LANES], Elem::I8);
            let value = Attr::Const(self.b.constant(data));
            self.attempt(TspImage, &[], &[("value", value), ("byte", 0.into())]);
        }
        for _ in 0..40 {
            let (x, y, n) = (self.some(), self.some(), self.random.below(20) as i64);
            match self.random.below(7) {
                0 => self.attempt(
                    TspRead,
                    &[x],
                    &[
                        ("start", n.into()),
                        ("step", (n % 2).into()),
                        ("count", 20.into()),
                        ("interval", 1.into()),
                    ],
                ),
                1 => self.attempt(TspJoin, &[x, y], &[("elem", Elem::F16.into())]),
                2 => {
                    let (op, elem) = (self.random.pick(ALU_OPS), self.random.pick(&Elem::ALL));
                    self.attempt(
                        TspAlu,
                        &[x, y],
                        &[("op", Attr::Sym(op)), ("elem", elem.into())],
                    );
                    self.attempt(
                        TspAlu,
                        &[x],
                        &[("op", Attr::Sym(op)), ("elem", elem.into())],
                    );
                }
                3 => self.attempt(TspLw, &[x; 16], &[("group", 0.into()), ("step", 1.into())]),
                4 => self.attempt(TspIw, &[x], &[("groups", n.into())]),
                5 => self.attempt(TspAct, &[x, y], &[]),
                _ => self.attempt(
                    TspWrite,
                    &[x],
                    &[
                        ("byte", 0.into()),
                        ("start", 0.into()),
                        ("step", 1.into()),
                        ("words", 24.into()),
                    ],
                ),
            }
        }
    }
}
