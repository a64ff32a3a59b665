//! The e-graph on encoders: what comes out computes what went in.

mod encoder;

use encoder::*;
use tspc_frontend_bert::{Model, host};

const FORMS: [(&str, f64); 3] = [
    ("canonicalise,quantise", 0.9999),
    (
        "canonicalise,quantise{precision=int8,attention=fp16}",
        0.9999,
    ),
    ("canonicalise,quantise{precision=fp16}", 0.999_99),
];

/// Random geometries: tensor.* before and stream.* after agree but for roundings.
#[test]
fn encoders_compute_the_same_before_and_after() {
    for (spec, seed) in [
        ("L=1,H=32,heads=2,ffn=64,vocab=40,max_positions=32", 1),
        ("L=2,H=48,heads=1,ffn=32,vocab=40,max_positions=32", 2),
        ("L=1,H=384,heads=8,ffn=96,vocab=40,max_positions=32", 3),
    ] {
        let model = Model::open(spec, seed).unwrap();
        let ids = |start: u32, n: u32| (0..n).map(|i| (start + 7 * i) % 40).collect::<Vec<u32>>();
        let texts: Vec<Vec<u32>> = (1..12).map(|i| ids(3 * i, i)).collect();
        let ranges = calibrated(&model, &texts);
        for (tokens, len) in [(1, 1), (5, 8), (20, 20)] {
            let ids = ids(11, tokens);
            let inputs = inputs(&model, &ids, len);
            let valid = ids.len() * model.config.hidden;
            for (pipeline, bound) in FORMS {
                let want = hidden(&quantised(&model, len, Some(&ranges), pipeline), &inputs);
                let fused = format!("{pipeline},egraph");
                let module = quantised(&model, len, Some(&ranges), &fused);
                let got = hidden(&module, &streamed(&module, &inputs));
                let cosine = host::cosine(&got[..valid], &want[..valid]);
                assert!(
                    cosine >= bound,
                    "{spec}, {tokens} of {len}, {pipeline}: {cosine}"
                );
            }
        }
    }
}
