//! The driver as a command: help, exit codes, input and output files, and what it says of bad input.

#[path = "support/directory.rs"]
mod directory;

use directory::{Directory, errors};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

/// Two rows of three int16 from E0, E1 to E4, E5.
const COPY: &str = r#"
.machine tsp-v1
.autonop
.location "copy"
.input "x" i16 2x3
  tile 0..3
    plane MEM_E0 0 +1 x2
    plane MEM_E1 0 +1 x2
.output "y" i16 2x3
  tile 0..3
    plane MEM_E4 0 +1 x2
    plane MEM_E5 0 +1 x2
.queue MEM_E0
  read e0 0 +1
  repeat 1 1
.queue MEM_E1
  read e1 0 +1
  repeat 1 1
.queue MEM_E4
  @1 write e0 0 +1
  repeat 1 1
.queue MEM_E5
  @1 write e1 0 +1
  repeat 1 1
.uses
  MEM_E0@0.0 <- image
  MEM_E1@0.0 <- image
  MEM_E4@1.2 <- MEM_E0@0
  MEM_E5@1.2 <- MEM_E1@0
  output#0:0 <- MEM_E4@1
  output#0:1 <- MEM_E5@1
"#;

/// A safetensors file.
fn tensors(list: &[(&str, Dtype, &[usize], &[u8])]) -> Vec<u8> {
    let views = list.iter().map(|(name, dtype, shape, data)| {
        (
            *name,
            TensorView::new(*dtype, shape.to_vec(), data).unwrap(),
        )
    });
    serialize(views, None).unwrap()
}

const ROWS: [u8; 12] = [1, 0, 2, 0, 3, 0, 0xff, 0xff, 0, 0x80, 44, 1];

#[test]
fn help_is_worth_reading() {
    let directory = Directory::new("help");
    insta::assert_snapshot!("help", directory.ok(&["--help"]));
    for command in [
        "demo", "compile", "run", "report", "blame", "asm", "disasm", "check", "sim", "opt",
        "explain", "why-not", "bisect", "bench", "passes", "machine",
    ] {
        insta::assert_snapshot!(
            format!("help-{command}"),
            directory.ok(&[command, "--help"])
        );
    }
}

#[test]
fn help_of_the_tables_says_what_they_show() {
    let directory = Directory::new("help-bench");
    for table in ["scaling", "sensitivity", "growth"] {
        insta::assert_snapshot!(
            format!("help-bench-{table}"),
            directory.ok(&["bench", table, "--help"])
        );
    }
}

#[test]
fn the_version_names_the_formats() {
    let version = Directory::new("version").ok(&["--version"]);
    let lines: Vec<_> = version.lines().collect();
    assert_eq!(lines[0], format!("tspc {}", env!("CARGO_PKG_VERSION")));
    assert_eq!(
        lines[1],
        format!("program format {}", tspc::program::FORMAT_VERSION)
    );
    assert_eq!(
        lines[2],
        format!(
            "constants file format {}",
            tspc::ir::constant::SIDE_FILE_VERSION
        )
    );
    let proof = tspc::passes::egraph::proof::VERSION;
    assert_eq!(lines[3], format!("proof format {proof}"));
    assert_eq!(
        lines[4],
        format!("machine tsp-v1 {}", tspc::machine::Machine::tsp_v1().hash)
    );
}

#[test]
fn usage_errors_end_with_2() {
    let directory = Directory::new("usage").with("p.tspasm", COPY);
    for arguments in [
        &["frobnicate"][..],
        &["asm", "p.tspasm"],
        &["sim", "p.tspasm", "--show", "many"],
        &["opt", "m.tspc", "--emit", "poem"],
        &[
            "opt",
            "m.tspc",
            "--split-input-file",
            "--write-constants",
            "c",
        ],
    ] {
        let output = directory.tspc(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(errors(&output).contains("try '--help'"), "{arguments:?}");
    }
}

#[test]
fn tensors_go_in_and_come_out() {
    let input = tensors(&[("x", Dtype::I16, &[2, 3], &ROWS)]);
    let directory = Directory::new("tensors")
        .with("p.tspasm", COPY)
        .with("x.safetensors", input);
    directory.ok(&["asm", "p.tspasm", "-o", "p.tsp"]);
    let sim = ["sim", "p.tsp", "--input", "x.safetensors"];
    let text = directory.ok(&[&sim[..], &["--output", "y.safetensors", "--show", "9"]].concat());
    // The last write is at 2.
    assert!(
        text.starts_with("cycles       27\nlatency      0.030 us at 900 MHz\n"),
        "{text}"
    );
    assert!(text.ends_with("y[0] 1 2 3\ny[1] -1 -32768 300\n"), "{text}");
    let bytes = directory.bytes("y.safetensors");
    let outputs = SafeTensors::deserialize(&bytes).unwrap();
    let y = outputs.tensor("y").unwrap();
    assert_eq!(
        (y.dtype(), y.shape(), y.data()),
        (Dtype::I16, &[2, 3][..], &ROWS[..])
    );
    assert_eq!(
        directory.files(),
        ["p.tsp", "p.tspasm", "x.safetensors", "y.safetensors"]
    );

    let json = directory.ok(&[&sim[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["ok"], &json["cycles"], &json["clock_mhz"]),
        (&true.into(), &27.into(), &900.into())
    );
    assert_eq!(json["outputs"][0]["name"], "y");
}

#[test]
fn wrong_inputs_are_refused_by_name() {
    let good: (&str, Dtype, &[usize], &[u8]) = ("x", Dtype::I16, &[2, 3], &ROWS);
    let whole = tensors(&[good]);
    let files: [(&str, Vec<u8>, &str); 6] = [
        (
            "missing",
            tensors(&[]),
            "input `x`: expected I16 [2, 3], found no such tensor",
        ),
        (
            "shape",
            tensors(&[("x", Dtype::I16, &[3, 2], &ROWS)]),
            "input `x`: expected I16 [2, 3], found I16 [3, 2]",
        ),
        (
            "type",
            tensors(&[("x", Dtype::F16, &[2, 3], &ROWS)]),
            "input `x`: expected I16 [2, 3], found F16 [2, 3]",
        ),
        (
            "surplus",
            tensors(&[good, ("z", Dtype::U8, &[1], &[0])]),
            "the program has no input `z`",
        ),
        ("truncated", whole[..whole.len() - 1].to_vec(), ""),
        ("empty", Vec::new(), ""),
    ];
    let mut directory = Directory::new("inputs").with("p.tspasm", COPY);
    for (name, bytes, message) in files {
        directory = directory.with(name, bytes);
        let said = directory.refused(&[
            "sim",
            "p.tspasm",
            "--input",
            name,
            "--output",
            "y.safetensors",
        ]);
        assert!(
            said.starts_with(&format!("error: {name}: ")) && said.contains(message),
            "{said}"
        );
    }
    let said = directory.refused(&["sim", "p.tspasm"]);
    assert_eq!(
        said,
        "error: the program needs --input with `x` I16 [2, 3]\n"
    );
    let said = directory.refused(&["sim", "p.tspasm", "--input", "nowhere"]);
    assert!(said.starts_with("error: nowhere: "), "{said}");
}

#[test]
fn damaged_containers_are_refused_at_a_byte() {
    let directory = Directory::new("containers").with("p.tspasm", COPY);
    directory.ok(&["asm", "p.tspasm", "-o", "p.tsp"]);
    let whole = directory.bytes("p.tsp");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let directory = directory
        .with("short.tsp", &whole[..whole.len() / 2])
        .with("header.tsp", &whole[..9])
        .with("empty.tsp", [])
        .with("flipped.tsp", flipped)
        .with("long.tsp", [&whole[..], &[0]].concat());
    for name in [
        "short.tsp",
        "header.tsp",
        "empty.tsp",
        "flipped.tsp",
        "long.tsp",
    ] {
        for arguments in [
            &["check", name][..],
            &["sim", name, "--output", "y.safetensors"],
            &["disasm", name, "-o", "out.tspasm"],
        ] {
            let said = directory.refused(arguments);
            assert!(said.starts_with(&format!("error: {name}: byte ")), "{said}");
        }
    }
}

#[test]
fn a_malformed_listing_is_shown() {
    let text = COPY
        .replace("@1 write e1 0 +1", "@1 write x1 0 +1")
        .replace("@1.2 <- MEM_E0", "@1.2 <- MEM_E7");
    let directory = Directory::new("listing").with("p.tspasm", text);
    insta::assert_snapshot!(
        "malformed-listing",
        directory.refused(&["asm", "p.tspasm", "-o", "p.tsp"])
    );
}

#[test]
fn malformed_ir_is_shown() {
    let text = "module @m(%0 \"x\": tensor<2xf32>) {\n  %1 = tensor.exp(%0) : tensor<2xf32>\n  %1 = tensor.tanh(%0) : tensor<2xf32>\n}\n";
    let directory = Directory::new("ir")
        .with("m.tspc", text)
        .with("bytes.tspc", [b'm', 0xff]);
    insta::assert_snapshot!(
        "malformed-ir",
        directory.refused(&["opt", "m.tspc", "-o", "out.tspc"])
    );
    let said = directory.refused(&["opt", "bytes.tspc", "-o", "out.tspc"]);
    assert_eq!(said, "error: bytes.tspc: byte 1: not UTF-8 text\n");
}

#[test]
fn violations_and_faults_are_reported() {
    let text = COPY
        .replace("@1 write e1", "@2 write e1")
        .replace("MEM_E5@1", "MEM_E5@2");
    let directory = Directory::new("violations").with("p.tspasm", text);
    let output = directory.tspc(&["check", "p.tspasm"]);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!("violations", String::from_utf8_lossy(&output.stdout));
    // The checker comes first, and its verdict is the same.
    assert_eq!(directory.tspc(&["sim", "p.tspasm"]).stdout, output.stdout);

    let json: serde_json::Value =
        serde_json::from_slice(&directory.tspc(&["check", "p.tspasm", "--json"]).stdout).unwrap();
    assert_eq!(json["ok"], false);
    let first = &json["violations"][0];
    assert_eq!(
        (&first["rule"], &first["cycle"], &first["unit"]),
        (&"operand-mismatch".into(), &2.into(), &"MEM_E5".into())
    );
    assert_eq!(first["instruction"], "write e1 0x0000 +1");

    let empty = COPY
        .replace("@1 write e1", "@9 write e1")
        .replace("MEM_E5@1", "MEM_E5@9");
    let directory = directory
        .with("p.tspasm", empty)
        .with("x", tensors(&[("x", Dtype::I16, &[2, 3], &ROWS)]));
    let sim = [
        "sim",
        "p.tspasm",
        "--no-check",
        "--input",
        "x",
        "--output",
        "y",
    ];
    insta::assert_snapshot!("fault", directory.refused(&sim));
    let json: serde_json::Value =
        serde_json::from_slice(&directory.tspc(&[&sim[..], &["--json"]].concat()).stdout).unwrap();
    assert_eq!(
        (&json["ok"], &json["fault"]["rule"], &json["fault"]["cycle"]),
        (&false.into(), &"empty-stream".into(), &9.into())
    );
    assert_eq!(json["fault"]["location"], "copy");
}

#[test]
fn a_file_that_cannot_be_written_is_an_error() {
    let directory = Directory::new("unwritable").with("p.tspasm", COPY);
    let said = directory.refused(&["asm", "p.tspasm", "-o", "nowhere/p.tsp"]);
    assert!(said.starts_with("error: nowhere/p.tsp: "), "{said}");
    std::fs::create_dir(directory.0.join("taken")).unwrap();
    let said = directory.refused(&["asm", "p.tspasm", "-o", "taken"]);
    assert!(said.starts_with("error: taken: "), "{said}");
}

#[test]
fn an_older_result_survives_a_refusal() {
    let directory = Directory::new("older")
        .with("p.tspasm", COPY)
        .with("bad.tspasm", ".machine\n");
    directory.ok(&["asm", "p.tspasm", "-o", "p.tsp"]);
    let before = directory.bytes("p.tsp");
    directory.refused(&["asm", "bad.tspasm", "-o", "p.tsp"]);
    assert_eq!(directory.bytes("p.tsp"), before);
}

#[cfg(unix)]
#[test]
fn a_link_stays_a_link() {
    let directory = Directory::new("link")
        .with("p.tspasm", COPY)
        .with("real.tsp", "old");
    std::os::unix::fs::symlink("real.tsp", directory.0.join("link.tsp")).unwrap();
    directory.ok(&["asm", "p.tspasm", "-o", "link.tsp"]);
    assert!(directory.0.join("link.tsp").is_symlink());
    directory.ok(&["disasm", "real.tsp"]);
    assert_eq!(directory.files(), ["link.tsp", "p.tspasm", "real.tsp"]);
}

#[test]
fn large_constants_travel_in_a_side_file() {
    let elements = vec!["1.5"; 17].join(", ");
    let text = format!(
        "module @m() {{\n  %0 = tensor.constant() {{value = dense<17xf32>[{elements}]}} : tensor<17xf32>\n  tensor.return(%0) {{names = [\"y\"]}}\n}}\n"
    );
    let directory = Directory::new("constants").with("m.tspc", text);
    directory.ok(&[
        "opt",
        "m.tspc",
        "--write-constants",
        "m.data",
        "-o",
        "out.tspc",
    ]);
    let short = String::from_utf8(directory.bytes("out.tspc")).unwrap();
    assert!(short.contains("ref<17xf32, \""), "{short}");
    assert_eq!(
        directory.ok(&["opt", "out.tspc", "--constants", "m.data"]),
        short
    );
    let said = directory.refused(&["opt", "out.tspc"]);
    assert!(said.contains("no such constant in the side file"), "{said}");
    let data = directory.bytes("m.data");
    let directory = directory.with("cut.data", &data[..data.len() - 1]);
    let said = directory.refused(&["opt", "out.tspc", "--constants", "cut.data"]);
    assert_eq!(said, "error: cut.data: the data file ends early\n");
}

#[test]
fn e_graphs_and_remarks_go_to_files() {
    let source = "module @m(%0 \"x\": tensor<4x8xf32>) {\n  %1 = tensor.exp(%0) : tensor<4x8xf32>\n  \
                  tensor.return(%1) {names = [\"y\"]}\n}\n";
    let directory = Directory::new("told").with("m.tspc", source);
    let told = ["--remarks=m.jsonl", "--dump-egraph=deep/graphs"];
    let ir = directory.ok(&[&["opt", "--pass-pipeline=egraph", "m.tspc"], &told[..]].concat());
    assert!(
        ir.contains("stream.pipeline"),
        "the module goes out as ever"
    );
    let lines = String::from_utf8(directory.bytes("m.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 1, "one region, no fusion: {lines}");
    assert!(lines.starts_with("{\"remark\":\"region\""), "{lines}");
    let dot = directory.bytes("deep/graphs/region0.dot");
    assert!(dot.starts_with(b"digraph"));
    let json: serde_json::Value =
        serde_json::from_slice(&directory.bytes("deep/graphs/region0.json")).unwrap();
    let nodes = json["nodes"].as_object().unwrap();
    assert!(
        nodes
            .values()
            .any(|n| n["op"] == "exp" && n["cost"].as_f64() > Some(0.0))
    );
}

/// What is kept has the fewest cycles of all that was tried, and the pass can be told to choose it again.
#[test]
fn candidates_are_scheduled_and_the_best_is_kept() {
    let directory = Directory::new("candidates");
    let model = "L=1,H=32,heads=2,ffn=64,vocab=20,max_positions=32";
    let compile = ["compile", "--model", model, "--seq-len", "16"];
    let run = |rest: &[&str]| directory.tspc(&[&compile[..], rest].concat());
    let tried = run(&["--candidates", "3", "-o", "best.tsp"]);
    assert!(tried.status.success(), "{tried:?}");
    let told = String::from_utf8(tried.stderr).unwrap();
    let trials: Vec<(&str, u64)> = told
        .lines()
        .map(|line| {
            let (choice, cycles) = line.split_once(": ").unwrap();
            let cycles = cycles.strip_suffix(" cycles").unwrap();
            (choice, cycles.parse().unwrap())
        })
        .collect();
    assert!(trials.len() > 2, "{told}");
    assert_eq!(trials[0].0, "egraph{choose=0+0+0}");
    let (best, cycles) = *trials.iter().min_by_key(|(_, cycles)| *cycles).unwrap();
    let check = directory.ok(&["check", "best.tsp", "--json"]);
    let check: serde_json::Value = serde_json::from_str(&check).unwrap();
    assert_eq!(check["cycles"].as_u64(), Some(cycles));
    for (choice, file) in [(best, "again.tsp"), (trials[1].0, "other.tsp")] {
        let passes = format!("canonicalise,quantise,{choice},tile");
        let made = run(&["--pass-pipeline", &passes, "-o", file]);
        assert!(made.status.success(), "{made:?}");
    }
    assert_eq!(directory.bytes("best.tsp"), directory.bytes("again.tsp"));
    let other = directory.ok(&["check", "other.tsp", "--json"]);
    let other: serde_json::Value = serde_json::from_str(&other).unwrap();
    assert_eq!(other["cycles"].as_u64(), Some(trials[1].1));
    let passes = format!("canonicalise,quantise,{},tile", trials[1].0);
    let twice = run(&[
        "--candidates",
        "2",
        "--pass-pipeline",
        &passes,
        "-o",
        "no.tsp",
    ]);
    let said = String::from_utf8(twice.stderr).unwrap();
    assert_eq!(
        said,
        "error: the passes choose terms already; --candidates leaves nothing to choose\n"
    );
}
