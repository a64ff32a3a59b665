//! Quantisation of a trained and of random encoders, by evaluation of `tensor.*` against fp32.

mod encoder;

use encoder::*;
use tspc_frontend_bert::{Model, host};

/// Every third calibration text and four sentences of different length.
#[test]
fn a_trained_model_survives() {
    let model = minilm();
    let texts: Vec<Vec<u32>> = calibration_ids(&model).into_iter().step_by(3).collect();
    let ranges = calibrated(&model, &texts);
    let mut sentences = golden();
    sentences.sort_by_key(|s| s.ids.len());
    for sentence in [1, 9, 17, 26].map(|i| &sentences[i]) {
        let cosine = |pipeline| {
            let embedding = embedding(&model, &sentence.ids, Some(&ranges), pipeline);
            host::cosine(&embedding, &sentence.pooled)
        };
        let int8 = cosine("canonicalise,quantise");
        assert!(int8 >= 0.98, "{int8}: {}", sentence.text);
        let fp16 = cosine("canonicalise,quantise{precision=fp16}");
        assert!(fp16 >= 0.9999, "{fp16}: {}", sentence.text);
    }
}

/// Random geometries, ranges from shorter texts than the one that is run, with padding.
#[test]
fn random_encoders_survive() {
    for (spec, seed) in [
        ("L=1,H=32,heads=2,ffn=64,vocab=40,max_positions=32", 1),
        ("L=2,H=48,heads=1,ffn=32,vocab=40,max_positions=32", 2),
        ("L=2,H=64,heads=4,ffn=96,vocab=40,max_positions=32", 3),
    ] {
        let model = Model::open(spec, seed).unwrap();
        let ids = |start: u32, n: u32| (0..n).map(|i| (start + 7 * i) % 40).collect::<Vec<u32>>();
        let texts: Vec<Vec<u32>> = (1..12).map(|i| ids(3 * i, i)).collect();
        let ranges = calibrated(&model, &texts);
        for (tokens, len) in [(1, 1), (5, 8), (20, 20)] {
            let ids = ids(11, tokens);
            let inputs = inputs(&model, &ids, len);
            let valid = ids.len() * model.config.hidden;
            let want = hidden(&encoder(&model, len), &inputs);
            for (pipeline, bound) in [
                ("canonicalise,quantise", 0.999),
                (
                    "canonicalise,quantise{precision=int8,attention=fp16}",
                    0.999,
                ),
                ("canonicalise,quantise{precision=fp16}", 0.999_999),
            ] {
                let module = quantised(&model, len, Some(&ranges), pipeline);
                let got = hidden(&module, &inputs);
                let cosine = host::cosine(&got[..valid], &want[..valid]);
                assert!(
                    cosine >= bound,
                    "{spec}, {tokens} of {len}, {pipeline}: {cosine}"
                );
            }
        }
    }
}
