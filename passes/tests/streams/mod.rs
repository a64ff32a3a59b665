//! Untiled modules with their inputs, and the comparison of a module with its tiled form.

use std::collections::BTreeMap;
use tspc_ir::eval::{Array, Arrays, Data, evaluate};
use tspc_ir::{Attr, Builder, ConstData, Diagnostic, Elem, Kind, Loc, Module, Opcode, Type, Value};
use tspc_machine::Machine;
use tspc_passes::tile::tile;

/// One op of a pipeline: operation, operands counted over inputs, then operations, immediate, type.
pub type Alu<'a> = (&'static str, &'a [usize], Option<f32>, Elem);

/// A module under construction.
pub struct Net {
    pub b: Builder,
    pub loc: Loc,
    inputs: Arrays,
    state: u64,
}

impl Net {
    pub fn new(seed: u64) -> Net {
        let mut b = Builder::new("test");
        let loc = b.locs().path("test");
        Net {
            b,
            loc,
            inputs: BTreeMap::new(),
            state: seed,
        }
    }

    /// SplitMix64.
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Any i8, other numbers in -1 … 1.
    fn data(&mut self, n: usize, elem: Elem) -> Data {
        let mut numbers = || (self.next() % 2001) as f32 / 1000.0 - 1.0;
        let data = Data::F32((0..n).map(|_| numbers()).collect());
        match elem {
            Elem::I8 => Data::I8((0..n).map(|_| self.next() as i8).collect()),
            _ => data.convert(elem),
        }
    }

    pub fn input(&mut self, name: &str, rows: usize, lanes: usize, elem: Elem) -> Value {
        let data = self.data(rows * lanes, elem);
        self.inputs
            .insert(name.into(), Array::new([rows, lanes], data).unwrap());
        self.b
            .input(name, Type::new(Kind::Stream, [rows, lanes], elem).unwrap())
    }

    pub fn constant(&mut self, shape: &[usize], elem: Elem) -> Value {
        let data = self.data(shape.iter().product(), elem);
        self.constant_of(&Array::new(shape, data).unwrap())
    }

    /// fp32 numbers of at most this size.
    pub fn constant_f32(&mut self, shape: &[usize], scale: f32) -> Value {
        let n = shape.iter().product();
        let data = (0..n).map(|_| ((self.next() % 1000) as f32 / 1000.0 + 0.001) * scale);
        let data = data.collect();
        self.constant_of(&Array::f32s(shape, data).unwrap())
    }

    pub fn ones(&mut self, shape: &[usize], elem: Elem) -> Value {
        let data = Data::F32(vec![1.0; shape.iter().product()]).convert(elem);
        self.constant_of(&Array::new(shape, data).unwrap())
    }

    fn constant_of(&mut self, array: &Array) -> Value {
        let data: ConstData = array.to_const().unwrap();
        self.b
            .constant_op(Opcode::StreamConstant, data, self.loc)
            .unwrap()
    }

    pub fn op(&mut self, opcode: Opcode, operands: &[Value], attrs: &[(&str, Attr)]) -> Value {
        self.b.one(opcode, operands, attrs, self.loc).unwrap()
    }

    pub fn lanes(&mut self, x: Value, start: usize, count: usize) -> Value {
        let attrs = [
            ("start", Attr::Int(start as i64)),
            ("count", Attr::Int(count as i64)),
        ];
        self.op(Opcode::StreamLanes, &[x], &attrs)
    }

    pub fn rows(&mut self, x: Value, start: usize, count: usize, step: i64) -> Value {
        let attrs = [
            ("start", Attr::Int(start as i64)),
            ("count", Attr::Int(count as i64)),
            ("step", Attr::Int(step)),
        ];
        self.op(Opcode::StreamRows, &[x], &attrs)
    }

    pub fn broadcast(&mut self, x: Value, lanes: usize) -> Value {
        self.op(
            Opcode::StreamBroadcast,
            &[x],
            &[("lanes", Attr::Int(lanes as i64))],
        )
    }

    pub fn gather(&mut self, x: Value, lanes: &[usize]) -> Value {
        self.op(Opcode::StreamGather, &[x], &[("lanes", Attr::sizes(lanes))])
    }

    pub fn concat(&mut self, parts: &[Value], axis: &'static str) -> Value {
        self.op(Opcode::StreamConcat, parts, &[("axis", Attr::Sym(axis))])
    }

    pub fn heads(&mut self, x: Value, heads: usize, tile: usize) -> Value {
        let attrs = [
            ("heads", Attr::Int(heads as i64)),
            ("tile", Attr::Int(tile as i64)),
        ];
        self.op(Opcode::StreamHeads, &[x], &attrs)
    }

    pub fn merge(&mut self, x: Value, tile: usize) -> Value {
        self.op(
            Opcode::StreamMerge,
            &[x],
            &[("tile", Attr::Int(tile as i64))],
        )
    }

    pub fn transpose(&mut self, x: Value) -> Value {
        self.op(Opcode::StreamTranspose, &[x], &[])
    }

    pub fn pass(&mut self, x: Value, w: Value, partial: Option<Value>) -> Value {
        let installed = self.op(Opcode::StreamInstall, &[w], &[]);
        let operands: Vec<Value> = [x, installed].into_iter().chain(partial).collect();
        self.op(Opcode::StreamPass, &operands, &[])
    }

    /// Through a pipeline to this type, which may be the same.
    pub fn convert(&mut self, x: Value, elem: Elem) -> Value {
        let op = if self.b.ty(x).elem == elem {
            "copy"
        } else {
            "cvt"
        };
        self.pipeline(&[x], &[(op, &[0], None, elem)], &[1])[0]
    }

    pub fn pipeline(&mut self, inputs: &[Value], ops: &[Alu], results: &[usize]) -> Vec<Value> {
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

    fn finish(&mut self, outputs: &[Value]) -> Module {
        let names = (0..outputs.len()).map(|i| format!("y{i}")).collect();
        let names = [("names", Attr::Strs(names))];
        self.b
            .build(Opcode::StreamReturn, outputs, &names, self.loc)
            .unwrap();
        std::mem::replace(&mut self.b, Builder::new("done")).finish()
    }

    /// Tiles the module, checks its form and that every output keeps its bits; the tiled module.
    pub fn tiled_alike(mut self, outputs: &[Value]) -> Module {
        let source = self.finish(outputs);
        tiled_alike(&source, &self.inputs)
    }

    /// Why the module cannot be tiled.
    pub fn refused(mut self, outputs: &[Value]) -> Diagnostic {
        let source = self.finish(outputs);
        match tile(&source, &Machine::tsp_v1()) {
            Err(diagnostic) => diagnostic,
            Ok(tiled) => panic!("not refused:\n{}", tspc_ir::text::print(&tiled)),
        }
    }
}

/// The tiled form of a module, after checking it and that every output keeps its bits.
pub fn tiled_alike(source: &Module, inputs: &Arrays) -> Module {
    let tiled = tile(source, &Machine::tsp_v1()).unwrap_or_else(|d| panic!("{d}"));
    check_form(&tiled);
    let want = evaluate(source, inputs).unwrap_or_else(|d| panic!("{d}"));
    let got = evaluate(&tiled, inputs).unwrap_or_else(|d| panic!("{d}"));
    for (name, want) in want {
        let (got, n) = (&got[&name], want.data.len());
        assert_eq!(got.shape, want.shape, "output {name}");
        let (a, b) = (got.data.lanes(0..n), want.data.lanes(0..n));
        let first = a.iter().zip(&b).position(|(a, b)| a != b);
        assert_eq!(first, None, "output {name}: the first element that differs");
    }
    tiled
}

/// What code generation takes.
fn check_form(module: &Module) {
    if let Err(errors) = tspc_ir::stage::Stream::new(module.clone()) {
        panic!("{}", errors[0]);
    }
    let users = module.users();
    let made = |v: Value| module.def_op(v).map(|op| module[op].opcode);
    let filled = [Opcode::StreamConstant, Opcode::StreamGather];
    let stored = |v: Value| made(v).is_none_or(|opcode| filled.contains(&opcode));
    for &op in module.body_ops() {
        let data = &module[op];
        let narrow = |v: Value| assert!(module.ty(v).last() <= 320, "{}", module.place(op).line);
        for &v in &data.results {
            assert_eq!(module.ty(v).rank(), 2, "{}", module.place(op).line);
        }
        let only = |user: Opcode| {
            let result = tspc_ir::Entity::index(data.results[0]);
            assert!(
                users[result].iter().all(|&u| module[u].opcode == user),
                "{}",
                module.place(op).line
            );
        };
        match data.opcode {
            Opcode::StreamConstant | Opcode::StreamReturn | Opcode::StreamRows => {}
            Opcode::StreamLanes if stored(data.operands[0]) => narrow(data.results[0]),
            Opcode::StreamLanes => assert_eq!(
                data.attrs.int("start"),
                Ok(0),
                "a vector is read from lane 0 on"
            ),
            Opcode::StreamGather => {
                assert_eq!(made(data.operands[0]), None, "lanes of an input");
                narrow(data.results[0]);
            }
            Opcode::StreamBroadcast => {
                assert!(stored(data.operands[0]));
                narrow(data.results[0]);
            }
            Opcode::StreamWindow => {
                let result = tspc_ir::Entity::index(data.results[0]);
                let installed = |&u: &tspc_ir::Op| {
                    let opcode = module[u].opcode;
                    matches!(opcode, Opcode::StreamConcat | Opcode::StreamInstall)
                };
                assert!(users[result].iter().all(installed));
            }
            Opcode::StreamConcat if data.attrs.sym("axis") == Ok("rows") => {
                only(Opcode::StreamInstall);
                let (_, front) = data.operands.split_last().unwrap();
                for &part in front {
                    let group = if module.ty(part).elem == Elem::F16 {
                        8
                    } else {
                        16
                    };
                    assert_eq!(module.ty(part).shape[0] % group, 0);
                }
            }
            Opcode::StreamConcat => only(Opcode::StreamReturn),
            Opcode::StreamByte => {
                assert!(!stored(data.operands[0]));
                only(Opcode::StreamPass);
            }
            Opcode::StreamInstall => {
                assert!(made(data.operands[0]).is_some(), "an input is installed");
                assert!(module.ty(data.operands[0]).shape[0] <= 320);
                narrow(data.operands[0]);
            }
            Opcode::StreamPass | Opcode::StreamPipeline => {
                let streams = data
                    .operands
                    .iter()
                    .filter(|&&v| module.ty(v).kind == Kind::Stream);
                streams.chain(&data.results).for_each(|&v| narrow(v));
            }
            other => panic!("{} is left", other.def().name),
        }
    }
}
