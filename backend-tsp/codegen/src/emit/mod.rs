//! emit: queues of instructions, memory image, input/output table and `uses`, from `tsp.*` with all its facts.
//!
//! Before: a `tsp` module; every op on a unit says where and when. After: the program that dispatches each op in its
//! cycle. Decides nothing: cycles become nops and repeats, words become addresses, values become `uses`. What it may
//! not know: the problem that the module was lowered from.

mod facts;
mod slices;
mod uses;

use tspc_ir as ir;
use tspc_ir::Opcode;
use tspc_machine::Machine;
use tspc_program::{ImageSegment, Instr, IoEntry, IoTile, Program, QUEUES, QueueId, Site, WordRun};

use crate::Refusal;
use crate::select::{LANES, elem_type};
use facts::{Buffer, Facts};

/// The longest nop.
const NOP: i64 = u16::MAX as i64;

/// An op on a unit, with its time.
#[derive(Clone, Copy, Debug)]
struct Dispatch {
    op: ir::Op,
    queue: QueueId,
    cycle: i64,
    count: u32,
    interval: i64,
    instr: Instr,
}

/// Iterations of an op that one instruction dispatches.
#[derive(Clone, Copy, Debug)]
struct Part {
    site: Site,
    first: u32,
    count: u32,
}

/// A program under construction.
struct Emitter<'a> {
    module: &'a ir::Module,
    /// In the order of the module.
    dispatches: Vec<Dispatch>,
    /// Per op: its places in a queue, in the order of its iterations.
    sites: Vec<Vec<Part>>,
    /// Per value: cycles between its vectors.
    intervals: Vec<i64>,
}

/// Emits a program.
pub fn emit(tsp: &ir::stage::Tsp, machine: &Machine) -> Result<Program, Refusal> {
    let module = tsp.module();
    let mut emitter = Emitter {
        module,
        dispatches: Vec::new(),
        sites: vec![Vec::new(); module.ops().count()],
        intervals: vec![1; module.values().count()],
    };
    let mut image = Vec::new();
    let (mut inputs, mut outputs) = (Ports::default(), Ports::default());
    for &op in module.body_ops() {
        let facts = Facts::new(module, op);
        match module[op].opcode {
            Opcode::TspImage => image.push(image_segment(&facts)?),
            Opcode::TspInput => inputs.add(&facts, facts.buffer()?)?,
            Opcode::TspOutput => outputs.add(&facts, facts.operand(0)?.buffer()?)?,
            Opcode::TspJoin | Opcode::TspConcat => {
                let interval = emitter.interval(module[op].operands[0]);
                emitter.intervals[ir::Entity::index(module[op].results[0])] = interval;
            }
            _ => emitter.dispatch(&facts)?,
        }
    }
    image.sort_by_key(|s: &ImageSegment| (s.hemi, s.slice, s.addr));
    let queues = emitter.queues()?;
    let (uses, locations) = emitter.uses(&outputs)?;
    let program = Program {
        machine: machine.name.clone(),
        machine_hash: machine.hash.clone(),
        queues,
        image,
        inputs: inputs.0,
        outputs: outputs.0,
        uses,
        locations,
    };
    text_fits(&program, machine, &module.name)?;
    Ok(program)
}

impl Emitter<'_> {
    fn interval(&self, value: ir::Value) -> i64 {
        self.intervals[ir::Entity::index(value)]
    }

    /// Notes the instruction of an op on a unit.
    fn dispatch(&mut self, facts: &Facts) -> Result<(), Refusal> {
        let data = &self.module[facts.op];
        let (queue, instr) = facts.instruction()?;
        let flow = |i: usize| {
            let vectors = self.module.ty(data.operands[i]).last() as u32;
            (vectors, self.interval(data.operands[i]))
        };
        let (count, interval) = match data.opcode {
            Opcode::TspRead => (facts.number("count")?, facts.number("interval")?),
            Opcode::TspWrite => {
                let (vectors, between) = flow(0);
                let run = facts.write_run(vectors)?;
                (run.count as u32, run.interval * between)
            }
            Opcode::TspIw => (1, 1),
            _ => flow(0),
        };
        for &result in &data.results {
            self.intervals[ir::Entity::index(result)] = interval;
        }
        self.dispatches.push(Dispatch {
            op: facts.op,
            queue,
            cycle: facts.number("cycle")?,
            count,
            interval,
            instr,
        });
        Ok(())
    }

    /// The queues, and with them the sites.
    fn queues(&mut self) -> Result<Vec<Vec<Instr>>, Refusal> {
        let mut queues: Vec<Vec<Instr>> = vec![Vec::new(); QUEUES];
        let mut next = [0i64; QUEUES];
        let mut order: Vec<&Dispatch> = self.dispatches.iter().collect();
        order.sort_by_key(|d| (d.queue, d.cycle));
        for run in order.chunk_by(|a, b| a.queue == b.queue) {
            for turn in slices::turns(run) {
                let d = turn.dispatches[0];
                let (queue, free) = (&mut queues[d.queue.index()], &mut next[d.queue.index()]);
                let refuse = |message: String| Facts::new(self.module, d.op).refuse(message);
                if turn.cycle < *free {
                    let message = format!(
                        "{} is busy until cycle {free}, needed at {}",
                        d.queue, turn.cycle
                    );
                    return Err(refuse(message));
                }
                if turn.conflicts() {
                    let message = format!("{} is needed twice in cycle {}", d.queue, turn.cycle);
                    return Err(refuse(message));
                }
                wait(queue, turn.cycle - *free);
                let site = Site {
                    queue: d.queue,
                    index: queue.len() as u32,
                };
                for d in &turn.dispatches {
                    self.sites[ir::Entity::index(d.op)].push(Part {
                        site,
                        first: turn.first(d),
                        count: turn.count,
                    });
                }
                queue.push(turn.instr());
                if turn.count > 1 {
                    let fits = |n: i64| u16::try_from(n).ok();
                    let (n, interval) = (i64::from(turn.count) - 1, turn.interval);
                    let (Some(n), Some(d)) = (fits(n), fits(interval)) else {
                        return Err(refuse(format!(
                            "{n} repeats every {interval} cycles do not fit 16 bits"
                        )));
                    };
                    queue.push(Instr::Repeat { n, d });
                }
                *free = turn.end();
            }
        }
        Ok(queues)
    }
}

/// Nops for a gap: a nop of n takes n cycles in all.
fn wait(queue: &mut Vec<Instr>, mut gap: i64) {
    while gap > 0 {
        let n = gap.min(NOP);
        queue.push(Instr::Nop { n: n as u16 });
        gap -= n;
    }
}

/// A byte plane of the constant, a word per row.
fn image_segment(facts: &Facts) -> Result<ImageSegment, Refusal> {
    let Buffer {
        hemi, slice, addr, ..
    } = facts.buffer()?;
    let constant = facts.module.constant(facts.op);
    let constant = constant.ok_or_else(|| facts.refuse("its constant is not in the pool"))?;
    let (size, byte) = (constant.elem.bytes(), facts.number::<u32>("byte")? as usize);
    let columns = constant.shape[1];
    let bytes = if size == 1 && columns == LANES {
        constant.data.to_vec()
    } else {
        let mut bytes = vec![0; constant.shape[0] * LANES];
        let rows = constant.data.chunks_exact(columns * size);
        for (word, row) in bytes.chunks_exact_mut(LANES).zip(rows) {
            let plane = row.iter().skip(byte).step_by(size);
            word.iter_mut().zip(plane).for_each(|(b, p)| *b = *p);
        }
        bytes
    };
    Ok(ImageSegment {
        hemi,
        slice,
        addr,
        bytes,
    })
}

/// Inputs or outputs, in order of appearance.
#[derive(Default)]
struct Ports(Vec<IoEntry>);

impl Ports {
    /// Adds the byte plane that a `tsp.input` or `tsp.output` names; planes come in order of tile and byte.
    fn add(&mut self, facts: &Facts, buffer: Buffer) -> Result<(), Refusal> {
        let name = facts.attr(|a| a.str("name"))?;
        let entry = match self.0.iter().position(|e| e.name == name) {
            Some(i) => &mut self.0[i],
            None => {
                self.0.push(IoEntry {
                    name: name.to_string(),
                    elem: elem_type(facts.attr(|a| a.elem("elem"))?),
                    rows: facts.number("rows")?,
                    cols: facts.number("cols")?,
                    tiles: Vec::new(),
                });
                self.0.last_mut().expect("just pushed")
            }
        };
        let (tile, byte): (usize, usize) = (facts.number("tile")?, facts.number("byte")?);
        if tile == entry.tiles.len() {
            let lanes = facts.lanes(tile, entry.cols)?;
            let planes = Vec::new();
            entry.tiles.push(IoTile { lanes, planes });
        }
        let tiles = entry.tiles.len();
        let planes = entry.tiles.last_mut().map(|t| &mut t.planes);
        match planes {
            Some(planes) if tile + 1 == tiles && byte == planes.len() => {
                planes.push(vec![WordRun {
                    hemi: buffer.hemi,
                    slice: buffer.slice,
                    addr: buffer.addr,
                    step: 1,
                    count: entry.rows,
                }])
            }
            _ => {
                let message =
                    format!("byte {byte} of tile {tile} of {name}, expected planes in order");
                return Err(facts.refuse(message));
            }
        }
        Ok(())
    }
}

/// Program text lives in reserved slices and nowhere else.
fn text_fits(program: &Program, machine: &Machine, name: &str) -> Result<(), Refusal> {
    let cost = |instr: &Instr| match instr {
        Instr::Nop { .. } | Instr::Repeat { .. } => u64::from(machine.text_bytes_nop_repeat),
        _ => u64::from(machine.text_bytes_instruction),
    };
    let need: u64 = program.queues.iter().flatten().map(cost).sum();
    let slices = machine.text_slices_west.len() + machine.text_slices_east.len();
    let words = u64::from(machine.mem_banks) * u64::from(machine.mem_words_per_bank);
    let room = slices as u64 * words * LANES as u64;
    if need <= room {
        return Ok(());
    }
    Err(Refusal {
        location: name.to_string(),
        message: format!(
            "the program text takes {need} bytes, {} more than the {room} bytes of the {slices} reserved slices",
            need - room
        ),
    })
}

#[cfg(test)]
mod tests;
