//! Remarks: what was fused and what was not, as text for people and as JSON lines for programs.

use std::fmt::Write;

use serde_json::{Value as Json, json};

use super::{Distinct, Explained, Fusion, Side};
use crate::egraph::cost::Cycles;
use crate::egraph::extract::Gap;
use crate::egraph::saturate::Statistics;

/// One JSON object for each line: regions, their rules, fusions, and what limits held back.
pub fn remarks(explained: &Explained) -> Vec<Json> {
    let mut lines = Vec::new();
    for (region, distinct) in explained.distinct.iter().enumerate() {
        lines.extend(of_region(explained, region, distinct));
        let fusions = explained.fusions(region);
        lines.extend(fusions.iter().map(|f| of_fusion(explained, f)));
    }
    lines
}

fn of_region(explained: &Explained, region: usize, distinct: &Distinct) -> Vec<Json> {
    let graph = distinct.graph();
    let (saturated, stop) = distinct.saturated.stop();
    let at: Vec<String> = distinct
        .instances
        .iter()
        .map(|&i| explained.place(&explained.parts[i]))
        .collect();
    let rules: Vec<Json> = counts(distinct)
        .into_iter()
        .map(|(rule, matched, applied)| json!({"rule": rule, "matched": matched, "applied": applied}))
        .collect();
    let mut lines = vec![json!({
        "remark": "region",
        "region": region,
        "instances": distinct.instances.len(),
        "locations": at,
        "rounds": distinct.saturated.runner.iterations.len(),
        "nodes": graph.total_number_of_nodes(),
        "classes": graph.number_of_classes(),
        "stop": stop,
        "cycles": distinct.solved.as_ref().ok().map(|s| s.term.cost.total()),
        "units": distinct.solved.as_ref().ok().map(|s| units(&s.term.cost)),
        "extraction": distinct.solved.as_ref().ok().map(|s| gap(&s.statistics.gap)),
        "rules": rules,
    })];
    if !saturated {
        lines.push(json!({"remark": "not-saturated", "region": region, "stop": stop}));
    }
    if let Err(why) = &distinct.solved {
        lines.push(json!({"remark": "no-form", "region": region, "why": why}));
    }
    lines
}

/// Per rule that matched: matches and applications over all rounds.
fn counts(distinct: &Distinct) -> Vec<(&'static str, usize, usize)> {
    let log = &distinct.saturated.log;
    let of = |rule: &&crate::egraph::rules::Rule| {
        let name = egg::Symbol::from(rule.name);
        let matched = log.matched.get(&name).copied().unwrap_or(0);
        let applied = log.applied.iter().filter(|(r, _)| *r == name).count();
        (rule.name, matched, applied)
    };
    let all = distinct.saturated.used.iter().map(of);
    all.filter(|(_, matched, _)| *matched > 0).collect()
}

fn of_fusion(explained: &Explained, fusion: &Fusion) -> Json {
    let values: Vec<String> = fusion.values.iter().map(ToString::to_string).collect();
    let at: Vec<String> = fusion.values.iter().map(|&v| place(explained, v)).collect();
    let side = |side: &Side| {
        json!({
            "operations": side.operations,
            "cycles": side.cycles.total(),
            "units": units(&side.cycles),
            "without_form": side.lacking,
        })
    };
    json!({
        "remark": "fusion",
        "region": fusion.region,
        "values": values,
        "locations": at,
        "rules": fusion.rules,
        "before": side(&fusion.before),
        "after": side(&fusion.after),
    })
}

/// Cycles by the name of the unit.
pub fn units(cycles: &Cycles) -> Json {
    let parts = cycles.parts().map(|(unit, n)| (unit.to_string(), n.into()));
    Json::Object(parts.into_iter().collect())
}

/// How well a term was chosen.
pub fn gap(gap: &Gap) -> Json {
    json!({"greedy": gap.greedy, "bound": gap.bound, "steps": gap.steps})
}

fn place(explained: &Explained, value: tspc_ir::Value) -> String {
    let op = explained.source.def_op(value);
    let loc = op.map(|op| explained.source[op].loc);
    loc.map_or(String::new(), |loc| explained.source.locs().describe(loc))
}

/// The same for people: each distinct region with its statistics, and with its fusions if they are wanted.
pub fn text(explained: &Explained, fusions: bool) -> String {
    let mut out = String::new();
    for (region, distinct) in explained.distinct.iter().enumerate() {
        let graph = distinct.graph();
        let _ = writeln!(
            out,
            "region {region}, {}{}",
            explained.place(explained.first(distinct)),
            and_more(distinct.instances.len()),
        );
        let (saturated, stop) = distinct.saturated.stop();
        let _ = writeln!(
            out,
            "  {} after {} rounds: {} e-nodes in {} classes, {} rewrites",
            if saturated {
                "saturated".into()
            } else {
                format!("NOT saturated, {stop},")
            },
            distinct.saturated.runner.iterations.len(),
            graph.total_number_of_nodes(),
            graph.number_of_classes(),
            distinct.saturated.log.applied.len(),
        );
        let _ = match &distinct.solved {
            Ok(solved) => writeln!(
                out,
                "  cost {}; {}",
                solved.term.cost,
                chosen(&solved.statistics)
            ),
            Err(why) => writeln!(out, "  no program: {why}"),
        };
        if fusions {
            for fusion in explained.fusions(region) {
                of_fusion_text(explained, &fusion, &mut out);
            }
        } else {
            let _ = writeln!(out, "  {:<24} {:>8} {:>8}", "rule", "matched", "applied");
            for (rule, matched, applied) in counts(distinct) {
                let _ = writeln!(out, "  {rule:<24} {matched:>8} {applied:>8}");
            }
        }
    }
    out
}

/// How the term was chosen, in words.
fn chosen(statistics: &Statistics) -> String {
    let (cost, gap) = (statistics.cost.total(), statistics.gap);
    let greedy = match gap.greedy == cost {
        true => "the greedy choice".to_string(),
        false => format!("the greedy choice costs {}", gap.greedy),
    };
    let least = match gap.bound {
        bound if bound == cost => "no term costs less".to_string(),
        0 => "the e-graph is too large to look for less".to_string(),
        bound => format!("no term costs less than {bound}"),
    };
    match gap.steps {
        0 => format!("{greedy}, {least}"),
        steps => format!("{greedy}, {least}: choices tried {steps}"),
    }
}

fn and_more(instances: usize) -> String {
    match instances {
        1 => String::new(),
        n => format!(" and {} like it", n - 1),
    }
}

fn of_fusion_text(explained: &Explained, fusion: &Fusion, out: &mut String) {
    let first = fusion.values.first();
    let at = first.map_or(String::new(), |&v| explained.describe(v));
    let _ = writeln!(out, "  {at}");
    let side = |side: &Side| match side.lacking.is_empty() {
        true => side.cycles.to_string(),
        false => format!("no form on the chip ({})", side.lacking.join(", ")),
    };
    let rules = match fusion.rules.is_empty() {
        true => "not found again by a second run".into(),
        false => fusion.rules.join(", "),
    };
    let lines = [
        (
            "was",
            format!(
                "{}: {}",
                fusion.before.operations.join(", "),
                side(&fusion.before)
            ),
        ),
        (
            "is",
            format!(
                "{}: {}",
                fusion.after.operations.join(", "),
                side(&fusion.after)
            ),
        ),
        ("by", rules),
    ];
    for (word, what) in lines {
        let _ = writeln!(out, "    {word:<4} {what}");
    }
}
