//! select: from tiled `stream.*` to chains and buffers.
//!
//! Before: every stream has at most 320 lanes and no batch dimension, weights come from `stream.install`.
//! After: a problem: each pipeline is a chain, together with the pass that only it reads; each view of a value that
//! some chain takes is a buffer of its own, so that a chain never needs one word twice in a cycle.
//! Decides no place and no time, and changes no rounding.

mod beyond;
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
    BufferId, Chain, Feed, Install, Pass, Port, Problem, Segment, Source, Vxm, Write,
};
use beyond::{Beyond, Product};
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
        users: module.users(),
        memory: Memory::new(module),
        chains: Vec::new(),
        results: Vec::new(),
    };
    for &op in module.body_ops() {
        match module[op].opcode {
            Opcode::StreamPass if selector.fused_into(op).is_none() => selector.pass_chain(op)?,
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
    users: Vec<Vec<ir::Op>>,
    memory: Memory<'a>,
    chains: Vec<Chain>,
    /// Per chain, its result values with the VXM node that makes each.
    results: Vec<Vec<(ir::Value, usize)>>,
}

impl Selector<'_> {
    /// The pipeline that alone takes a pass's result, all of it, if that is its first such input.
    fn fused_into(&self, pass: ir::Op) -> Option<ir::Op> {
        let result = self.module[pass].results[0];
        let [user] = self.users[ir::Entity::index(result)][..] else {
            return None;
        };
        let data = &self.module[user];
        if data.opcode != Opcode::StreamPipeline {
            return None;
        }
        let rows = |v: ir::Value| self.module.ty(v).shape[0];
        let most = data.operands.iter().map(|&v| rows(v)).max();
        let alone = |v: ir::Value| {
            let made = self
                .module
                .def_op(v)
                .is_some_and(|op| self.module[op].opcode == Opcode::StreamPass);
            made && self.users[ir::Entity::index(v)].len() == 1 && Some(rows(v)) == most
        };
        let first = data.operands.iter().copied().find(|&v| alone(v));
        (first == Some(result)).then_some(user)
    }

    fn location(&self, op: ir::Op) -> String {
        self.module.locs().describe(self.module[op].loc)
    }

    /// A pass whose result goes to memory.
    fn pass_chain(&mut self, op: ir::Op) -> Result<(), Refusal> {
        let pass = self.pass(op)?;
        self.memory.next_chain();
        let result = self.module[op].results[0];
        let rows = self.module.ty(result).shape[0] as u32;
        let location = self.location(op);
        self.push(
            Chain {
                rows,
                pass: Some(pass),
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

    /// The last chip pass of a `stream.pass`; those of lower K halves become chains of their own.
    fn pass(&mut self, op: ir::Op) -> Result<Pass, Refusal> {
        let data = &self.module[op];
        let (x, weights) = (data.operands[0], data.operands[1]);
        let install = self
            .module
            .def_op(weights)
            .expect("weights come from an op");
        let parts = installed_parts(self.module, self.module[install].operands[0])?;
        let f16 = self.module.ty(x).elem == ir::Elem::F16;
        let lanes = self.module.ty(x).last();
        let mut partial = match data.operands.get(2) {
            Some(&v) => Some(whole(self.module, v)?),
            None => None,
        };
        let act = resolve(self.module, x)?;
        let rows = act.count;
        let window = self.window(op, x, install)?;
        let k = self.machine.mxm_k_f16 as usize;
        let (first, last) = window.map_or((0, lanes), |(start, count)| (start, start + count));
        let halves: Vec<Option<u8>> = if f16 {
            ((first / k) as u8..last.div_ceil(k) as u8)
                .map(Some)
                .collect()
        } else {
            vec![None]
        };
        let mut carried: Option<Source> = None;
        for (i, half) in halves.iter().enumerate() {
            let install = self.install(op, &parts, *half)?;
            let act = self.memory.rows(op, &act)?;
            let window = match window {
                Some(window) => Some(self.memory.lane_window(window)),
                None => None,
            };
            let partial = match carried.take() {
                Some(source) => Some(source),
                None => partial
                    .take()
                    .map(|v| self.memory.rows(op, &v))
                    .transpose()?,
            };
            let pass = Pass {
                install,
                act,
                window,
                partial,
            };
            if i + 1 == halves.len() {
                return Ok(pass);
            }
            let (source, writes) = self.memory.scratch(ElemType::F32, rows as u32);
            carried = Some(source);
            self.memory.next_chain();
            let location = self.location(op);
            self.push(
                Chain {
                    rows: rows as u32,
                    pass: Some(pass),
                    vxm: None,
                    writes,
                    location,
                },
                Vec::new(),
            );
        }
        Err(refuse(self.module, op, "no lanes"))
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
                segment.window = windowed.then(|| self.memory.install_window(&segment, window));
                segments.push(segment);
            }
        }
        if let Some(last) = segments.last().filter(|_| group < groups) {
            let mut zeros = self.memory.zero_columns(last, groups - group);
            zeros.window = windowed.then(|| self.memory.install_window(&zeros, (0, 0)));
            segments.push(zeros);
        }
        Ok(Install {
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
        let fused = data.operands.iter().position(|&v| {
            let made = self
                .module
                .def_op(v)
                .filter(|&d| self.module[d].opcode == Opcode::StreamPass);
            made.is_some_and(|d| self.fused_into(d) == Some(op))
        });
        let pass = match fused {
            Some(i) => {
                let made = self
                    .module
                    .def_op(data.operands[i])
                    .expect("made by a pass");
                Some(self.pass(made)?)
            }
            None => None,
        };
        let mut feeds = Vec::new();
        for (i, &operand) in data.operands.iter().enumerate() {
            feeds.push(if fused == Some(i) {
                Feed::Pass
            } else {
                let view = whole(self.module, operand)?;
                Feed::Memory(self.memory.rows(op, &view)?)
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
                pass,
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

/// The columns of the 320 lanes of a tile with columns `first`, `first + 1`, … from `lane` on.
pub fn lanes(lane: usize, first: u32, count: usize) -> Vec<Option<u32>> {
    (0..LANES)
        .map(|l| {
            let at = l.checked_sub(lane).filter(|at| *at < count);
            at.map(|at| first + at as u32)
        })
        .collect()
}
