//! `tspc bench`: the e-graph measured on a model: what each group of rules earns, and what saturation takes.
//!
//! The model is imported and calibrated once; every row starts from the same quantised module.

use std::fmt::Write;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::model::ModelArgs;
use crate::cli::Failure;
use crate::compiler::{Error, Silent, scheduled};
use crate::files;
use crate::ir::Module;
use crate::machine::Machine;
use crate::passes::Pipeline;
use crate::passes::egraph::cost::Cost;
use crate::passes::egraph::decode::pipelines::Room;
use crate::passes::egraph::explain::{gap, units};
use crate::passes::egraph::saturate::{Settings, Statistics, solve};
use crate::passes::egraph::spellings::lost;
use crate::passes::egraph::{PASS, configure, fuse, parts, rules};
use crate::passes::tile::tile;
use crate::progress::Progress;
use crate::report::sheet::memory_mib;

/// Layers of the narrow models whose saturations are counted.
const LAYERS: [usize; 3] = [1, 12, 24];
/// Tokens of their programs.
const NARROW_LEN: usize = 16;

/// Arguments of `bench`.
#[derive(Args)]
pub struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Cost, cycles and spellings lost with all rules, and with each group of rules left out
    Ablation(On),
    /// Seconds, memory and size of saturation and extraction; how often 1, 12 and 24 layers are saturated
    Egraph(On),
}

/// What to measure.
#[derive(Args)]
struct On {
    /// Hugging Face folder, preset (bert-base, bert-tiny, …) or geometry (L=2,H=128,heads=2,ffn=512)
    #[arg(long, value_name = "MODEL", default_value = "bert-base")]
    model: String,
    #[command(flatten)]
    how: ModelArgs,
    /// Tokens that the program takes; 128, or all that the model has positions for if fewer
    #[arg(long, value_name = "N")]
    seq_len: Option<usize>,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

/// A quantised module, and how the e-graph is set.
struct Prepared {
    module: Module,
    settings: Settings,
    room: Room,
    seq_len: usize,
}

/// `tspc bench`.
pub fn bench(args: &Bench, machine: &Machine) -> Result<(), Failure> {
    let report = match &args.what {
        What::Ablation(on) => ablation(on, machine),
        What::Egraph(on) => egraph(on, machine),
    };
    Ok(files::print(report?)?)
}

impl On {
    fn prepare(
        &self,
        model: &str,
        seq_len: Option<usize>,
        machine: &Machine,
    ) -> Result<Prepared, Failure> {
        let model = self.how.open(model)?;
        let seq_len = ModelArgs::seq_len(&model, seq_len)?;
        let pipeline = Pipeline::parse(&self.how.pass_pipeline).map_err(|d| vec![d])?;
        let (before, options) = pipeline
            .before(PASS.name)
            .ok_or_else(|| format!("the passes should include {}", PASS.name))?;
        let (settings, room) = configure(machine, options).map_err(|d| vec![d])?;
        let module = self.how.prepare(&model, seq_len, machine, &before)?;
        Ok(Prepared {
            module,
            settings,
            room,
            seq_len,
        })
    }

    fn title(&self, seq_len: usize, machine: &Machine) -> String {
        format!(
            "{}, {}, {seq_len} tokens, {}",
            self.model, self.how.precision, machine.name
        )
    }

    fn report(&self, seq_len: usize, machine: &Machine, found: Value) -> String {
        let mut report = json!({
            "model": self.model,
            "precision": self.how.precision,
            "seq_len": seq_len,
            "machine": machine.name,
        });
        if let (Value::Object(all), Value::Object(found)) = (&mut report, found) {
            all.extend(found);
        }
        format!("{report:#}\n")
    }
}

/// What a set of rules leads to.
struct Row {
    /// The group that is left out; `None`: all rules.
    without: Option<&'static str>,
    /// Of the extracted terms, over all regions.
    cost: Option<u64>,
    /// Spellings that do not reach their function's program.
    lost: usize,
    /// Cycles of the program that the checker accepted, or why there is none, in a line.
    cycles: Result<u64, String>,
}

fn ablation(on: &On, machine: &Machine) -> Result<String, Failure> {
    let prepared = on.prepare(&on.model, on.seq_len, machine)?;
    let mut progress = Progress::new("ablation");
    let (mut rows, mut spellings) = (Vec::new(), 0);
    for without in [None]
        .into_iter()
        .chain(rules::groups().into_iter().map(Some))
    {
        progress.step(without.unwrap_or("all rules"));
        let mut settings = prepared.settings.clone();
        settings.without.extend(without);
        let (count, lost) = lost(machine, &whole(&prepared.settings), &whole(&settings))?;
        spellings = count;
        let (cost, cycles) = costs(&prepared, &settings, machine);
        rows.push(Row {
            without,
            cost,
            lost,
            cycles,
        });
    }
    drop(progress);
    if on.json {
        let row = |row: &Row| {
            json!({
                "without": row.without,
                "cost": row.cost,
                "spellings_lost": row.lost,
                "cycles": row.cycles.as_ref().ok(),
                "refused": row.cycles.as_ref().err(),
            })
        };
        let rows: Vec<Value> = rows.iter().map(row).collect();
        return Ok(on.report(
            prepared.seq_len,
            machine,
            json!({ "spellings": spellings, "rows": rows }),
        ));
    }
    let title = on.title(prepared.seq_len, machine);
    let mut out =
        format!("{title}; {spellings} spellings\n\nwithout               cost  lost    cycles\n");
    for row in &rows {
        let cost = row.cost.map_or("-".to_string(), |cost| cost.to_string());
        let cycles = match &row.cycles {
            Ok(cycles) => format!("{cycles:>9}"),
            Err(why) => why.clone(),
        };
        let _ = writeln!(
            out,
            "{:<16} {cost:>9} {:>5} {cycles}",
            row.without.unwrap_or("nothing"),
            row.lost
        );
    }
    Ok(out)
}

/// The same without what is said about one module: fuel and choices.
fn whole(settings: &Settings) -> Settings {
    Settings {
        fuel: None,
        choose: Vec::new(),
        ..settings.clone()
    }
}

/// What these settings cost.
fn costs(
    prepared: &Prepared,
    settings: &Settings,
    machine: &Machine,
) -> (Option<u64>, Result<u64, String>) {
    match fuse(&prepared.module, machine, settings, prepared.room) {
        Ok((untiled, statistics)) => {
            let cycles = cycles(&untiled, machine).map_err(|why| why.line());
            (Some(cost(&statistics)), cycles)
        }
        Err(why) => (None, Err(why.message)),
    }
}

/// Of the extracted terms, over all instances.
fn cost(statistics: &[Statistics]) -> u64 {
    let cycles = |s: &Statistics| s.cost.total() * s.instances as u64;
    statistics.iter().map(cycles).sum()
}

/// Cycles of the program, which the checker accepts.
fn cycles(untiled: &Module, machine: &Machine) -> Result<u64, Error> {
    let stream = tile(untiled, machine)?;
    let made = scheduled(&stream, machine, &mut Silent, &mut Vec::new())?;
    let cycles = made.report.cycles;
    Ok(cycles.ok_or_else(|| "the checker counted no cycles".to_string())?)
}

/// A distinct region, solved.
struct Measured {
    /// Where it is first.
    place: String,
    statistics: Statistics,
    time: Duration,
}

/// How often a narrow model is saturated.
struct Narrow {
    layers: usize,
    saturations: usize,
    regions: usize,
}

/// What saturation takes.
struct Taken {
    distinct: Vec<Measured>,
    /// Saturation and extraction of them all.
    solve: Duration,
    /// The whole pass, with decoding.
    pass: Duration,
    /// MiB that the process held before, and at most while it solved, where the system tells.
    memory: (Option<f64>, Option<f64>),
    narrow: Vec<Narrow>,
}

fn egraph(on: &On, machine: &Machine) -> Result<String, Failure> {
    let narrow = LAYERS.map(|layers| narrow(on, layers, machine));
    let narrow = narrow
        .into_iter()
        .collect::<Result<Vec<Narrow>, Failure>>()?;
    let prepared = on.prepare(&on.model, on.seq_len, machine)?;
    let before = memory_mib("VmRSS:");
    // Linux: from now on the peak is that of what follows. Elsewhere nobody tells memory anyway.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let clock = Instant::now();
    let distinct = measured(&prepared, machine)?;
    let solve = clock.elapsed();
    let memory = (before, memory_mib("VmHWM:"));
    let clock = Instant::now();
    fuse(&prepared.module, machine, &prepared.settings, prepared.room).map_err(|d| vec![d])?;
    let taken = Taken {
        distinct,
        solve,
        pass: clock.elapsed(),
        memory,
        narrow,
    };
    Ok(match on.json {
        true => on.report(prepared.seq_len, machine, taken.json()),
        false => format!(
            "{}\n\n{}",
            on.title(prepared.seq_len, machine),
            taken.text()
        ),
    })
}

impl Taken {
    fn regions(&self) -> usize {
        self.distinct.iter().map(|r| r.statistics.instances).sum()
    }

    fn json(&self) -> Value {
        let distinct = self.distinct.iter().map(|region| {
            let s = &region.statistics;
            json!({
                "place": region.place,
                "instances": s.instances,
                "rounds": s.iterations,
                "nodes": s.nodes,
                "classes": s.classes,
                "stop": s.stop,
                "cost": s.cost.total(),
                "units": units(&s.cost),
                "extraction": gap(&s.gap),
                "seconds": region.time.as_secs_f64(),
            })
        });
        let narrow = self.narrow.iter().map(|n| {
            json!({
                "layers": n.layers,
                "saturations": n.saturations,
                "regions": n.regions,
            })
        });
        json!({
            "solve_s": self.solve.as_secs_f64(),
            "pass_s": self.pass.as_secs_f64(),
            "rss_before_mib": self.memory.0,
            "peak_rss_mib": self.memory.1,
            "saturations": self.distinct.len(),
            "regions": self.regions(),
            "distinct": distinct.collect::<Vec<Value>>(),
            "layers": narrow.collect::<Vec<Value>>(),
        })
    }

    fn text(&self) -> String {
        let mut out = String::from(
            "distinct region, by its last value           instances rounds e-nodes classes    cost  greedy   bound   steps      ms  stop\n",
        );
        for region in &self.distinct {
            let s = &region.statistics;
            let _ = writeln!(
                out,
                "{:<44} {:>9} {:>6} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7.1}  {}",
                region.place,
                s.instances,
                s.iterations,
                s.nodes,
                s.classes,
                s.cost.total(),
                s.gap.greedy,
                s.gap.bound,
                s.gap.steps,
                region.time.as_secs_f64() * 1e3,
                s.stop
            );
        }
        let mib = |memory: Option<f64>| memory.map_or("?".to_string(), |m| format!("{m:.0}"));
        let _ = writeln!(
            out,
            "\n{} saturations for {} regions\n\
             on this host: saturation and extraction {:.3} s, the whole pass with decoding {:.3} s\n\
             memory: {} MiB before, the model among it; at most {} MiB while solving\n\n\
             layers saturations regions",
            self.distinct.len(),
            self.regions(),
            self.solve.as_secs_f64(),
            self.pass.as_secs_f64(),
            mib(self.memory.0),
            mib(self.memory.1)
        );
        for n in &self.narrow {
            let _ = writeln!(
                out,
                "{:>6} {:>11} {:>7}",
                n.layers, n.saturations, n.regions
            );
        }
        out
    }
}

/// Saturates and extracts each distinct region of a module.
fn measured(prepared: &Prepared, machine: &Machine) -> Result<Vec<Measured>, Failure> {
    let rules: Vec<_> = rules::all().collect();
    let cost = Cost::new(machine);
    let mut regions: Vec<Measured> = Vec::new();
    for part in parts(&prepared.module).map_err(|d| vec![d])? {
        if let Some(known) = regions.get_mut(part.which) {
            known.statistics.instances += 1;
            continue;
        }
        let clock = Instant::now();
        let solved = solve(&part.encoded, &rules, &cost, &prepared.settings)?;
        let last = part.ops.last().map(|op| prepared.module.place(*op).at);
        regions.push(Measured {
            place: last.unwrap_or_default(),
            statistics: solved.statistics,
            time: clock.elapsed(),
        });
    }
    Ok(regions)
}

/// How often a narrow model of this many layers is saturated.
fn narrow(on: &On, layers: usize, machine: &Machine) -> Result<Narrow, Failure> {
    let geometry = format!("L={layers},H=128,heads=2,ffn=512,vocab=20,max_positions=32");
    let prepared = on.prepare(&geometry, Some(NARROW_LEN), machine)?;
    let fused = fuse(&prepared.module, machine, &prepared.settings, prepared.room);
    let (_, statistics) = fused.map_err(|d| vec![d])?;
    Ok(Narrow {
        layers,
        saturations: statistics.len(),
        regions: statistics.iter().map(|s| s.instances).sum(),
    })
}
