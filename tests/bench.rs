//! The driver measures the e-graph: `bench ablation` and `bench egraph` on small models. No test looks at a clock.

#[path = "support/directory.rs"]
#[allow(dead_code, reason = "these tests need not every method of it")]
mod directory;

use directory::Directory;
use serde_json::Value;
use tspc::passes::egraph::rules::groups;
use tspc::passes::egraph::spellings::FUNCTIONS;

/// A model of a moment: two layers, twenty words.
const TOY: &str = "L=2,H=32,heads=2,ffn=64,vocab=20,max_positions=32";

fn bench(directory: &Directory, what: &str, rest: &[&str]) -> String {
    let on = ["bench", what, "--model", TOY, "--seq-len", "16"];
    directory.ok(&[&on[..], rest].concat())
}

fn json(directory: &Directory, what: &str, rest: &[&str]) -> Value {
    let text = bench(directory, what, &[rest, &["--json"]].concat());
    let report: Value = serde_json::from_str(&text).unwrap();
    for (key, said) in [("model", TOY), ("machine", "tsp-v1")] {
        assert_eq!(report[key], said);
    }
    assert_eq!(report["seq_len"], 16);
    report
}

#[test]
fn every_group_of_rules_is_left_out_once() {
    let directory = Directory::new("bench-ablation");
    for precision in ["int8", "fp16"] {
        let report = json(&directory, "ablation", &["--precision", precision]);
        assert_eq!(report["precision"], precision);
        let rows = report["rows"].as_array().unwrap();
        let without: Vec<Option<&str>> = rows.iter().map(|r| r["without"].as_str()).collect();
        let expected = [None].into_iter().chain(groups().into_iter().map(Some));
        assert_eq!(without, expected.collect::<Vec<_>>());
        let all = &rows[0];
        let (cost, cycles) = (all["cost"].as_u64(), all["cycles"].as_u64());
        assert!(cost.is_some() && cycles.is_some(), "{all}");
        let spellings = report["spellings"].as_u64().unwrap();
        assert_eq!(all["spellings_lost"], 0);
        for row in &rows[1..] {
            let lost = row["spellings_lost"].as_u64().unwrap();
            // In fp16, which the spellings are in, nothing has a scale.
            assert_eq!(lost > 0, row["without"] != "quantisation", "{row}");
            assert!(lost <= spellings, "{row}");
        }
        for row in rows {
            let refused = row["refused"].as_str();
            assert_eq!(refused.is_some(), row["cycles"].is_null(), "{row}");
            match row["cost"].as_u64() {
                Some(ablated) => assert!(cost.unwrap() <= ablated, "{row}"),
                None => assert!(refused.unwrap().contains("no form on the chip"), "{row}"),
            }
        }
        // Nothing else knows how the chip computes GELU.
        let activation = rows.iter().find(|r| r["without"] == "activation").unwrap();
        let why = activation["refused"].as_str().unwrap();
        assert!(why.ends_with("`erf`"), "{why}");
    }
}

#[test]
fn cycles_are_those_of_the_compiled_program() {
    let directory = Directory::new("bench-cycles");
    let report = json(&directory, "ablation", &[]);
    for (row, passes) in [
        (0, "canonicalise,quantise,egraph,tile"),
        (3, "canonicalise,quantise,egraph{without=quantisation},tile"),
    ] {
        let mut compile = vec!["compile", "--model", TOY, "--seq-len", "16"];
        compile.extend(["--pass-pipeline", passes, "-o", "toy.tsp"]);
        directory.ok(&compile);
        let check = directory.ok(&["check", "toy.tsp", "--json"]);
        let check: Value = serde_json::from_str(&check).unwrap();
        assert_eq!(report["rows"][row]["cycles"], check["cycles"], "{passes}");
    }
}

#[test]
fn the_table_of_the_ablation_says_why_there_is_no_program() {
    let directory = Directory::new("bench-table");
    let text = bench(&directory, "ablation", &[]);
    let (title, table) = text.split_once("\n\n").unwrap();
    let spellings: usize = FUNCTIONS.iter().map(|f| f.spellings.len()).sum();
    assert_eq!(
        title,
        format!("{TOY}, int8, 16 tokens, tsp-v1; {spellings} spellings")
    );
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0], ["without", "cost", "lost", "cycles"]);
    assert_eq!((rows[1][0], rows[1][2], rows[1].len()), ("nothing", "0", 4));
    let activation = table.lines().find(|l| l.starts_with("activation"));
    let why = "has no form on the chip; the first without one is `erf`";
    assert!(activation.unwrap().ends_with(why), "{text}");
}

#[test]
fn a_layer_is_saturated_once() {
    let directory = Directory::new("bench-egraph");
    let report = json(&directory, "egraph", &["--precision", "fp16"]);
    for key in ["solve_s", "pass_s"] {
        assert!(report[key].is_f64(), "{key}");
    }
    let distinct = report["distinct"].as_array().unwrap();
    assert_eq!(report["saturations"].as_u64(), Some(distinct.len() as u64));
    let number = |of: &Value, key: &str| of[key].as_u64().unwrap();
    let instances: u64 = distinct.iter().map(|d| number(d, "instances")).sum();
    assert_eq!(report["regions"].as_u64(), Some(instances));
    for region in distinct {
        assert_eq!(region["stop"], "Saturated");
        assert!(number(region, "classes") < number(region, "nodes"));
        assert!(number(region, "rounds") > 1 && number(region, "cost") > 0);
        let (units, gap) = (&region["units"], &region["extraction"]);
        let total = ["MXM", "VXM", "latency"].map(|unit| number(units, unit));
        assert_eq!(total.iter().sum::<u64>(), number(region, "cost"));
        assert_eq!(number(gap, "bound"), number(region, "cost"));
        assert!(number(gap, "greedy") >= number(region, "cost"));
        assert!(region["place"].as_str().is_some_and(|p| !p.is_empty()));
    }
    let layers = report["layers"].as_array().unwrap();
    let counts: Vec<[u64; 3]> = layers
        .iter()
        .map(|l| ["layers", "saturations", "regions"].map(|key| number(l, key)))
        .collect();
    assert_eq!(counts, [[1, 3, 3], [12, 3, 25], [24, 3, 49]]);
    let text = bench(&directory, "egraph", &["--precision", "fp16"]);
    assert!(text.contains("3 saturations for 5 regions"), "{text}");
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let directory = Directory::new("bench-refused");
    for (arguments, said) in [
        (&["--model", "nowhere"][..], "nowhere"),
        (&["--pass-pipeline", "canonicalise,quantise"], "egraph"),
        (&["--precision", "int4"], "int4"),
    ] {
        for what in ["ablation", "egraph"] {
            let all = [&["bench", what, "--model", TOY][..], arguments];
            let all = match arguments[0] {
                "--model" => [&["bench", what][..], arguments].concat(),
                _ => all.concat(),
            };
            let text = directory.refused(&all);
            assert!(text.contains(said), "{all:?}: {text}");
        }
    }
    let starved = [
        "bench",
        "egraph",
        "--model",
        TOY,
        "--pass-pipeline",
        "canonicalise,quantise,egraph{fuel=0}",
    ];
    let text = directory.refused(&starved);
    assert!(text.contains("no form on the chip"), "{text}");
}
