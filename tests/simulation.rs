//! Simulation equals reference evaluation, bit for bit: tiled `stream.*` modules go through code generation, and the
//! simulator, which knows nothing of it, must find a legal program with the same outputs.

use std::collections::BTreeMap;

use tspc::check::check;
use tspc::codegen;
use tspc::ir::eval::{Array, Data, evaluate};
use tspc::ir::{Attr, Builder, ConstData, Elem, Kind, Loc, Opcode, Type, Value};
use tspc::machine::Machine;
use tspc::sim::simulate;

/// Seeded numbers for the tests (SplitMix64).
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn i8s(&mut self, n: usize) -> Vec<i8> {
        (0..n).map(|_| self.next() as i8).collect()
    }

    fn f32s(&mut self, n: usize, scale: f32) -> Vec<f32> {
        (0..n)
            .map(|_| ((self.next() % 2001) as f32 / 1000.0 - 1.0) * scale)
            .collect()
    }
}

/// A module under construction, with its inputs.
struct Tiled {
    b: Builder,
    loc: Loc,
    seeded: Seeded,
    inputs: BTreeMap<String, Array>,
}

impl Tiled {
    fn new(seed: u64) -> Tiled {
        let mut b = Builder::new("test");
        let loc = b.locs().path("test");
        Tiled {
            b,
            loc,
            seeded: Seeded(seed),
            inputs: BTreeMap::new(),
        }
    }

    fn op(&mut self, opcode: Opcode, operands: &[Value], attrs: &[(&str, Attr)]) -> Value {
        self.b.one(opcode, operands, attrs, self.loc).unwrap()
    }

    fn input_i8(&mut self, name: &str, rows: usize, lanes: usize) -> Value {
        let data = Data::I8(self.seeded.i8s(rows * lanes));
        self.inputs
            .insert(name.into(), Array::new([rows, lanes], data).unwrap());
        self.b.input(
            name,
            Type::new(Kind::Stream, [rows, lanes], Elem::I8).unwrap(),
        )
    }

    fn input_f32(&mut self, name: &str, rows: usize, lanes: usize) -> Value {
        let data = Data::F32(self.seeded.f32s(rows * lanes, 4.0));
        self.inputs
            .insert(name.into(), Array::new([rows, lanes], data).unwrap());
        self.b.input(
            name,
            Type::new(Kind::Stream, [rows, lanes], Elem::F32).unwrap(),
        )
    }

    fn const_i8(&mut self, rows: usize, lanes: usize) -> Value {
        let data = self.seeded.i8s(rows * lanes);
        let data = ConstData::i8s(&[rows, lanes], &data).unwrap();
        self.b
            .constant_op(Opcode::StreamConstant, data, self.loc)
            .unwrap()
    }

    fn const_f32(&mut self, rows: usize, lanes: usize, scale: f32) -> Value {
        let data = self.seeded.f32s(rows * lanes, scale);
        let data = ConstData::f32s(&[rows, lanes], &data).unwrap();
        self.b
            .constant_op(Opcode::StreamConstant, data, self.loc)
            .unwrap()
    }

    fn lanes(&mut self, x: Value, start: usize, count: usize) -> Value {
        let attrs = [
            ("start", Attr::Int(start as i64)),
            ("count", Attr::Int(count as i64)),
        ];
        self.op(Opcode::StreamLanes, &[x], &attrs)
    }

    fn rows(&mut self, x: Value, start: usize, count: usize) -> Value {
        let attrs = [
            ("start", Attr::Int(start as i64)),
            ("count", Attr::Int(count as i64)),
            ("step", Attr::Int(1)),
        ];
        self.op(Opcode::StreamRows, &[x], &attrs)
    }

    fn pass(&mut self, x: Value, w: Value, partial: Option<Value>) -> Value {
        let installed = self.op(Opcode::StreamInstall, &[w], &[]);
        let operands: Vec<Value> = [x, installed].into_iter().chain(partial).collect();
        self.op(Opcode::StreamPass, &operands, &[])
    }

    /// A pipeline given as (operation, operands, immediate, type) with operands counted over inputs, then operations.
    fn pipeline(
        &mut self,
        inputs: &[Value],
        ops: &[(&'static str, &[usize], Option<f32>, Elem)],
        results: &[usize],
    ) -> Vec<Value> {
        let loc = self.loc;
        let build = |b: &mut Builder, args: &[Value]| {
            let mut values = args.to_vec();
            for (name, operands, imm, elem) in ops {
                let operands: Vec<Value> = operands.iter().map(|&o| values[o]).collect();
                let mut attrs = vec![("op", Attr::Sym(name)), ("elem", Attr::Elem(*elem))];
                if let Some(imm) = imm {
                    attrs.push(("imm", Attr::Int(i64::from(imm.to_bits()))));
                }
                values.push(b.one(Opcode::StreamAlu, &operands, &attrs, loc)?);
            }
            Ok(results.iter().map(|&r| values[r]).collect())
        };
        self.b.pipeline(inputs, loc, build).unwrap()
    }

    /// Compiles, simulates, compares with the evaluation; the latency in cycles.
    fn equal(mut self, outputs: &[Value]) -> u64 {
        let names = (0..outputs.len()).map(|i| format!("y{i}")).collect();
        self.b
            .build(
                Opcode::StreamReturn,
                outputs,
                &[("names", Attr::Strs(names))],
                self.loc,
            )
            .unwrap();
        let module = self.b.finish();
        let machine = Machine::tsp_v1();
        let want = evaluate(&module, &self.inputs).unwrap();
        let program = codegen::compile(&module, &machine).unwrap_or_else(|e| panic!("{e}"));
        let report = check(&program, &machine);
        let shown: Vec<String> = report
            .violations
            .iter()
            .take(5)
            .map(|v| v.to_string())
            .collect();
        assert!(report.accepted(), "{}", shown.join("\n"));
        let raw = self
            .inputs
            .iter()
            .map(|(name, array)| (name.clone(), bytes(&array.data)))
            .collect();
        let outcome = simulate(&program, &machine, &raw).unwrap_or_else(|fault| panic!("{fault}"));
        for (name, array) in &want {
            let (got, want) = (&outcome.outputs[name], bytes(&array.data));
            let first = got.iter().zip(&want).position(|(a, b)| a != b);
            assert_eq!(
                (got.len(), first),
                (want.len(), None),
                "output {name}: length, first byte that differs"
            );
        }
        assert_eq!(report.cycles, Some(outcome.cycles));
        outcome.cycles
    }
}

fn bytes(data: &Data) -> Vec<u8> {
    match data {
        Data::I8(v) => v.iter().map(|x| x.cast_unsigned()).collect(),
        Data::U8(v) => v.clone(),
        Data::I16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::I32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::F16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}

/// x [rows × k] times a constant [n × k]ᵀ by 320 × 320 tiles, requantised to i8 if `scale`.
fn matmul(rows: usize, k: usize, n: usize, requantise: bool) -> u64 {
    let mut t = Tiled::new((rows * 1_000_000 + k * 1_000 + n) as u64);
    let x = t.input_i8("x", rows, k);
    let w = t.const_i8(n, k);
    let mut tiles = Vec::new();
    for column in (0..n).step_by(320) {
        let columns = (n - column).min(320);
        let mut sum = None;
        for lane in (0..k).step_by(320) {
            let lanes = (k - lane).min(320);
            let tile = t.lanes(x, lane, lanes);
            let weights = t.rows(w, column, columns);
            let weights = t.lanes(weights, lane, lanes);
            sum = Some(t.pass(tile, weights, sum));
        }
        let mut y = sum.unwrap();
        if requantise {
            let scale = t.const_f32(1, columns, 0.001);
            let ops: [(&str, &[usize], Option<f32>, Elem); 3] = [
                ("cvt", &[0], None, Elem::F32),
                ("mul", &[2, 1], None, Elem::F32),
                ("cvt", &[3], None, Elem::I8),
            ];
            y = t.pipeline(&[y, scale], &ops, &[4])[0];
        }
        tiles.push(y);
    }
    let y = match tiles[..] {
        [y] => y,
        _ => t.op(
            Opcode::StreamConcat,
            &tiles,
            &[("axis", Attr::Sym("lanes"))],
        ),
    };
    t.equal(&[y])
}

#[test]
fn int8_matmul_of_any_shape() {
    for (rows, k, n) in [
        (1, 1, 1),
        (1, 10, 7),
        (7, 640, 100),
        (16, 320, 320),
        (55, 330, 161),
        (200, 384, 400),
    ] {
        matmul(rows, k, n, false);
        matmul(rows, k, n, true);
    }
}

#[test]
fn k_tiles_overlap() {
    // Nine tiles of 128 rows on four planes: three passes a plane and the trips, not nine passes and trips.
    assert!(matmul(128, 768, 768, true) < 9 * 128);
}

#[test]
fn results_are_installed_and_streamed_again() {
    // (x Wᵀ → i8) installed as weights for a second pass of itself: scores of an attention head.
    for rows in [3, 16, 40] {
        let mut t = Tiled::new(rows as u64);
        let x = t.input_i8("x", rows, 64);
        let w = t.const_i8(96, 64);
        let product = t.pass(x, w, None);
        let ops: [(&str, &[usize], Option<f32>, Elem); 3] = [
            ("cvt", &[0], None, Elem::F32),
            ("mul", &[1], Some(0.002), Elem::F32),
            ("cvt", &[2], None, Elem::I8),
        ];
        let q = t.pipeline(&[product], &ops, &[3])[0];
        let installed = t.op(Opcode::StreamInstall, &[q], &[]);
        let window = [("start", Attr::Int(32)), ("count", Attr::Int(32))];
        let head = t.op(Opcode::StreamPass, &[q, installed], &window);
        let whole = t.op(Opcode::StreamPass, &[q, installed], &[]);
        t.equal(&[head, whole]);
    }
}

#[test]
fn rows_meet_rows_of_the_same_value() {
    // One level of a maximum over rows by halves.
    let mut t = Tiled::new(5);
    let x = t.input_f32("x", 10, 48);
    let copy: [(&str, &[usize], Option<f32>, Elem); 1] = [("add", &[0], Some(0.5), Elem::F32)];
    let y = t.pipeline(&[x], &copy, &[1])[0];
    let (low, high) = (t.rows(y, 0, 5), t.rows(y, 5, 5));
    let max: [(&str, &[usize], Option<f32>, Elem); 1] = [("max", &[0, 1], None, Elem::F32)];
    let half = t.pipeline(&[low, high], &max, &[2])[0];
    let first = t.rows(half, 0, 1);
    let sub: [(&str, &[usize], Option<f32>, Elem); 1] = [("sub", &[0, 1], None, Elem::F32)];
    let z = t.pipeline(&[y, first], &sub, &[2])[0];
    t.equal(&[half, z]);
}

#[test]
fn fp16_passes_run_in_halves_of_160_lanes() {
    for (rows, k, n) in [(5, 100, 30), (20, 320, 320), (9, 161, 8)] {
        let mut t = Tiled::new(rows as u64);
        let x = t.input_f32("x", rows, k);
        let half: [(&str, &[usize], Option<f32>, Elem); 1] = [("cvt", &[0], None, Elem::F16)];
        let x = t.pipeline(&[x], &half, &[1])[0];
        let w = t.seeded.f32s(n * k, 1.0);
        let w: Vec<u8> = w
            .iter()
            .flat_map(|w| {
                tspc_num::convert(w.to_bits(), tspc_num::Type::F32, tspc_num::Type::F16)
                    .to_le_bytes()[..2]
                    .to_vec()
            })
            .collect();
        let w = ConstData::new(&[n, k], Elem::F16, w).unwrap();
        let w = t.b.constant_op(Opcode::StreamConstant, w, t.loc).unwrap();
        let y = t.pass(x, w, None);
        let scale: [(&str, &[usize], Option<f32>, Elem); 1] =
            [("mul", &[0], Some(0.125), Elem::F32)];
        let z = t.pipeline(&[y], &scale, &[1])[0];
        t.equal(&[z]);
    }
}
