//! `tspc passes`: the table of passes.

use std::fmt::Write;

use clap::Args;
use serde_json::json;

use crate::cli::Failure;
use crate::files;
use crate::passes::{PASSES, PassDef};

/// Arguments of `passes`.
#[derive(Args)]
pub struct Passes {
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

/// `tspc passes`: in the order in which they usually run.
pub fn passes(args: &Passes) -> Result<(), Failure> {
    if args.json {
        let pass = |def: &PassDef| {
            let options: Vec<_> = def
                .options
                .iter()
                .map(|o| json!({"name": o.name, "sentence": o.sentence}))
                .collect();
            json!({
                "name": def.name,
                "sentence": def.sentence,
                "stage_in": def.stage_in.name(),
                "stage_out": def.stage_out.name(),
                "options": options,
            })
        };
        let all: Vec<_> = PASSES.iter().map(pass).collect();
        return Ok(files::print(format!("{:#}\n", json!({"passes": all})))?);
    }
    let mut out = String::new();
    for def in PASSES {
        let _ = writeln!(
            out,
            "{} ({} to {}): {}",
            def.name,
            def.stage_in.name(),
            def.stage_out.name(),
            def.sentence
        );
        for option in def.options {
            let _ = writeln!(out, "  {:<14} {}", option.name, option.sentence);
        }
    }
    Ok(files::print(out)?)
}
