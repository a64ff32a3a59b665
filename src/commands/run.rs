//! `tspc run`: texts through a compiled model on the simulator, to sentence embeddings.
//!
//! One program serves all texts, one text is one run, and no text changes another's embedding.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::model::ModelArgs;
use crate::bert::golden::{Golden, Sentence};
use crate::bert::{Model, host, tokenize};
use crate::cli::Failure;
use crate::compare;
use crate::compiler::{self, Compiled};
use crate::files;
use crate::machine::Machine;
use crate::progress::Progress;

/// Arguments of `run`.
#[derive(Args)]
pub struct Run {
    /// Hugging Face folder with config.json, model.safetensors and tokenizer.json or vocab.txt; or a geometry
    #[arg(long, value_name = "MODEL")]
    model: String,
    #[command(flatten)]
    how: ModelArgs,
    /// A text; may be given several times
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["texts", "ids"])]
    text: Vec<String>,
    /// A file with a text per line
    #[arg(long, value_name = "FILE", conflicts_with = "ids")]
    texts: Option<PathBuf>,
    /// Token ids instead of a text, separated by commas; may be given several times
    #[arg(long, value_name = "IDS")]
    ids: Vec<String>,
    /// Tokens that the program takes; the smallest of 16, 32, 64, 128, 256, 384, 512 that holds the longest text
    #[arg(long, value_name = "N")]
    seq_len: Option<usize>,
    /// Compare the levels of the compiler, tensor by tensor, instead of printing embeddings
    #[arg(long, value_enum, value_name = "WHAT")]
    compare: Option<Compare>,
    /// Folder with golden data: run its tokens of these texts, print the cosine of each embedding with its own
    #[arg(long, value_name = "DIR")]
    golden: Option<PathBuf>,
    /// Report as JSON: embeddings, cycles, seq_len
    #[arg(long)]
    json: bool,
}

/// What `--compare` compares.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Compare {
    /// fp32, quantised, streams, instructions, simulator
    Levels,
}

/// `tspc run`.
pub fn run(args: &Run, machine: &Machine) -> Result<(), Failure> {
    let model = args.how.open(&args.model)?;
    let golden = match &args.golden {
        Some(dir) => Some(Golden::from_dir(dir).map_err(|e| e.to_string())?),
        None => None,
    };
    let (names, ids) = texts(args, &model, golden.as_ref())?;
    let longest = ids.iter().map(Vec::len).max().unwrap_or(0);
    let seq_len = match args.seq_len {
        Some(len) if len < longest => {
            let why = format!("--seq-len {len}: the longest text has {longest} tokens");
            return Err(Failure::from(why));
        }
        Some(len) => len,
        None => tokenize::seq_len(longest, &model.config).map_err(|e| e.to_string())?,
    };
    let (compiled, _) = args.how.compile(&model, seq_len, machine)?;
    if args.compare.is_some() {
        let mut out = String::new();
        let mut equal = true;
        for (name, ids) in names.iter().zip(&ids) {
            let found = compare::levels(&model, &compiled, machine, ids)?;
            equal &= found.equal;
            let _ = write!(out, "{name}\n{}\n", found.text);
        }
        files::print(out)?;
        return match equal {
            true => Ok(()),
            false => Err(Failure::from("the levels disagree".to_string())),
        };
    }
    let (embeddings, cycles) = embeddings(&model, &compiled, machine, &ids)?;
    if args.json {
        let report = json!({"embeddings": embeddings, "cycles": cycles, "seq_len": seq_len});
        return Ok(files::print(format!("{report}\n"))?);
    }
    let us = cycles as f64 / f64::from(machine.clock_mhz);
    let mut out = format!(
        "{} texts, {seq_len} tokens, {}: {cycles} cycles = {us:.1} us each\n",
        names.len(),
        args.how.precision
    );
    match golden {
        Some(golden) => against_golden(&mut out, &names, &embeddings, &golden)?,
        None => similarities(&mut out, &names, &embeddings),
    }
    Ok(files::print(out)?)
}

/// What to call each text, and its tokens.
fn texts(
    args: &Run,
    model: &Model,
    golden: Option<&Golden>,
) -> Result<(Vec<String>, Vec<Vec<u32>>), Failure> {
    let texts = match &args.texts {
        Some(path) => {
            let text = files::read_text(path)?;
            let lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
            lines.map(str::to_string).collect()
        }
        None => args.text.clone(),
    };
    if !args.ids.is_empty() {
        let parse = |list: &String| {
            list.split(',')
                .map(|id| id.trim().parse::<u32>())
                .collect::<Result<Vec<u32>, _>>()
                .map_err(|e| format!("--ids {list}: {e}"))
        };
        let ids = args.ids.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        return Ok((args.ids.clone(), ids));
    }
    if texts.is_empty() {
        return Err(Failure::from(
            "nothing to run: expected --text, --texts or --ids".to_string(),
        ));
    }
    if let Some(golden) = golden {
        let known = |text: &String| sentence(golden, text).map(|s| s.ids.clone());
        let ids = texts.iter().map(known).collect::<Result<Vec<_>, _>>()?;
        return Ok((texts, ids));
    }
    let Some(tokenizer) = &model.tokenizer else {
        let why = format!(
            "{}: seeded weights have no words; expected --ids",
            args.model
        );
        return Err(Failure::from(why));
    };
    let encode = |text: &String| tokenizer.encode(text).map_err(|e| e.to_string());
    let ids = texts.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
    Ok((texts, ids))
}

fn embeddings(
    model: &Model,
    compiled: &Compiled,
    machine: &Machine,
    ids: &[Vec<u32>],
) -> Result<(Vec<Vec<f32>>, u64), Failure> {
    let mut progress = Progress::new("simulating");
    let mut embeddings = Vec::new();
    let mut cycles = 0;
    for (i, ids) in ids.iter().enumerate() {
        let (before, texts) = (i as u64, embeddings.capacity().max(i + 1) as u64);
        let mut at = |done: u64, total: u64| progress.at(before * total + done, texts * total);
        let inference = compiler::infer(model, &compiled.program, machine, ids, &mut at)
            .map_err(|e| e.to_string())?;
        cycles = inference.outcome.cycles;
        embeddings.push(host::pool(
            &inference.hidden,
            model.config.hidden,
            ids.len(),
        ));
    }
    Ok((embeddings, cycles))
}

/// The first numbers of each embedding, and the cosine of every pair.
fn similarities(out: &mut String, names: &[String], embeddings: &[Vec<f32>]) {
    const SHOWN: usize = 6;
    for (i, (name, x)) in names.iter().zip(embeddings).enumerate() {
        let head: Vec<String> = x.iter().take(SHOWN).map(|v| format!("{v:+.4}")).collect();
        let more = if x.len() > SHOWN { " …" } else { "" };
        let _ = writeln!(out, "\n[{i}] {name}\n    {}{more}", head.join(" "));
    }
    let all = host::similarities(embeddings);
    let _ = write!(out, "\nsimilarity");
    for i in 0..all.len() {
        let _ = write!(out, " {:>7}", format!("[{i}]"));
    }
    let _ = writeln!(out);
    for (i, row) in all.iter().enumerate() {
        let _ = write!(out, "{:>10}", format!("[{i}]"));
        for cosine in row {
            let _ = write!(out, " {cosine:>7.4}");
        }
        let _ = writeln!(out);
    }
}

fn sentence<'g>(golden: &'g Golden, text: &str) -> Result<&'g Sentence, String> {
    let known = golden.sentences.iter().find(|s| s.text.trim() == text);
    known.ok_or_else(|| format!("the golden data has no text {text:?}"))
}

fn against_golden(
    out: &mut String,
    names: &[String],
    embeddings: &[Vec<f32>],
    golden: &Golden,
) -> Result<(), Failure> {
    let mut cosines = Vec::new();
    for (name, x) in names.iter().zip(embeddings) {
        let cosine = host::cosine(x, &sentence(golden, name)?.pooled);
        let _ = writeln!(out, "{cosine:.6}  {name}");
        cosines.push(cosine);
    }
    let least = cosines.iter().copied().fold(1.0, f64::min);
    let mean = cosines.iter().sum::<f64>() / cosines.len().max(1) as f64;
    let _ = writeln!(
        out,
        "cosine with the golden embeddings: min {least:.6}, mean {mean:.6}"
    );
    Ok(())
}
