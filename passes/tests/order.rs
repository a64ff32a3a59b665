//! The order of the rules does not matter: where regions saturate, shuffled tables give the same bytes.

mod encoder;

use encoder::{calibrated, quantised};
use tspc_frontend_bert::Model;
use tspc_ir::{Module, text};
use tspc_machine::Machine;
use tspc_passes::egraph::cost::{Cost, Cycles};
use tspc_passes::egraph::decode::pipelines::Room;
use tspc_passes::egraph::rules::{Rule, all};
use tspc_passes::egraph::saturate::{Settings, Solved, solve};
use tspc_passes::egraph::{decoded, fuse, parts};

/// What the pass does, with another table of rules: the module as text, and the costs of its regions.
fn fused(module: &Module, rules: &[&'static Rule]) -> (String, Vec<Cycles>) {
    let machine = Machine::tsp_v1();
    let cost = Cost::new(&machine);
    let parts = parts(module).unwrap();
    let mut solved: Vec<Solved> = Vec::new();
    for part in &parts {
        if part.which == solved.len() {
            let made = solve(&part.encoded, rules, &cost, &Settings::default());
            solved.push(made.unwrap_or_else(|why| panic!("{why}")));
        }
    }
    assert!(solved.iter().all(|s| s.statistics.saturated));
    let made = decoded(module, &machine, &parts, &solved, Room::of(&machine));
    let (_, made) = made.unwrap_or_else(|d| panic!("{d}"));
    let costs = solved.iter().map(|s| s.statistics.cost).collect();
    (text::print(&made), costs)
}

/// Fisher-Yates over SplitMix64.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for i in (1..items.len()).rev() {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        items.swap(i, (z % (i as u64 + 1)) as usize);
    }
}

#[test]
fn shuffled_rules_give_the_same_bytes() {
    let model = Model::open("L=1,H=48,heads=3,ffn=96,vocab=40,max_positions=32", 4).unwrap();
    let texts: Vec<Vec<u32>> = (1..6).map(|i| (i..2 * i + 3).collect()).collect();
    let ranges = calibrated(&model, &texts);
    let machine = Machine::tsp_v1();
    for pipeline in [
        "canonicalise,quantise",
        "canonicalise,quantise{precision=int8,attention=fp16}",
        "canonicalise,quantise{precision=fp16}",
    ] {
        let module = quantised(&model, 9, Some(&ranges), pipeline);
        let mut rules: Vec<&Rule> = all().collect();
        let want = fused(&module, &rules);
        let pass = fuse(&module, &machine, &Settings::default(), Room::of(&machine));
        assert_eq!(want.0, text::print(&pass.unwrap().0), "{pipeline}");
        for seed in 0..20 {
            shuffle(&mut rules, seed);
            let got = fused(&module, &rules);
            assert_eq!(got.1, want.1, "{pipeline}, seed {seed}: costs");
            assert_eq!(got.0, want.0, "{pipeline}, seed {seed}");
        }
    }
}
