//! Encoders as modules, calibrated and quantised, and how far their embeddings turn.
//!
//! The trained model is not in the repository; without it `minilm` panics and says what to run.
#![allow(dead_code)] // Each test program uses a part.

use std::path::Path;
use tspc_frontend_bert::golden::{Golden, Sentence};
use tspc_frontend_bert::{Model, calibrate, graph, host};
use tspc_ir::Module;
use tspc_ir::eval::{Array, Arrays, evaluate};
use tspc_machine::Machine;
use tspc_passes::canonicalise::canonical;
use tspc_passes::{Context, Pipeline, Precision, Ranges};

/// The trained model.
pub fn minilm() -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/models/minilm");
    assert!(
        folder.is_dir(),
        "the model is not there; run: python3 tools/fetch_minilm.py"
    );
    Model::from_dir(&folder).unwrap_or_else(|e| panic!("{e}"))
}

/// Sentences with the embeddings of an independent implementation.
pub fn golden() -> Vec<Sentence> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../frontend-bert/golden");
    Golden::from_dir(&folder)
        .unwrap_or_else(|e| panic!("{e}"))
        .sentences
}

/// The canonical encoder for this length.
pub fn encoder(model: &Model, len: usize) -> Module {
    let module = graph::build(&model.config, &model.weights, len).unwrap_or_else(|d| panic!("{d}"));
    canonical(&module).unwrap_or_else(|d| panic!("{d}"))
}

/// The inputs of the encoder.
pub fn inputs(model: &Model, ids: &[u32], len: usize) -> Arrays {
    let x = host::embed(&model.config, &model.weights, ids, len).unwrap();
    let x = Array::f32s([len, model.config.hidden], x).unwrap();
    let mask = Array::f32s([1, len], host::mask(ids.len(), len)).unwrap();
    [
        (graph::EMBEDDINGS.to_string(), x),
        (graph::MASK.to_string(), mask),
    ]
    .into()
}

/// The ranges of these texts, each at its own length.
pub fn calibrated(model: &Model, texts: &[Vec<u32>]) -> Ranges {
    let observe = |ids: &Vec<u32>| {
        let module = encoder(model, ids.len());
        Ranges::observe(&module, &inputs(model, ids, ids.len())).unwrap_or_else(|d| panic!("{d}"))
    };
    let mut all: Option<Ranges> = None;
    for ranges in texts.iter().map(observe) {
        match &mut all {
            Some(all) => all.merge(&ranges).unwrap_or_else(|d| panic!("{d}")),
            None => all = Some(ranges),
        }
    }
    all.unwrap()
}

/// The encoder after this pipeline.
pub fn quantised(model: &Model, len: usize, ranges: Option<&Ranges>, pipeline: &str) -> Module {
    let context = Context {
        machine: Machine::tsp_v1(),
        ranges: ranges.cloned(),
        precision: Precision::parse("int8").unwrap(),
    };
    let module = graph::build(&model.config, &model.weights, len).unwrap_or_else(|d| panic!("{d}"));
    let pipeline = Pipeline::parse(pipeline).unwrap_or_else(|d| panic!("{d}"));
    match pipeline.run(module, &context, &mut |_, _| {}) {
        Ok(outcome) => outcome.module,
        Err(errors) => panic!("{}", errors[0]),
    }
}

/// The hidden states.
pub fn hidden(module: &Module, inputs: &Arrays) -> Vec<f32> {
    let mut outputs = evaluate(module, inputs).unwrap_or_else(|d| panic!("{d}"));
    let array = outputs.remove(graph::HIDDEN).unwrap();
    array.data.f32s().unwrap().to_vec()
}

/// The pooled embedding of a sentence without padding.
pub fn embedding(model: &Model, ids: &[u32], ranges: Option<&Ranges>, pipeline: &str) -> Vec<f32> {
    let module = quantised(model, ids.len(), ranges, pipeline);
    let inputs = inputs(model, ids, ids.len());
    let hidden = hidden(&module, &streamed(&module, &inputs));
    host::pool(&hidden, model.config.hidden, ids.len())
}

/// The tokens of the built-in calibration texts.
pub fn calibration_ids(model: &Model) -> Vec<Vec<u32>> {
    let tokenizer = model.tokenizer.as_ref().unwrap();
    let texts = calibrate::built_in();
    texts.iter().map(|t| tokenizer.encode(t).unwrap()).collect()
}

/// The inputs as a `stream.*` module declares them: the same bytes under its shapes.
pub fn streamed(module: &Module, inputs: &Arrays) -> Arrays {
    let shaped = |(name, value): (&str, tspc_ir::Value)| {
        let data = inputs[name].data.clone();
        let array = Array::new(module.ty(value).shape.clone(), data).unwrap();
        (name.to_string(), array)
    };
    module.inputs().map(shaped).collect()
}
