//! `tspc demo`: BERT-base with seeded weights, compiled, checked, simulated and compared, on one page.

use std::time::Instant;

use clap::Args;

use super::model::ModelArgs;
use crate::bert::{Model, host, reference};
use crate::cli::Failure;
use crate::compiler::{self, Compiled, Inference};
use crate::files;
use crate::machine::Machine;
use crate::progress::Progress;
use crate::report::{bounds, phases, sheet::Sheet, sheet::sizes};

/// Arguments of `demo`.
#[derive(Args)]
pub struct Demo {
    /// Hugging Face folder, preset (bert-base, bert-tiny, …) or geometry (L=2,H=128,heads=2,ffn=512)
    #[arg(long, value_name = "MODEL", default_value = "bert-base")]
    model: String,
    #[command(flatten)]
    how: ModelArgs,
    /// Tokens, all of them valid
    #[arg(long, value_name = "N", default_value_t = 128)]
    seq_len: usize,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

/// `tspc demo`.
pub fn demo(args: &Demo, machine: &Machine) -> Result<(), Failure> {
    let model = args.how.open(&args.model)?;
    let (compiled, compile_time) = args.how.compile(&model, args.seq_len, machine)?;
    let ids = compiler::seeded_ids(&model, args.seq_len, args.how.seed);
    let clock = Instant::now();
    let mut progress = Progress::new("simulating");
    let mut at = |done, total| progress.at(done, total);
    let inference = compiler::infer(&model, &compiled.program, machine, &ids, &mut at)
        .map_err(|e| e.to_string())?;
    drop(progress);
    let simulate_time = clock.elapsed();
    let mut sheet = sheet(args, &compiled, &inference, machine);
    let cosine = worst_cosine(&model, &ids, &inference.hidden)?;
    sheet.cosine = Some((cosine, model.tokenizer.is_none()));
    sheet.seconds = Some((compile_time, simulate_time));
    Ok(files::print(match args.json {
        true => format!("{:#}\n", sheet.json(machine)),
        false => sheet.text(machine),
    })?)
}

fn sheet(args: &Demo, compiled: &Compiled, inference: &Inference, machine: &Machine) -> Sheet {
    let cycles = inference.outcome.cycles;
    let (text_bytes, sram_words, host_bytes) = sizes(&compiled.program, &compiled.report);
    Sheet {
        model: args.model.clone(),
        precision: args.how.precision.clone(),
        seq_len: args.seq_len,
        cycles,
        activations: inference.outcome.acts,
        usage: phases::usage(&compiled.program, machine, cycles),
        bounds: bounds::bounds(&compiled.quantised, &compiled.stream, machine),
        text_bytes,
        sram_words,
        host_bytes,
        sha256: compiled.program.sha256(),
        cosine: None,
        seconds: None,
    }
}

/// The least cosine between a valid token's last hidden state and that of the fp32 reference.
pub fn worst_cosine(model: &Model, ids: &[u32], hidden: &[f32]) -> Result<f64, Failure> {
    let (config, weights) = (&model.config, &model.weights);
    let x = host::embed(config, weights, ids, ids.len()).map_err(|e| e.to_string())?;
    let want = reference::encode(config, weights, &x, ids.len());
    let rows = want
        .chunks_exact(config.hidden)
        .zip(hidden.chunks_exact(config.hidden));
    Ok(rows.map(|(a, b)| host::cosine(a, b)).fold(1.0, f64::min))
}
