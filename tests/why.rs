//! `report --why` and `blame`: who waited for whom, on programs of which that is known, and on compiled ones.

#[path = "support/directory.rs"]
mod directory;

use directory::Directory;
use serde_json::Value;

/// Four rows of two bytes. E0 goes to E4 at once, then 3 cycles later than it could from E4 to E8; W0 makes one row
/// after another for W4 and W5, since it reads one a cycle.
const COPIES: &str = r#"
.machine tsp-v1
.autonop
.location "encoder.layer.0.first"
.location "encoder.layer.0.second"
.location "encoder.layer.1.third"
.input "x" u8 4x1
  tile 0..1
    plane MEM_E0 0 +1 x4
.input "z" u8 4x1
  tile 0..1
    plane MEM_W0 0 +1 x4
.output "y" u8 4x3
  tile 0..1
    plane MEM_E8 0 +1 x4
  tile 1..2
    plane MEM_W4 0 +1 x4
  tile 2..3
    plane MEM_W5 0 +1 x4
.queue MEM_E0
  read e0 0 +1
  repeat 3 1
.queue MEM_E4
  @1 write e0 0 +1
  repeat 3 1
  @10 read e0 0 +1
  repeat 3 1
.queue MEM_E8
  @11 write e0 0 +1
  repeat 3 1
.queue MEM_W0
  read w0 0 +1
  repeat 3 1
  @4 read w1 0 +1
  repeat 3 1
.queue MEM_W4
  @1 write w0 0 +1
  repeat 3 1
.queue MEM_W5
  @5 write w1 0 +1
  repeat 3 1
.uses
  MEM_E0@0.0 <- image
  MEM_E4@1.2 <- MEM_E0@0
  at 1
  MEM_E4@10.0 <- MEM_E4@1
  MEM_E8@11.2 <- MEM_E4@10
  at 2
  MEM_W0@0.0 <- image
  MEM_W4@1.2 <- MEM_W0@0
  MEM_W0@4.0 <- image
  MEM_W5@5.2 <- MEM_W0@4
  output#0:0 <- MEM_E8@11
  output#0:1 <- MEM_W4@1
  output#0:2 <- MEM_W5@5
"#;

/// A model of a moment.
const TOY: &str = "L=2,H=32,heads=2,ffn=64,vocab=20,max_positions=32";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Each step of a chain: cycle, unit, and what it waits for with cycle and slack.
fn steps(chain: &Value) -> Vec<String> {
    let waits_for = |on: &Value| match on.is_null() {
        true => "nothing".to_string(),
        false => format!("{} of {}, slack {}", on["kind"], on["cycle"], on["slack"]),
    };
    let step = |s: &Value| {
        format!(
            "{} {}: {}",
            s["cycle"],
            s["unit"],
            waits_for(&s["waits_for"])
        )
    };
    let steps = chain["steps"].as_array().unwrap().iter();
    steps.map(|s| step(s).replace('"', "")).collect()
}

#[test]
fn a_chain_ends_at_the_beginning() {
    let directory = Directory::new("blame").with("p.tspasm", COPIES);
    let blame =
        |cycle: &[&str]| json(&directory.ok(&[&["blame", "p.tspasm", "--json"], cycle].concat()));
    // The last write waits for the last word that E4 reads; the first words are what E4 wrote 3 cycles before they
    // could have been read.
    let latency = blame(&[]);
    assert_eq!(
        (&latency["dispatch"]["cycle"], &latency["dispatch"]["unit"]),
        (&14.into(), &"MEM_E8".into())
    );
    assert_eq!(
        steps(&latency),
        ["10 MEM_E4: word of 1, slack 3", "0 MEM_E0: nothing"]
    );
    // W0 was busy until 3, and nothing was before that.
    let queue = blame(&["8"]);
    assert_eq!(
        steps(&queue),
        ["4 MEM_W0: MEM queue of 3, slack 0", "0 MEM_W0: nothing"]
    );
    assert_eq!(queue["dispatch"]["unit"], "MEM_W5");
    assert_eq!(queue["dispatch"]["iteration"], 3);
    // Nothing dispatches in 9: the last before it counts.
    assert_eq!(blame(&["9"]), queue);
}

#[test]
fn a_slice_that_writes_cannot_read() {
    // Eight rows: the first word that E4 reads could be read in 7, but its queue writes until 8.
    let mut text = COPIES.to_string();
    for (four, eight) in [
        ("4x1", "8x1"),
        ("4x3", "8x3"),
        ("x4", "x8"),
        ("repeat 3", "repeat 7"),
        ("@4 read", "@8 read"),
        ("MEM_W0@4", "MEM_W0@8"),
        ("@5 write", "@9 write"),
        ("MEM_W5@5", "MEM_W5@9"),
        ("@10", "@9"),
        ("@11", "@10"),
    ] {
        text = text.replace(four, eight);
    }
    let directory = Directory::new("buffer").with("p.tspasm", text);
    let chain = json(&directory.ok(&["blame", "p.tspasm", "--json"]));
    assert_eq!(
        steps(&chain),
        ["9 MEM_E4: buffer of 8, slack 0", "0 MEM_E0: nothing"]
    );
}

#[test]
fn steps_that_are_alike_share_a_line() {
    // W0 reads its words three times more, and W5 keeps the last.
    let again = |n: u64| format!("  @{} read w1 0 +1\n  repeat 3 1\n", 4 * n);
    let used = |n: u64| format!("  MEM_W0@{}.0 <- image\n", 4 * n);
    let (reads, uses): (String, String) = ((1..4).map(again).collect(), (1..4).map(used).collect());
    let text = COPIES
        .replace(&again(1), &reads)
        .replace(&used(1), &uses)
        .replace("@5 write w1", "@13 write w1")
        .replace("MEM_W5@5", "MEM_W5@13")
        .replace("<- MEM_W0@4", "<- MEM_W0@12");
    let directory = Directory::new("alike").with("p.tspasm", text);
    let said = directory.ok(&["blame", "p.tspasm"]);
    assert!(
        said.starts_with("cycle 16: MEM_W5 write w1 0x0000 +1, for encoder.layer.1.third\n"),
        "{said}"
    );
    let line = said.lines().find(|l| l.ends_with(", 3 times")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[..4], ["4", "16", "MEM_W0", "read"], "{said}");
    let short = directory.ok(&["blame", "p.tspasm", "--lines", "1"]);
    assert!(
        short.contains("\n1 more lines (--lines)\n") && short.contains(", 3 times"),
        "{short}"
    );
}

#[test]
fn cycles_that_are_not_there_are_refused() {
    let late = COPIES
        .replace("@5 write w1", "@6 write w1")
        .replace("MEM_W5@5", "MEM_W5@6");
    let directory = Directory::new("refused")
        .with("p.tspasm", COPIES)
        .with("late.tspasm", late)
        .with("silent.tspasm", ".machine tsp-v1\n");
    // The latency: 14 + 6 + 19.
    assert_eq!(
        directory.refused(&["blame", "p.tspasm", "39"]),
        "error: cycle 39 is beyond the program, which ends after 39 cycles\n"
    );
    directory.ok(&["blame", "p.tspasm", "38"]);
    assert_eq!(
        directory.refused(&["blame", "silent.tspasm"]),
        "error: no instruction writes an output: name a cycle\n"
    );
    // What the checker refuses is not explained.
    let output = directory.tspc(&["blame", "late.tspasm"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(directory::errors(&output).starts_with("error: the checker found "));
}

#[test]
fn answers_read_well() {
    let known = include_str!("../lit-tests/machine/c4-c5-install-and-pass.tspasm");
    let directory = Directory::new("known")
        .with("p.tspasm", known)
        .with("q.tspasm", COPIES);
    insta::assert_snapshot!("blame", directory.ok(&["blame", "p.tspasm"]));
    let why = |file: &str| {
        let report = directory.ok(&["report", "--why", file]);
        let from = report.find("\nwhy ").unwrap();
        report[from..].to_string()
    };
    insta::assert_snapshot!("why-passes", why("p.tspasm"));
    insta::assert_snapshot!("why-copies", why("q.tspasm"));
}

#[test]
fn compiled_models_are_explained() {
    for precision in ["int8", "fp16"] {
        let directory = Directory::new(&format!("why-{precision}"));
        let model = ["--model", TOY, "--precision", precision, "--seq-len", "16"];
        directory.ok(&[&["compile"][..], &model, &["-o", "toy.tsp"]].concat());
        let report = json(&directory.ok(&["report", "toy.tsp", "--why", "--json"]));
        let cycles = report["cycles"].as_u64().unwrap();

        let chain = json(&directory.ok(&["blame", "toy.tsp", "--json"]));
        // Latency is the last write + 6 + 19.
        assert_eq!(chain["dispatch"]["cycle"], cycles - 25);
        let list = chain["steps"].as_array().unwrap();
        assert_eq!(list[0]["needed"], chain["dispatch"]["cycle"]);
        for (step, next) in list.iter().zip(&list[1..]) {
            let on = &step["waits_for"];
            assert_eq!(on["cycle"], next["needed"], "{step}");
            let at = |v: &Value| v["cycle"].as_u64().unwrap();
            let slack = on["slack"].as_u64().unwrap();
            assert!(at(on) + slack < at(step), "{step}");
        }
        assert!(list.last().unwrap()["waits_for"].is_null());

        let why = &report["why"];
        assert_eq!(why["whole"]["cycles"], cycles);
        let lists = ["layers", "phases"].map(|list| why[list].as_array().unwrap());
        assert_eq!(lists[0].len(), 2);
        assert_eq!(lists[1].len(), report["phases"].as_array().unwrap().len());
        for part in lists.into_iter().flatten().chain([&why["whole"]]) {
            let of = |key: &str| part[key].as_u64().unwrap();
            assert!(0 < of("bound") && of("bound") <= of("cycles"), "{part}");
            assert_eq!(of("gap"), of("cycles") - of("bound"), "{part}");
            assert_eq!(part["bounds"][part["binds"].as_str().unwrap()], of("bound"));
            let idle = part["idle"].as_array().unwrap();
            let lengths: Vec<u64> = idle
                .iter()
                .map(|s| s["end"].as_u64().unwrap() - s["start"].as_u64().unwrap())
                .collect();
            assert!(
                lengths.len() <= 3 && lengths.is_sorted_by(|a, b| a >= b),
                "{part}"
            );
        }
        // In fp16 an activation takes two of the four planes.
        let planes = if precision == "fp16" { 2 } else { 1 };
        let busy = report["mxm_busy"].as_f64().unwrap();
        let activations = (busy * 4.0 * cycles as f64).round() as u64;
        let bound = &why["whole"]["bounds"]["MXM"];
        assert_eq!(*bound, (planes * activations).div_ceil(4), "{precision}");
    }
}
