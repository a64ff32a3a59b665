//! One model compiled, checked and simulated: exact cycles, bounds, how busy the MXM is, and how long it took.
//!
//! After: the simulator counted the cycles that the checker derived, or there is no figure.

use std::time::{Duration, Instant};

use clap::Args;

use crate::bert::Model;
use crate::cli::Failure;
use crate::compiler::{
    Error, Listener, PASSES, Request, Silent, calibrated, calibration_ids, compile, infer,
    seeded_ids,
};
use crate::machine::Machine;
use crate::passes::quantise::Format;
use crate::passes::{Precision, Ranges};
use crate::progress::Progress;
use crate::report::bounds::{Bounds, bounds};
use crate::report::parts::Part;
use crate::report::waits::Waits;
use crate::report::why::whole;

/// What all tables of programs can be told.
#[derive(Args)]
pub struct Options {
    /// Seed of the weights of a geometry, and of its token ids
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Passes to run, in order; see `tspc passes`
    #[arg(long, value_name = "PASSES", default_value = PASSES)]
    pass_pipeline: String,
    /// Report as JSON
    #[arg(long)]
    pub json: bool,
}

/// The figures of a program.
pub struct Measured {
    /// On-chip latency.
    pub cycles: u64,
    /// Bytes of program text.
    pub text_bytes: u64,
    /// What each step took on this machine.
    pub timings: Vec<(String, Duration)>,
    /// Lower bounds of every schedule of the same `stream.*`.
    bounds: Bounds,
    /// The whole program as it was placed.
    whole: Part,
}

impl Measured {
    /// What binds, and the cycles that no schedule of the same operations can do without.
    pub fn bound(&self) -> (&'static str, u64) {
        let largest = self.bounds.iter().max_by_key(|&(name, n)| (n, name));
        largest.map_or(("", 0), |(name, n)| (*name, *n))
    }

    /// The cycles that the same instructions in the same places cannot do without: more, but of this program only.
    pub fn bound_as_placed(&self) -> u64 {
        self.whole.bound().1
    }

    /// Plane-cycles with an activation entering, of all; in fp16 an activation takes two planes.
    pub fn mxm_busy(&self) -> f64 {
        let busy = self.whole.bounds.get("MXM").copied().unwrap_or(0);
        busy as f64 / self.cycles.max(1) as f64
    }
}

/// A model with what calibration found in it.
pub struct Subject<'a> {
    options: &'a Options,
    model: Model,
    ranges: Option<Ranges>,
    /// What calibration took.
    calibration: Duration,
}

impl<'a> Subject<'a> {
    /// Opens a model, and calibrates it if a precision is int8.
    pub fn open(
        options: &'a Options,
        model: &str,
        precisions: &[Precision],
        progress: &mut Progress,
    ) -> Result<Subject<'a>, Failure> {
        progress.step(&format!("{model}, calibration"));
        let model = Model::open(model, options.seed).map_err(|e| e.to_string())?;
        let clock = Instant::now();
        let int8 = precisions.iter().any(|p| p.has(Format::Int8));
        let ranges = int8.then(|| -> Result<Ranges, Error> {
            let ids = calibration_ids(&model, None, options.seed)?;
            calibrated(&model, &ids, &mut Silent)
        });
        let ranges = ranges.transpose()?;
        Ok(Subject {
            options,
            model,
            ranges,
            calibration: clock.elapsed(),
        })
    }

    /// Compiles, checks and simulates with all tokens valid; `row` names the row in the progress. An error is a line.
    pub fn measure(
        &self,
        row: &str,
        precision: &Precision,
        seq_len: usize,
        machine: &Machine,
        progress: &mut Progress,
    ) -> Result<Measured, String> {
        let request = Request {
            model: &self.model,
            seq_len,
            precision: precision.clone(),
            ranges: self.ranges.clone(),
            machine,
            passes: &self.options.pass_pipeline,
        };
        let mut steps = Steps { row, progress };
        let compiled = compile(&request, &mut steps).map_err(|e| e.line())?;
        steps.step("simulate");
        let clock = Instant::now();
        let ids = seeded_ids(&self.model, seq_len, self.options.seed);
        let program = &compiled.program;
        let inference = infer(&self.model, program, machine, &ids, &mut |_, _| {});
        let simulation = clock.elapsed();
        let cycles = inference.map_err(|e| line(&e.to_string()))?.outcome.cycles;
        let derived = compiled.report.cycles;
        if derived != Some(cycles) {
            return Err(format!(
                "the checker derives {derived:?} cycles, the simulator counts {cycles}"
            ));
        }
        steps.step("bounds");
        let mut timings = vec![("calibrate".to_string(), self.calibration)];
        timings.extend(compiled.timings);
        timings.push(("simulate".to_string(), simulation));
        Ok(Measured {
            cycles,
            text_bytes: compiled.report.text_bytes,
            bounds: bounds(&compiled.quantised, &compiled.stream, machine),
            timings,
            whole: whole(&Waits::new(program, machine), machine, Some(cycles)),
        })
    }
}

/// The precisions of some names.
pub fn precisions<S: AsRef<str>>(names: &[S]) -> Result<Vec<Precision>, Failure> {
    let parse = |name: &S| Precision::parse(name.as_ref()).map_err(|d| Failure::from(vec![d]));
    names.iter().map(parse).collect()
}

fn line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_string()
}

/// Shows the steps of a row.
struct Steps<'a> {
    row: &'a str,
    progress: &'a mut Progress,
}

impl Listener for Steps<'_> {
    fn step(&mut self, name: &str) {
        self.progress.step(&format!("{}, {name}", self.row));
    }
}
