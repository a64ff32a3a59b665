//! Graphs from texts such as `(mul x (add 1 (erf (div x 1.4142135))))`: operations of `tensor.*`, numbers, inputs,
//! constants of the model, and names that stand for other texts.

use tspc_ir::eval::{Array, Arrays};
use tspc_ir::{Attr, Builder, ConstData, Elem, Kind, Loc, Module, Opcode, Type, Value};

/// Rows, lanes, heads.
const S: usize = 12;
const H: usize = 48;
const HEADS: usize = 3;
/// Lanes of a head: its root is a number whose own root is one, too.
const D: usize = H / HEADS;

/// What stands for what, in this order; `S`, `H`, `N` and `D` in shapes are rows, lanes, heads, lanes of a head.
const NAMES: &[(&str, &str)] = &[
    ("$context", "(reshape (transpose $weighted 1 0 2) S H)"),
    ("$weighted", "(matmul $softmax $v)"),
    ("$softmax", "(div $e (sum $e))"),
    ("$e", "(exp (sub $a (max $a)))"),
    ("$a", "(add (div $s 4) mask)"),
    ("$s", "(matmul $q $k)"),
    ("$q", "(transpose (reshape $lq S N D) 1 0 2)"),
    ("$k", "(transpose (reshape $lk S N D) 1 2 0)"),
    ("$v", "(transpose (reshape $lv S N D) 1 0 2)"),
    ("$lq", "(add (matmul x wq) bq)"),
    ("$lk", "(add (matmul x wk) bk)"),
    ("$lv", "(add (matmul x wv) bv)"),
    (
        "$layernorm",
        "(add (mul (div $c (sqrt (add $var 1e-12))) gamma) beta)",
    ),
    ("$var", "(div (sum (mul $c $c)) 48)"),
    ("$c", "(sub x $m)"),
    ("$m", "(div (sum x) 48)"),
    ("$y", "(add (matmul x wq) bq)"),
];

/// The module that computes a text; `with` stands before the names above.
pub fn graph(text: &str, with: &[(&str, &str)]) -> Module {
    let mut text = text.to_string();
    // Names stand for texts with names; the longest name first, so that none is read as the start of another.
    let mut names: Vec<&(&str, &str)> = with.iter().chain(NAMES).collect();
    names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    while text.contains('$') {
        let at = text.rfind('$').unwrap();
        let name = names.iter().find(|(name, _)| text[at..].starts_with(name));
        let (name, long) = name.unwrap_or_else(|| panic!("{text}"));
        text.replace_range(at..at + name.len(), long);
    }
    let mut b = Builder::new("spelled");
    let loc = b.locs().path("spelled");
    let mut input = |name: &str, rows, lanes| {
        let ty = Type::new(Kind::Tensor, [rows, lanes], Elem::F32).unwrap();
        b.input(name, ty)
    };
    let inputs = vec![("x", input("x", S, H)), ("mask", input("mask", 1, S))];
    let mut graph = Graph { b, loc, inputs };
    let y = graph.value(&Expr::read(&text));
    let names = [("names", Attr::Strs(vec!["y".into()]))];
    graph
        .b
        .build(Opcode::TensorReturn, &[y], &names, loc)
        .unwrap();
    graph.b.finish()
}

/// Values of the inputs, with the shapes that a module declares.
pub fn inputs(module: &Module) -> Arrays {
    let values = |(name, value): (&str, Value)| {
        let data = match name {
            "mask" => mask(),
            _ => numbers(1, S * H, 2.0),
        };
        let shape = module.ty(value).shape.clone();
        (name.to_string(), Array::f32s(shape, data).unwrap())
    };
    module.inputs().map(values).collect()
}

/// 1 where there is a token.
fn mask() -> Vec<f32> {
    (0..S).map(|i| f32::from(i < 9)).collect()
}

/// Numbers below a bound (SplitMix64).
fn numbers(seed: u64, count: usize, bound: f32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    (0..count)
        .map(|_| ((next() % 20_001) as f32 / 10_000.0 - 1.0) * bound)
        .collect()
}

struct Graph {
    b: Builder,
    loc: Loc,
    inputs: Vec<(&'static str, Value)>,
}

impl Graph {
    fn value(&mut self, expr: &Expr) -> Value {
        let parts = match expr {
            Expr::Word(word) => return self.atom(word),
            Expr::List(parts) => parts,
        };
        let Some((Expr::Word(name), rest)) = parts.split_first() else {
            panic!("{expr:?}");
        };
        let view = ["reshape", "transpose", "slice"].contains(&name.as_str());
        let (operands, sizes) = rest.split_at(if view { 1 } else { rest.len() });
        let values: Vec<Value> = operands.iter().map(|e| self.value(e)).collect();
        let sizes: Vec<usize> = sizes.iter().map(size).collect();
        self.op(name, &values, &sizes)
    }

    fn op(&mut self, name: &str, values: &[Value], sizes: &[usize]) -> Value {
        let last = self.b.ty(values[0]).rank() as i64 - 1;
        let reduce = |kind| vec![("kind", Attr::Sym(kind)), ("axis", Attr::Int(last))];
        let (opcode, attrs) = match (name, values.len()) {
            ("sum", 1) => (Opcode::TensorReduce, reduce("sum")),
            ("max", 1) => (Opcode::TensorReduce, reduce("max")),
            ("reshape", 1) => (Opcode::TensorReshape, vec![("shape", Attr::sizes(sizes))]),
            ("transpose", 1) => (Opcode::TensorTranspose, vec![("perm", Attr::sizes(sizes))]),
            ("slice", 1) => {
                let attrs = [("starts", [0, sizes[0]]), ("sizes", [S, sizes[1]])];
                let attrs = attrs.map(|(name, sizes)| (name, Attr::sizes(&sizes)));
                (Opcode::TensorSlice, attrs.to_vec())
            }
            _ => {
                let opcode = match name {
                    "matmul" => Opcode::TensorMatmul,
                    "add" => Opcode::TensorAdd,
                    "sub" => Opcode::TensorSub,
                    "mul" => Opcode::TensorMul,
                    "div" => Opcode::TensorDiv,
                    "max" => Opcode::TensorMax,
                    "neg" => Opcode::TensorNeg,
                    "exp" => Opcode::TensorExp,
                    "tanh" => Opcode::TensorTanh,
                    "erf" => Opcode::TensorErf,
                    "sqrt" => Opcode::TensorSqrt,
                    "rsqrt" => Opcode::TensorRsqrt,
                    "softmax" => Opcode::TensorSoftmax,
                    _ => panic!("{name}"),
                };
                (opcode, Vec::new())
            }
        };
        let made = self.b.one(opcode, values, &attrs, self.loc);
        made.unwrap_or_else(|d| panic!("{name}: {d}"))
    }

    fn atom(&mut self, word: &str) -> Value {
        if let Some((_, input)) = self.inputs.iter().find(|(name, _)| *name == word) {
            return *input;
        }
        if let Ok(number) = word.parse::<f32>() {
            return self.constant(&[], &[number]);
        }
        let matrix = |seed| numbers(seed, H * H, 0.3);
        let transposed =
            |m: &[f32]| -> Vec<f32> { (0..H * H).map(|i| m[i % H * H + i / H]).collect() };
        let vector = |seed| numbers(seed, H, 0.5);
        let beside = |parts: &[Vec<f32>], rows: usize| -> Vec<f32> {
            let row = |r: usize| parts.iter().flat_map(move |p| &p[r * H..(r + 1) * H]);
            (0..rows).flat_map(row).copied().collect()
        };
        let (shape, data) = match word {
            "wq" => (vec![H, H], matrix(10)),
            "wk" => (vec![H, H], matrix(11)),
            "wv" => (vec![H, H], matrix(12)),
            "wq-turned" => (vec![H, H], transposed(&matrix(10))),
            "wqkv" => (vec![H, 3 * H], beside(&[10, 11, 12].map(matrix), H)),
            "bq" => (vec![H], vector(20)),
            "bk" => (vec![H], vector(21)),
            "bv" => (vec![H], vector(22)),
            "bqkv" => (vec![3 * H], beside(&[20, 21, 22].map(vector), 1)),
            "bq-parts" => (vec![HEADS, D], vector(20)),
            "bq-heads" => (vec![HEADS, 1, D], vector(20)),
            "gamma" => (vec![H], vector(23)),
            "beta" => (vec![H], vector(24)),
            _ => panic!("{word}"),
        };
        self.constant(&shape, &data)
    }

    fn constant(&mut self, shape: &[usize], data: &[f32]) -> Value {
        let data = ConstData::f32s(shape, data).unwrap();
        let made = self.b.constant_op(Opcode::TensorConstant, data, self.loc);
        made.unwrap_or_else(|d| panic!("{d}"))
    }
}

fn size(expr: &Expr) -> usize {
    match expr {
        Expr::Word(word) => match word.as_str() {
            "S" => S,
            "H" => H,
            "N" => HEADS,
            "D" => D,
            number => number.parse().unwrap_or_else(|_| panic!("{number}")),
        },
        list => panic!("{list:?}"),
    }
}

/// A text in brackets, read.
#[derive(Debug)]
enum Expr {
    Word(String),
    List(Vec<Expr>),
}

impl Expr {
    fn read(text: &str) -> Expr {
        let spaced = text.replace('(', " ( ").replace(')', " ) ");
        let mut open = vec![Vec::new()];
        for word in spaced.split_whitespace() {
            match word {
                "(" => open.push(Vec::new()),
                ")" => {
                    let list = Expr::List(open.pop().unwrap());
                    open.last_mut()
                        .expect("no bracket closes too much")
                        .push(list);
                }
                word => open.last_mut().unwrap().push(Expr::Word(word.to_string())),
            }
        }
        assert!(open.len() == 1 && open[0].len() == 1, "{text}");
        open.remove(0).remove(0)
    }
}
