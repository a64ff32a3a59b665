//! From the plan to `stream.*`: pipelines in order, and before each what it takes.

use std::collections::{BTreeMap, BTreeSet};

use tspc_ir::{Attr, Builder, Diagnostic, Loc, Module, Opcode, Place, Type, Value};

use super::pipelines::{Pipeline, Room, form};
use super::plan::{Arg, NodeId, Plan, What, stream, with_rows};

type Emitted<T> = Result<T, Diagnostic>;

struct Emitter<'a> {
    plan: &'a Plan,
    source: &'a Module,
    builder: Builder,
    values: BTreeMap<NodeId, Value>,
    installs: BTreeMap<NodeId, Value>,
    locs: BTreeMap<Loc, Loc>,
}

/// The module of a plan: the inputs and the names of `source`, the outputs at these nodes.
pub fn emit(plan: &Plan, source: &Module, outputs: &[NodeId], room: Room) -> Emitted<Module> {
    let (pipelines, of) = form(plan, room);
    let mut taken = BTreeSet::new();
    for (id, node) in plan.nodes() {
        let outside = |n: &NodeId| of[n.0].is_none() || of[n.0] != of[id.0];
        taken.extend(node.what.operands().into_iter().filter(outside));
    }
    taken.extend(outputs.iter().copied());
    let mut emitter = Emitter {
        plan,
        source,
        builder: Builder::new(source.name.clone()),
        values: BTreeMap::new(),
        installs: BTreeMap::new(),
        locs: BTreeMap::new(),
    };
    emitter.inputs()?;
    for pipeline in &pipelines {
        emitter.pipeline(pipeline, &taken)?;
    }
    let results = outputs
        .iter()
        .map(|&o| emitter.value(o))
        .collect::<Emitted<Vec<Value>>>()?;
    let names = source.outputs().into_iter().map(|(n, _)| n.to_string());
    let attrs = [("names", Attr::Strs(names.collect()))];
    let end = source.body_ops().last().map(|&op| source[op].loc);
    let loc = match end {
        Some(loc) => emitter.loc(loc),
        None => emitter.builder.locs().path(source.name.clone()),
    };
    emitter
        .builder
        .build(Opcode::StreamReturn, &results, &attrs, loc)?;
    Ok(emitter.builder.finish())
}

impl Emitter<'_> {
    fn loc(&mut self, old: Loc) -> Loc {
        let (source, builder) = (self.source, &mut self.builder);
        *self
            .locs
            .entry(old)
            .or_insert_with(|| builder.locs().copy(source.locs(), old))
    }

    /// Inputs in the order of the source; of one that nothing takes, as it was.
    fn inputs(&mut self) -> Emitted<()> {
        for (name, value) in self.source.inputs() {
            let uses: Vec<(NodeId, &Type)> = self
                .plan
                .nodes()
                .filter(|(_, n)| matches!(&n.what, What::Input { name: own, .. } if own == name))
                .map(|(id, n)| (id, &n.ty))
                .collect();
            let ty = match uses[..] {
                [(_, ty)] => ty.clone(),
                [] => {
                    let ty = self.source.ty(value);
                    stream(with_rows(ty.shape.clone()), ty.elem)
                }
                _ => {
                    let place = Place::named(format!("input {name}"));
                    let why = format!("input {name} is taken both as it is and transposed");
                    return Err(Diagnostic::new(why, place));
                }
            };
            let new = self.builder.input(name, ty);
            if let [(id, _)] = uses[..] {
                self.values.insert(id, new);
            }
        }
        Ok(())
    }

    fn value(&mut self, id: NodeId) -> Emitted<Value> {
        if let Some(&value) = self.values.get(&id) {
            return Ok(value);
        }
        let node = &self.plan[id];
        let loc = self.loc(node.loc);
        let size = |n: usize| Attr::Int(n as i64);
        let value = match &node.what {
            What::Input { name, .. } => {
                let place = Place::named(format!("input {name}"));
                return Err(Diagnostic::new("the input is not one of the module", place));
            }
            What::Constant(data) => {
                self.builder
                    .constant_op(Opcode::StreamConstant, data.clone(), loc)?
            }
            What::Pass { x, w, partial } => {
                let x = self.value(*x)?;
                let installed = self.install(*w, loc)?;
                let partial = partial.map(|p| self.value(p)).transpose()?;
                let operands: Vec<Value> = [x, installed].into_iter().chain(partial).collect();
                self.builder.one(Opcode::StreamPass, &operands, &[], loc)?
            }
            What::Transpose(x) => {
                let x = self.value(*x)?;
                self.builder.one(Opcode::StreamTranspose, &[x], &[], loc)?
            }
            What::Heads(x, n) => {
                let x = self.value(*x)?;
                let tile = node.heads.map_or(1, |h| h.tile);
                let attrs = [("heads", size(*n)), ("tile", size(tile))];
                self.builder.one(Opcode::StreamHeads, &[x], &attrs, loc)?
            }
            What::Merge(x) => {
                let x = self.value(*x)?;
                let tile = node.heads.map_or(1, |h| h.tile);
                let attrs = [("tile", size(tile))];
                self.builder.one(Opcode::StreamMerge, &[x], &attrs, loc)?
            }
            What::Rows(x, start, count) => {
                let x = self.value(*x)?;
                let attrs = [
                    ("start", size(*start)),
                    ("count", size(*count)),
                    ("step", size(1)),
                ];
                self.builder.one(Opcode::StreamRows, &[x], &attrs, loc)?
            }
            What::Lanes(x, start, count) => {
                let x = self.value(*x)?;
                let attrs = [("start", size(*start)), ("count", size(*count))];
                self.builder.one(Opcode::StreamLanes, &[x], &attrs, loc)?
            }
            What::Byte(x, byte) => {
                let x = self.value(*x)?;
                let attrs = [("byte", size(usize::from(*byte)))];
                self.builder.one(Opcode::StreamByte, &[x], &attrs, loc)?
            }
            What::Gather(x, lanes) => {
                let x = self.value(*x)?;
                let attrs = [("lanes", Attr::sizes(lanes))];
                self.builder.one(Opcode::StreamGather, &[x], &attrs, loc)?
            }
            What::Concat(parts) => {
                let parts = parts
                    .iter()
                    .map(|&p| self.value(p))
                    .collect::<Emitted<Vec<Value>>>()?;
                let attrs = [("axis", Attr::Sym("lanes"))];
                self.builder
                    .one(Opcode::StreamConcat, &parts, &attrs, loc)?
            }
            What::Broadcast(x, lanes) => {
                let x = self.value(*x)?;
                let attrs = [("lanes", size(*lanes))];
                self.builder
                    .one(Opcode::StreamBroadcast, &[x], &attrs, loc)?
            }
            What::Alu(op, _) => {
                let place = Place::named(self.source.locs().describe(node.loc));
                return Err(Diagnostic::new(
                    format!("{op} is taken before its pipeline ran"),
                    place,
                ));
            }
        };
        self.values.insert(id, value);
        Ok(value)
    }

    /// What is installed for several passes is installed once.
    fn install(&mut self, w: NodeId, loc: Loc) -> Emitted<Value> {
        if let Some(&installed) = self.installs.get(&w) {
            return Ok(installed);
        }
        let rows = self.value(w)?;
        let installed = self.builder.one(Opcode::StreamInstall, &[rows], &[], loc)?;
        self.installs.insert(w, installed);
        Ok(installed)
    }

    fn pipeline(&mut self, pipeline: &Pipeline, taken: &BTreeSet<NodeId>) -> Emitted<()> {
        let inputs: Vec<NodeId> = self.in_order(pipeline);
        let values = inputs
            .iter()
            .map(|&n| self.value(n))
            .collect::<Emitted<Vec<Value>>>()?;
        let results: Vec<NodeId> = pipeline
            .members
            .iter()
            .copied()
            .filter(|n| taken.contains(n))
            .collect();
        let locs: Vec<Loc> = pipeline
            .members
            .iter()
            .map(|&n| self.loc(self.plan[n].loc))
            .collect();
        let loc = locs[locs.len() - 1];
        let plan = self.plan;
        let made = self.builder.pipeline(&values, loc, |builder, args| {
            let mut inner: BTreeMap<NodeId, Value> =
                inputs.iter().copied().zip(args.iter().copied()).collect();
            for (&id, &loc) in pipeline.members.iter().zip(&locs) {
                let What::Alu(op, operands) = &plan[id].what else {
                    continue;
                };
                let mut values = Vec::new();
                let mut attrs = vec![
                    ("op", Attr::Sym(op)),
                    ("elem", Attr::Elem(plan[id].ty.elem)),
                ];
                for (k, arg) in operands.iter().enumerate() {
                    match arg {
                        Arg::Node(n) => values.push(inner[n]),
                        Arg::Imm(bits) => {
                            attrs.push(("imm", Attr::Int(i64::from(*bits))));
                            if k == 0 {
                                attrs.push(("imm_first", Attr::Bool(true)));
                            }
                        }
                    }
                }
                let value = builder.one(Opcode::StreamAlu, &values, &attrs, loc)?;
                inner.insert(id, value);
            }
            Ok(results.iter().map(|n| inner[n]).collect())
        })?;
        self.values.extend(results.into_iter().zip(made));
        Ok(())
    }

    /// The inputs of a pipeline: those with all rows first, since rows that stream lead.
    fn in_order(&self, pipeline: &Pipeline) -> Vec<NodeId> {
        let mut inputs: Vec<NodeId> = pipeline.inputs.iter().copied().collect();
        let constant = |n: &NodeId| matches!(self.plan[*n].what, What::Constant(_));
        inputs.sort_by_key(|n| (constant(n), n.0));
        inputs
    }
}
