//! What a pass is: a name, a sentence, the dialects before and after, options and a function.
//!
//! A pass gets a module that is legal in `stage_in` and gives one that is legal in `stage_out`; the pipeline checks
//! both. What a pass needs besides the module comes in the [`Context`]; it reads nothing else.

use crate::quantise::{Precision, Ranges};
use std::collections::BTreeMap;
use tspc_ir::{Diagnostic, Dialect, Module, Place};
use tspc_machine::Machine;

/// What every pass may read.
#[derive(Clone, Debug)]
pub struct Context {
    /// The chip.
    pub machine: Machine,
    /// The ranges of the operands of all products, from calibration; int8 needs them.
    pub ranges: Option<Ranges>,
    /// What each product is computed in.
    pub precision: Precision,
}

/// What a pass does: the new module, or all that stands in its way.
pub type Run = fn(Module, &Context, &Options) -> Result<Module, Vec<Diagnostic>>;

/// An option of a pass.
#[derive(Clone, Copy, Debug)]
pub struct OptionDef {
    /// Its name.
    pub name: &'static str,
    /// What it sets and how it is written.
    pub sentence: &'static str,
}

/// A pass.
#[derive(Clone, Copy, Debug)]
pub struct PassDef {
    /// Its name in pipelines.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub sentence: &'static str,
    /// The dialect that it takes.
    pub stage_in: Dialect,
    /// The dialect that it gives.
    pub stage_out: Dialect,
    /// The options that it knows.
    pub options: &'static [OptionDef],
    /// The pass.
    pub run: Run,
}

/// Options as a pipeline gives them, all of them declared by the pass.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options(BTreeMap<&'static str, String>);

impl Options {
    /// Reads `name=value name=value`. Values have no spaces.
    pub(crate) fn parse(def: &PassDef, text: &str) -> Result<Options, Diagnostic> {
        let mut options = Options::default();
        for item in text.split_whitespace() {
            let refuse = |why: String| Diagnostic::new(why, Place::named(def.name));
            let (name, value) = item
                .split_once('=')
                .ok_or_else(|| refuse(format!("option {item:?} should be NAME=VALUE")))?;
            let Some(known) = def.options.iter().find(|o| o.name == name) else {
                let names: Vec<&str> = def.options.iter().map(|o| o.name).collect();
                let names = match names.is_empty() {
                    true => "it has none".to_string(),
                    false => format!("it has {}", names.join(", ")),
                };
                return Err(refuse(format!(
                    "pass {} has no option {name:?}; {names}",
                    def.name
                )));
            };
            if options.0.insert(known.name, value.to_string()).is_some() {
                return Err(refuse(format!("option {name} is given twice")));
            }
        }
        Ok(options)
    }

    /// The value of an option, if it is given.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}
