//! `tspc check-proof`: a proof replayed by a small checker of its own, with what it had to trust.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::source::Source;
use crate::cli::Failure;
use crate::files;
use crate::machine::Machine;
use crate::passes::egraph::proof::check::{Replayed, check, check_against};
use crate::passes::egraph::proof::term::Terms;
use crate::passes::egraph::proof::{Link, Proof};
use crate::passes::egraph::rules::Class;

/// What the checker cannot check.
const TRUSTED: [&str; 3] = [
    "the text of the rules",
    "the arithmetic of computed numbers",
    "the step from modules to terms and back",
];

/// Arguments of `check-proof`.
#[derive(Args)]
pub struct CheckProof {
    /// Proof of `tspc prove`; without a module or model behind it, its leaves and terms are taken as they are
    proof: PathBuf,
    #[command(flatten)]
    source: Source,
    /// Refuse rules of classes that this does not allow, as the option of the pass is written: none, default or
    /// names joined by `+`
    #[arg(long, value_name = "CLASSES")]
    fast_math: Option<String>,
    /// Print every lemma with its steps by rules
    #[arg(long, conflicts_with = "json")]
    steps: bool,
    /// Report as JSON: ok, regions with their terms, lemmas, rules and classes, what is trusted
    #[arg(long)]
    json: bool,
}

/// `tspc check-proof`.
pub fn check_proof(args: &CheckProof, machine: &Machine) -> Result<(), Failure> {
    let place = args.proof.display();
    let text = files::read_text(&args.proof)?;
    let proof = Proof::from_json(&text).map_err(|e| format!("{place}: {e}"))?;
    let module = match args.source.given() {
        true => Some(args.source.module(machine)?),
        false => None,
    };
    let replayed = match &module {
        Some(module) => check_against(&proof, module),
        None => check(&proof),
    };
    let replayed = replayed.map_err(|refusal| format!("{place}: {refusal}"))?;
    if let Some(allowed) = &args.fast_math {
        permitted(&replayed, allowed).map_err(|why| format!("{place}: {why}"))?;
    }
    let leaves = match module {
        Some(_) => "those of the module",
        None => "as the proof says, no module was given",
    };
    let steps = match args.steps {
        true => steps(&proof)?,
        false => String::new(),
    };
    Ok(files::print(match args.json {
        true => json(&replayed, leaves),
        false => steps + &table(&proof, &replayed, leaves),
    })?)
}

/// The lemmas, as terms cut off below a few levels, with the rules that lead from one to the next.
fn steps(proof: &Proof) -> Result<String, String> {
    let mut out = String::new();
    for (i, region) in proof.regions.iter().enumerate() {
        let terms = Terms::read(&region.terms)?;
        for (j, lemma) in region.lemmas.iter().enumerate() {
            let _ = writeln!(out, "region {i}, lemma {j}\n  {}", terms.show(lemma.from));
            for link in &lemma.links {
                let why = match link {
                    Link::Forward { rule, .. } => rule.clone(),
                    Link::Backward { rule, .. } => format!("{rule}, backward"),
                    Link::Inside { lemmas, .. } => {
                        let used = lemmas.iter().flatten().map(|l| format!("lemma {l}"));
                        used.collect::<Vec<_>>().join(", ")
                    }
                };
                let _ = writeln!(out, "  = {}  by {why}", terms.show(link.to()));
            }
        }
    }
    Ok(out)
}

/// Refuses a region that needed a class of rules besides these.
fn permitted(replayed: &[Replayed], allowed: &str) -> Result<(), String> {
    let classes = Class::parse(allowed)?;
    for (i, region) in replayed.iter().enumerate() {
        if let Some(other) = region.classes.iter().find(|c| !classes.contains(c)) {
            return Err(format!(
                "region {i} uses rules of class {other:?}, which {allowed} does not allow"
            ));
        }
    }
    Ok(())
}

fn json(replayed: &[Replayed], leaves: &str) -> String {
    let region = |r: &Replayed| {
        let classes: Vec<String> = r.classes.iter().map(|c| format!("{c:?}")).collect();
        json!({
            "terms": r.terms,
            "lemmas": r.lemmas,
            "inside": r.inside,
            "rules": r.rules,
            "classes": classes,
        })
    };
    let regions: Vec<_> = replayed.iter().map(region).collect();
    let report = json!({"ok": true, "regions": regions, "leaves": leaves, "trusted": TRUSTED});
    format!("{report:#}\n")
}

fn table(proof: &Proof, replayed: &[Replayed], leaves: &str) -> String {
    let mut out = format!(
        "ok: {} regions, the extracted terms equal those of the model\n",
        replayed.len()
    );
    let mut used: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, r) in replayed.iter().enumerate() {
        let steps: usize = r.rules.values().sum();
        let classes: Vec<String> = r.classes.iter().map(|c| format!("{c:?}")).collect();
        let _ = writeln!(
            out,
            "  region {i}: {} terms, {} lemmas, {steps} steps by {} rules, {} inside terms; {}",
            r.terms,
            r.lemmas,
            r.rules.len(),
            r.inside,
            classes.join(", ")
        );
        for (rule, n) in &r.rules {
            *used.entry(rule).or_default() += n;
        }
    }
    let used: Vec<String> = used.iter().map(|(rule, n)| format!("{rule} {n}")).collect();
    let _ = writeln!(out, "rules used: {}", used.join(", "));
    let _ = writeln!(out, "leaves and terms: {leaves}");
    let _ = writeln!(out, "rule table: {}", proof.rules);
    let _ = writeln!(out, "trusted: {}; nothing of egg", TRUSTED.join(", "));
    out
}
