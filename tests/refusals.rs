//! What the compiler cannot do it refuses: with the place, what was expected and, of capacity, by how much.
//!
//! The frontend's tests have every refusal of a geometry and of a tensor; here are those on the way to a program.

mod support;

use std::fs;
use std::path::Path;

use tspc::bert::Model;
use tspc::compiler::{
    self, PASSES, Request, Silent, calibrated, calibration_ids, infer, seeded_ids,
};
use tspc::machine::Machine;
use tspc::passes::Precision;

const SMALL: &str = "L=1,H=32,heads=2,ffn=48,vocab=20,max_positions=24";

fn model(geometry: &str) -> Model {
    Model::open(geometry, 1).unwrap_or_else(|e| panic!("{e}"))
}

/// Why this is not compiled.
fn refusal(
    machine: &Machine,
    model: &Model,
    seq_len: usize,
    precision: &str,
    passes: &str,
) -> String {
    let request = Request {
        model,
        seq_len,
        precision: Precision::parse(precision).unwrap_or_else(|e| panic!("{e}")),
        ranges: None,
        machine,
        passes,
    };
    match compiler::compile(&request, &mut Silent) {
        Ok(_) => panic!("it compiles"),
        Err(error) => error.to_string(),
    }
}

/// The two numbers of "need … of … words".
fn words(message: &str) -> (u64, u64) {
    let tail = message.split_once("constants and inputs need ");
    let numbers: Vec<u64> = tail
        .map_or("", |(_, tail)| tail)
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    (numbers[0], numbers[1])
}

#[test]
fn a_model_beyond_the_sram_is_refused_with_what_is_missing() {
    // A chip that has but eight slices for data, so that a small model shows what bert-large does on the whole chip.
    let text: Vec<String> = (4..44).map(|slice| slice.to_string()).collect();
    let text = text.join(",");
    let settings = [
        format!("text_slices_west=[{text}]"),
        format!("text_slices_east=[{text}]"),
    ];
    let machine = Machine::tsp_v1().with(&settings.each_ref().map(String::as_str));
    let machine = machine.unwrap_or_else(|e| panic!("{e}"));
    let model = model("L=1,H=1024,heads=4,ffn=4096,vocab=20");
    let message = refusal(&machine, &model, 1, "fp16", PASSES);
    let (need, there) = words(&message);
    assert_eq!(there, 8 * 2 * 4096);
    // Two bytes a parameter, 320 bytes a word.
    let parameters = 4 * 1024 * 1024 + 2 * 1024 * 4096;
    assert!(need > there && need >= 2 * parameters / 320, "{message}");
}

#[test]
fn a_sequence_beyond_the_position_table_is_refused() {
    let model = model(SMALL);
    for seq_len in [0, 25] {
        let message = refusal(&Machine::tsp_v1(), &model, seq_len, "fp16", PASSES);
        let want = format!("sequence length {seq_len}, should be 1 to 24");
        assert!(message.contains(&want), "{message}");
    }
}

#[test]
fn int8_without_calibration_is_refused() {
    let message = refusal(&Machine::tsp_v1(), &model(SMALL), 16, "int8", PASSES);
    assert!(
        message.contains("calibration") || message.contains("ranges"),
        "{message}"
    );
    let none = calibrated(&model(SMALL), &[], &mut Silent);
    assert_eq!(none.unwrap_err().to_string(), "no text to calibrate on");
}

#[test]
fn ranges_of_another_model_are_refused() {
    let (model, other) = (model(SMALL), model("L=2,H=64,heads=2,ffn=48,vocab=20"));
    let ranges = support::ranges(&other).unwrap_or_else(|e| panic!("{e}"));
    let message = support::compile(&model, 16, "int8", Some(&ranges)).unwrap_err();
    assert!(message.contains("ranges"), "{message}");
}

#[test]
fn pipelines_that_do_not_end_tiled_are_refused() {
    let (machine, model) = (Machine::tsp_v1(), model(SMALL));
    for (passes, want) in [
        ("canonicalise, shrink", "shrink"),
        ("canonicalise, quantise", "should include"),
        ("tile", "tile"),
    ] {
        let message = refusal(&machine, &model, 16, "fp16", passes);
        assert!(message.contains(want), "{passes}: {message}");
    }
}

#[test]
fn inputs_that_do_not_fit_the_program_are_refused() {
    let model = model(SMALL);
    let compiled = support::compile(&model, 16, "fp16", None).unwrap_or_else(|e| panic!("{e}"));
    let refused = |ids: &[u32]| {
        let machine = Machine::tsp_v1();
        match infer(&model, &compiled.program, &machine, ids, &mut |_, _| {}) {
            Ok(_) => panic!("it runs"),
            Err(stopped) => stopped.to_string(),
        }
    };
    assert_eq!(refused(&[]), "input: 0 tokens, should be 1 to 16");
    let long = seeded_ids(&model, 17, 0);
    assert_eq!(refused(&long), "input: 17 tokens, should be 1 to 16");
    assert_eq!(
        refused(&[20]),
        "input: token 20 is beyond the word table of 20"
    );
}

#[test]
fn damaged_folders_are_refused() {
    let trained = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/models/minilm");
    let ids = calibration_ids(&support::minilm(), None, 7);
    assert!(ids.is_ok_and(|ids| ids.len() > 40), "the folder is whole");
    let folder = std::env::temp_dir().join(format!("tspc-refusals-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for name in ["config.json", "tokenizer.json", "vocab.txt"] {
        if trained.join(name).exists() {
            fs::copy(trained.join(name), folder.join(name)).unwrap();
        }
    }
    let weights = folder.join("model.safetensors");
    let refused = || {
        let error = Model::open(&folder.display().to_string(), 0).unwrap_err();
        error.to_string()
    };
    let message = refused();
    assert!(message.contains("model.safetensors"), "absent: {message}");
    let whole = fs::read(trained.join("model.safetensors")).unwrap();
    fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    let message = refused();
    let want = format!("{}: not a whole safetensors file", weights.display());
    assert!(message.starts_with(&want), "truncated: {message}");
    // Another name of the same length leaves the header's offsets as they are.
    let name = b"encoder.layer.3.output.dense.weight";
    let at = whole.windows(name.len()).position(|w| w == name).unwrap();
    let mut renamed = whole;
    renamed[at] = b'x';
    fs::write(&weights, &renamed).unwrap();
    let message = refused();
    let want = "encoder.layer.3.output.dense.weight: the tensor is missing";
    assert!(message.ends_with(want), "missing: {message}");
    fs::remove_dir_all(&folder).unwrap();
}
