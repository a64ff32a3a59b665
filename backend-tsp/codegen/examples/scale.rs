//! How code generation scales: encoder-like blocks of 128 rows, with the time of each step.
//!
//! `cargo run --release -p tspc-codegen --example scale -- [chains] [strands]`; blocks of different strands are independent.

use std::time::Instant;

use tspc_codegen::{allocate, emit, lower_allocated, place, schedule, select};
use tspc_ir::{Attr, Builder, ConstData, Diagnostic, Elem, Kind, Loc, Module, Opcode, Type, Value};
use tspc_machine::Machine;

const ROWS: usize = 128;
const WIDTH: usize = 768;
/// Columns of a tile.
const TILES: [usize; 3] = [320, 320, 128];
/// Different weight matrices; blocks beyond them use these again, so that any number of chains fits the memory.
const MATRICES: usize = 64;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let number =
        |i: usize, default: usize| std::env::args().nth(i).map_or(Ok(default), |n| n.parse());
    let (chains, strands) = (number(1, 2000)?, number(2, 1)?);
    let machine = Machine::tsp_v1();
    let module = encoder(chains, strands)?;
    let mut clock = Clock(Instant::now());
    let problem = select(&module, &machine)?;
    let (chains, buffers) = (problem.chains.len(), problem.buffers.len());
    clock.lap("select");
    let placed = place(problem, &machine)?;
    clock.lap("place");
    let scheduled = schedule(placed, &machine)?;
    let runs = scheduled.runs.len();
    clock.lap("schedule");
    let allocated = allocate(scheduled, &machine)?;
    clock.lap("allocate");
    let tsp = lower_allocated(&allocated, &module.name)?;
    clock.lap("lower");
    let program = emit(&tsp, &machine)?;
    clock.lap("emit");
    println!(
        "{chains} chains, {buffers} buffers, {runs} runs, {} bytes of text",
        program.text_bytes()
    );
    Ok(())
}

struct Clock(Instant);

impl Clock {
    fn lap(&mut self, step: &str) {
        println!("{step:>9} {:8.3} s", self.0.elapsed().as_secs_f64());
        self.0 = Instant::now();
    }
}

struct Blocks {
    b: Builder,
    loc: Loc,
    matrices: Vec<Value>,
    scale: Value,
    chains: usize,
}

/// Blocks of a linear layer, products of its result with itself, and a maximum over rows, until there are enough chains.
fn encoder(chains: usize, strands: usize) -> Result<Module, Diagnostic> {
    let mut b = Builder::new("scale");
    let loc = b.locs().path("scale");
    let mut tiles = Vec::new();
    for (i, lanes) in TILES.into_iter().enumerate() {
        let ty = Type::new(Kind::Stream, [ROWS, lanes], Elem::I8).expect("a small type");
        tiles.push(b.input(format!("x{i}"), ty));
    }
    let scale = ConstData::f32s(&[1, 320], &[0.001; 320]).expect("320 numbers");
    let scale = b.constant_op(Opcode::StreamConstant, scale, loc)?;
    let mut blocks = Blocks {
        b,
        loc,
        matrices: Vec::new(),
        scale,
        chains: 0,
    };
    let mut block = 0;
    let mut tiles = vec![tiles; strands.max(1)];
    while blocks.chains < chains {
        blocks.loc = blocks.b.locs().path(format!("block/{block}"));
        let strand = block % tiles.len();
        tiles[strand] = blocks.block(&tiles[strand].clone(), block)?;
        block += 1;
    }
    let tiles = tiles.concat();
    let names = (0..tiles.len()).map(|i| format!("y{i}")).collect();
    let attrs = [("names", Attr::Strs(names))];
    blocks
        .b
        .build(Opcode::StreamReturn, &tiles, &attrs, blocks.loc)?;
    Ok(blocks.b.finish())
}

impl Blocks {
    fn view(
        &mut self,
        opcode: Opcode,
        x: Value,
        start: usize,
        count: usize,
    ) -> Result<Value, Diagnostic> {
        let mut attrs = vec![
            ("start", Attr::Int(start as i64)),
            ("count", Attr::Int(count as i64)),
        ];
        if opcode == Opcode::StreamRows {
            attrs.push(("step", Attr::Int(1)));
        }
        self.b.one(opcode, &[x], &attrs, self.loc)
    }

    fn matrix(&mut self, i: usize) -> Result<Value, Diagnostic> {
        let i = i % MATRICES;
        if i == self.matrices.len() {
            let bytes: Vec<u8> = (0..WIDTH * WIDTH)
                .map(|k| ((k * 31 + i * 7) % 251) as u8)
                .collect();
            let data = ConstData::new(&[WIDTH, WIDTH], Elem::I8, bytes).expect("its size");
            self.matrices
                .push(self.b.constant_op(Opcode::StreamConstant, data, self.loc)?);
        }
        Ok(self.matrices[i])
    }

    fn pass(
        &mut self,
        x: Value,
        weights: Value,
        partial: Option<Value>,
    ) -> Result<Value, Diagnostic> {
        let installed = self
            .b
            .one(Opcode::StreamInstall, &[weights], &[], self.loc)?;
        let operands: Vec<Value> = [x, installed].into_iter().chain(partial).collect();
        self.chains += 1;
        self.b.one(Opcode::StreamPass, &operands, &[], self.loc)
    }

    fn requantise(&mut self, x: Value, lanes: usize) -> Result<Value, Diagnostic> {
        let scale = self.view(Opcode::StreamLanes, self.scale, 0, lanes)?;
        let loc = self.loc;
        let out = self.b.pipeline(&[x, scale], loc, |b, args| {
            let alu = |b: &mut Builder, op, operands: &[Value], elem| {
                let attrs = [("op", Attr::Sym(op)), ("elem", Attr::Elem(elem))];
                b.one(Opcode::StreamAlu, operands, &attrs, loc)
            };
            let wide = alu(b, "cvt", &[args[0]], Elem::F32)?;
            let scaled = alu(b, "mul", &[wide, args[1]], Elem::F32)?;
            Ok(vec![alu(b, "cvt", &[scaled], Elem::I8)?])
        })?;
        Ok(out[0])
    }

    fn block(&mut self, x: &[Value], number: usize) -> Result<Vec<Value>, Diagnostic> {
        let w = self.matrix(number)?;
        let mut y = Vec::new();
        let mut column = 0;
        for columns in TILES {
            let (mut sum, mut lane) = (None, 0);
            for (x, lanes) in x.iter().zip(TILES) {
                let rows = self.view(Opcode::StreamRows, w, column, columns)?;
                let weights = self.view(Opcode::StreamLanes, rows, lane, lanes)?;
                sum = Some(self.pass(*x, weights, sum)?);
                lane += lanes;
            }
            y.push(self.requantise(sum.expect("three tiles"), columns)?);
            column += columns;
        }
        // The last tile by itself, as scores are, and their maximum over rows.
        let (last, lanes) = (y[2], TILES[2]);
        let scores = self.pass(last, last, None)?;
        let mut max = self.requantise(scores, lanes)?;
        let mut rows = ROWS;
        while rows > 1 {
            rows /= 2;
            let (low, high) = (
                self.view(Opcode::StreamRows, max, 0, rows)?,
                self.view(Opcode::StreamRows, max, rows, rows)?,
            );
            max = self.larger(low, high)?;
        }
        y[2] = self.larger(last, max)?;
        Ok(y)
    }

    fn larger(&mut self, a: Value, b: Value) -> Result<Value, Diagnostic> {
        let loc = self.loc;
        self.chains += 1;
        let out = self.b.pipeline(&[a, b], loc, |b, args| {
            let alu = |b: &mut Builder, op, operands: &[Value], elem| {
                let attrs = [("op", Attr::Sym(op)), ("elem", Attr::Elem(elem))];
                b.one(Opcode::StreamAlu, operands, &attrs, loc)
            };
            let (x, y) = (
                alu(b, "cvt", &[args[0]], Elem::F32)?,
                alu(b, "cvt", &[args[1]], Elem::F32)?,
            );
            let max = alu(b, "max", &[x, y], Elem::F32)?;
            Ok(vec![alu(b, "cvt", &[max], Elem::I8)?])
        })?;
        Ok(out[0])
    }
}
