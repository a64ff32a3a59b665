//! All of BERT-base with random weights, in int8 at 128 tokens: the levels agree bit for bit.

mod support;

use tspc::bert::{Model, host, reference};
use tspc::compiler::{Silent, calibrated, seeded_ids};

#[test]
fn bert_base_agrees_on_all_levels() {
    let model = Model::open("bert-base", 1).unwrap_or_else(|e| panic!("{e}"));
    let ids = seeded_ids(&model, 100, 3);
    let texts = [seeded_ids(&model, 16, 4), seeded_ids(&model, 16, 5)];
    let ranges = calibrated(&model, &texts, &mut Silent).unwrap_or_else(|e| panic!("{e}"));
    let hidden = support::compile(&model, 128, "int8", Some(&ranges))
        .and_then(|compiled| support::agreed(&model, &compiled, &ids))
        .unwrap_or_else(|e| panic!("{e}"));
    let (config, weights) = (&model.config, &model.weights);
    let x = host::embed(config, weights, &ids, 128).unwrap_or_else(|e| panic!("{e}"));
    let want = reference::encode(config, weights, &x, ids.len());
    let valid = ids.len() * config.hidden;
    let cosine = host::cosine(&hidden[..valid], &want[..valid]);
    assert!(cosine > 0.995, "{cosine}");
}
