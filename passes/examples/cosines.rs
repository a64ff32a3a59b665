//! What pipelines cost the trained model: least and mean cosine of the sentence embeddings against fp32.
//!
//! `cargo run -p tspc-passes --example cosines -- [--held-out] PIPELINE…`: over the golden sentences with ranges of
//! all calibration texts or, with `--held-out`, over every other calibration text with ranges of the rest. The
//! exponents of migration were chosen by the second; the first is for reporting.

#[path = "../tests/encoder/mod.rs"]
mod encoder;

use encoder::*;
use tspc_frontend_bert::host;

fn main() {
    let mut pipelines: Vec<String> = std::env::args().skip(1).collect();
    let held_out = pipelines.first().is_some_and(|a| a == "--held-out");
    if held_out {
        pipelines.remove(0);
    }
    let model = minilm();
    let mut texts = calibration_ids(&model);
    let sentences: Vec<(Vec<u32>, Vec<f32>)> = if held_out {
        let (rest, held): (Vec<_>, Vec<_>) =
            texts.into_iter().enumerate().partition(|(i, _)| i % 2 == 0);
        texts = rest.into_iter().map(|(_, ids)| ids).collect();
        let exact = |ids: Vec<u32>| {
            let embedding = embedding(&model, &ids, None, "canonicalise");
            (ids, embedding)
        };
        held.into_iter().map(|(_, ids)| exact(ids)).collect()
    } else {
        golden().into_iter().map(|s| (s.ids, s.pooled)).collect()
    };
    let ranges = calibrated(&model, &texts);
    for pipeline in pipelines {
        let cosine = |(ids, want): &(Vec<u32>, Vec<f32>)| {
            host::cosine(&embedding(&model, ids, Some(&ranges), &pipeline), want)
        };
        let all: Vec<f64> = sentences.iter().map(cosine).collect();
        let least = all.iter().copied().fold(1.0, f64::min);
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        println!("{pipeline}: min {least:.6} mean {mean:.6}");
    }
}
