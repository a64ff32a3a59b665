//! The programs that are changed, with the inputs that they run on.

use std::collections::BTreeMap;

use tspc::codegen;
use tspc::ir::{Attr, ConstData, Elem, Opcode, Value};
use tspc::machine::Machine;
use tspc::program::Program;

use crate::tiled::{Seeded, Tiled, raw};

/// Raw little-endian elements of each input or output.
pub type Arrays = BTreeMap<String, Vec<u8>>;

/// A program under test.
pub struct Compiled {
    pub name: &'static str,
    pub program: Program,
    pub machine: Machine,
    /// A change of data must be visible on one of these.
    pub inputs: Vec<Arrays>,
}

/// Compiles a module; its inputs once as they are, once with the rows of each in reverse.
fn compiled(name: &'static str, tiled: Tiled, outputs: &[Value]) -> Compiled {
    let (module, inputs) = tiled.finish(outputs);
    let machine = Machine::tsp_v1();
    let program = codegen::compile(&module, &machine).unwrap_or_else(|e| panic!("{name}: {e}"));
    let first = raw(&inputs);
    let mut second = first.clone();
    for (input, bytes) in &mut second {
        let rows = program
            .inputs
            .iter()
            .find(|e| e.name == *input)
            .unwrap()
            .rows;
        let row = bytes.len() / rows as usize;
        *bytes = bytes.chunks(row).rev().flatten().copied().collect();
    }
    Compiled {
        name,
        program,
        machine,
        inputs: vec![first, second],
    }
}

type Op<'a> = (&'static str, &'a [usize], Option<f32>, Elem);

/// int8, two K tiles on two N tiles, partial sums from memory, scaled to i8 by columns.
pub fn matmul() -> Compiled {
    let mut t = Tiled::new(11);
    let x = t.input_i8("x", 12, 480);
    let w = t.const_i8(400, 480);
    let mut tiles = Vec::new();
    for (start, count) in [(0, 320), (320, 80)] {
        let rows = t.rows(w, start, count);
        let mut sum = None;
        for (lane, lanes) in [(0, 320), (320, 160)] {
            let (x, w) = (t.lanes(x, lane, lanes), t.lanes(rows, lane, lanes));
            sum = Some(t.pass(x, w, sum));
        }
        let scales: Vec<f32> = (0..count).map(|i| 0.0005 + i as f32 * 1e-6).collect();
        let scales = ConstData::f32s(&[1, count], &scales).unwrap();
        let scale =
            t.b.constant_op(Opcode::StreamConstant, scales, t.loc)
                .unwrap();
        let ops: [Op; 3] = [
            ("cvt", &[0], None, Elem::F32),
            ("mul", &[2, 1], None, Elem::F32),
            ("cvt", &[3], None, Elem::I8),
        ];
        tiles.push(t.pipeline(&[sum.unwrap(), scale], &ops, &[4])[0]);
    }
    let axis = [("axis", Attr::Sym("lanes"))];
    let y = t.op(Opcode::StreamConcat, &tiles, &axis);
    compiled("int8 matmul", t, &[y])
}

/// Results that are installed and streamed again, one of them through a lane window, one into windows.
pub fn attention() -> Compiled {
    let mut t = Tiled::new(12);
    let x = t.input_i8("x", 24, 64);
    let w = t.const_i8(96, 64);
    let product = t.pass(x, w, None);
    let ops: [Op; 3] = [
        ("cvt", &[0], None, Elem::F32),
        ("mul", &[1], Some(0.002), Elem::F32),
        ("cvt", &[2], None, Elem::I8),
    ];
    let q = t.pipeline(&[product], &ops, &[3])[0];
    let installed = t.op(Opcode::StreamInstall, &[q], &[]);
    let window = [("start", Attr::Int(32)), ("count", Attr::Int(32))];
    let head = t.op(Opcode::StreamPass, &[q, installed], &window);
    let whole = t.op(Opcode::StreamPass, &[q, installed], &[]);
    let (rows, rest) = (t.rows(q, 0, 16), t.rows(q, 16, 8));
    let parts = [t.window(rows, 0, 32), t.window(rest, 32, 64)];
    let both = t.under(&parts);
    let both = t.pass(q, both, None);
    compiled("scores of a head", t, &[head, whole, both])
}

/// fp16, two K halves.
pub fn halves() -> Compiled {
    let mut t = Tiled::new(13);
    let (rows, k, n) = (9, 320, 40);
    let x = t.input_f32("x", rows, k);
    let x = t.pipeline(&[x], &[("cvt", &[0], None, Elem::F16)], &[1])[0];
    let w = half_floats(&mut t.seeded, n * k);
    let w = ConstData::new(&[n, k], Elem::F16, w).unwrap();
    let w = t.b.constant_op(Opcode::StreamConstant, w, t.loc).unwrap();
    let y = t.pass(x, w, None);
    let ops: [Op; 2] = [
        ("mul", &[0], Some(0.125), Elem::F32),
        ("tanh", &[1], None, Elem::F32),
    ];
    let z = t.pipeline(&[y], &ops, &[2])[0];
    compiled("fp16 halves", t, &[z])
}

fn half_floats(seeded: &mut Seeded, n: usize) -> Vec<u8> {
    use tspc_num::{Type, convert};
    let half = |x: f32| convert(x.to_bits(), Type::F32, Type::F16).to_le_bytes();
    let values = seeded.f32s(n, 1.0).into_iter().map(half);
    values.flat_map(|[a, b, ..]| [a, b]).collect()
}

/// Operations that a rule of [`crate::equivalence`] tells apart from one another, and one that it does not.
pub fn signs() -> Compiled {
    let mut t = Tiled::new(15);
    let x = t.input_f32("x", 4, 32);
    let ops: [Op; 5] = [
        ("mul", &[0, 0], None, Elem::F32),
        ("relu", &[1], None, Elem::F32),
        ("relu", &[0], None, Elem::F32),
        ("max", &[3, 3], None, Elem::F32),
        ("sub", &[2, 4], None, Elem::F32),
    ];
    let y = t.pipeline(&[x], &ops, &[5])[0];
    compiled("signs", t, &[y])
}

/// A factor that is squared and one that is not, a floor under a sum.
pub fn floor() -> Compiled {
    let mut t = Tiled::new(16);
    let x = t.input_f32("x", 4, 32);
    let ops: [Op; 5] = [
        ("mul", &[0], Some(0.125), Elem::F32),
        ("mul", &[1, 1], None, Elem::F32),
        ("mul", &[2], Some(2.0), Elem::F32),
        ("max", &[3], Some(0.0), Elem::F32),
        ("add", &[4], Some(1e-3), Elem::F32),
    ];
    let y = t.pipeline(&[x], &ops, &[5])[0];
    compiled("floor", t, &[y])
}

/// A maximum over rows by halves, and rows that meet one row; a statistic of each row.
pub fn rows() -> Compiled {
    let mut t = Tiled::new(14);
    let x = t.input_f32("x", 10, 48);
    let y = t.pipeline(&[x], &[("add", &[0], Some(0.5), Elem::F32)], &[1])[0];
    let (low, high) = (t.rows(y, 0, 5), t.rows(y, 5, 5));
    let half = t.pipeline(&[low, high], &[("max", &[0, 1], None, Elem::F32)], &[2])[0];
    let first = t.rows(half, 0, 1);
    let ops: [Op; 4] = [
        ("sub", &[0, 1], None, Elem::F32),
        ("mul", &[2, 2], None, Elem::F32),
        ("add", &[3], Some(1.0), Elem::F32),
        ("rsqrt", &[4], None, Elem::F32),
    ];
    let z = t.pipeline(&[y, first], &ops, &[5])[0];
    compiled("rows", t, &[half, z])
}
