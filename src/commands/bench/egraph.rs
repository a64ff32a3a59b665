//! `tspc bench egraph`: what saturation and extraction take.

use std::fmt::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::on::{On, Prepared};
use crate::cli::Failure;
use crate::machine::Machine;
use crate::passes::egraph::cost::Cost;
use crate::passes::egraph::explain::{gap, units};
use crate::passes::egraph::saturate::{Statistics, solve};
use crate::passes::egraph::{fuse, parts, rules};
use crate::report::sheet::{forget_peak, memory_mib, peak_rss_mib};

/// Layers of the narrow models whose saturations are counted.
const LAYERS: [usize; 3] = [1, 12, 24];
/// Tokens of their programs.
const NARROW_LEN: usize = 16;

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

/// The whole report.
pub fn egraph(on: &On, machine: &Machine) -> Result<String, Failure> {
    let narrow = LAYERS.map(|layers| narrow(on, layers, machine));
    let narrow = narrow
        .into_iter()
        .collect::<Result<Vec<Narrow>, Failure>>()?;
    let prepared = on.prepare(&on.model, on.seq_len, machine)?;
    let before = memory_mib("VmRSS:");
    forget_peak();
    let clock = Instant::now();
    let distinct = measured(&prepared, machine)?;
    let solve = clock.elapsed();
    let memory = (before, peak_rss_mib());
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
