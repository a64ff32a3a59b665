//! From a model to a checked program, and from token ids through the simulator to hidden states.
//!
//! Before: a model and a sequence length that its position table holds. After: a program that the checker accepted.
//! Holds no knowledge of the chip: it connects frontends, passes, code generation, checker and simulator.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{fmt, iter, thread};

use tspc_frontend_bert::graph::Encoder;
use tspc_frontend_bert::{Model, calibrate, graph, host};

use crate::check::{self, Report};
use crate::codegen;
use crate::ir::eval::{Array, Arrays};
use crate::ir::stage::Tsp;
use crate::ir::{Diagnostic, Module, Value};
use crate::machine::Machine;
use crate::passes::canonicalise::canonical;
use crate::passes::{Context, Pipeline, Precision, Ranges};
use crate::program::Program;
use crate::sim::{self, Fault};

/// The passes of a compilation, in order.
pub const PASSES: &str = "canonicalise, \
    quantise, \
    egraph, \
    tile";

/// Why there is no program.
#[derive(Debug)]
pub enum Error {
    /// A sentence that names what is wrong.
    Message(String),
    /// Findings with their places.
    Diagnostics(Vec<Diagnostic>),
}

impl From<String> for Error {
    fn from(message: String) -> Error {
        Error::Message(message)
    }
}

impl From<Diagnostic> for Error {
    fn from(diagnostic: Diagnostic) -> Error {
        Error::Diagnostics(vec![diagnostic])
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Message(message) => f.write_str(message),
            Error::Diagnostics(all) => {
                let lines: Vec<String> = all.iter().map(ToString::to_string).collect();
                f.write_str(lines.join("\n").trim_end())
            }
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// The first line of what is wrong.
    pub fn line(&self) -> String {
        match self {
            Error::Diagnostics(all) => all.first().map_or(String::new(), |d| d.message.clone()),
            Error::Message(message) => message.lines().next().unwrap_or_default().to_string(),
        }
    }
}

/// What to compile.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The model.
    pub model: &'a Model,
    /// Tokens that the program takes; shorter texts are padded.
    pub seq_len: usize,
    /// What each product is computed in.
    pub precision: Precision,
    /// Ranges from calibration; int8 needs them.
    pub ranges: Option<Ranges>,
    /// The chip.
    pub machine: &'a Machine,
    /// The passes, in the notation of pipelines.
    pub passes: &'a str,
}

/// A program with the levels that it came from.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What the model computes, in fp32.
    pub tensor: Module,
    /// After quantisation.
    pub quantised: Module,
    /// `stream.*` before tiling.
    pub untiled: Module,
    /// Tiled `stream.*`.
    pub stream: Module,
    /// Instructions with place, time and address.
    pub tsp: Tsp,
    /// The program, accepted by the checker.
    pub program: Program,
    /// What the checker found out.
    pub report: Report,
    /// How long each step took.
    pub timings: Vec<(String, Duration)>,
}

/// Hears of every step that begins and of every module that a pass gives.
pub trait Listener {
    /// A step begins.
    fn step(&mut self, _name: &str) {}
    /// A pass gave this module.
    fn module(&mut self, _pass: &str, _module: &Module) {}
}

/// Hears nothing.
pub struct Silent;

impl Listener for Silent {}

/// The ranges of a module's products over these texts, each at its own length, so that no padding takes part. Texts
/// are shared out over the host's cores; the result depends neither on how many nor on which was faster.
pub fn calibrated(
    model: &Model,
    texts: &[Vec<u32>],
    listener: &mut dyn Listener,
) -> Result<Ranges, Error> {
    listener.step("calibrate");
    let encoder = Encoder::new(&model.config, &model.weights)?;
    let observe = |ids: &[u32]| -> Result<Ranges, Error> {
        let module = canonical(&encoder.module(ids.len())?)?;
        Ok(Ranges::observe(&module, &inputs(model, ids, ids.len())?)?)
    };
    // The longest first, so that all threads end at about the same time.
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|&i| Reverse(texts[i].len()));
    let next = AtomicUsize::new(0);
    let take = || order.get(next.fetch_add(1, Relaxed)).copied();
    let work = || -> Vec<(usize, Result<Ranges, Error>)> {
        iter::from_fn(take)
            .map(|i| (i, observe(&texts[i])))
            .collect()
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let seen: BTreeMap<usize, Result<Ranges, Error>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores.min(texts.len()))
            .map(|_| scope.spawn(work))
            .collect();
        let joined = threads
            .into_iter()
            .map(|t| t.join().unwrap_or_else(|p| resume_unwind(p)));
        joined.flatten().collect()
    });
    let mut all: Option<Ranges> = None;
    for ranges in seen.into_values() {
        match &mut all {
            Some(all) => all.merge(&ranges?)?,
            None => all = Some(ranges?),
        }
    }
    all.ok_or_else(|| Error::from("no text to calibrate on".to_string()))
}

/// Token ids to calibrate on: of texts, where the model has words; else seeded ones.
pub fn calibration_ids(
    model: &Model,
    texts: Option<&[String]>,
    seed: u64,
) -> Result<Vec<Vec<u32>>, Error> {
    let Some(tokenizer) = &model.tokenizer else {
        let len = model.config.max_positions.min(32);
        return Ok((0..2)
            .map(|i| seeded_ids(model, len, seed.wrapping_add(i)))
            .collect());
    };
    let built_in;
    let texts = match texts {
        Some(texts) => texts,
        None => {
            built_in = calibrate::built_in();
            &built_in
        }
    };
    let encode = |text: &String| tokenizer.encode(text).map_err(|e| e.to_string().into());
    texts.iter().map(encode).collect()
}

/// Seeded token ids (SplitMix64), uniform over the word table.
pub fn seeded_ids(model: &Model, count: usize, seed: u64) -> Vec<u32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % model.config.vocab as u64) as u32
    };
    (0..count).map(|_| next()).collect()
}

/// The inputs of the encoder as arrays.
pub fn inputs(model: &Model, ids: &[u32], seq_len: usize) -> Result<Arrays, Error> {
    let (config, weights) = (&model.config, &model.weights);
    let x = host::embed(config, weights, ids, seq_len).map_err(|e| e.to_string())?;
    let mask = host::mask(ids.len(), seq_len);
    let arrays = [
        (graph::EMBEDDINGS, vec![seq_len, config.hidden], x),
        (graph::MASK, vec![1, seq_len], mask),
    ];
    let named = |(name, shape, data): (&str, Vec<usize>, Vec<f32>)| {
        Array::f32s(shape, data).map(|a| (name.to_string(), a))
    };
    Ok(arrays
        .into_iter()
        .map(named)
        .collect::<Result<Arrays, String>>()?)
}

/// The inputs under the shapes that a module of a later level declares: the same bytes.
pub fn reshaped(module: &Module, arrays: &Arrays) -> Result<Arrays, Error> {
    let shaped = |(name, value): (&str, Value)| {
        let missing = || format!("input {name} is missing");
        let data = arrays.get(name).ok_or_else(missing)?.data.clone();
        Array::new(module.ty(value).shape.clone(), data).map(|a| (name.to_string(), a))
    };
    Ok(module
        .inputs()
        .map(shaped)
        .collect::<Result<Arrays, String>>()?)
}

/// Compiles a model.
pub fn compile(request: &Request, listener: &mut dyn Listener) -> Result<Compiled, Error> {
    let model = request.model;
    let mut timings = Vec::new();
    let clock = Instant::now();
    listener.step("import");
    let imported = graph::build(&model.config, &model.weights, request.seq_len)?;
    timings.push(("import".to_string(), clock.elapsed()));
    let context = Context {
        machine: request.machine.clone(),
        ranges: request.ranges.clone(),
        precision: request.precision.clone(),
    };
    let pipeline = Pipeline::parse(request.passes)?;
    listener.step("passes");
    let (mut tensor, mut quantised, mut untiled) = (None, None, None);
    let outcome = pipeline
        .run(imported, &context, &mut |pass, module| {
            match pass {
                "canonicalise" => tensor = Some(module.clone()),
                "quantise" => quantised = Some(module.clone()),
                "egraph" => untiled = Some(module.clone()),
                _ => {}
            }
            listener.module(pass, module);
        })
        .map_err(Error::Diagnostics)?;
    let named = |(name, time): &(&str, Duration)| (name.to_string(), *time);
    timings.extend(outcome.timings.iter().map(named));
    let stream = outcome.module;
    let (Some(tensor), Some(quantised), Some(untiled)) = (tensor, quantised, untiled) else {
        return Err(format!("the passes should include those of {PASSES}").into());
    };
    let Scheduled {
        tsp,
        program,
        report,
    } = scheduled(&stream, request.machine, listener, &mut timings)?;
    Ok(Compiled {
        tensor,
        quantised,
        untiled,
        stream,
        tsp,
        program,
        report,
        timings,
    })
}

/// A program with its instructions, which the checker accepted.
pub struct Scheduled {
    /// Instructions with place, time and address.
    pub tsp: Tsp,
    /// The program.
    pub program: Program,
    /// What the checker found out.
    pub report: Report,
}

/// From tiled `stream.*` to a checked program; what each step took goes to `timings`.
pub fn scheduled(
    stream: &Module,
    machine: &Machine,
    listener: &mut dyn Listener,
    timings: &mut Vec<(String, Duration)>,
) -> Result<Scheduled, Error> {
    let mut timed = |step: &str, clock: Instant| timings.push((step.to_string(), clock.elapsed()));
    listener.step("schedule");
    let clock = Instant::now();
    let tsp = codegen::lower(stream, machine).map_err(|e| e.to_string())?;
    timed("lower", clock);
    listener.step("emit");
    let clock = Instant::now();
    let program = codegen::emit(&tsp, machine).map_err(|e| e.to_string())?;
    timed("emit", clock);
    listener.step("check");
    let clock = Instant::now();
    let report = checked(&program, machine)?;
    timed("check", clock);
    Ok(Scheduled {
        tsp,
        program,
        report,
    })
}

/// What the checker found out about a compiled program, which it has to accept.
pub fn checked(program: &Program, machine: &Machine) -> Result<Report, Error> {
    let report = check::check(program, machine);
    if report.accepted() {
        return Ok(report);
    }
    let shown = report.violations.iter().take(8);
    let lines: Vec<String> = shown.map(ToString::to_string).collect();
    Err(Error::Message(format!(
        "the checker refuses the compiled program, {} violations:\n{}",
        report.total,
        lines.join("\n")
    )))
}

/// What an inference gave.
#[derive(Clone, Debug)]
pub struct Inference {
    /// The last hidden states, [seq_len, hidden].
    pub hidden: Vec<f32>,
    /// What the simulator counted.
    pub outcome: sim::Outcome,
}

/// Why an inference did not end.
#[derive(Debug)]
pub enum Stopped {
    /// The input does not fit.
    Input(Error),
    /// The simulator found something illegal.
    Fault(Box<Fault>),
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stopped::Input(error) => error.fmt(f),
            Stopped::Fault(fault) => fault.fmt(f),
        }
    }
}

/// Runs a program of a model on the simulator; `progress` hears cycles done and cycles in all.
pub fn infer(
    model: &Model,
    program: &Program,
    machine: &Machine,
    ids: &[u32],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Inference, Stopped> {
    let rows = program
        .outputs
        .iter()
        .find(|o| o.name == graph::HIDDEN)
        .map(|o| o.rows as usize)
        .ok_or_else(|| {
            Stopped::Input(format!("the program has no output {}", graph::HIDDEN).into())
        })?;
    let arrays = inputs(model, ids, rows).map_err(Stopped::Input)?;
    let raw = raw(&arrays);
    let options = sim::Options {
        progress: Some(progress),
    };
    let outcome = sim::simulate_with(program, machine, &raw, options)
        .map_err(|f| Stopped::Fault(Box::new(f)))?;
    let bytes = outcome.outputs.get(graph::HIDDEN);
    let hidden = bytes
        .into_iter()
        .flat_map(|b| b.chunks_exact(4))
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    Ok(Inference { hidden, outcome })
}

/// Arrays as the simulator takes them: little-endian elements.
pub fn raw(arrays: &Arrays) -> BTreeMap<String, Vec<u8>> {
    let bytes = |array: &Array| {
        let (size, n) = (array.data.elem().bytes(), array.data.len());
        let lanes = array.data.lanes(0..n);
        let little = lanes
            .iter()
            .flat_map(|x| x.to_le_bytes().into_iter().take(size));
        little.collect()
    };
    arrays
        .iter()
        .map(|(name, array)| (name.clone(), bytes(array)))
        .collect()
}
