//! `tspc bench growth`: what more layers cost: cycles, text, compile time by step, simulation time, memory.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::measure::{Measured, Options, Subject, precisions};
use super::table::{Cell, Table, command};
use crate::cli::Failure;
use crate::machine::Machine;
use crate::progress::Progress;
use crate::report::sheet::{forget_peak, peak_rss_mib};

/// Arguments of `bench growth`.
#[derive(Args)]
#[command(
    after_help = "The first table is exact and on any host the same: cycles and bytes of text, and what each \
    layer adds since the row before.\n\n\
    The second is this host's: milliseconds of each step, then of all of compilation and of simulation, a layer's \
    share of them, and the most memory that the process held. Linear growth is a share that does not grow."
)]
pub struct Growth {
    /// Geometry without its layers
    #[arg(
        long,
        value_name = "GEOMETRY",
        default_value = "H=256,heads=4,ffn=1024,vocab=1000,max_positions=128"
    )]
    geometry: String,
    /// Numbers of layers, separated by commas
    #[arg(
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "1,2,4,8,12,24"
    )]
    layers: Vec<usize>,
    /// int8, fp16, or sites of their own: int8,attention=fp16
    #[arg(long, value_name = "PRECISION", default_value = "int8")]
    precision: String,
    /// Tokens that the programs take
    #[arg(long, value_name = "N", default_value_t = 128)]
    seq_len: usize,
    #[command(flatten)]
    options: Options,
}

/// A program of so many layers.
struct Row {
    layers: usize,
    found: Result<Measured, String>,
    memory: Option<f64>,
}

/// The whole report.
pub fn growth(args: &Growth, machine: &Machine) -> Result<String, Failure> {
    let precisions = precisions(&[&args.precision])?;
    let mut progress = Progress::new("growth");
    let mut rows = Vec::new();
    // The fewest first: memory that a larger program took may stay with the process.
    for layers in args.layers.iter().copied().collect::<BTreeSet<usize>>() {
        forget_peak();
        let model = format!("L={layers},{}", args.geometry);
        let subject = Subject::open(&args.options, &model, &precisions, &mut progress)?;
        let precision = &precisions[0];
        let found = subject.measure(&model, precision, args.seq_len, machine, &mut progress);
        rows.push(Row {
            layers,
            found,
            memory: peak_rss_mib(),
        });
    }
    drop(progress);
    let (exact, taken) = (exact(&rows), taken(&rows));
    Ok(match args.options.json {
        true => {
            let report = json!({"geometry": args.geometry, "precision": args.precision,
                "seq_len": args.seq_len, "machine": machine.name, "rows": exact.json(),
                "this_host": taken.json()});
            format!("{report:#}\n")
        }
        false => {
            let (exact, taken) = (exact.text(), taken.text());
            format!(
                "{}\n\n{exact}\non this host, in ms and MiB:\n\n{taken}",
                command()
            )
        }
    })
}

/// Cycles and text.
fn exact(rows: &[Row]) -> Table {
    let mut table = Table::new(["layers", "cycles", "a layer", "text", "text a layer"]);
    let mut before = None;
    for row in rows {
        let found = row.found.as_ref().map_err(String::clone).map(|m| {
            let now = (row.layers, m.cycles, m.text_bytes);
            let (layers, cycles, text) = before.replace(now).unwrap_or((0, 0, 0));
            let added = (row.layers - layers).max(1) as f64;
            let share = |now: u64, before: u64| Cell::Real((now as f64 - before as f64) / added, 0);
            vec![
                Cell::Count(m.cycles),
                share(m.cycles, cycles),
                Cell::Count(m.text_bytes),
                share(m.text_bytes, text),
            ]
        });
        table.push(vec![Cell::Count(row.layers as u64)], found);
    }
    table
}

/// Time and memory.
fn taken(rows: &[Row]) -> Table {
    let steps: Vec<String> = rows
        .iter()
        .find_map(|row| row.found.as_ref().ok())
        .map_or(Vec::new(), |m| {
            m.timings.iter().map(|t| t.0.clone()).collect()
        });
    let head = ["layers".to_string()].into_iter().chain(steps);
    let mut table = Table::new(
        head.chain(["compile", "a layer", "simulate a layer", "MiB"].map(str::to_string)),
    );
    let ms = |time: Duration, parts: usize| {
        Cell::Real(time.as_secs_f64() * 1e3 / parts.max(1) as f64, 0)
    };
    for row in rows {
        let found = row.found.as_ref().map_err(String::clone).map(|m| {
            let mut cells: Vec<Cell> = m.timings.iter().map(|t| ms(t.1, 1)).collect();
            let simulation = m.timings.last().map_or(Duration::ZERO, |t| t.1);
            let all: Duration = m.timings.iter().map(|t| t.1).sum();
            let compilation = all.saturating_sub(simulation);
            cells.extend([
                ms(compilation, 1),
                ms(compilation, row.layers),
                ms(simulation, row.layers),
                row.memory.map_or(Cell::Missing, |mib| Cell::Real(mib, 0)),
            ]);
            cells
        });
        table.push(vec![Cell::Count(row.layers as u64)], found);
    }
    table
}
