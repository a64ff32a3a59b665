//! The same request gives the same bytes: again, and beside other compilations on other threads.

mod support;

use std::thread;

use tspc::bert::Model;
use tspc::compiler::{Silent, calibrated, seeded_ids};
use tspc::program::listing;

/// The bytes of the container and the listing.
fn compiled(geometry: &str, seq_len: usize, precision: &str) -> (Vec<u8>, String) {
    let model = Model::open(geometry, 1).unwrap_or_else(|e| panic!("{e}"));
    let texts: Vec<Vec<u32>> = (1..8)
        .map(|i| seeded_ids(&model, 3 * i, i as u64))
        .collect();
    let ranges = calibrated(&model, &texts, &mut Silent).unwrap_or_else(|e| panic!("{e}"));
    let compiled = support::compile(&model, seq_len, precision, Some(&ranges));
    let program = compiled.unwrap_or_else(|e| panic!("{e}")).program;
    (program.to_bytes(), listing(&program))
}

#[test]
fn equal_requests_give_equal_bytes() {
    for (geometry, seq_len, precision) in [
        ("L=2,H=128,heads=2,ffn=300,vocab=64", 16, "int8"),
        (
            "L=1,H=240,heads=5,ffn=511,vocab=64",
            33,
            "int8,attention=fp16",
        ),
        ("L=2,H=96,heads=2,ffn=400,vocab=64", 40, "fp16"),
    ] {
        let one = || compiled(geometry, seq_len, precision);
        let first = one();
        let beside = thread::scope(|scope| {
            let threads = [scope.spawn(one), scope.spawn(one)];
            threads.map(|t| t.join().expect("it compiled before"))
        });
        assert!(one() == first, "{geometry} {precision}: again");
        assert!(
            beside == [first.clone(), first],
            "{geometry} {precision}: on two threads"
        );
    }
}

#[test]
fn other_requests_give_other_bytes() {
    let geometry = "L=1,H=64,heads=2,ffn=80,vocab=64";
    assert_ne!(
        compiled(geometry, 16, "int8"),
        compiled(geometry, 16, "fp16")
    );
    assert_ne!(
        compiled(geometry, 16, "int8"),
        compiled(geometry, 17, "int8")
    );
}
