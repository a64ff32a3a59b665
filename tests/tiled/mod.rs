//! Builds small tiled `stream.*` modules with seeded constants and inputs, for the tests that compile them.

#![allow(dead_code, missing_docs)] // Each test takes what it needs; the names say it.

use std::collections::BTreeMap;

use tspc::ir::eval::{Array, Data};
use tspc::ir::{Attr, Builder, ConstData, Elem, Kind, Loc, Module, Opcode, Type, Value};

/// Seeded numbers for the tests (SplitMix64).
pub struct Seeded(pub u64);

impl Seeded {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn i8s(&mut self, n: usize) -> Vec<i8> {
        (0..n).map(|_| self.next() as i8).collect()
    }

    pub fn f32s(&mut self, n: usize, scale: f32) -> Vec<f32> {
        (0..n)
            .map(|_| ((self.next() % 2001) as f32 / 1000.0 - 1.0) * scale)
            .collect()
    }
}

/// A module under construction, with its inputs.
pub struct Tiled {
    pub b: Builder,
    pub loc: Loc,
    pub seeded: Seeded,
    pub inputs: BTreeMap<String, Array>,
}

impl Tiled {
    pub fn new(seed: u64) -> Tiled {
        let mut b = Builder::new("test");
        let loc = b.locs().path("test");
        Tiled {
            b,
            loc,
            seeded: Seeded(seed),
            inputs: BTreeMap::new(),
        }
    }

    pub fn op(&mut self, opcode: Opcode, operands: &[Value], attrs: &[(&str, Attr)]) -> Value {
        self.b.one(opcode, operands, attrs, self.loc).unwrap()
    }

    pub fn input_i8(&mut self, name: &str, rows: usize, lanes: usize) -> Value {
        let data = Data::I8(self.seeded.i8s(rows * lanes));
        self.inputs
            .insert(name.into(), Array::new([rows, lanes], data).unwrap());
        self.b.input(
            name,
            Type::new(Kind::Stream, [rows, lanes], Elem::I8).unwrap(),
        )
    }

    pub fn input_f32(&mut self, name: &str, rows: usize, lanes: usize) -> Value {
        let data = Data::F32(self.seeded.f32s(rows * lanes, 4.0));
        self.inputs
            .insert(name.into(), Array::new([rows, lanes], data).unwrap());
        self.b.input(
            name,
            Type::new(Kind::Stream, [rows, lanes], Elem::F32).unwrap(),
        )
    }

    pub fn const_i8(&mut self, rows: usize, lanes: usize) -> Value {
        let data = self.seeded.i8s(rows * lanes);
        let data = ConstData::i8s(&[rows, lanes], &data).unwrap();
        self.b
            .constant_op(Opcode::StreamConstant, data, self.loc)
            .unwrap()
    }

    pub fn const_f32(&mut self, rows: usize, lanes: usize, scale: f32) -> Value {
        let data = self.seeded.f32s(rows * lanes, scale);
        let data = ConstData::f32s(&[rows, lanes], &data).unwrap();
        self.b
            .constant_op(Opcode::StreamConstant, data, self.loc)
            .unwrap()
    }

    pub fn lanes(&mut self, x: Value, start: usize, count: usize) -> Value {
        let attrs = [
            ("start", Attr::Int(start as i64)),
            ("count", Attr::Int(count as i64)),
        ];
        self.op(Opcode::StreamLanes, &[x], &attrs)
    }

    /// The lanes of rows that an install takes.
    pub fn window(&mut self, x: Value, start: usize, count: usize) -> Value {
        let attrs = [
            ("start", Attr::Int(start as i64)),
            ("count", Attr::Int(count as i64)),
        ];
        self.op(Opcode::StreamWindow, &[x], &attrs)
    }

    /// What is installed one after another.
    pub fn under(&mut self, parts: &[Value]) -> Value {
        let axis = [("axis", Attr::Sym("rows"))];
        self.op(Opcode::StreamConcat, parts, &axis)
    }

    pub fn rows(&mut self, x: Value, start: usize, count: usize) -> Value {
        let attrs = [
            ("start", Attr::Int(start as i64)),
            ("count", Attr::Int(count as i64)),
            ("step", Attr::Int(1)),
        ];
        self.op(Opcode::StreamRows, &[x], &attrs)
    }

    pub fn pass(&mut self, x: Value, w: Value, partial: Option<Value>) -> Value {
        let installed = self.op(Opcode::StreamInstall, &[w], &[]);
        let operands: Vec<Value> = [x, installed].into_iter().chain(partial).collect();
        self.op(Opcode::StreamPass, &operands, &[])
    }

    /// A pipeline given as (operation, operands, immediate, type) with operands counted over inputs, then operations.
    pub fn pipeline(
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

    /// The module that returns `outputs` as `y0`, `y1`, …, and its inputs.
    pub fn finish(mut self, outputs: &[Value]) -> (Module, BTreeMap<String, Array>) {
        let names = (0..outputs.len()).map(|i| format!("y{i}")).collect();
        self.b
            .build(
                Opcode::StreamReturn,
                outputs,
                &[("names", Attr::Strs(names))],
                self.loc,
            )
            .unwrap();
        (self.b.finish(), self.inputs)
    }
}

/// Inputs as the simulator wants them.
pub fn raw(inputs: &BTreeMap<String, Array>) -> BTreeMap<String, Vec<u8>> {
    inputs
        .iter()
        .map(|(name, array)| (name.clone(), bytes(&array.data)))
        .collect()
}

/// Little-endian elements.
pub fn bytes(data: &Data) -> Vec<u8> {
    match data {
        Data::I8(v) => v.iter().map(|x| x.cast_unsigned()).collect(),
        Data::U8(v) => v.clone(),
        Data::I16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::I32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::F16(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}
