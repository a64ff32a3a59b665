//! The e-graph: from quantised `tensor.*` to untiled `stream.*`, by equality saturation.
//!
//! Before: a quantised module as `quantise` leaves it. After: a `stream.*` module with pipelines and installs that
//! computes the same, up to the classes of rounding that the settings allow. encode → saturate → extract → decode;
//! a region that occurs several times is saturated once. What it may not know: places and cycles; of the machine it
//! reads sizes, throughputs and latencies, as cost.

pub mod cost;
pub mod decode;
pub mod extract;
pub mod facts;
pub mod language;
pub mod region;
pub mod rules;
pub mod saturate;
pub mod value;

use std::collections::BTreeMap;

use tspc_ir::eval::{Array, Data};
use tspc_ir::{Diagnostic, Dialect, Loc, Module, Place, Value};
use tspc_machine::Machine;

use crate::pass::{Context, OptionDef, Options, PassDef};

use cost::Cost;
use decode::pipelines::Room;
use decode::plan::NodeId;
use decode::terms::{Bound, Decoder, Instance};
use facts::Role;
use region::{Encoded, Encoder, cut};
use saturate::{Settings, Solved, Statistics, solve};

/// The pass.
pub const PASS: PassDef = PassDef {
    name: "egraph",
    sentence: "Finds fusions by equality saturation and writes pipelines and installs.",
    stage_in: Dialect::Tensor,
    stage_out: Dialect::Stream,
    options: &[
        OptionDef {
            name: "iterations",
            sentence: "Rounds over all rules, at most; 30 by default.",
        },
        OptionDef {
            name: "nodes",
            sentence: "E-nodes of a region, at most; 20000 by default.",
        },
        OptionDef {
            name: "operations",
            sentence: "Per-lane operations of a pipeline, at most; by default what the VXM holds.",
        },
    ],
    run,
};

fn run(module: Module, context: &Context, options: &Options) -> Result<Module, Vec<Diagnostic>> {
    let number = |name: &str, default: usize| match options.get(name).map(str::parse::<usize>) {
        None => Ok(default),
        Some(Ok(n)) if n > 0 => Ok(n),
        Some(_) => {
            let why = format!("option {name} should be a whole number above 0");
            Err(vec![Diagnostic::new(why, Place::named(PASS.name))])
        }
    };
    let default = Settings::default();
    let settings = Settings {
        iterations: number("iterations", default.iterations)?,
        nodes: number("nodes", default.nodes)?,
        ..default
    };
    let room = Room::of(&context.machine);
    let room = Room {
        operations: number("operations", room.operations)?,
        ..room
    };
    let fused = fuse(&module, &context.machine, &settings, room).map_err(|d| vec![d])?;
    Ok(fused.0)
}

/// Rewrites a module; what happened is listed per distinct region, in order of appearance.
pub fn fuse(
    source: &Module,
    machine: &Machine,
    settings: &Settings,
    room: Room,
) -> Result<(Module, Vec<Statistics>), Diagnostic> {
    let rules: Vec<_> = rules::all().collect();
    let cost = Cost::new(machine);
    let encoder = Encoder::new(source);
    let mut solved: Vec<Solved> = Vec::new();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    let mut decoder = Decoder::new(machine);
    let mut nodes: BTreeMap<Value, NodeId> = BTreeMap::new();
    for region in cut(source) {
        let encoded = encoder.encode(&region)?;
        if encoded.roots.is_empty() {
            continue;
        }
        let which = match known.get(&encoded.key()) {
            Some(&i) => {
                solved[i].statistics.instances += 1;
                i
            }
            None => {
                let made = solve(&encoded, &rules, &cost, settings).map_err(|why| {
                    let op = region.last().expect("a region has ops");
                    Diagnostic::new(format!("e-graph: {why}"), source.place(*op))
                })?;
                solved.push(made);
                known.insert(encoded.key(), solved.len() - 1);
                solved.len() - 1
            }
        };
        let found = &solved[which];
        let instance = instance(source, &encoded, found, &nodes)?;
        let made = decoder.decode(&instance, &found.term.roots)?;
        nodes.extend(encoded.roots.iter().map(|(v, _)| *v).zip(made));
    }
    let outputs = source
        .outputs()
        .into_iter()
        .map(|(name, v)| {
            let place = Place::named(format!("output {name}"));
            let missing = || Diagnostic::new("the output is not computed", place);
            nodes.get(&v).copied().ok_or_else(missing)
        })
        .collect::<Result<Vec<NodeId>, Diagnostic>>()?;
    let module = decode::emit::emit(&decoder.plan, source, &outputs, room)?;
    let statistics = solved.into_iter().map(|s| s.statistics).collect();
    Ok((module, statistics))
}

/// A solved term with the leaves and places of one region.
fn instance<'a>(
    source: &Module,
    encoded: &Encoded,
    found: &'a Solved,
    nodes: &BTreeMap<Value, NodeId>,
) -> Result<Instance<'a>, Diagnostic> {
    let loc_of = |v: Value| source.def_op(v).map(|op| source[op].loc);
    let mut any = None;
    let locs: Vec<Option<Loc>> = found
        .origins
        .iter()
        .map(|&o| {
            let op = encoded.ops.get(o).copied().flatten();
            op.map(|op| source[op].loc)
        })
        .collect();
    for loc in &locs {
        any = any.or(*loc);
    }
    let first = encoded.roots.first().and_then(|(v, _)| loc_of(*v));
    let fallback = any.or(first);
    let locs = locs
        .into_iter()
        .map(|l| l.or(fallback))
        .collect::<Option<Vec<Loc>>>()
        .ok_or_else(|| Diagnostic::new("a region without a place", Place::named("e-graph")))?;
    let leaves = encoded
        .leaves
        .iter()
        .map(|(v, facts)| {
            let refuse = |why: &str| Diagnostic::new(why, Place::named(v.to_string()));
            match facts.role {
                Role::Constant => {
                    let data = source.def_op(*v).and_then(|op| source.constant(op));
                    let data = data.ok_or_else(|| refuse("the constant is not in the pool"))?;
                    let array = Array::new(data.shape.clone(), Data::from_const(data));
                    array.map(Bound::Constant).map_err(|e| refuse(&e))
                }
                Role::Input => {
                    let name = source.inputs().find(|(_, i)| i == v).map(|(n, _)| n);
                    let name = name.ok_or_else(|| refuse("not an input"))?;
                    Ok(Bound::Input(name.to_string(), facts.ty.clone()))
                }
                Role::Computed => nodes
                    .get(v)
                    .map(|&n| Bound::Node(n))
                    .ok_or_else(|| refuse("an earlier region does not leave this value")),
            }
        })
        .collect::<Result<Vec<Bound>, Diagnostic>>()?;
    Ok(Instance {
        nodes: &found.term.nodes,
        facts: &found.facts,
        locs,
        leaves,
    })
}
