//! Encoders of fifty geometries: the compiler takes each, all levels agree bit for bit, and the result is near fp32.

mod support;

use tspc::bert::random::SplitMix64;
use tspc::bert::{Model, host, reference};
use tspc::compiler::seeded_ids;

const CASES: usize = 50;
/// Widths of a head: whole superlanes.
const WIDTHS: [usize; 7] = [16, 32, 48, 64, 80, 112, 128];
const LENGTHS: [usize; 6] = [1, 7, 16, 33, 128, 200];
/// The cosine of all hidden states of a text to those of the fp32 reference is at least this.
const PRECISIONS: [(&str, f64); 3] = [
    ("int8", 0.998),
    ("fp16", 0.999_999_8),
    ("int8,attention=fp16", 0.998),
];

#[derive(Debug)]
struct Case {
    geometry: String,
    seq_len: usize,
    tokens: usize,
    precision: &'static str,
    least: f64,
}

fn case(i: usize) -> Case {
    let mut random = SplitMix64::new(i as u64);
    let mut below = |n: usize| (random.next_u64() % n as u64) as usize;
    let (layers, mut width) = (1 + below(2), WIDTHS[i % WIDTHS.len()]);
    let mut heads = 1 + below(6.min(400 / width));
    let (mut seq_len, mut ffn) = (LENGTHS[below(LENGTHS.len())], 1 + below(700));
    match i {
        // Heads, and rows of scores, that one pass cannot hold, in every precision.
        0..3 => (heads, width, seq_len) = (1, 336 + 16 * i, 7 * i + 7),
        3..6 => (heads, width, seq_len, ffn) = (2, 16, 330 + below(71), 50),
        _ => {}
    }
    let (precision, least) = PRECISIONS[i % PRECISIONS.len()];
    let tokens = match below(2) {
        0 => seq_len,
        _ => 1 + below(seq_len),
    };
    Case {
        geometry: format!(
            "L={layers},H={},heads={heads},ffn={ffn},vocab=64",
            heads * width
        ),
        seq_len,
        tokens,
        precision,
        least,
    }
}

/// A model with random weights whose attention attends: of initial weights it would be uniform.
fn model(geometry: &str) -> Result<Model, String> {
    let mut model = Model::open(geometry, 1).map_err(|e| e.to_string())?;
    for layer in &mut model.weights.layers {
        for part in [&mut layer.query, &mut layer.key, &mut layer.intermediate] {
            part.weight.iter_mut().for_each(|w| *w *= 8.0);
        }
    }
    Ok(model)
}

fn run(case: &Case) -> Result<(), String> {
    let model = model(&case.geometry)?;
    let ranges = support::ranges(&model)?;
    let compiled = support::compile(&model, case.seq_len, case.precision, Some(&ranges))?;
    let ids = seeded_ids(&model, case.tokens, 3);
    let hidden = support::agreed(&model, &compiled, &ids)?;
    let (config, weights) = (&model.config, &model.weights);
    let x = host::embed(config, weights, &ids, case.seq_len).map_err(|e| e.to_string())?;
    let want = reference::encode(config, weights, &x, ids.len());
    let valid = ids.len() * config.hidden;
    let cosine = host::cosine(&hidden[..valid], &want[..valid]);
    if cosine < case.least {
        return Err(format!(
            "cosine {cosine}, should be at least {}",
            case.least
        ));
    }
    Ok(())
}

#[test]
fn every_geometry_compiles_and_agrees() {
    let failures = support::failures(CASES, |i| {
        let case = case(i);
        run(&case).map_err(|why| format!("case {i}, {case:?}: {why}"))
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
