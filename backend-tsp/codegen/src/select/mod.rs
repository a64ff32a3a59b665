//! select: from tiled `stream.*` to chains and buffers.
//!
//! Before: every stream has at most 320 lanes and no batch dimension, weights come from `stream.install`.
//! After: a problem: each pipeline is a chain, together with the passes that only it reads; each view of a value that
//! some chain takes is a buffer of its own, so that a chain never needs one word twice in a cycle.
//! Decides no place and no time, and changes no rounding.

mod beyond;
mod groups;
mod live;
mod memory;
mod views;

use std::collections::BTreeMap;

use tspc_ir as ir;
use tspc_ir::Opcode;
use tspc_machine::Machine;
use tspc_program::{AluOp, ElemType};

use crate::Refusal;
use crate::mesh::{Arg, Node};
use crate::problem::{
    BufferId, Chain, Feed, Install, Partial, Pass, Port, Problem, Segment, Vxm, Write,
};
use beyond::{Beyond, Product};
use groups::Groups;
use memory::Memory;
pub use views::{LANES, refuse};
use views::{View, Window, installed_parts, lane_parts, resolve, whole};

/// The chip's name of an element type.
pub fn elem_type(elem: ir::Elem) -> ElemType {
    match elem {
        ir::Elem::I8 => ElemType::I8,
        ir::Elem::U8 => ElemType::U8,
        ir::Elem::I16 => ElemType::I16,
        ir::Elem::I32 => ElemType::I32,
        ir::Elem::F16 => ElemType::F16,
        ir::Elem::F32 => ElemType::F32,
    }
}

/// Selects a tiled module.
pub fn select(module: &ir::Module, machine: &Machine) -> Result<Problem, Refusal> {
    let mut selector = Selector {
        module,
        machine,
        beyond: Beyond::new(module),
        groups: Groups::new(module, &module.users(), machine)?,
        memory: Memory::new(module),
        chains: Vec::new(),
        results: Vec::new(),
    };
    for &op in module.body_ops() {
        match module[op].opcode {
            Opcode::StreamPass if !selector.groups.joins(op) => selector.pass_chain(op)?,
            Opcode::StreamPipeline => selector.pipeline_chain(op)?,
            _ => {}
        }
    }
    selector.finish()
}

struct Selector<'a> {
    module: &'a ir::Module,
    machine: &'a Machine,
    beyond: Beyond,
    groups: Groups,
    memory: Memory<'a>,
    chains: Vec<Chain>,
    /// Per chain, its result values with the VXM node that makes each.
    results: Vec<Vec<(ir::Value, usize)>>,
}

impl Selector<'_> {
    fn location(&self, op: ir::Op) -> String {
        self.module.locs().describe(self.module[op].loc)
    }

    /// Passes whose result goes to memory.
    fn pass_chain(&mut self, op: ir::Op) -> Result<(), Refusal> {
        let (passes, _) = self.passes(op)?;
        self.memory.next_chain();
        let result = self.module[op].results[0];
        let rows = self.module.ty(result).shape[0] as u32;
        let location = self.location(op);
        self.push(
            Chain {
                rows,
                passes,
                vxm: None,
                writes: Vec::new(),
                location,
            },
            vec![(result, 0)],
        );
        Ok(())
    }

    fn push(&mut self, chain: Chain, results: Vec<(ir::Value, usize)>) {
        self.chains.push(chain);
        self.results.push(results);
    }

    /// The passes of the chain that ends with an op, and the place among them of each `stream.pass`.
    fn passes(&mut self, end: ir::Op) -> Result<(Vec<Pass>, BTreeMap<ir::Op, usize>), Refusal> {
        let members = self.groups.of(end).to_vec();
        let (mut passes, mut places) = (Vec::new(), BTreeMap::new());
        for pass in members {
            self.pass(pass, &mut passes)?;
            places.insert(pass, passes.len() - 1);
        }
        Ok((passes, places))
    }

    /// The chip passes of a `stream.pass`, one for each half of its K lanes that counts.
    fn pass(&mut self, op: ir::Op, passes: &mut Vec<Pass>) -> Result<(), Refusal> {
        let data = &self.module[op];
        let (x, weights) = (data.operands[0], data.operands[1]);
        let install = self
            .module
            .def_op(weights)
            .expect("weights come from an op");
        let parts = installed_parts(self.module, self.module[install].operands[0])?;
        let mut partial = match data.operands.get(2) {
            Some(&v) => {
                let view = whole(self.module, v)?;
                Some(Partial::Memory(self.memory.rows(op, &view)?))
            }
            None => None,
        };
        let act = resolve(self.module, x)?;
        let window = self.window(op, x, install)?;
        let halves = halves(self.module, op, self.machine)?;
        for (i, half) in halves.iter().enumerate() {
            let weights = self.module[install].operands[0];
            let install = self.install(op, weights, &parts, *half)?;
            let act = self.memory.rows(op, &act)?;
            let window = window.map(|window| self.memory.lane_window(window));
            let pass = Pass {
                install,
                act,
                window,
                partial: partial.take(),
            };
            if i + 1 == halves.len() || self.groups.relays_halves() {
                passes.push(pass);
                partial = Some(Partial::Relay);
                continue;
            }
            let rows = self.module.ty(data.results[0]).shape[0] as u32;
            let (source, writes) = self.memory.scratch(ElemType::F32, rows);
            self.memory.next_chain();
            let location = self.location(op);
            let chain = Chain {
                rows,
                passes: vec![pass],
                vxm: None,
                writes,
                location,
            };
            self.push(chain, Vec::new());
            partial = Some(Partial::Memory(source));
        }
        Ok(())
    }

    /// The lanes that count, where others would add something.
    fn window(&self, op: ir::Op, x: ir::Value, install: ir::Op) -> Result<Option<Window>, Refusal> {
        let attrs = &self.module[op].attrs;
        let lanes = self.module.ty(x).last();
        let source = self.module[install].operands[0];
        let sources = match self.module.def_op(source) {
            Some(c) if self.module[c].opcode == Opcode::StreamConcat => {
                &self.module[c].operands[..]
            }
            _ => &[source],
        };
        let beyond = match self.beyond.product(self.module, x, sources) {
            _ if lanes == LANES => None,
            Product::Nothing => None,
            Product::NothingInWindow => Some((0, lanes)),
            Product::Unknown => {
                let message =
                    format!("the installed value may hold infinities beyond its {lanes} lanes");
                return Err(refuse(self.module, op, message));
            }
        };
        if !attrs.has("start") {
            return Ok(beyond);
        }
        let get = |name: &str| attrs.size(name).map_err(|e| refuse(self.module, op, e));
        Ok(Some((get("start")?, get("count")?)))
    }

    fn install(
        &mut self,
        op: ir::Op,
        weights: ir::Value,
        parts: &[(View, Option<Window>)],
        half: Option<u8>,
    ) -> Result<Install, Refusal> {
        let (all, least) = match half {
            None => (
                self.machine.mxm_groups_i8,
                self.machine.mxm_iw_min_groups_i8,
            ),
            Some(_) => (
                self.machine.mxm_groups_f16,
                self.machine.mxm_iw_min_groups_f16,
            ),
        };
        let per = LANES / all as usize;
        let columns: usize = parts.iter().map(|(p, _)| p.count).sum();
        if columns > LANES {
            return Err(refuse(
                self.module,
                op,
                format!("{columns} weight columns, at most {LANES} fit a plane"),
            ));
        }
        let groups = (columns.div_ceil(per)).max(least as usize) as u8;
        let mut segments: Vec<Segment> = Vec::new();
        let mut group = 0u8;
        let windowed = parts.iter().any(|(_, window)| window.is_some());
        for (i, (part, window)) in parts.iter().enumerate() {
            if i + 1 < parts.len() && part.count % per != 0 {
                let message = format!(
                    "{} columns before others, expected a multiple of {per}",
                    part.count
                );
                return Err(refuse(self.module, op, message));
            }
            // Of zeros no lane needs to be seen.
            let whole = if self.zeros(part) {
                (0, 0)
            } else {
                (0, part.lanes)
            };
            let window = window.unwrap_or(whole);
            for mut segment in self.memory.columns(op, part, group, per)? {
                group = segment.group + segment.count;
                segment.window = windowed.then(|| self.memory.install_window(window));
                segments.push(segment);
            }
        }
        if let Some(last) = segments.last().filter(|_| group < groups) {
            let mut zeros = self.memory.zero_columns(last, groups - group);
            zeros.window = windowed.then(|| self.memory.install_window((0, 0)));
            segments.push(zeros);
        }
        self.memory.next_install();
        Ok(Install {
            weights: ir::Entity::index(weights) as u32,
            segments,
            groups,
            f16: half,
        })
    }

    /// Whether a view shows a constant of zeros.
    fn zeros(&self, view: &View) -> bool {
        let op = self.module.def_op(view.root);
        let constant = op.and_then(|op| self.module.constant(op));
        constant.is_some_and(|c| c.data.iter().all(|b| *b == 0))
    }

    fn pipeline_chain(&mut self, op: ir::Op) -> Result<(), Refusal> {
        let data = &self.module[op];
        let block = data.region.expect("a pipeline has a region");
        let (passes, places) = self.passes(op)?;
        let mut feeds = Vec::new();
        for &operand in &data.operands {
            let made = self.module.def_op(operand);
            feeds.push(match made.and_then(|made| places.get(&made)) {
                Some(&pass) => Feed::Pass(pass),
                None => {
                    let view = whole(self.module, operand)?;
                    Feed::Memory(self.memory.rows(op, &view)?)
                }
            });
        }
        self.memory.next_chain();
        let mut args: BTreeMap<ir::Value, Arg> = self.module[block]
            .args
            .iter()
            .enumerate()
            .map(|(i, &v)| (v, Arg::Input(i)))
            .collect();
        let mut nodes: Vec<Node> = Vec::new();
        let mut results = Vec::new();
        for &inner in &self.module[block].ops {
            let alu = &self.module[inner];
            if alu.opcode == Opcode::StreamYield {
                for (&result, value) in data.results.iter().zip(&alu.operands) {
                    let node = match args[value] {
                        Arg::Node(node) => node,
                        // An input that leaves as it came still has to be emitted by an ALU.
                        arg => {
                            let ty = elem_type(self.module.ty(*value).elem);
                            nodes.push(Node {
                                op: AluOp::Copy,
                                args: vec![arg],
                                imm: 0,
                                ty,
                            });
                            nodes.len() - 1
                        }
                    };
                    results.push((result, node));
                }
                continue;
            }
            nodes.push(self.node(inner, &args)?);
            args.insert(alu.results[0], Arg::Node(nodes.len() - 1));
        }
        let rows = data
            .results
            .iter()
            .map(|&v| self.module.ty(v).shape[0])
            .max()
            .unwrap_or(1) as u32;
        let location = self.location(op);
        let vxm = Some(Vxm {
            feeds,
            nodes,
            outputs: Vec::new(),
        });
        self.push(
            Chain {
                rows,
                passes,
                vxm,
                writes: Vec::new(),
                location,
            },
            results,
        );
        Ok(())
    }

    fn node(&self, op: ir::Op, args: &BTreeMap<ir::Value, Arg>) -> Result<Node, Refusal> {
        let data = &self.module[op];
        let wrong = |e: String| refuse(self.module, op, e);
        let name = data.attrs.sym("op").map_err(wrong)?;
        let alu = AluOp::ALL.iter().copied().find(|o| o.name() == name);
        let alu = alu.ok_or_else(|| wrong(format!("the VXM has no operation `{name}`")))?;
        let imm = data.attrs.imm().map_err(wrong)?;
        let mut operands: Vec<Arg> = data.operands.iter().map(|v| args[v]).collect();
        if imm.is_some() {
            let at = if data.attrs.flag("imm_first") {
                0
            } else {
                operands.len()
            };
            operands.insert(at, Arg::Imm);
        }
        let ty = elem_type(self.module.ty(data.results[0]).elem);
        Ok(Node {
            op: alu,
            args: operands,
            imm: imm.unwrap_or(0),
            ty,
        })
    }

    /// Adds what is known only at the end: which views of each result somebody takes.
    fn finish(mut self) -> Result<Problem, Refusal> {
        let mut inputs = Vec::new();
        for (name, value) in self.module.inputs() {
            inputs.push((name.to_string(), value));
        }
        let mut outputs = Vec::new();
        for (name, value) in self.module.outputs() {
            let parts = lane_parts(self.module, value)?;
            let ty = self.module.ty(value);
            let mut tiles = Vec::new();
            let mut column = 0u32;
            for part in &parts {
                let (lane, buffers) = self.memory.output(part).map_err(|why| Refusal {
                    location: format!("output {name}"),
                    message: why,
                })?;
                tiles.push((lanes(lane, column, part.lanes), buffers));
                column += part.lanes as u32;
            }
            outputs.push(Port {
                name: name.to_string(),
                elem: elem_type(ty.elem),
                rows: ty.shape[0] as u32,
                cols: ty.last() as u32,
                tiles,
            });
        }
        for (chain, results) in self.chains.iter_mut().zip(&self.results) {
            for (value, node) in results {
                let writes = self.memory.writes_of(*value);
                if writes.is_empty() {
                    continue;
                }
                let output = match &mut chain.vxm {
                    Some(vxm) => {
                        vxm.outputs.push(*node);
                        vxm.outputs.len() as u32 - 1
                    }
                    None => 0,
                };
                chain
                    .writes
                    .extend(writes.iter().map(|w| Write { output, ..*w }));
            }
            live::prune(chain);
        }
        self.chains.retain(|c| !c.writes.is_empty());
        let inputs = inputs
            .into_iter()
            .map(|(name, value)| self.memory.input_port(name, value))
            .collect::<Result<_, _>>()?;
        let mut buffers = self.memory.into_buffers();
        let tiles = outputs.iter().flat_map(|port| &port.tiles);
        let kept: Vec<BufferId> = tiles.flat_map(|t| t.1.iter().copied()).collect();
        live::trim(&mut self.chains, &mut buffers, &kept);
        Ok(Problem {
            buffers,
            chains: self.chains,
            inputs,
            outputs,
        })
    }
}

/// The chip passes of a `stream.pass`: for fp16 one for each half of the lanes that it counts (machine.md, MXM).
fn halves(
    module: &ir::Module,
    pass: ir::Op,
    machine: &Machine,
) -> Result<Vec<Option<u8>>, Refusal> {
    let data = &module[pass];
    let x = module.ty(data.operands[0]);
    if x.elem != ir::Elem::F16 {
        return Ok(vec![None]);
    }
    let get = |name: &str| data.attrs.size(name).map_err(|e| refuse(module, pass, e));
    let (first, last) = match data.attrs.has("start") {
        true => (get("start")?, get("start")? + get("count")?),
        false => (0, x.last()),
    };
    let k = machine.mxm_k_f16 as usize;
    let halves: Vec<Option<u8>> = ((first / k) as u8..last.div_ceil(k) as u8)
        .map(Some)
        .collect();
    match halves.is_empty() {
        true => Err(refuse(module, pass, "no lanes")),
        false => Ok(halves),
    }
}

/// The columns of the 320 lanes of a tile with columns `first`, `first + 1`, … from `lane` on.
pub fn lanes(lane: usize, first: u32, count: usize) -> Vec<Option<u32>> {
    (0..LANES)
        .map(|l| {
            let at = l.checked_sub(lane).filter(|at| *at < count);
            at.map(|at| first + at as u32)
        })
        .collect()
}
