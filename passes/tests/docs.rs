//! `docs/passes.md` and `docs/rules.md` are what the tables say; `TSPC_BLESS=1` rewrites them.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use tspc_passes::egraph::rules::{self, Right, Rule};
use tspc_passes::{PASSES, PassDef};

/// Around the generated part of a page.
const BEGIN: &str =
    "<!-- generated: begin; `TSPC_BLESS=1 cargo test -p tspc-passes --test docs` rewrites it -->\n";
const END: &str = "<!-- generated: end -->\n";

fn fresh(page: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(page);
    let have = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = have.split_once(BEGIN).expect("the page marks its part");
    let (_, after) = rest.split_once(END).expect("the page marks its part");
    let want = format!("{before}{BEGIN}{generated}{END}{after}");
    if std::env::var_os("TSPC_BLESS").is_some_and(|v| v == "1") {
        std::fs::write(&path, want).unwrap();
    } else {
        assert!(
            have == want,
            "docs/{page} is stale; TSPC_BLESS=1 rewrites it"
        );
    }
}

fn pass(out: &mut String, def: &PassDef) {
    let PassDef { name, sentence, .. } = def;
    let (from, to) = (def.stage_in.name(), def.stage_out.name());
    let _ = writeln!(
        out,
        "\n## `{name}`\n\n{sentence}\n\n`{from}.*` to `{to}.*`."
    );
    if !def.options.is_empty() {
        let _ = writeln!(out, "\n| option | meaning |\n|---|---|");
    }
    for option in def.options {
        let _ = writeln!(out, "| `{}` | {} |", option.name, option.sentence);
    }
}

#[test]
fn the_passes_are_documented() {
    let mut out = String::new();
    PASSES.iter().for_each(|def| pass(&mut out, def));
    fresh("passes.md", &format!("{out}\n"));
}

/// The two sides and the conditions.
fn sides(rule: &Rule) -> String {
    let (right, number) = match rule.right {
        Right::Pattern(p) => (p, String::new()),
        Right::Computed { pattern, of, .. } => (
            pattern,
            format!("  where ?k is computed from {}\n", of.join(", ")),
        ),
        Right::Width { pattern, of, .. } => (
            pattern,
            format!("  where ?k is computed from the width of {of}\n"),
        ),
        Right::Heads { pattern, of } => (
            pattern,
            format!("  where ?n is the number of heads of {of}\n"),
        ),
    };
    let when: Vec<String> = rule
        .when
        .iter()
        .map(|c| format!("{} {}", c.name, c.on.join(", ")))
        .collect();
    let when = match when.is_empty() {
        true => String::new(),
        false => format!("  if {}\n", when.join("; ")),
    };
    format!(
        "{}\n  {}\n  = {right}\n{number}{when}",
        rule.name, rule.left
    )
}

#[test]
fn the_rules_are_documented() {
    let mut out = String::new();
    let mut groups: Vec<&str> = rules::all().map(|r| r.group).collect();
    groups.dedup();
    for group in groups {
        let rules: Vec<&Rule> = rules::all().filter(|r| r.group == group).collect();
        let _ = writeln!(
            out,
            "\n### {group}\n\n| rule | class | why |\n|---|---|---|"
        );
        for Rule {
            name,
            class,
            reason,
            ..
        } in &rules
        {
            let _ = writeln!(out, "| `{name}` | {class:?} | {reason} |");
        }
        let all: Vec<String> = rules.iter().map(|r| sides(r)).collect();
        let _ = writeln!(out, "\n```text\n{}```", all.join("\n"));
    }
    fresh("rules.md", &format!("{out}\n"));
}

#[test]
fn names_of_rules_differ() {
    let mut seen = BTreeSet::new();
    for rule in rules::all() {
        assert!(seen.insert(rule.name), "{}", rule.name);
        let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(rule.name.chars().all(kebab), "{}", rule.name);
    }
}
