//! The driver measures programs: exact cycles of small models, so that a change of them shows in review; what is
//! varied, what grows, what is refused. No test looks at a clock.

#[path = "support/directory.rs"]
#[allow(dead_code, reason = "these tests need not every method of it")]
mod directory;

use directory::Directory;
use serde_json::Value;

/// Models of a moment.
const NARROW: &str = "L=2,H=64,heads=2,ffn=128,vocab=20,max_positions=64";
const ODD: &str = "L=1,H=144,heads=3,ffn=200,vocab=20,max_positions=64";

fn json(directory: &Directory, arguments: &[&str]) -> Value {
    let all = [&["bench"], arguments, &["--json"]].concat();
    serde_json::from_str(&directory.ok(&all)).unwrap()
}

#[test]
fn cycles_of_small_models_are_these() {
    let directory = Directory::new("measured-scaling");
    let table = directory.ok(&[
        "bench",
        "scaling",
        "--model",
        NARROW,
        "--model",
        ODD,
        "--precision",
        "int8",
        "--precision",
        "fp16",
        "--seq-len",
        "5,16,64,65",
    ]);
    insta::assert_snapshot!("scaling", table);
}

#[test]
fn cycles_on_other_machines_are_these() {
    let directory = Directory::new("measured-sensitivity");
    let vary = [
        "vxm_entry=10",
        "mem_write_to_read=12",
        "mxm_accumulate_to_result=80",
        "text_slices_west=[16]",
    ];
    let mut arguments = vec!["bench", "sensitivity", "--model", NARROW, "--seq-len", "16"];
    vary.iter()
        .for_each(|setting| arguments.extend(["--vary", setting]));
    insta::assert_snapshot!("sensitivity", directory.ok(&arguments));
}

/// A row of `bench scaling` is what `compile`, `check` and `report` say of the same program.
#[test]
fn figures_are_those_of_the_compiled_program() {
    let directory = Directory::new("measured-figures");
    for precision in ["int8", "fp16"] {
        let on = [
            "--model",
            NARROW,
            "--precision",
            precision,
            "--seq-len",
            "16",
        ];
        let report = json(&directory, &[&["scaling"][..], &on].concat());
        let row = &report["rows"][0];
        directory.ok(&[&["compile"][..], &on, &["-o", "p.tsp"]].concat());
        let of =
            |command: &[&str]| -> Value { serde_json::from_str(&directory.ok(command)).unwrap() };
        let why = of(&["report", "p.tsp", "--why", "--json"]);
        assert_eq!(row["cycles"], why["cycles"]);
        assert_eq!(row["text"], why["text_bytes"]);
        assert_eq!(row["placed"], why["why"]["whole"]["bound"]);
        let demo = of(&[&["demo"][..], &on, &["--json"]].concat());
        assert_eq!(row["bound"], demo["bound_cycles"]);
        assert_eq!(row["cycles"], demo["cycles"]);
        let number = |key: &str| row[key].as_u64().unwrap();
        assert_eq!(number("gap"), number("cycles") - number("bound"));
        assert!(number("bound") <= number("placed") && number("placed") <= number("cycles"));
    }
}

#[test]
fn a_layer_adds_what_it_added_before() {
    let directory = Directory::new("measured-growth");
    let geometry = "H=64,heads=2,ffn=128,vocab=20,max_positions=32";
    let report = json(
        &directory,
        &[
            "growth",
            "--geometry",
            geometry,
            "--layers",
            "4,1,2,8",
            "--seq-len",
            "16",
        ],
    );
    let rows = report["rows"].as_array().unwrap();
    let number = |row: &Value, key: &str| row[key].as_f64().unwrap();
    let layers: Vec<f64> = rows.iter().map(|r| number(r, "layers")).collect();
    assert_eq!(layers, [1.0, 2.0, 4.0, 8.0]);
    for row in &rows[1..] {
        // The first row holds the embeddings too.
        assert!(
            number(row, "a layer") <= number(&rows[0], "a layer"),
            "{row}"
        );
        assert!(
            number(row, "text a layer") <= number(&rows[0], "text a layer"),
            "{row}"
        );
    }
    // What each step takes is there and not looked at.
    let host = report["this_host"].as_array().unwrap();
    assert_eq!(host.len(), 4);
    for step in ["import", "lower", "check", "simulate", "compile"] {
        assert!(host[0][step].is_f64(), "{step}");
    }
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let directory = Directory::new("measured-refused");
    for (arguments, said) in [
        (&["scaling", "--model", "nowhere"][..], "nowhere"),
        (
            &["scaling", "--model", NARROW, "--precision", "int4"],
            "int4",
        ),
        (&["growth", "--geometry", "H=64"], "heads is missing"),
        (
            &["sensitivity", "--model", NARROW, "--vary", "vxm_enty=4"],
            "the nearest is `vxm_entry`",
        ),
        (
            &["sensitivity", "--model", NARROW, "--vary", "vxm_entry=x"],
            "expected an integer",
        ),
    ] {
        let text = directory.refused(&[&["bench"], arguments].concat());
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
    let alone = directory.tspc(&["bench", "scaling", "--seq-len", "16"]);
    assert_eq!(alone.status.code(), Some(2));
}
