//! `tspc bench sensitivity`: how much the latency hangs on the numbers of the machine file, one at a time.

use clap::Args;
use serde_json::json;

use super::measure::{Measured, Options, Subject, precisions};
use super::table::{Cell, Table, command};
use crate::cli::Failure;
use crate::machine::Machine;
use crate::progress::Progress;

/// What is varied by default: every number that a schedule could hang on, better and worse than it is assumed.
const VARIED: [&str; 35] = [
    "vxm_entry=4",
    "vxm_entry=10",
    "vxm_column_hop=0",
    "vxm_column_hop=6",
    "vxm_pass_through=2",
    "vxm_pass_through=10",
    "vxm_latency=1",
    "vxm_latency=6",
    "vxm_latency_transcendental=9",
    "vxm_latency_transcendental=18",
    "vxm_wires_per_row=2",
    "vxm_wires_per_row=8",
    "vxm_immediates=false",
    "mem_read_latency=2",
    "mem_write_to_read=3",
    "mem_write_to_read=12",
    "mxm_port_delay=6",
    "mxm_port_delay=18",
    "mxm_iw_to_act=1",
    "mxm_iw_to_act=20",
    "mxm_iw_to_lw=1",
    "mxm_iw_to_lw=20",
    "mxm_act_to_accumulate=7",
    "mxm_act_to_accumulate=26",
    "mxm_accumulate_to_result=20",
    "mxm_accumulate_to_result=80",
    "mxm_accumulator_rows=512",
    "sxm_in=2",
    "sxm_in=8",
    "sxm_out_on=10",
    "sxm_distribute=8",
    "sxm_transpose=16",
    "sxm_permute=44",
    "text_slices_west=[16,38]",
    "text_slices_west=[12,16,20,24,28,32,36,38]",
];

/// Arguments of `bench sensitivity`.
#[derive(Args)]
#[command(
    after_help = "Every program is compiled for its machine, checked and simulated on it; cycles are exact, on \
    any host the same. What the compiler refuses is a row that says why.\n\n\
    First the machine as it is; then, if it is an embedded one with nothing set, the other embedded ones; then one \
    number at a time. `change %` is against the first row: a schedule is a search, so that a better chip can have a \
    slightly worse program.\n\n\
    Without options, BERT-base in int8 with 128 tokens on some forty machines: about ten minutes."
)]
pub struct Sensitivity {
    /// Hugging Face folder, preset (bert-base, minilm-l6, …) or geometry (L=2,H=128,heads=2,ffn=512)
    #[arg(long, value_name = "MODEL", default_value = "bert-base")]
    model: String,
    /// int8, fp16, or sites of their own: int8,attention=fp16
    #[arg(long, value_name = "PRECISION", default_value = "int8")]
    precision: String,
    /// Tokens that the program takes
    #[arg(long, value_name = "N", default_value_t = 128)]
    seq_len: usize,
    /// Vary this number of the machine file instead of the usual ones; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    vary: Vec<String>,
    #[command(flatten)]
    options: Options,
}

/// A machine, with what it differs in: a name, the value in the first machine, its own value.
struct Variant {
    differs: [String; 3],
    machine: Machine,
}

/// The whole report.
pub fn sensitivity(args: &Sensitivity, machine: &Machine) -> Result<String, Failure> {
    let variants = variants(&args.vary, machine)?;
    let precisions = precisions(&[&args.precision])?;
    let mut progress = Progress::new("sensitivity");
    let subject = Subject::open(&args.options, &args.model, &precisions, &mut progress)?;
    let mut table = Table::new(["number", "value", "varied", "cycles", "us", "change %"]);
    let mut first = None;
    for Variant { differs, machine } in variants {
        let found = subject.measure(
            &machine.name,
            &precisions[0],
            args.seq_len,
            &machine,
            &mut progress,
        );
        let found = found.map(|m| {
            let first = *first.get_or_insert(m.cycles);
            cells(&m, &machine, first)
        });
        table.push(differs.map(Cell::Text).into(), found);
    }
    drop(progress);
    Ok(match args.options.json {
        true => {
            let (model, precision) = (&args.model, &args.precision);
            let report = json!({"model": model, "precision": precision, "seq_len": args.seq_len,
                "machine": machine.name, "rows": table.json()});
            format!("{report:#}\n")
        }
        false => format!("{}\n\n{}", command(), table.text()),
    })
}

/// The machine as it is, then what differs from it.
fn variants(vary: &[String], machine: &Machine) -> Result<Vec<Variant>, Failure> {
    let usual = VARIED.map(str::to_string);
    let settings = match vary {
        [] => &usual,
        _ => vary,
    };
    let mut variants = vec![Variant {
        differs: ["as it is", "", ""].map(str::to_string),
        machine: machine.clone(),
    }];
    if vary.is_empty() && Machine::NAMES.contains(&machine.name.as_str()) {
        let others = Machine::NAMES.into_iter().filter(|n| *n != machine.name);
        for other in others.filter_map(Machine::named) {
            let other = other.map_err(|e| e.to_string())?;
            variants.push(Variant {
                differs: ["machine", &machine.name, &other.name].map(str::to_string),
                machine: other,
            });
        }
    }
    for setting in settings {
        let varied = machine.with(&[setting]).map_err(|e| e.to_string())?;
        let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
        let was = machine.entry(key).map(|e| e.value.to_string());
        variants.push(Variant {
            differs: [key.to_string(), was.unwrap_or_default(), value.to_string()],
            machine: varied,
        });
    }
    Ok(variants)
}

fn cells(measured: &Measured, machine: &Machine, first: u64) -> Vec<Cell> {
    let cycles = measured.cycles as f64;
    vec![
        Cell::Count(measured.cycles),
        Cell::Real(cycles / f64::from(machine.clock_mhz), 1),
        Cell::Real(100.0 * (cycles / first.max(1) as f64 - 1.0), 1),
    ]
}
