//! The trained model end to end: embeddings from the simulator against those of an independent implementation, and
//! the levels bit for bit.
//!
//! The driver's `run --golden` does all 32 sentences; here are eight of different length.

mod support;

use tspc::bert::golden::Sentence;
use tspc::bert::{Model, host};
use tspc::compiler::Compiled;
use tspc::passes::Ranges;

/// Sequence lengths, and which sentences run at them, counted from the shortest.
const BUCKETS: [(usize, &[usize]); 3] = [(16, &[0, 2, 4, 6]), (32, &[10, 18, 26]), (128, &[31])];

fn cosine(model: &Model, compiled: &Compiled, sentence: &Sentence) -> Result<f64, String> {
    let hidden = support::infer(model, compiled, &sentence.ids)?.hidden;
    let embedding = host::pool(&hidden, model.config.hidden, sentence.ids.len());
    Ok(host::cosine(&embedding, &sentence.pooled))
}

/// The cosines of the eight sentences; those of the shortest length agree on all levels.
fn cosines(precision: &str, ranges: Option<&Ranges>) -> Result<Vec<f64>, String> {
    let (model, golden) = (support::minilm(), support::golden());
    let mut cosines = Vec::new();
    for (seq_len, sentences) in BUCKETS {
        let compiled = support::compile(&model, seq_len, precision, ranges)?;
        for &i in sentences {
            cosines.push(cosine(&model, &compiled, &golden[i])?);
        }
        if seq_len == BUCKETS[0].0 {
            support::agreed(&model, &compiled, &golden[sentences[1]].ids)?;
        }
    }
    Ok(cosines)
}

fn least(cosines: &[f64]) -> f64 {
    cosines.iter().copied().fold(f64::INFINITY, f64::min)
}

#[test]
fn fp16_is_golden() {
    let cosines = cosines("fp16", None).unwrap_or_else(|e| panic!("{e}"));
    assert!(least(&cosines) >= 0.9999, "{cosines:?}");
}

#[test]
fn int8_is_near_golden() {
    let ranges = support::ranges(&support::minilm());
    let cosines = ranges.and_then(|ranges| cosines("int8", Some(&ranges)));
    let cosines = cosines.unwrap_or_else(|e| panic!("{e}"));
    let mean = cosines.iter().sum::<f64>() / cosines.len() as f64;
    assert!(
        least(&cosines) >= 0.99 && mean >= 0.997,
        "{mean}: {cosines:?}"
    );
}
