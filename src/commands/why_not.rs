//! `tspc why-not`: why two operations are not in one pipeline.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::source::From;
use crate::cli::Failure;
use crate::files;
use crate::ir::{Entity, Module, Value};
use crate::machine::Machine;
use crate::passes::egraph::explain::{explain, why_not as answer};

/// Arguments of `why-not`.
#[derive(Args)]
pub struct WhyNot {
    /// IR text as the pass egraph takes it, unless a model is named, and two operations: %12, as `tspc` numbers the
    /// module that the pass takes, or a place in the model, encoder.layer.0.output.dense, with the operation where
    /// that has several, encoder.layer.0.output.dense:add
    #[arg(value_names = ["FILE", "A", "B"], num_args = 2..=3, required = true, allow_hyphen_values = false)]
    words: Vec<String>,
    #[command(flatten)]
    from: From,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

/// `tspc why-not`.
pub fn why_not(args: &WhyNot, machine: &Machine) -> Result<(), Failure> {
    let (file, a, b) = match (&args.words[..], args.from.model()) {
        ([a, b], true) => (None, a, b),
        ([file, a, b], false) => (Some(PathBuf::from(file)), a, b),
        (_, true) => return Err("with a model, two operations are needed".to_string().into()),
        (_, false) => return Err("a file and two operations are needed".to_string().into()),
    };
    let module = args.from.module(file.as_deref().map(Path::new), machine)?;
    let (settings, room) = args.from.configured(machine)?;
    let ends = [value(&module, a)?, value(&module, b)?];
    let explained = explain(&module, machine, &settings).map_err(|d| vec![d])?;
    let answer = answer(&explained, room, ends).map_err(|d| vec![d])?;
    let json = || json!({"of": answer.of, "verdict": answer.verdict, "reasons": answer.reasons});
    Ok(files::print(match args.json {
        true => format!("{:#}\n", json()),
        false => answer.to_string(),
    })?)
}

/// The value that a word names, by number or by place.
fn value(module: &Module, word: &str) -> Result<Value, Failure> {
    if let Some(number) = word.strip_prefix('%') {
        let value = number.parse().ok().map(Value::new);
        let known = value.filter(|v| module.values().any(|(known, _)| known == *v));
        return known.ok_or_else(|| format!("the module has no value {word}").into());
    }
    let (place, name) = match word.rsplit_once(':') {
        Some((place, name)) if name.parse::<u32>().is_err() => (place, Some(name)),
        _ => (word, None),
    };
    let here = |value: &Value| {
        module.def_op(*value).is_some_and(|op| {
            let data = &module[op];
            let own = data.opcode.def().name;
            let own = own.rsplit_once('.').map_or(own, |(_, n)| n);
            own != "constant"
                && name.is_none_or(|n| n == own)
                && module.locs().leaves(data.loc).iter().any(|l| l == place)
        })
    };
    let found: Vec<Value> = module.values().map(|(v, _)| v).filter(here).collect();
    match found[..] {
        [value] => Ok(value),
        [] => Err(format!("no operation comes from {word}").into()),
        _ => {
            let names = found.iter().filter_map(|v| {
                let op = module.def_op(*v)?;
                Some(format!("{v} = {}", module[op].opcode.def().name))
            });
            let names: Vec<String> = names.collect();
            Err(format!(
                "{word} has several operations; name one: {}",
                names.join(", ")
            )
            .into())
        }
    }
}
