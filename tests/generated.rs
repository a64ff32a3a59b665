//! Seeded random modules through all levels: passes of int8 and fp16 with constant and computed weights, windows of
//! both, partial sums, pipelines, views and broadcasts in any order.

#[path = "tiled/compare.rs"]
mod compare;
mod tiled;

use tspc::ir::{Attr, ConstData, Elem, Opcode, Value};

use compare::levels;
use tiled::Tiled;

/// Clamps, so that no product overflows, and converts.
const TO_F16: &[(&str, &[usize], Option<f32>, Elem)] = &[
    ("mul", &[0], Some(0.015625), Elem::F32),
    ("max", &[1], Some(-4.0), Elem::F32),
    ("min", &[2], Some(4.0), Elem::F32),
    ("cvt", &[3], None, Elem::F16),
];
const TO_I8: &[(&str, &[usize], Option<f32>, Elem)] = &[
    ("mul", &[0], Some(0.01), Elem::F32),
    ("add", &[1], Some(3.0), Elem::F32),
    ("cvt", &[2], None, Elem::I8),
];
const FROM_I8: &[(&str, &[usize], Option<f32>, Elem)] = &[("cvt", &[0], None, Elem::F32)];

struct Random {
    t: Tiled,
    /// Computed values that a pass may take and install.
    values: Vec<Value>,
    outputs: Vec<Value>,
}

impl Random {
    fn below(&mut self, n: usize) -> usize {
        (self.t.seeded.next() % n as u64) as usize
    }

    fn size(&mut self, most: usize) -> usize {
        match self.below(4) {
            0 => most,
            1 => 1 + self.below(most),
            2 => 1 + self.below(20.min(most)),
            _ => 16.min(most) * (1 + self.below(most.div_ceil(32))),
        }
    }

    fn shape(&self, v: Value) -> (usize, usize, Elem) {
        let ty = self.t.b.ty(v);
        (ty.shape[0], ty.last(), ty.elem)
    }

    fn any(&mut self) -> Value {
        let i = self.below(self.values.len());
        self.values[i]
    }

    fn weights(&mut self, columns: usize, lanes: usize, elem: Elem) -> Value {
        if elem == Elem::I8 {
            return self.t.const_i8(columns, lanes);
        }
        let w = self.t.seeded.f32s(columns * lanes, 1.0);
        let half = |w: f32| tspc_num::convert(w.to_bits(), Elem::F32, Elem::F16).to_le_bytes();
        let bytes: Vec<u8> = w.into_iter().flat_map(|w| half(w)[..2].to_vec()).collect();
        let w = ConstData::new(&[columns, lanes], Elem::F16, bytes).unwrap();
        self.t
            .b
            .constant_op(Opcode::StreamConstant, w, self.t.loc)
            .unwrap()
    }

    /// f32 of any value, back to int8 or fp16.
    fn requantise(&mut self, wide: Value) {
        let ops = if self.below(2) == 0 { TO_I8 } else { TO_F16 };
        let results = self.t.pipeline(&[wide], ops, &[ops.len(), ops.len() - 1]);
        self.values.push(results[0]);
        if self.below(3) == 0 {
            self.outputs.push(results[1]);
        }
    }

    fn pass(&mut self) {
        let x = self.any();
        let (rows, lanes, elem) = self.shape(x);
        let installed = self.any();
        let same = |(r, l, e): (usize, usize, Elem)| r <= 320 && l == lanes && e == elem;
        let w = match same(self.shape(installed)) && self.below(2) == 0 {
            true => installed,
            false => {
                let columns = self.size(320);
                self.weights(columns, lanes, elem)
            }
        };
        let columns = self.shape(w).0;
        let w = match self.below(4) {
            0 => {
                let start = self.below(lanes);
                let count = 1 + self.below(lanes - start);
                self.t.window(w, start, count)
            }
            _ => w,
        };
        let installed = self.t.op(Opcode::StreamInstall, &[w], &[]);
        let mut operands = vec![x, installed];
        if self.below(3) == 0 {
            let w = self.weights(columns, lanes, elem);
            operands.push(self.t.pass(x, w, None));
        }
        let mut window = Vec::new();
        if self.below(3) == 0 {
            let start = self.below(lanes);
            let count = 1 + self.below(lanes - start);
            window = vec![
                ("start", Attr::Int(start as i64)),
                ("count", Attr::Int(count as i64)),
            ];
        }
        let sum = self.t.op(Opcode::StreamPass, &operands, &window);
        assert_eq!(self.shape(sum).0, rows);
        match (elem, self.below(5)) {
            (_, 0) => self.outputs.push(sum),
            (Elem::I8, _) => {
                let wide = self.t.pipeline(&[sum], FROM_I8, &[1])[0];
                self.requantise(wide);
            }
            _ => self.requantise(sum),
        }
    }

    fn rows(&mut self) {
        let x = self.any();
        let rows = self.shape(x).0;
        let start = self.below(rows);
        let count = 1 + self.below(rows - start);
        let view = self.t.rows(x, start, count);
        self.combine(view);
    }

    /// A pipeline over two values of as many lanes whose rows meet.
    fn combine(&mut self, x: Value) {
        let (rows, lanes, _) = self.shape(x);
        let other = self.any();
        let (r, l, _) = self.shape(other);
        let y = match l == lanes && (r == rows || r == 1 || rows == 1) {
            true => other,
            false => self.t.const_f32(1, lanes, 2.0),
        };
        let wide = |elem| if elem == Elem::F32 { "copy" } else { "cvt" };
        let (a, b) = (wide(self.shape(x).2), wide(self.shape(y).2));
        let ops: [(&str, &[usize], Option<f32>, Elem); 3] = [
            (a, &[0], None, Elem::F32),
            (b, &[1], None, Elem::F32),
            ("sub", &[2, 3], None, Elem::F32),
        ];
        let sum = self.t.pipeline(&[x, y], &ops, &[4])[0];
        self.requantise(sum);
    }
}

fn generated(seed: u64) {
    let mut t = Tiled::new(seed);
    let (rows, lanes) = (
        1 + (t.seeded.next() % 40) as usize,
        1 + (t.seeded.next() % 320) as usize,
    );
    let x = t.input_f32("x", rows, lanes);
    let mut random = Random {
        t,
        values: Vec::new(),
        outputs: Vec::new(),
    };
    random.requantise(x);
    for _ in 0..12 {
        match random.below(4) {
            0 => random.rows(),
            1 => {
                let x = random.any();
                random.combine(x);
            }
            _ => random.pass(),
        }
    }
    random.outputs.extend(random.values.last());
    let outputs = random.outputs;
    levels(random.t, &outputs);
}

#[test]
fn random_modules_agree_on_all_levels() {
    for seed in 0..24 {
        let done = std::panic::catch_unwind(|| generated(seed));
        assert!(done.is_ok(), "seed {seed}; the reason is above");
    }
}
