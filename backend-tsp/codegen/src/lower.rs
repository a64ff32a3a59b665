//! lower: from timed runs with addresses to `tsp.*`, one op per run; emit reads nothing but that module.
//!
//! Before: every run knows its queue, cycle, streams and operands, every buffer its words. After: a module of the `tsp`
//! stage with all facts, buffers first, then runs in the order in which they got their time, producers first; outputs
//! last. Decides nothing.

use std::collections::BTreeMap;

use tspc_ir as ir;
use tspc_ir::{Attr, Builder, ConstData, Opcode};
use tspc_program::{
    AluInstr, Direction, ElemType, Hemisphere, Operand, ResultMode, Stream, SxmUnit, Unit,
};

use crate::Refusal;
use crate::allocate::Allocated;
use crate::place::Place;
use crate::problem::{BufferId, Origin, Port};
use crate::run::{Action, Makers, Run, RunId};

type Attrs = Vec<(&'static str, Attr)>;

/// Lanes of a word.
const LANES: usize = 320;

/// Builds the module of an allocated problem.
pub fn lower_allocated(allocated: &Allocated, name: &str) -> Result<ir::stage::Tsp, Refusal> {
    let runs = &allocated.scheduled.runs;
    let mut lowering = Lowering {
        allocated,
        b: Builder::new(name),
        buffers: vec![None; allocated.words.len()],
        values: vec![Vec::new(); runs.len()],
        joins: BTreeMap::new(),
        concats: BTreeMap::new(),
    };
    lowering.constants()?;
    lowering.inputs()?;
    for r in 0..runs.len() {
        lowering.run(r)?;
    }
    lowering.outputs()?;
    ir::stage::Tsp::new(lowering.b.finish()).map_err(|errors| Refusal {
        location: name.to_string(),
        message: errors
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
    })
}

struct Lowering<'a> {
    allocated: &'a Allocated,
    b: Builder,
    /// Per buffer: what it holds by now.
    buffers: Vec<Option<ir::Value>>,
    /// Per run: its results, several of a distributor alone.
    values: Vec<Vec<ir::Value>>,
    joins: BTreeMap<(Vec<Makers>, ElemType), ir::Value>,
    concats: BTreeMap<Makers, ir::Value>,
}

impl Lowering<'_> {
    fn place(&self, buffer: BufferId) -> Place {
        self.allocated.scheduled.placed.of(buffer)
    }

    fn op(
        &mut self,
        opcode: Opcode,
        operands: &[ir::Value],
        attrs: Attrs,
        loc: ir::Loc,
    ) -> Result<Option<ir::Value>, Refusal> {
        let results = self.results(opcode, operands, attrs, loc)?;
        Ok(results.first().copied())
    }

    fn results(
        &mut self,
        opcode: Opcode,
        operands: &[ir::Value],
        attrs: Attrs,
        loc: ir::Loc,
    ) -> Result<Vec<ir::Value>, Refusal> {
        let op = self.b.build(opcode, operands, &attrs, loc);
        let op = op.map_err(|d| Refusal {
            location: d.primary.at.clone(),
            message: d.message.clone(),
        })?;
        Ok(self.b.module()[op].results.clone())
    }

    /// The facts of a buffer.
    fn buffer_facts(&self, buffer: BufferId) -> Attrs {
        let place = self.place(buffer);
        let word = self.allocated.words[buffer.0 as usize].unwrap_or(0);
        vec![
            ("hemisphere", hemisphere(place.hemi)),
            ("slice", int(place.slice)),
            ("bank", int(place.bank)),
            ("word", int(word)),
        ]
    }

    fn constants(&mut self) -> Result<(), Refusal> {
        let allocated = self.allocated;
        let loc = self.b.locs().path("image");
        for (b, buffer) in allocated
            .scheduled
            .placed
            .problem
            .buffers
            .iter()
            .enumerate()
        {
            let Origin::Constant(bytes) = &buffer.origin else {
                continue;
            };
            if allocated.words[b].is_none() {
                continue;
            }
            let shape = [buffer.words as usize, LANES];
            let data = ConstData::new(&shape, ir::Elem::I8, bytes.as_slice());
            let data = data.map_err(|message| Refusal {
                location: "image".to_string(),
                message,
            })?;
            let constant = self.b.constant(data);
            let mut attrs: Attrs = vec![("value", constant.into()), ("byte", int(0u8))];
            attrs.extend(self.buffer_facts(BufferId(b as u32)));
            self.buffers[b] = self.op(Opcode::TspImage, &[], attrs, loc)?;
        }
        Ok(())
    }

    fn inputs(&mut self) -> Result<(), Refusal> {
        let allocated = self.allocated;
        for port in &allocated.scheduled.placed.problem.inputs {
            let loc = self.b.locs().path(&port.name);
            for (tile, byte, buffer) in planes(port) {
                let mut attrs = port_attrs(port, tile, byte);
                attrs.extend(self.buffer_facts(buffer));
                self.buffers[buffer.0 as usize] = self.op(Opcode::TspInput, &[], attrs, loc)?;
            }
        }
        Ok(())
    }

    fn outputs(&mut self) -> Result<(), Refusal> {
        let allocated = self.allocated;
        for port in &allocated.scheduled.placed.problem.outputs {
            let loc = self.b.locs().path(&port.name);
            for (tile, byte, buffer) in planes(port) {
                let mem = self.held(buffer)?;
                self.op(Opcode::TspOutput, &[mem], port_attrs(port, tile, byte), loc)?;
            }
        }
        Ok(())
    }

    /// What a buffer holds.
    fn held(&self, buffer: BufferId) -> Result<ir::Value, Refusal> {
        self.buffers[buffer.0 as usize].ok_or_else(|| Refusal {
            location: format!("buffer {}", buffer.0),
            message: "is read before anything writes it".to_string(),
        })
    }

    /// The vectors that these runs make, one run's after another's.
    fn made(&mut self, makers: &[RunId], loc: ir::Loc) -> Result<ir::Value, Refusal> {
        if let [one] = makers {
            return self.value(*one);
        }
        if let Some(&there) = self.concats.get(makers) {
            return Ok(there);
        }
        let parts = makers.iter().map(|m| self.value(*m));
        let parts: Vec<ir::Value> = parts.collect::<Result<_, _>>()?;
        let all = self.op(Opcode::TspConcat, &parts, Vec::new(), loc)?;
        let all = all.expect("a concatenation has a result");
        self.concats.insert(makers.to_vec(), all);
        Ok(all)
    }

    /// The vectors that these runs make on an outward stream: a distributor makes those of several.
    fn made_on(
        &mut self,
        makers: &[RunId],
        stream: u8,
        loc: ir::Loc,
    ) -> Result<ir::Value, Refusal> {
        let runs = &self.allocated.scheduled.runs;
        if let [one] = makers
            && let Action::Distribute { dst, .. } = runs[one.0 as usize].action
            && let Some(&made) = self.values[one.0 as usize].get(usize::from(stream - dst))
        {
            return Ok(made);
        }
        self.made(makers, loc)
    }

    fn all_made(&mut self, takes: &[Makers], loc: ir::Loc) -> Result<Vec<ir::Value>, Refusal> {
        takes.iter().map(|makers| self.made(makers, loc)).collect()
    }

    fn value(&self, run: RunId) -> Result<ir::Value, Refusal> {
        self.values[run.0 as usize].first().copied().ok_or_else(|| {
            let run = &self.allocated.scheduled.runs[run.0 as usize];
            let message = format!(
                "{} is taken before it dispatches in cycle {}",
                run.queue, run.cycle
            );
            self.refusal(run, message)
        })
    }

    fn refusal(&self, run: &Run, message: String) -> Refusal {
        let chains = &self.allocated.scheduled.placed.problem.chains;
        Refusal {
            location: chains[run.chain as usize].location.clone(),
            message,
        }
    }

    /// The byte sequences of these runs as one sequence of elements.
    fn sequence(
        &mut self,
        bytes: &[Makers],
        ty: ElemType,
        loc: ir::Loc,
    ) -> Result<ir::Value, Refusal> {
        let first = self.made(&bytes[0], loc)?;
        if self.b.ty(first).elem == elem(ty) && bytes.iter().all(|b| *b == bytes[0]) {
            return Ok(first);
        }
        let key = (bytes.to_vec(), ty);
        if let Some(&there) = self.joins.get(&key) {
            return Ok(there);
        }
        let operands = self.all_made(bytes, loc)?;
        let attrs = vec![("elem", elem(ty).into())];
        let joined = self.op(Opcode::TspJoin, &operands, attrs, loc)?;
        let joined = joined.expect("a join has a result");
        self.joins.insert(key, joined);
        Ok(joined)
    }

    fn run(&mut self, r: usize) -> Result<(), Refusal> {
        let allocated = self.allocated;
        let scheduled = &allocated.scheduled;
        let run = &scheduled.runs[r];
        let location = &scheduled.placed.problem.chains[run.chain as usize].location;
        let loc = self.b.locs().path(location);
        let cycle = ("cycle", Attr::Int(run.cycle));
        let takes = &run.takes[..];
        let (opcode, operands, mut attrs) = match run.action {
            Action::Read {
                stream,
                buffer,
                start,
                step,
            } => {
                let mut attrs = vec![
                    ("start", int(start)),
                    ("step", int(step)),
                    ("count", int(run.count)),
                    ("interval", int(run.interval)),
                ];
                attrs.extend(stream_facts(stream));
                (Opcode::TspRead, vec![self.held(buffer)?], attrs)
            }
            Action::Write {
                stream,
                byte,
                first,
                buffer,
            } => {
                let mut attrs = vec![
                    ("byte", int(byte)),
                    ("start", int(0u8)),
                    ("step", int(1u8)),
                    ("words", int(run.count)),
                ];
                let x = self.made(&takes[0], loc)?;
                if run.count as usize != self.b.ty(x).last() {
                    attrs.extend([
                        ("first", int(first)),
                        ("interval", int(run.interval)),
                        ("count", int(run.count)),
                    ]);
                }
                attrs.extend(self.buffer_facts(buffer));
                attrs.extend(stream_facts(stream));
                (Opcode::TspWrite, vec![x], attrs)
            }
            Action::Alu(alu) => self.alu(&alu, run, loc)?,
            Action::Lw { group, b, f16 } => {
                let mut attrs = vec![
                    ("group", int(group)),
                    ("step", int(u8::from(run.count > 1))),
                ];
                attrs.extend(f16.map(|half| ("half", int(half))));
                attrs.extend(self.plane_facts(run)?);
                attrs.push(("stream", int(b)));
                let streams = takes.iter().zip(b..);
                let loaded = streams.map(|(makers, stream)| self.made_on(makers, stream, loc));
                (Opcode::TspLw, loaded.collect::<Result<_, _>>()?, attrs)
            }
            Action::Iw { groups, .. } => {
                let mut attrs = vec![("groups", int(groups))];
                attrs.extend(self.plane_facts(run)?);
                (Opcode::TspIw, self.all_made(takes, loc)?, attrs)
            }
            Action::Act { stream, ty } => {
                let (weights, bytes) = takes.split_last().expect("an activation meets weights");
                let x = self.sequence(bytes, ty, loc)?;
                let mut attrs = self.plane_facts(run)?;
                attrs.push(("stream", int(stream)));
                (Opcode::TspAct, vec![x, self.made(weights, loc)?], attrs)
            }
            Action::Accumulate { partial, d } => {
                let mut operands = vec![self.made(&takes[0], loc)?];
                let mut attrs = self.plane_facts(run)?;
                if let Some(s) = partial {
                    let ty = match self.b.ty(operands[0]).elem {
                        ir::Elem::F32 => ElemType::F32,
                        _ => ElemType::I32,
                    };
                    operands.push(self.sequence(&takes[1..], ty, loc)?);
                    attrs.push(("stream", int(s)));
                }
                attrs.push(("dst", int(d)));
                (Opcode::TspAccumulate, operands, attrs)
            }
            Action::Distribute {
                stream,
                ty,
                map,
                dst,
            } => {
                let (map_run, bytes) = takes.split_last().expect("a distributor takes a map");
                let mut operands = vec![self.made(map_run, loc)?];
                for bytes in bytes.chunks(usize::from(ty.bytes())) {
                    operands.push(self.sequence(bytes, ty, loc)?);
                }
                let Unit::Sxm(hemi, SxmUnit::Distributor(unit)) = run.queue.unit() else {
                    return Err(self.refusal(run, format!("{} is no distributor", run.queue)));
                };
                let attrs = vec![
                    ("hemisphere", hemisphere(hemi)),
                    ("unit", int(unit)),
                    ("stream", int(stream)),
                    ("map", int(map)),
                    ("dst", int(dst)),
                    ("mode", Attr::Sym("on")),
                ];
                (Opcode::TspDistribute, operands, attrs)
            }
        };
        attrs.push(cycle);
        self.values[r] = self.results(opcode, &operands, attrs, loc)?;
        if let Action::Write { buffer, .. } = run.action {
            self.buffers[buffer.0 as usize] = self.values[r].first().copied();
        }
        Ok(())
    }

    fn alu(
        &mut self,
        alu: &AluInstr,
        run: &Run,
        loc: ir::Loc,
    ) -> Result<(Opcode, Vec<ir::Value>, Attrs), Refusal> {
        let Unit::Alu(number) = run.queue.unit() else {
            return Err(self.refusal(run, format!("{} is no ALU", run.queue)));
        };
        let mut attrs: Attrs = vec![
            ("op", Attr::Sym(alu.op.name())),
            ("elem", elem(alu.ty).into()),
        ];
        let mut operands = Vec::new();
        let mut takes = &run.takes[..];
        for operand in [Some(alu.a), alu.b].into_iter().flatten() {
            match operand {
                Operand::Imm => {
                    attrs.push(("imm", int(alu.imm)));
                    if operands.is_empty() && alu.b.is_some() {
                        attrs.push(("imm_first", Attr::Bool(true)));
                    }
                }
                Operand::Stream { ty, .. } => {
                    let (bytes, rest) = takes.split_at(usize::from(ty.bytes()));
                    operands.push(self.sequence(bytes, ty, loc)?);
                    takes = rest;
                }
            }
        }
        attrs.push(("alu", int(number)));
        attrs.extend(stream_facts(alu.result));
        let mode = match alu.mode {
            ResultMode::Mesh => "mesh",
            ResultMode::Out => "out",
        };
        attrs.push(("mode", Attr::Sym(mode)));
        Ok((Opcode::TspAlu, operands, attrs))
    }

    fn plane_facts(&self, run: &Run) -> Result<Attrs, Refusal> {
        match run.queue.unit() {
            Unit::Mxm(hemi, plane, _) => Ok(vec![
                ("hemisphere", hemisphere(hemi)),
                ("plane", int(plane)),
            ]),
            _ => Err(self.refusal(run, format!("{} is no plane", run.queue))),
        }
    }
}

/// Tile, byte and buffer of each plane of a port.
fn planes(port: &Port) -> impl Iterator<Item = (usize, usize, BufferId)> {
    port.tiles
        .iter()
        .enumerate()
        .flat_map(|(tile, (_, buffers))| {
            let bytes = buffers.iter().enumerate();
            bytes.map(move |(byte, buffer)| (tile, byte, *buffer))
        })
}

fn port_attrs(port: &Port, tile: usize, byte: usize) -> Attrs {
    let mut attrs = vec![
        ("name", Attr::Str(port.name.clone())),
        ("elem", elem(port.elem).into()),
        ("rows", int(port.rows)),
        ("cols", int(port.cols)),
        ("tile", Attr::Int(tile as i64)),
        ("byte", Attr::Int(byte as i64)),
    ];
    let columns = port.tiles[tile].0.iter();
    let mut columns: Vec<i64> = columns.map(|c| c.map_or(-1, i64::from)).collect();
    let used = columns
        .iter()
        .rposition(|c| *c >= 0)
        .map_or(0, |last| last + 1);
    columns.truncate(used);
    let start = (tile * LANES) as i64;
    let usual = start..(start + LANES as i64).min(i64::from(port.cols));
    if !usual.eq(columns.iter().copied()) {
        attrs.push(("columns", Attr::Ints(columns)));
    }
    attrs
}

fn int(n: impl Into<i64>) -> Attr {
    Attr::Int(n.into())
}

fn hemisphere(hemi: Hemisphere) -> Attr {
    Attr::Sym(["west", "east"][hemi.index()])
}

fn stream_facts(stream: Stream) -> Attrs {
    let dir = match stream.dir {
        Direction::West => "west",
        Direction::East => "east",
    };
    vec![("dir", Attr::Sym(dir)), ("stream", int(stream.id))]
}

/// The language's name of an element type.
fn elem(ty: ElemType) -> ir::Elem {
    match ty {
        ElemType::I8 => ir::Elem::I8,
        ElemType::U8 => ir::Elem::U8,
        ElemType::I16 => ir::Elem::I16,
        ElemType::I32 => ir::Elem::I32,
        ElemType::F16 => ir::Elem::F16,
        ElemType::F32 => ir::Elem::F32,
    }
}
