//! Encoders that are changed: whole layers, as a model becomes a program.

use tspc::bert::Model;
use tspc::compiler::{inputs, raw, seeded_ids};
use tspc::machine::Machine;

use crate::programs::Compiled;
use crate::support;

const SEQ_LEN: usize = 16;

/// A model as a program, with the inputs that these tokens give.
fn encoder(name: &'static str, model: &Model, precision: &str, texts: &[Vec<u32>]) -> Compiled {
    let ranges = support::ranges(model).unwrap_or_else(|e| panic!("{name}: {e}"));
    let compiled = support::compile(model, SEQ_LEN, precision, Some(&ranges))
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    let inputs = texts
        .iter()
        .map(|ids| raw(&inputs(model, ids, SEQ_LEN).unwrap()));
    Compiled {
        name,
        program: compiled.program,
        machine: Machine::tsp_v1(),
        inputs: inputs.collect(),
    }
}

/// Two layers with seeded weights, large enough in the queries and keys that attention attends.
pub fn toy(name: &'static str, precision: &str) -> Compiled {
    let spec = "L=2,H=32,heads=2,ffn=64,vocab=40,max_positions=32";
    let mut model = Model::open(spec, 21).unwrap();
    for layer in &mut model.weights.layers {
        for part in [&mut layer.query, &mut layer.key, &mut layer.intermediate] {
            part.weight.iter_mut().for_each(|w| *w *= 8.0);
        }
    }
    let texts = [16, 11, 3].map(|tokens| seeded_ids(&model, tokens, tokens as u64));
    encoder(name, &model, precision, &texts)
}

/// The first layer of MiniLM, on sentences of different length.
pub fn minilm() -> Compiled {
    let mut model = support::minilm();
    model.config.layers = 1;
    model.weights.layers.truncate(1);
    let tokenizer = model.tokenizer.as_ref().unwrap();
    let texts = [
        "A chip without caches leaves every cycle to its compiler.",
        "The committee postponed its decision.",
        "Rain.",
    ];
    let texts = texts.map(|text| tokenizer.encode(text).unwrap());
    encoder("a layer of MiniLM", &model, "int8", &texts)
}
