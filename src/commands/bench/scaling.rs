//! `tspc bench scaling`: models, precisions and lengths against one another.

use clap::Args;
use serde_json::json;

use super::measure::{Measured, Options, Subject, precisions};
use super::table::{Cell, Table, command};
use crate::cli::Failure;
use crate::machine::Machine;
use crate::progress::Progress;

/// A model, a precision, and lengths; those of one model stand together, so that it is calibrated once.
type Group<'a> = (&'a str, &'a str, &'a [usize]);

/// What is measured by default: the demo's model and MiniLM at all lengths, shapes between and beside them, and one
/// that no chip holds.
const GROUPS: [Group; 11] = [
    ("bert-base", "int8", &[16, 32, 64, 128, 256, 384, 512]),
    ("bert-base", "fp16", &[128]),
    ("minilm-l6", "int8", &[16, 32, 64, 128, 256]),
    ("minilm-l6", "fp16", &[16, 32, 64, 128, 256]),
    ("bert-small", "int8", &[128]),
    ("bert-small", "fp16", &[128]),
    ("L=12,H=512,heads=8,ffn=2048", "int8", &[128]),
    ("L=12,H=512,heads=8,ffn=2048", "fp16", &[128]),
    ("L=3,H=432,heads=9,ffn=1000", "int8", &[77]),
    ("L=3,H=432,heads=9,ffn=1000", "fp16", &[77]),
    ("bert-large", "int8", &[128]),
];

/// Arguments of `bench scaling`.
#[derive(Args)]
#[command(
    after_help = "Every program is compiled, checked and simulated; cycles are exact, on any host the same. A \
    model that does not fit is a row that says why.\n\n\
    cycles, us  latency on the chip\n\
    bound       proven: no schedule of the same tiled operations takes fewer cycles\n\
    binds       what proves it: passes on four planes, operations on sixteen ALUs, the longest way\n\
    gap, ratio  cycles beyond the bound; cycles divided by it\n\
    placed      the same for the same instructions in the same places, as in `report --why`\n\
    MXM %       plane-cycles in which an activation enters\n\
    text        bytes of program text\n\n\
    Without options, 25 programs: BERT-base at S = 16 to 512, MiniLM-L6 in int8 and fp16 at S = 16 to 256, shapes \
    between them, and BERT-large, which no chip holds. It takes some minutes and 4 GiB."
)]
pub struct Scaling {
    /// Hugging Face folder, preset (bert-base, minilm-l6, …) or geometry (L=2,H=128,heads=2,ffn=512); may be given several times
    #[arg(long, value_name = "MODEL")]
    model: Vec<String>,
    /// int8, fp16, or sites of their own: int8,attention=fp16; may be given several times
    #[arg(
        long,
        value_name = "PRECISION",
        default_value = "int8",
        requires = "model"
    )]
    precision: Vec<String>,
    /// Tokens that the programs take, separated by commas
    #[arg(
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "128",
        requires = "model"
    )]
    seq_len: Vec<usize>,
    #[command(flatten)]
    options: Options,
}

/// The whole report.
pub fn scaling(args: &Scaling, machine: &Machine) -> Result<String, Failure> {
    let mut groups = GROUPS.to_vec();
    if !args.model.is_empty() {
        groups.clear();
        for model in &args.model {
            for precision in &args.precision {
                groups.push((model, precision, &args.seq_len));
            }
        }
    }
    let mut progress = Progress::new("scaling");
    let mut table = Table::new([
        "model",
        "precision",
        "S",
        "cycles",
        "us",
        "bound",
        "binds",
        "gap",
        "ratio",
        "placed",
        "MXM %",
        "text",
    ]);
    for groups in groups.chunk_by(|a, b| a.0 == b.0) {
        let names: Vec<&str> = groups.iter().map(|g| g.1).collect();
        let precisions = precisions(&names)?;
        let model = groups[0].0;
        let subject = Subject::open(&args.options, model, &precisions, &mut progress)?;
        for ((_, name, lengths), precision) in groups.iter().zip(&precisions) {
            for &seq_len in *lengths {
                let row = format!("{model} {name} {seq_len}");
                let found = subject.measure(&row, precision, seq_len, machine, &mut progress);
                let known = vec![model.into(), (*name).into(), Cell::Count(seq_len as u64)];
                table.push(known, found.map(|m| cells(&m, machine)));
            }
        }
    }
    drop(progress);
    Ok(match args.options.json {
        true => format!(
            "{:#}\n",
            json!({"machine": machine.name, "rows": table.json()})
        ),
        false => format!("{}\n\n{}", command(), table.text()),
    })
}

fn cells(measured: &Measured, machine: &Machine) -> Vec<Cell> {
    let (binds, bound) = measured.bound();
    let cycles = measured.cycles;
    vec![
        Cell::Count(cycles),
        Cell::Real(cycles as f64 / f64::from(machine.clock_mhz), 1),
        Cell::Count(bound),
        binds.into(),
        Cell::Count(cycles.saturating_sub(bound)),
        Cell::Real(cycles as f64 / bound.max(1) as f64, 2),
        Cell::Count(measured.bound_as_placed()),
        Cell::Real(100.0 * measured.mxm_busy(), 1),
        Cell::Count(measured.text_bytes),
    ]
}
