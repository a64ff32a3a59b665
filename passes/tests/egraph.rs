//! The e-graph on encoders: what comes out computes what went in.

mod encoder;

use encoder::*;
use tspc_frontend_bert::{Model, host};
use tspc_ir::{Module, Opcode, text};
use tspc_machine::Machine;
use tspc_passes::egraph::decode::pipelines::Room;
use tspc_passes::egraph::fuse;
use tspc_passes::egraph::region::{Encoder, cut};
use tspc_passes::egraph::rules::{Class, all, groups};
use tspc_passes::egraph::saturate::{Settings, Statistics};

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

/// A quantised encoder of this many layers.
fn layers(layers: usize, pipeline: &str) -> Module {
    let spec = format!("L={layers},H=48,heads=3,ffn=96,vocab=40,max_positions=32");
    let model = Model::open(&spec, 4).unwrap();
    let texts: Vec<Vec<u32>> = (1..6).map(|i| (i..2 * i + 3).collect()).collect();
    quantised(&model, 9, Some(&calibrated(&model, &texts)), pipeline)
}

fn fused(module: &Module, settings: &Settings) -> (Module, Vec<Statistics>) {
    let machine = Machine::tsp_v1();
    fuse(module, &machine, settings, Room::of(&machine)).unwrap_or_else(|d| panic!("{d}"))
}

/// The opcodes of a region, without constants.
fn opcodes(module: &Module, region: &[tspc_ir::Op]) -> Vec<Opcode> {
    let opcodes = region.iter().map(|&op| module[op].opcode);
    opcodes.filter(|&o| o != Opcode::TensorConstant).collect()
}

#[test]
fn regions_are_the_stretches_between_residual_streams() {
    let module = layers(2, "canonicalise,quantise");
    let regions = cut(&module);
    // The LayerNorm of the embeddings, then attention and feed-forward of each layer.
    assert_eq!(regions.len(), 1 + 2 * 2);
    let all: Vec<_> = regions.concat();
    let body = module.body_ops();
    assert_eq!(
        all,
        body[..body.len() - 1],
        "all ops but the return, in order"
    );
    let has = |region: usize, opcode| opcodes(&module, &regions[region]).contains(&opcode);
    assert!(!has(0, Opcode::TensorMatmul));
    for (attention, feed_forward) in [(1, 2), (3, 4)] {
        assert!(has(attention, Opcode::TensorExp) && !has(attention, Opcode::TensorErf));
        assert!(has(feed_forward, Opcode::TensorErf) && !has(feed_forward, Opcode::TensorExp));
    }
    let encoder = Encoder::new(&module);
    for (i, region) in regions.iter().enumerate() {
        let encoded = encoder.encode(region).unwrap();
        assert_eq!(encoded.roots.len(), 1, "region {i} leaves one value");
        assert_eq!(encoded.term.as_ref().len(), encoded.ops.len());
    }
}

/// Equal layers are saturated once, whatever their weights; this is how deep models compile as fast as shallow ones.
#[test]
fn the_number_of_saturations_does_not_depend_on_depth() {
    for (pipeline, _) in FORMS {
        for n in [1, 2, 5] {
            let (_, statistics) = fused(&layers(n, pipeline), &Settings::default());
            let instances: Vec<usize> = statistics.iter().map(|s| s.instances).collect();
            assert_eq!(instances[..2], [1, n], "{pipeline}");
            assert_eq!(instances[2..].iter().sum::<usize>(), n, "{pipeline}");
            // The int8 operand of FFN2 has an offset or none, as its range is one-sided or not.
            let kinds = if pipeline.contains("precision=fp16") {
                1
            } else {
                2
            };
            assert!(instances[2..].len() <= kinds, "{pipeline}: {instances:?}");
        }
    }
}

#[test]
fn encoder_layers_saturate_at_the_default_limits() {
    for (pipeline, _) in FORMS {
        let (_, statistics) = fused(&layers(1, pipeline), &Settings::default());
        for s in &statistics {
            assert!(s.saturated && s.stop == "Saturated", "{pipeline}: {s:?}");
            assert!(
                s.nodes < Settings::default().nodes / 10,
                "{pipeline}: {s:?}"
            );
        }
    }
}

#[test]
fn limits_stop_a_saturation_and_are_told() {
    let module = layers(1, "canonicalise,quantise");
    let settings = Settings {
        iterations: 8,
        ..Settings::default()
    };
    let (_, statistics) = fused(&module, &settings);
    let stopped = statistics.iter().find(|s| !s.saturated);
    let stopped = stopped.expect("attention needs another round");
    assert_eq!(
        (stopped.iterations, &stopped.stop[..]),
        (8, "IterationLimit(8)")
    );
    let settings = Settings {
        nodes: 40,
        ..Settings::default()
    };
    let machine = Machine::tsp_v1();
    let refusal = fuse(&module, &machine, &settings, Room::of(&machine)).unwrap_err();
    assert!(
        refusal.message.contains("has no form on the chip"),
        "{refusal}"
    );
}

#[test]
fn the_same_input_gives_the_same_output() {
    let module = layers(1, "canonicalise,quantise");
    let first = fused(&module, &Settings::default());
    let printed = text::print(&first.0);
    for _ in 1..20 {
        let again = fused(&module, &Settings::default());
        assert_eq!(again.1, first.1);
        assert_eq!(text::print(&again.0), printed);
    }
}

#[test]
fn without_a_class_of_rules_what_needs_it_is_named() {
    let module = layers(1, "canonicalise,quantise");
    for (missing, message) in [
        (Class::Statistics, "the first without one is `sum-last"),
        (Class::GeluTanh, "the first without one is `erf"),
    ] {
        let mut settings = Settings::default();
        settings.classes.retain(|&c| c != missing);
        let machine = Machine::tsp_v1();
        let refusal = fuse(&module, &machine, &settings, Room::of(&machine)).unwrap_err();
        assert!(refusal.message.contains(message), "{refusal}");
    }
}

/// Every group of rules is needed by encoders or by spellings; without one, what has no form is named.
#[test]
fn groups_of_rules_can_be_left_out() {
    let module = layers(1, "canonicalise,quantise{precision=fp16}");
    let machine = Machine::tsp_v1();
    for (group, missing) in [
        ("algebra", Some("sum-last")),
        ("layout", Some("matmul")),
        ("quantisation", None),
        ("attention", Some("sum-last")),
        ("normalisation", Some("sum-last")),
        ("activation", Some("erf")),
    ] {
        assert!(groups().contains(&group));
        let settings = Settings {
            without: vec![group],
            ..Settings::default()
        };
        match (
            fuse(&module, &machine, &settings, Room::of(&machine)),
            missing,
        ) {
            (Ok((_, statistics)), None) => {
                let rules: Vec<&str> = all().filter(|r| r.group == group).map(|r| r.name).collect();
                let applied = statistics.iter().flat_map(|s| &s.applied);
                assert!(applied.clone().all(|(name, _)| !rules.contains(name)));
            }
            (Err(refusal), Some(node)) => {
                let message = format!("the first without one is `{node}");
                assert!(refusal.message.contains(&message), "{group}: {refusal}");
            }
            (made, _) => panic!("{group}: {:?}", made.map(|(_, s)| s)),
        }
    }
}

#[test]
fn options_name_classes_and_groups() {
    let run = |options: &str| {
        let context = tspc_passes::Context {
            machine: Machine::tsp_v1(),
            ranges: None,
            precision: tspc_passes::Precision::parse("fp16").unwrap(),
        };
        let module = layers(1, "canonicalise,quantise{precision=fp16}");
        let pipeline = tspc_passes::Pipeline::parse(&format!("egraph{{{options}}}"));
        let pipeline = pipeline.unwrap_or_else(|d| panic!("{d}"));
        let outcome = pipeline.run(module, &context, &mut |_, _| {});
        outcome.map(|_| ()).map_err(|d| d[0].message.clone())
    };
    assert_eq!(run("fast-math=default"), Ok(()));
    assert_eq!(run("fast-math=statistics+gelu-tanh"), Ok(()));
    assert_eq!(run("without=quantisation"), Ok(()));
    let none = run("fast-math=none").unwrap_err();
    assert!(none.contains("has no form on the chip"), "{none}");
    assert_eq!(
        run("fast-math=statistics+fast").unwrap_err(),
        "option fast-math: \"fast\" should be one of statistics, gelu-tanh, gelu-sigmoid, row-max, halves, or all of \
         it none or default"
    );
    assert_eq!(
        run("without=layouts").unwrap_err(),
        "option without: \"layouts\" should be one of algebra, layout, quantisation, attention, normalisation, \
         activation"
    );
}
