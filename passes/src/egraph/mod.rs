//! The e-graph: from quantised `tensor.*` to untiled `stream.*`, by equality saturation.
//!
//! Before: a quantised module as `quantise` leaves it. After: a `stream.*` module with pipelines and installs that
//! computes the same, up to the classes of rounding that the settings allow. encode → saturate → extract → decode;
//! a region that occurs several times is saturated once. What it may not know: places and cycles; of the machine it
//! reads sizes, throughputs and latencies, as cost.

pub mod cost;
pub mod decode;
pub mod explain;
pub mod extract;
pub mod facts;
pub mod language;
pub mod proof;
pub mod region;
pub mod rules;
pub mod saturate;
pub mod scheduler;
pub mod spellings;
pub mod value;

use std::collections::BTreeMap;
use std::ops::Range;

use tspc_ir::eval::{Array, Data};
use tspc_ir::{Diagnostic, Dialect, Loc, Module, Op, Place, Value};
use tspc_machine::Machine;

use crate::pass::{Context, OptionDef, Options, PassDef};
use crate::tile;

use cost::{Cost, Cycles};
use decode::pipelines::Room;
use decode::plan::{NodeId, Plan, What, stream, with_rows};
use decode::terms::{Bound, Decoder, Grid, Instance};
use facts::Role;
use language::Node;
use region::{Encoded, Encoder, cut};
use rules::Class;
use saturate::{Settings, Solved, Statistics, saturate, solve};

/// Terms of a region that can be told apart, at most: more would only cost memory.
pub const CANDIDATES: usize = 64;

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
            name: "fast-math",
            sentence: "Classes of error that rules may make, joined by +: statistics, gelu-tanh, gelu-sigmoid, row-max, \
                       halves; or none, or default, which is all but gelu-sigmoid.",
        },
        OptionDef {
            name: "without",
            sentence: "Groups of rules that are not used, joined by +.",
        },
        OptionDef {
            name: "fuel",
            sentence: "Rewrites to apply in the whole module, in order, then stop; all by default.",
        },
        OptionDef {
            name: "choose",
            sentence: "For each distinct region, in order and joined by +, how many cheaper terms to pass over; 0 by default.",
        },
        OptionDef {
            name: "operations",
            sentence: "Per-lane operations of a pipeline, at most; by default what the VXM holds.",
        },
    ],
    run,
};

fn run(module: Module, context: &Context, options: &Options) -> Result<Module, Vec<Diagnostic>> {
    let (settings, room) = configure(&context.machine, options).map_err(|d| vec![d])?;
    let fused = fuse(&module, &context.machine, &settings, room).map_err(|d| vec![d])?;
    Ok(fused.0)
}

/// What options of the pass say.
pub fn configure(machine: &Machine, options: &Options) -> Result<(Settings, Room), Diagnostic> {
    let number = |name: &str, least: usize| match options.get(name).map(str::parse::<usize>) {
        None => Ok(None),
        Some(Ok(n)) if n >= least => Ok(Some(n)),
        Some(_) => {
            let bound = if least == 0 { "" } else { " above 0" };
            let why = format!("option {name} should be a whole number{bound}");
            Err(Diagnostic::new(why, Place::named(PASS.name)))
        }
    };
    let named = |name: &str, why: String| {
        Diagnostic::new(format!("option {name}: {why}"), Place::named(PASS.name))
    };
    let (default, room) = (Settings::default(), Room::of(machine));
    let classes = match options.get("fast-math") {
        Some(text) => Class::parse(text).map_err(|why| named("fast-math", why))?,
        None => default.classes.clone(),
    };
    let without = match options.get("without") {
        Some(text) => rules::parse_groups(text).map_err(|why| named("without", why))?,
        None => default.without.clone(),
    };
    let choose = match options.get("choose") {
        Some(text) => parse_choice(text).map_err(|why| named("choose", why))?,
        None => default.choose.clone(),
    };
    let settings = Settings {
        iterations: number("iterations", 1)?.unwrap_or(default.iterations),
        nodes: number("nodes", 1)?.unwrap_or(default.nodes),
        fuel: number("fuel", 0)?,
        classes,
        without,
        choose,
    };
    let operations = number("operations", 1)?.unwrap_or(room.operations);
    Ok((settings, Room { operations, ..room }))
}

/// Numbers joined by +.
fn parse_choice(text: &str) -> Result<Vec<usize>, String> {
    let number = |word: &str| match word.parse::<usize>() {
        Ok(n) if n < CANDIDATES => Ok(n),
        _ => Err(format!(
            "{word:?} should be a whole number below {CANDIDATES}"
        )),
    };
    text.split('+').map(number).collect()
}

/// A region of a module.
pub struct Part {
    /// Its ops.
    pub ops: Vec<Op>,
    /// Its term.
    pub encoded: Encoded,
    /// Which of the distinct terms that is, in order of appearance.
    pub which: usize,
}

impl Part {
    /// Its last op, as a place.
    fn refuse(&self, source: &Module, why: String) -> Diagnostic {
        let op = self.ops.last().expect("a region has ops");
        Diagnostic::new(format!("e-graph: {why}"), source.place(*op))
    }
}

/// The regions that compute something.
pub fn parts(source: &Module) -> Result<Vec<Part>, Diagnostic> {
    let encoder = Encoder::new(source);
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    let mut parts = Vec::new();
    for ops in cut(source) {
        let encoded = encoder.encode(&ops)?;
        if encoded.roots.is_empty() {
            continue;
        }
        let next = known.len();
        let which = *known.entry(encoded.key()).or_insert(next);
        parts.push(Part {
            ops,
            encoded,
            which,
        });
    }
    Ok(parts)
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
    let mut settings = settings.clone();
    let parts = parts(source)?;
    let mut solved: Vec<Solved> = Vec::new();
    for part in &parts {
        if let Some(known) = solved.get_mut(part.which) {
            known.statistics.instances += 1;
            continue;
        }
        let made = solve(&part.encoded, &rules, &cost, &settings)
            .map_err(|why| part.refuse(source, why))?;
        settings.spend(made.statistics.rewrites());
        solved.push(made);
    }
    let module = decoded(source, machine, &parts, &solved, room)?.1;
    let statistics = solved.into_iter().map(|s| s.statistics).collect();
    Ok((module, statistics))
}

/// Per distinct region of a module, what its cheapest terms cost, at most `count` of them; the first is what the pass
/// takes by default.
pub fn candidates(
    source: &Module,
    machine: &Machine,
    settings: &Settings,
    count: usize,
) -> Result<Vec<Vec<Cycles>>, Diagnostic> {
    let rules: Vec<_> = rules::all().collect();
    let cost = Cost::new(machine);
    let mut settings = settings.clone();
    let mut found: Vec<Vec<Cycles>> = Vec::new();
    for part in parts(source)? {
        if part.which < found.len() {
            continue;
        }
        let refuse = |why| part.refuse(source, why);
        let saturated = saturate(&part.encoded, &rules, &settings, false).map_err(refuse)?;
        let best = saturate::candidates(&part.encoded, &saturated, &cost, count).map_err(refuse)?;
        settings.spend(saturated.log.applied.len());
        found.push(best.terms.iter().map(|term| term.cost).collect());
    }
    Ok(found)
}

/// Decodes the regions and writes the module. Moments add up equal tiles, unless something else decides the tiles of
/// what is normalised: heads, or operands of fp16.
pub fn decoded(
    source: &Module,
    machine: &Machine,
    parts: &[Part],
    solved: &[Solved],
    room: Room,
) -> Result<(Planned, Module), Diagnostic> {
    let with = |grid| -> Result<(Planned, Module), Diagnostic> {
        let planned = plan(source, machine, parts, solved, grid)?;
        let module = decode::emit::emit(&planned.plan, source, &planned.outputs, room)?;
        Ok((planned, module))
    };
    let mut nodes = solved.iter().flat_map(|s| &s.term.nodes);
    if nodes.any(|n| matches!(n, Node::Moment(_))) {
        let equal = with(Grid::Equal)?;
        if tile::fits(&equal.1, machine) {
            return Ok(equal);
        }
    }
    with(Grid::Whole)
}

/// A decoded module whose pipelines are not yet formed.
pub struct Planned {
    /// Views, passes and operations.
    pub plan: Plan,
    /// The outputs, in order.
    pub outputs: Vec<NodeId>,
    /// Per region and node of its term, what was planned for the node alone.
    pub spans: Vec<Vec<Range<usize>>>,
}

/// Decodes the regions of a module, each with the term that was found for its like.
pub fn plan(
    source: &Module,
    machine: &Machine,
    parts: &[Part],
    solved: &[Solved],
    grid: Grid,
) -> Result<Planned, Diagnostic> {
    let mut decoder = Decoder::new(machine, grid);
    let mut nodes = gathered(source, &mut decoder.plan)?;
    let mut spans = Vec::new();
    for part in parts {
        let (encoded, found) = (&part.encoded, &solved[part.which]);
        let instance = instance(source, encoded, found, &nodes)?;
        let (made, of) = decoder.decode(&instance, &found.term.roots)?;
        nodes.extend(encoded.roots.iter().map(|(v, _)| *v).zip(made));
        spans.push(of);
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
    Ok(Planned {
        plan: decoder.plan,
        outputs,
        spans,
    })
}

/// Inputs some of whose lanes the module names several times.
fn gathered(source: &Module, plan: &mut Plan) -> Result<BTreeMap<Value, NodeId>, Diagnostic> {
    let mut nodes = BTreeMap::new();
    for (name, input) in source.inputs() {
        for &op in source.body_ops() {
            let data = &source[op];
            if !region::gathers(source, op) || data.operands[0] != input {
                continue;
            }
            let refuse = |e| Diagnostic::new(e, source.place(op));
            let lanes = data.attrs.sizes("lanes").map_err(refuse)?;
            let rows = |v: Value| {
                let ty = source.ty(v);
                stream(with_rows(ty.shape.clone()), ty.elem)
            };
            let x = plan.input(name, false, rows(input), data.loc);
            let wide = rows(data.results[0]);
            let node = plan.add(What::Gather(x, lanes), wide, data.loc, None);
            nodes.insert(data.results[0], node);
        }
    }
    Ok(nodes)
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
