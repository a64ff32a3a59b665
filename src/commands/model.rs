//! Options that name a model and how it is compiled, shared by `compile`, `run` and `demo`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use crate::bert::{Model, calibrate, graph, tokenize};
use crate::cli::Failure;
use crate::compiler::{self, Compiled, Error, Listener, PASSES, Request};
use crate::ir::{Module, text};
use crate::machine::Machine;
use crate::passes::quantise::Format;
use crate::passes::{Context, Pipeline, Precision, Ranges};
use crate::progress::Progress;

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error {
            Error::Message(message) => Failure::from(message),
            Error::Diagnostics(all) => Failure::from(all),
        }
    }
}

/// Tokens if nobody says otherwise.
const SEQ_LEN: usize = 128;

/// Which model, and how.
#[derive(Args)]
pub struct ModelArgs {
    /// Seed of the weights of a geometry, and of its token ids
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// int8, fp16, or sites of their own: int8,attention=fp16
    #[arg(long, value_name = "PRECISION", default_value = "int8")]
    pub precision: String,
    /// Texts to calibrate int8 on, one a line; built-in ones by default
    #[arg(long, value_name = "FILE")]
    pub calibrate: Option<PathBuf>,
    /// Passes to run, in order; see `tspc passes`
    #[arg(long, value_name = "PASSES", default_value = PASSES)]
    pub pass_pipeline: String,
    /// Print the module after this pass to standard error; may be given several times, `all` is every pass
    #[arg(long, value_name = "PASS")]
    pub print_ir_after: Vec<String>,
    /// Print the time that each step took to standard error
    #[arg(long)]
    pub timing: bool,
}

/// Shows steps on a terminal and modules where they are wanted.
struct Shown<'a> {
    args: &'a ModelArgs,
    progress: Progress,
}

impl Listener for Shown<'_> {
    fn step(&mut self, name: &str) {
        self.progress.step(name);
    }

    fn module(&mut self, pass: &str, module: &Module) {
        let wanted = &self.args.print_ir_after;
        if wanted.iter().any(|w| w == pass || w == "all") {
            eprint!("// after {pass}\n{}", text::print_without_locations(module));
        }
    }
}

impl ModelArgs {
    /// Opens the model that `name` says: a folder, a preset or a geometry.
    pub fn open(&self, name: &str) -> Result<Model, Failure> {
        Ok(Model::open(name, self.seed).map_err(|e| e.to_string())?)
    }

    /// Tokens of a program: as wanted, else 128 or all that the model has positions for if fewer.
    pub fn seq_len(model: &Model, wanted: Option<usize>) -> Result<usize, Failure> {
        let longest = model.config.max_positions.min(SEQ_LEN);
        let default = tokenize::seq_len(longest, &model.config).map_err(|e| e.to_string())?;
        Ok(wanted.unwrap_or(default))
    }

    /// Calibrates if some product is int8, and compiles; the time that both took together.
    pub fn compile(
        &self,
        model: &Model,
        seq_len: usize,
        machine: &Machine,
    ) -> Result<(Compiled, Duration), Failure> {
        let clock = Instant::now();
        let precision = Precision::parse(&self.precision).map_err(|d| vec![d])?;
        let mut shown = Shown {
            args: self,
            progress: Progress::new("compiling"),
        };
        let ranges = self.ranges(model, &precision, &mut shown)?;
        let request = Request {
            model,
            seq_len,
            precision,
            ranges,
            machine,
            passes: &self.pass_pipeline,
        };
        let compiled = compiler::compile(&request, &mut shown)?;
        drop(shown);
        if self.timing {
            for (step, time) in &compiled.timings {
                eprintln!("{step:<16} {:>9.3} ms", time.as_secs_f64() * 1e3);
            }
        }
        Ok((compiled, clock.elapsed()))
    }

    /// What these passes make of a model, calibrated first if some product is int8.
    pub fn prepare(
        &self,
        model: &Model,
        seq_len: usize,
        machine: &Machine,
        passes: &Pipeline,
    ) -> Result<Module, Failure> {
        let precision = Precision::parse(&self.precision).map_err(|d| vec![d])?;
        let mut shown = Shown {
            args: self,
            progress: Progress::new("preparing"),
        };
        let context = Context {
            machine: machine.clone(),
            ranges: self.ranges(model, &precision, &mut shown)?,
            precision,
        };
        let imported = graph::build(&model.config, &model.weights, seq_len).map_err(|d| vec![d])?;
        let mut after = |pass: &str, module: &Module| shown.module(pass, module);
        Ok(passes.run(imported, &context, &mut after)?.module)
    }

    fn ranges(
        &self,
        model: &Model,
        precision: &Precision,
        shown: &mut Shown,
    ) -> Result<Option<Ranges>, Failure> {
        if !precision.has(Format::Int8) {
            return Ok(None);
        }
        let texts = match &self.calibrate {
            Some(path) => Some(calibrate::from_file(path).map_err(|e| e.to_string())?),
            None => None,
        };
        let ids = compiler::calibration_ids(model, texts.as_deref(), self.seed)?;
        Ok(Some(compiler::calibrated(model, &ids, shown)?))
    }
}
