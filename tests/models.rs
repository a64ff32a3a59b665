//! The driver on models: what `demo`, `compile`, `run` and `report` print, write and refuse.

#[path = "support/directory.rs"]
mod directory;

use directory::Directory;
use serde_json::Value;

/// A model of a moment: two layers, twenty words.
const TOY: &str = "L=2,H=32,heads=2,ffn=64,vocab=20,max_positions=32";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_demo_reports_what_scripts_read() {
    let directory = Directory::new("demo-json");
    let run = || json(&directory.ok(&["demo", "--model", TOY, "--seq-len", "16", "--json"]));
    let (mut first, mut second) = (run(), run());
    for key in ["cycles", "seq_len", "bound_cycles", "clock_mhz"] {
        assert!(first[key].as_u64().is_some_and(|n| n > 0), "{key}");
    }
    for key in ["latency_us", "host_us", "mxm_busy", "cosine_min"] {
        assert!(first[key].as_f64().is_some_and(|n| n > 0.0), "{key}");
    }
    for (key, text) in [("machine", "tsp-v1"), ("precision", "int8")] {
        assert_eq!(first[key], text);
    }
    assert_eq!(first["program_sha256"].as_str().map(str::len), Some(64));
    let cycles = first["cycles"].as_f64().unwrap();
    assert_eq!(first["latency_us"].as_f64(), Some(cycles / 900.0));
    assert!(first["cosine_min"].as_f64().unwrap() > 0.99);
    let bounds = first["bounds"].as_object().unwrap();
    assert!(bounds.values().all(|b| b.as_f64().unwrap() <= cycles));
    let phases = first["phases"].as_array().unwrap();
    assert!(
        phases
            .iter()
            .any(|p| p["layer"] == 1 && p["name"] == "output.dense")
    );
    for phase in phases {
        let at = |key: &str| phase[key].as_u64().unwrap();
        assert!(at("start") < at("end"), "{phase}");
        assert!(
            phase["mxm_busy"].is_f64() && phase["vxm_busy"].is_f64(),
            "{phase}"
        );
    }
    // Only seconds and MiB vary.
    for report in [&mut first, &mut second] {
        for key in ["compile_s", "simulate_s", "peak_rss_mib"] {
            assert!(report[key].is_f64(), "{key}");
            report.as_object_mut().unwrap().remove(key);
        }
    }
    assert_eq!(first, second);
}

#[test]
fn the_latency_sheet_fits_on_a_page() {
    let directory = Directory::new("demo-sheet");
    let sheet = directory.ok(&["demo", "--model", TOY, "--seq-len", "16"]);
    let lines: Vec<&str> = sheet
        .lines()
        .filter(|l| !l.starts_with("this run"))
        .collect();
    assert_eq!(lines.len() + 1, sheet.lines().count());
    insta::assert_snapshot!("latency-sheet", lines.join("\n"));
}

#[test]
fn a_program_runs_as_the_model_does() {
    let directory = Directory::new("compile");
    let model = ["--model", TOY, "--precision", "fp16"];
    let compile = |rest: &[&str]| directory.ok(&[&["compile"][..], &model, rest].concat());
    compile(&["--seq-len", "16", "-o", "toy.tsp"]);
    compile(&["--seq-len", "16", "--emit", "listing", "-o", "toy.tspasm"]);
    directory.ok(&["asm", "toy.tspasm", "-o", "again.tsp"]);
    assert_eq!(directory.bytes("toy.tsp"), directory.bytes("again.tsp"));
    let check = json(&directory.ok(&["check", "toy.tsp", "--json"]));
    assert_eq!(check["ok"], true);
    let report = json(&directory.ok(&["report", "toy.tsp", "--json"]));
    assert_eq!(report["cycles"], check["cycles"]);
    let ids = [
        &["run"][..],
        &model,
        &["--ids", "3,1,4,1,5", "--seq-len", "16", "--json"],
    ];
    let run = json(&directory.ok(&ids.concat()));
    assert_eq!(run["cycles"], check["cycles"]);
    assert_eq!(run["seq_len"], 16);
}

#[test]
fn every_level_prints_as_text_that_reads_back() {
    let directory = Directory::new("emit");
    for level in ["tensor", "quantised", "stream", "tsp"] {
        let (text, side) = (format!("{level}.tspc"), format!("{level}.const"));
        directory.ok(&[
            "compile",
            "--model",
            TOY,
            "--seq-len",
            "8",
            "--emit",
            level,
            "-o",
            &text,
            "--write-constants",
            &side,
        ]);
        let again = directory.ok(&["opt", &text, "--constants", &side]);
        assert_eq!(again.as_bytes(), directory.bytes(&text), "{level}");
    }
}

#[test]
fn an_embedding_does_not_depend_on_the_other_texts() {
    let directory = Directory::new("run");
    let run = |ids: &[&str]| {
        let mut arguments = vec!["run", "--model", TOY, "--seq-len", "16", "--json"];
        ids.iter()
            .for_each(|list| arguments.extend(["--ids", list]));
        json(&directory.ok(&arguments))
    };
    let (one, three) = (run(&["7,8,9"]), run(&["1,2", "7,8,9", "5"]));
    assert_eq!(one["embeddings"][0], three["embeddings"][1]);
    assert_eq!(three["embeddings"].as_array().map(Vec::len), Some(3));
    assert_eq!(one["embeddings"][0].as_array().map(Vec::len), Some(32));
    let text = directory.ok(&["run", "--model", TOY, "--ids", "1,2", "--ids", "3"]);
    assert!(text.contains("similarity"), "{text}");
}

#[test]
fn levels_are_compared() {
    let directory = Directory::new("levels");
    let text = directory.ok(&[
        "run",
        "--model",
        TOY,
        "--seq-len",
        "16",
        "--ids",
        "1,2,3,4,5",
        "--compare",
        "levels",
    ]);
    assert!(
        text.contains("hidden: tsp.* = stream.*: bit for bit"),
        "{text}"
    );
    assert!(
        text.contains("hidden: simulator = stream.*: bit for bit"),
        "{text}"
    );
    // Where fp32 is rounded moves an int8 operand by one at most, here and there.
    let tensors = text
        .split("quantised tensor.* and stream.*")
        .nth(1)
        .unwrap();
    for (path, bound) in [
        ("embeddings.LayerNorm", 1e-3),
        ("encoder.layer.0.attention.self.query", 1e-2),
        ("encoder.layer.1.output.LayerNorm", 5e-2),
    ] {
        let line = tensors.lines().find(|l| l.contains(path)).unwrap();
        let relative: f64 = line.split_whitespace().nth(2).unwrap().parse().unwrap();
        assert!(relative < bound, "{line}");
    }
}

/// 64 channels of int8 have 80 lanes; those behind the channels have no like in fp32.
#[test]
fn split_channels_are_compared_by_their_first_lanes() {
    let directory = Directory::new("split-levels");
    let text = directory.ok(&[
        "run",
        "--model",
        "L=1,H=64,heads=2,ffn=64,vocab=40,max_positions=32",
        "--ids",
        "1,2,3,4,5",
        "--compare",
        "levels",
    ]);
    let tensors = text.split("quantised tensor.* and stream.*").next();
    let line = tensors.and_then(|t| t.lines().find(|l| l.contains("attention.output.LayerNorm")));
    let relative = line.and_then(|l| l.split_whitespace().nth(2)?.parse::<f64>().ok());
    assert!(relative.is_some_and(|r| r > 0.0 && r < 0.05), "{text}");
}

#[test]
fn models_that_cannot_be_compiled_are_refused() {
    let directory = Directory::new("refused").with("texts.txt", "no words\n");
    for (arguments, said) in [
        (&["--model", "nowhere"][..], "nowhere"),
        (&["--model", "L=1,H=40,heads=4,ffn=32"], "multiple of 16"),
        (&["--model", TOY, "--precision", "int4"], "int4"),
        (
            &["--model", TOY, "--precision", "int8,nothing=fp16"],
            "nothing",
        ),
        (&["--model", TOY, "--seq-len", "33"], "33"),
        (&["--model", TOY, "--pass-pipeline", "quantise"], "quantise"),
    ] {
        let all = [&["compile", "-o", "out.tsp"][..], arguments].concat();
        let text = directory.refused(&all);
        assert!(
            text.starts_with("error: ") && text.contains(said),
            "{arguments:?}: {text}"
        );
    }
    let run = |rest: &[&str]| directory.refused(&[&["run", "--model", TOY][..], rest].concat());
    for (arguments, said) in [
        (&["--text", "no words"][..], "seeded weights have no words"),
        (&["--texts", "texts.txt"], "seeded weights have no words"),
        (&[], "expected --text"),
        (&["--ids", "1,2,3", "--seq-len", "2"], "3 tokens"),
        (&["--ids", "1,x"], "--ids 1,x"),
        (&["--ids", "99"], "beyond the word table"),
        (&["--texts", "missing.txt"], "missing.txt"),
    ] {
        let text = run(arguments);
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
}
