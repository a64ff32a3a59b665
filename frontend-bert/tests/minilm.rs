//! The real model: its tokenizer and our fp32 reference against golden data.
//!
//! The model is not in the repository; without it these tests fail and say what to run.

use std::path::{Path, PathBuf};
use tspc_frontend_bert::golden::{Golden, Sentence};
use tspc_frontend_bert::{Model, Tokenizer, calibrate, graph, host, reference, tokenize};
use tspc_ir::eval::{Array, evaluate};

/// The golden data were cut at this many tokens, the last being [SEP]; our tokenizer does not cut.
const GOLDEN_PLACES: usize = 128;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn folder() -> PathBuf {
    let folder = root().join("../target/models/minilm");
    assert!(
        folder.is_dir(),
        "the model is not there; run: python3 tools/fetch_minilm.py"
    );
    folder
}

fn model() -> Model {
    Model::from_dir(&folder()).unwrap_or_else(|e| panic!("{e}"))
}

fn golden() -> Vec<Sentence> {
    let golden = Golden::from_dir(&root().join("golden")).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(golden.sentences.len(), 32);
    golden.sentences
}

#[test]
fn ids_are_golden_from_either_vocabulary() {
    let model = model();
    let from_vocab =
        Tokenizer::from_vocab(&folder().join("vocab.txt"), true, &model.config).unwrap();
    let from_json = model.tokenizer.unwrap();
    let mut cut = 0;
    for sentence in golden() {
        let json = from_json.encode(&sentence.text).unwrap();
        let vocab = from_vocab.encode(&sentence.text).unwrap();
        assert_eq!(json, vocab, "{}", sentence.text);
        let (mut ids, sep) = (json, sentence.ids[sentence.ids.len() - 1]);
        if ids.len() > GOLDEN_PLACES {
            ids.truncate(GOLDEN_PLACES - 1);
            ids.push(sep);
            cut += 1;
        }
        assert_eq!(ids, sentence.ids, "{}", sentence.text);
    }
    assert_eq!(cut, 1, "sentences longer than the golden data");
}

/// Eight sentences from the shortest to the longest.
#[test]
fn the_reference_is_golden() {
    let model = model();
    let mut sentences = golden();
    sentences.sort_by_key(|s| s.ids.len());
    let eight = [0, 1, 5, 10, 15, 20, 28, 31].map(|i| &sentences[i]);
    for Sentence {
        text,
        ids,
        pooled,
        hidden,
    } in eight
    {
        // Some with padding, some without.
        let len = if ids.len() < 32 {
            tokenize::seq_len(ids.len(), &model.config).unwrap()
        } else {
            ids.len()
        };
        let x = host::embed(&model.config, &model.weights, ids, len).unwrap();
        let y = reference::encode(&model.config, &model.weights, &x, ids.len());
        let embedding = host::pool(&y, model.config.hidden, ids.len());
        let cosine = host::cosine(&embedding, pooled);
        assert!(cosine >= 0.999_999, "{cosine}: {text}");
        let apart = |a: &[f32], b: &[f32]| {
            a.iter()
                .zip(b)
                .map(|(x, y)| (x - y).abs())
                .fold(0.0, f32::max)
        };
        assert!(apart(&embedding, pooled) < 2e-6, "{text}");
        // The golden hidden states are fp16: up to 6 with 11 bits.
        assert!(apart(&y, hidden) < 4e-3, "{text}");
    }
}

/// The graph of the real model: one sentence, padded.
#[test]
fn the_graph_is_golden() {
    let model = model();
    let (h, len) = (model.config.hidden, 16);
    let sentence = &golden()[2];
    let x = host::embed(&model.config, &model.weights, &sentence.ids, len).unwrap();
    let mask = host::mask(sentence.ids.len(), len);
    let module = graph::build(&model.config, &model.weights, len).unwrap_or_else(|d| panic!("{d}"));
    let inputs = [
        (
            graph::EMBEDDINGS.to_string(),
            Array::f32s([len, h], x).unwrap(),
        ),
        (
            graph::MASK.to_string(),
            Array::f32s([1, len], mask).unwrap(),
        ),
    ];
    let outputs = evaluate(&module, &inputs.into()).unwrap_or_else(|d| panic!("{d}"));
    let hidden = outputs[graph::HIDDEN].data.f32s().unwrap();
    let embedding = host::pool(hidden, h, sentence.ids.len());
    assert!(sentence.ids.len() < len);
    assert!(host::cosine(&embedding, &sentence.pooled) >= 0.999_999);
}

#[test]
fn calibration_texts_are_of_all_lengths() {
    let tokenizer = model().tokenizer.unwrap();
    let lengths: Vec<usize> = calibrate::built_in()
        .iter()
        .map(|t| tokenizer.encode(t).unwrap().len())
        .collect();
    assert!(lengths.iter().all(|&n| n <= 128), "{lengths:?}");
    assert!(
        lengths.iter().filter(|&&n| n <= 6).count() >= 8,
        "{lengths:?}"
    );
    assert!(
        lengths.iter().filter(|&&n| n >= 96).count() >= 4,
        "{lengths:?}"
    );
}
