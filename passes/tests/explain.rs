//! The e-graph explains itself: fusions, fuel, bisection, dumps, and answers to "why not" for every cause.

mod encoder;
#[path = "explain/texts.rs"]
mod texts;

use encoder::*;
use tspc_frontend_bert::Model;
use tspc_ir::eval::{Array, Arrays, evaluate};
use tspc_ir::{Entity, Module, Value, text};
use tspc_machine::Machine;
use tspc_passes::egraph::decode::pipelines::Room;
use tspc_passes::egraph::explain::bisect::{First, Verdict, first_bad, outputs, rewrite, rewrites};
use tspc_passes::egraph::explain::{dump, explain, remarks, text, why_not};
use tspc_passes::egraph::fuse;
use tspc_passes::egraph::rules::Class;
use tspc_passes::egraph::saturate::Settings;

fn module(source: &str) -> Module {
    text::parse("model", source, &Default::default()).unwrap_or_else(|d| panic!("{d}"))
}

fn answer(source: &str, [a, b]: [usize; 2], settings: &Settings, room: Room) -> String {
    let (module, machine) = (module(source), Machine::tsp_v1());
    let explained = explain(&module, &machine, settings).unwrap_or_else(|d| panic!("{d}"));
    let ends = [Value::new(a), Value::new(b)];
    let answer = why_not(&explained, room, ends).unwrap_or_else(|d| panic!("{d}"));
    answer.to_string()
}

/// The answer at the usual limits.
fn usual(source: &str, ends: [usize; 2]) -> String {
    let room = Room::of(&Machine::tsp_v1());
    answer(source, ends, &Settings::default(), room)
}

#[test]
fn why_not_has_an_answer_for_every_cause() {
    for (cause, source, ends) in texts::CAUSES {
        insta::assert_snapshot!(*cause, usual(source, *ends));
    }
}

#[test]
fn why_not_tells_of_room() {
    let room = Room::of(&Machine::tsp_v1());
    let small = Room {
        operations: 2,
        ..room
    };
    let settings = Settings::default();
    insta::assert_snapshot!("full", answer(texts::CHAIN, [2, 3], &settings, small));
    insta::assert_snapshot!(
        "one-between",
        answer(texts::CHAIN, [1, 4], &settings, small)
    );
    let wires = Room { inputs: 2, ..room };
    insta::assert_snapshot!("wires", answer(texts::SUMS, [3, 4], &settings, wires));
}

#[test]
fn why_not_tells_of_settings() {
    let room = Room::of(&Machine::tsp_v1());
    let mut settings = Settings::default();
    settings.classes.retain(|&c| c != Class::GeluTanh);
    let gelu = texts::gelu("1.4142135");
    insta::assert_snapshot!("class", answer(&gelu, [5, 8], &settings, room));
    let settings = Settings {
        without: vec!["activation"],
        ..Settings::default()
    };
    insta::assert_snapshot!("group", answer(&gelu, [5, 8], &settings, room));
    let settings = Settings {
        fuel: Some(1),
        ..Settings::default()
    };
    insta::assert_snapshot!("fuel", answer(&gelu, [5, 8], &settings, room));
}

#[test]
fn a_constant_that_is_off_is_named() {
    insta::assert_snapshot!("number", usual(&texts::gelu("1.5"), [5, 8]));
    let off = texts::gelu("1.4142135").replace("[1.0]", "[2.0]");
    insta::assert_snapshot!("near", usual(&off, [5, 8]));
}

#[test]
fn fusions_are_told_to_people_and_to_programs() {
    let (module, machine) = (module(&texts::gelu("1.4142135")), Machine::tsp_v1());
    let explained = explain(&module, &machine, &Settings::default()).unwrap();
    insta::assert_snapshot!("fusions", text(&explained, true));
    let lines = remarks(&explained);
    let fusion = lines.iter().find(|l| l["remark"] == "fusion").unwrap();
    assert_eq!(fusion["values"][0], "%8");
    assert_eq!(fusion["locations"][0], "model:9:8");
    let lacking = fusion["before"]["without_form"].as_array().unwrap();
    assert!(lacking.iter().any(|w| w == "erf"), "{fusion}");
    assert!(fusion["after"]["cycles"].as_u64() > Some(0), "{fusion}");
    assert_eq!(
        fusion["after"]["without_form"].as_array().map(Vec::len),
        Some(0)
    );
    let rules = fusion["rules"].as_array().unwrap();
    assert!(rules.iter().any(|r| r == "gelu-erf-by-tanh"), "{fusion}");
}

/// A limit is no silence.
#[test]
fn what_is_not_saturated_is_a_remark() {
    let (module, machine) = (module(&texts::gelu("1.4142135")), Machine::tsp_v1());
    let settings = Settings {
        iterations: 1,
        ..Settings::default()
    };
    let explained = explain(&module, &machine, &settings).unwrap();
    let lines = remarks(&explained);
    let told = |kind: &str| lines.iter().find(|l| l["remark"] == kind);
    assert_eq!(told("not-saturated").unwrap()["stop"], "IterationLimit(1)");
    assert!(
        told("no-form").unwrap()["why"]
            .as_str()
            .unwrap()
            .contains("no form")
    );
    assert!(text(&explained, false).contains("NOT saturated"));
}

fn layers() -> Module {
    let model = Model::open("L=2,H=48,heads=3,ffn=96,vocab=40,max_positions=32", 4).unwrap();
    quantised(&model, 9, None, "canonicalise,quantise{precision=fp16}")
}

/// What is explained is what the pass does, and every fusion has the rules that made it.
#[test]
fn encoders_are_explained_as_they_are_fused() {
    let (module, machine) = (layers(), Machine::tsp_v1());
    let explained = explain(&module, &machine, &Settings::default()).unwrap();
    let (_, statistics) =
        fuse(&module, &machine, &Settings::default(), Room::of(&machine)).unwrap();
    let told = explained
        .distinct
        .iter()
        .map(|d| d.solved.clone().unwrap().statistics);
    assert_eq!(told.collect::<Vec<_>>(), statistics);
    for (region, distinct) in explained.distinct.iter().enumerate() {
        let fusions = explained.fusions(region);
        assert!(!fusions.is_empty(), "region {region}");
        for fusion in fusions {
            assert!(!fusion.rules.is_empty(), "{fusion:?}");
            assert_eq!(fusion.after.lacking, [""; 0], "{fusion:?}");
            assert_eq!(fusion.values.len(), distinct.instances.len());
        }
    }
}

/// With fuel n, the first n rewrites of the whole run are applied.
#[test]
fn fuel_cuts_the_run_short() {
    let (module, machine) = (layers(), Machine::tsp_v1());
    let log = |fuel| -> Vec<String> {
        let settings = Settings {
            fuel,
            ..Settings::default()
        };
        let explained = explain(&module, &machine, &settings).unwrap();
        let logs = explained.distinct.iter().map(|d| &d.saturated.log.applied);
        logs.flatten().map(|(rule, _)| rule.to_string()).collect()
    };
    let all = log(None);
    assert_eq!(
        rewrites(&module, &machine, &Settings::default()).unwrap(),
        all.len()
    );
    for n in [
        0,
        1,
        7,
        all.len() / 2,
        all.len() - 1,
        all.len(),
        all.len() + 5,
    ] {
        assert_eq!(log(Some(n)), all[..n.min(all.len())], "{n}");
    }
}

/// The tanh form of GELU is up to 4.7e-4 off: that is the first rewrite to change outputs by more than rounding.
#[test]
fn bisection_finds_the_rewrite_that_changes_outputs() {
    let (module, machine) = (module(&texts::gelu("1.4142135")), Machine::tsp_v1());
    let settings = Settings::default();
    let x = Array::f32s(vec![4, 2], vec![-3.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0]).unwrap();
    let inputs = Arrays::from([("x".to_string(), x)]);
    let want = evaluate(&module, &inputs).unwrap().remove("y").unwrap();
    let with = |fuel| {
        let settings = Settings {
            fuel: Some(fuel),
            ..settings.clone()
        };
        explain(&module, &machine, &settings).unwrap()
    };
    let total = rewrites(&module, &machine, &settings).unwrap();
    let found = first_bad(total, &mut |n| {
        let got = outputs(&with(n), &inputs)?.remove(0).1;
        let (got, want) = (got.data.f32s().unwrap(), want.data.f32s().unwrap());
        let apart = |(a, b): (&f32, &f32)| (a - b).abs() > 1e-5;
        Ok::<_, tspc_ir::Diagnostic>(match got.iter().zip(want).any(apart) {
            true => Verdict::Bad,
            false => Verdict::Good,
        })
    });
    let Ok(First::At(n)) = found else {
        panic!("{found:?}")
    };
    let what = rewrite(&with(n), n).unwrap();
    assert!(
        what.starts_with("gelu-erf-by-tanh, in region 0, for %"),
        "{what}"
    );
    assert_eq!(rewrite(&with(n), 0), None);
}

#[test]
fn dumps_read_back() {
    let (module, machine) = (layers(), Machine::tsp_v1());
    let explained = explain(&module, &machine, &Settings::default()).unwrap();
    for distinct in &explained.distinct {
        let made = dump::json(&explained, distinct);
        made.test_round_trip();
        let graph = &distinct.saturated.runner.egraph;
        assert_eq!(made.nodes.len(), graph.total_number_of_nodes());
        assert_eq!(made.classes().len(), graph.number_of_classes());
        assert!(!made.root_eclasses.is_empty());
        for node in made.nodes.values() {
            assert!(node.children.iter().all(|c| made.nodes.contains_key(c)));
        }
        let roots = made.root_eclasses.iter();
        assert!(roots.clone().all(|r| made.class_data.contains_key(r)));
        let dot = dump::dot(distinct);
        assert!(
            dot.starts_with("digraph") && dot.contains("label = \"mul\""),
            "{dot}"
        );
    }
}
