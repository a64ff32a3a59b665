//! `tspc bisect`: the first rewrite of the e-graph that breaks something.

use std::cell::RefCell;
use std::path::PathBuf;
use std::process::Command;

use clap::{ArgGroup, Args};

use super::source::{From, Source};
use crate::cli::Failure;
use crate::files;
use crate::ir::eval::{Array, Arrays, Data, evaluate};
use crate::ir::{Elem, Module, text};
use crate::machine::Machine;
use crate::passes::egraph::decode::pipelines::Room;
use crate::passes::egraph::explain::bisect::{
    First, Verdict, first_bad, outputs, rewrite, rewrites,
};
use crate::passes::egraph::explain::{Explained, explain};
use crate::passes::egraph::fuse;
use crate::passes::egraph::saturate::Settings;

/// Arguments of `bisect`.
#[derive(Args)]
#[command(group(ArgGroup::new("module").args(["file", "model"]).required(true)))]
#[command(group(ArgGroup::new("predicate").args(["differs", "cost_above", "command"]).required(true)))]
pub struct Bisect {
    #[command(flatten)]
    source: Source,
    /// Broken if an output is further than this from what the module computes, on seeded inputs from -1 to 1
    #[arg(long, value_name = "X")]
    differs: Option<f32>,
    /// Broken if the regions together cost more cycles than this
    #[arg(long, value_name = "CYCLES")]
    cost_above: Option<u64>,
    /// Broken if this command fails, run on a file with the text of the `stream` module that the pass gives
    #[arg(long, value_name = "COMMAND")]
    command: Option<String>,
}

/// One search.
struct Search<'a> {
    args: &'a Bisect,
    machine: &'a Machine,
    module: &'a Module,
    settings: Settings,
    room: Room,
    inputs: Arrays,
    wanted: Arrays,
    /// What was measured, by number of rewrites.
    seen: RefCell<Vec<(usize, String)>>,
}

/// `tspc bisect`.
pub fn bisect(args: &Bisect, machine: &Machine) -> Result<(), Failure> {
    let from: &From = args.source.from();
    let module = args.source.module(machine)?;
    let (settings, room) = from.configured(machine)?;
    let inputs = seeded(&module, from.seed())?;
    let wanted = match args.differs {
        Some(_) => evaluate(&module, &inputs).map_err(|d| vec![d])?,
        None => Arrays::new(),
    };
    let search = Search {
        args,
        machine,
        module: &module,
        settings,
        room,
        inputs,
        wanted,
        seen: RefCell::default(),
    };
    Ok(files::print(search.run()?)?)
}

impl Search<'_> {
    fn run(&self) -> Result<String, Failure> {
        let total = rewrites(self.module, self.machine, &self.settings).map_err(|d| vec![d])?;
        let found = first_bad(total, &mut |n| self.test(n))?;
        let with = |n: usize| {
            let seen = self.seen.borrow();
            let measured = seen.iter().find(|(k, _)| *k == n);
            measured.map_or(String::new(), |(_, what)| format!("with {n}: {what}\n"))
        };
        Ok(match found {
            First::Nowhere(Verdict::Unknown) => format!(
                "no verdict, even with all {total} rewrites\n{}",
                with(total)
            ),
            First::Nowhere(_) => format!("not broken by any of {total} rewrites\n{}", with(total)),
            First::Already(n) => format!(
                "broken already with {n} of {total} rewrites, and with fewer there is no verdict\n{}",
                with(n)
            ),
            First::At(n) => {
                let explained = self.with(n)?;
                let what = rewrite(&explained, n).unwrap_or_default();
                format!(
                    "rewrite {n} of {total} breaks it: {what}\n{}{}",
                    with(n - 1),
                    with(n)
                )
            }
        })
    }

    fn with(&self, fuel: usize) -> Result<Explained<'_>, Failure> {
        let settings = self.fueled(fuel);
        Ok(explain(self.module, self.machine, &settings).map_err(|d| vec![d])?)
    }

    fn fueled(&self, fuel: usize) -> Settings {
        Settings {
            fuel: Some(fuel),
            ..self.settings.clone()
        }
    }

    fn test(&self, fuel: usize) -> Result<Verdict, Failure> {
        let (verdict, what) = match (self.args.differs, self.args.cost_above) {
            (Some(bound), _) => self.differs(fuel, bound)?,
            (_, Some(bound)) => self.cost(fuel, bound)?,
            _ => self.command(fuel)?,
        };
        self.seen.borrow_mut().push((fuel, what));
        Ok(verdict)
    }

    fn differs(&self, fuel: usize, bound: f32) -> Result<(Verdict, String), Failure> {
        let explained = self.with(fuel)?;
        let mut worst = 0f32;
        for (name, array) in outputs(&explained, &self.inputs).map_err(|d| vec![d])? {
            let missing = || Failure::from(format!("output {name} is missing"));
            let wanted = self.wanted.get(&name).ok_or_else(missing)?;
            worst = apart(&array, wanted).into_iter().fold(worst, |worst, d| {
                // What is no number is as far away as can be.
                if d.is_nan() {
                    f32::INFINITY
                } else {
                    worst.max(d)
                }
            });
        }
        let verdict = if worst > bound {
            Verdict::Bad
        } else {
            Verdict::Good
        };
        Ok((verdict, format!("{worst:e} from the module")))
    }

    fn cost(&self, fuel: usize, bound: u64) -> Result<(Verdict, String), Failure> {
        let explained = self.with(fuel)?;
        let mut cycles = 0;
        for distinct in &explained.distinct {
            match &distinct.solved {
                Ok(solved) => cycles += solved.term.cost.total() * distinct.instances.len() as u64,
                Err(why) => return Ok((Verdict::Unknown, why.clone())),
            }
        }
        let verdict = if cycles > bound {
            Verdict::Bad
        } else {
            Verdict::Good
        };
        Ok((verdict, format!("{cycles} cycles")))
    }

    fn command(&self, fuel: usize) -> Result<(Verdict, String), Failure> {
        let command = self.args.command.as_deref().unwrap_or_default();
        let settings = self.fueled(fuel);
        let module = match fuse(self.module, self.machine, &settings, self.room) {
            Ok((module, _)) => module,
            Err(why) => return Ok((Verdict::Unknown, why.message)),
        };
        let name = format!("tspc-bisect-{}-{fuel}.tspc", std::process::id());
        let file: PathBuf = std::env::temp_dir().join(name);
        files::write(&file, text::print_without_locations(&module).as_bytes())?;
        let status = Command::new("sh")
            .args(["-c", &format!("{command} \"$1\""), "tspc-bisect"])
            .arg(&file)
            .status();
        // The file has served; nothing depends on its removal.
        let _ = std::fs::remove_file(&file);
        let status = status.map_err(|e| format!("{command}: {e}"))?;
        let verdict = if status.success() {
            Verdict::Good
        } else {
            Verdict::Bad
        };
        Ok((verdict, format!("the command ends with {status}")))
    }
}

/// How far the elements are from one another.
fn apart(a: &Array, b: &Array) -> Vec<f32> {
    let number = |array: &Array| match array.data.convert(Elem::F32) {
        Data::F32(numbers) => numbers,
        _ => Vec::new(),
    };
    let (a, b) = (number(a), number(b));
    a.iter()
        .zip(&b)
        .map(|(x, y)| if x == y { 0.0 } else { (x - y).abs() })
        .collect()
}

/// Inputs from -1 to 1 (SplitMix64).
fn seeded(module: &Module, seed: u64) -> Result<Arrays, Failure> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let mut inputs = Arrays::new();
    for (name, value) in module.inputs() {
        let ty = module.ty(value);
        let numbers = (0..ty.elements()).map(|_| next()).collect();
        let data = Data::F32(numbers).convert(ty.elem);
        inputs.insert(name.to_string(), Array::new(ty.shape.clone(), data)?);
    }
    Ok(inputs)
}
