//! Encoders that are changed: whole layers, as a model becomes a program.

use tspc::bert::Model;
use tspc::bert::graph::EMBEDDINGS;
use tspc::compiler::{Request, Silent, compile, inputs, raw, seeded_ids};
use tspc::machine::Machine;
use tspc::passes::Precision;

use crate::programs::{Arrays, Compiled};
use crate::support;
use crate::tiled::Seeded;

const SEQ_LEN: usize = 16;

/// Added to variances. The usual 1e-12 is lost in a sum with any variance of text, so that no input could show a
/// change of it.
const EPS: f32 = 1e-3;

/// Without copies of outlier channels: nobody reads those of the last layer, so a change of a vector there shows in no
/// output.
const PASSES: &str = "canonicalise, quantise{split=none}, egraph, tile";

/// A model as a program, with the inputs that these tokens give, and some that no text gives: rows of a few large
/// numbers among small ones.
fn encoder(name: &'static str, model: &mut Model, precision: &str, texts: &[Vec<u32>]) -> Compiled {
    model.config.layer_norm_eps = EPS;
    let ranges = support::ranges(model).unwrap_or_else(|e| panic!("{name}: {e}"));
    let machine = Machine::tsp_v1();
    let request = Request {
        model,
        seq_len: SEQ_LEN,
        precision: Precision::parse(precision).unwrap(),
        ranges: Some(ranges),
        machine: &machine,
        passes: PASSES,
    };
    let compiled = compile(&request, &mut Silent).unwrap_or_else(|e| panic!("{name}: {e}"));
    let arrays = |ids: &Vec<u32>| raw(&inputs(model, ids, SEQ_LEN).unwrap());
    let mut inputs: Vec<Arrays> = texts.iter().map(arrays).collect();
    for seed in 0..3 {
        let numbers = Seeded(seed).f32s(SEQ_LEN * model.config.hidden, 1.0);
        let bytes = numbers.iter().flat_map(|x| x.powi(9).to_le_bytes());
        let mut noise = inputs[0].clone();
        noise.insert(EMBEDDINGS.to_string(), bytes.collect());
        inputs.push(noise);
    }
    Compiled {
        name,
        program: compiled.program,
        machine,
        inputs,
    }
}

/// Two layers with seeded weights, large enough in the queries and keys that attention attends.
pub fn toy(name: &'static str, precision: &str) -> Compiled {
    let spec = "L=2,H=32,heads=2,ffn=64,vocab=40,max_positions=32";
    let mut model = Model::open(spec, 21).unwrap();
    for layer in &mut model.weights.layers {
        for part in [&mut layer.query, &mut layer.key, &mut layer.intermediate] {
            let numbers = part.weight.iter_mut().chain(&mut part.bias);
            numbers.for_each(|x| *x *= 8.0);
        }
    }
    let texts = [16, 11, 3].map(|tokens| seeded_ids(&model, tokens, tokens as u64));
    encoder(name, &mut model, precision, &texts)
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
    encoder("a layer of MiniLM", &mut model, "int8", &texts)
}
