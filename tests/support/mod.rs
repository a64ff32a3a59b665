//! Models compiled and run: all levels agree bit for bit, and cases are shared out over two threads.
#![allow(dead_code)] // Each test program uses a part.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use tspc::bert::Model;
use tspc::bert::golden::{Golden, Sentence};
use tspc::compiler::{
    self, Compiled, Inference, PASSES, Request, Silent, calibrated, calibration_ids,
};
use tspc::ir::eval::evaluate;
use tspc::machine::Machine;
use tspc::passes::{Precision, Ranges};

/// The trained model, which is not in the repository.
pub fn minilm() -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/models/minilm");
    assert!(
        folder.is_dir(),
        "the model is not there; run: python3 tools/fetch_minilm.py"
    );
    Model::from_dir(&folder).unwrap_or_else(|e| panic!("{e}"))
}

/// Sentences with the embeddings of an independent implementation, from the shortest to the longest.
pub fn golden() -> Vec<Sentence> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("frontend-bert/golden");
    let golden = Golden::from_dir(&folder).unwrap_or_else(|e| panic!("{e}"));
    let mut sentences = golden.sentences;
    sentences.sort_by_key(|s| s.ids.len());
    sentences
}

/// Ranges from the texts, or the seeded ids, that the model is calibrated on by default.
pub fn ranges(model: &Model) -> Result<Ranges, String> {
    seeded_ranges(model, 7)
}

/// The same, the ids by another seed.
pub fn seeded_ranges(model: &Model, seed: u64) -> Result<Ranges, String> {
    let ids = calibration_ids(model, None, seed).map_err(|e| e.to_string())?;
    calibrated(model, &ids, &mut Silent).map_err(|e| e.to_string())
}

/// The model compiled with the default passes for this sequence length.
pub fn compile(
    model: &Model,
    seq_len: usize,
    precision: &str,
    ranges: Option<&Ranges>,
) -> Result<Compiled, String> {
    compile_for(&Machine::tsp_v1(), model, seq_len, precision, ranges)
}

/// The same for another machine.
pub fn compile_for(
    machine: &Machine,
    model: &Model,
    seq_len: usize,
    precision: &str,
    ranges: Option<&Ranges>,
) -> Result<Compiled, String> {
    let request = Request {
        model,
        seq_len,
        precision: Precision::parse(precision).map_err(|e| e.to_string())?,
        ranges: ranges.cloned(),
        machine,
        passes: PASSES,
    };
    compiler::compile(&request, &mut Silent).map_err(|e| e.to_string())
}

/// What the simulator makes of these tokens.
pub fn infer(model: &Model, compiled: &Compiled, ids: &[u32]) -> Result<Inference, String> {
    let machine = Machine::tsp_v1();
    compiler::infer(model, &compiled.program, &machine, ids, &mut |_, _| {})
        .map_err(|e| e.to_string())
}

/// The last hidden states of these tokens, which are the same bits on the simulator, in the evaluation of `stream.*`
/// and in that of `tsp.*`; and the simulator counts the cycles that the checker derived.
pub fn agreed(model: &Model, compiled: &Compiled, ids: &[u32]) -> Result<Vec<f32>, String> {
    agreed_on(&Machine::tsp_v1(), model, compiled, ids)
}

/// The same on another machine.
pub fn agreed_on(
    machine: &Machine,
    model: &Model,
    compiled: &Compiled,
    ids: &[u32],
) -> Result<Vec<f32>, String> {
    let inference = compiler::infer(model, &compiled.program, machine, ids, &mut |_, _| {})
        .map_err(|e| e.to_string())?;
    if compiled.report.cycles != Some(inference.outcome.cycles) {
        let (derived, counted) = (compiled.report.cycles, inference.outcome.cycles);
        return Err(format!(
            "the checker derives {derived:?} cycles, the simulator counts {counted}"
        ));
    }
    let seq_len = inference.hidden.len() / model.config.hidden;
    let inputs = compiler::inputs(model, ids, seq_len)
        .and_then(|arrays| compiler::reshaped(&compiled.stream, &arrays))
        .map_err(|e| e.to_string())?;
    for (level, module) in [
        ("stream.*", &compiled.stream),
        ("tsp.*", compiled.tsp.module()),
    ] {
        let outputs = evaluate(module, &inputs).map_err(|e| e.to_string())?;
        if compiler::raw(&outputs) != inference.outcome.outputs {
            return Err(format!("{level} and the simulator differ"));
        }
    }
    Ok(inference.hidden)
}

/// Runs `case` for 0 to `count` on two threads; all failures, in order.
pub fn failures(count: usize, case: impl Fn(usize) -> Result<(), String> + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut failed = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count {
                return failed;
            }
            if let Err(why) = case(i) {
                failed.push((i, why));
            }
        }
    };
    let mut failed = std::thread::scope(|scope| {
        let other = scope.spawn(work);
        let mut mine = work();
        mine.extend(other.join().expect("a case panics"));
        mine
    });
    failed.sort();
    failed.into_iter().map(|(_, why)| why).collect()
}
