//! The whole chain on other machine files: what an encoder computes does not hang on the delays of the chip, nor on
//! whether the VXM takes immediates; the simulator agrees with the evaluation of `stream.*` bit for bit.

use tspc::bert::{Model, host, reference};
use tspc::compiler::{Compiled, PASSES};
use tspc::compiler::{Request, Silent, calibrated, compile, infer, inputs, reshaped, seeded_ids};
use tspc::ir::Opcode;
use tspc::ir::eval::evaluate;
use tspc::machine::Machine;
use tspc::passes::Precision;

const MACHINES: [&str; 3] = ["tsp-v1", "tsp-v1-optimistic", "tsp-v1-pessimistic"];

/// Compiles, checks, simulates and compares; the program and its hidden states.
fn run(machine: &Machine, spec: &str, len: usize, precision: &str) -> (Compiled, Vec<f32>) {
    let what = format!("{} {spec} {len} {precision}", machine.name);
    let model = Model::open(spec, 1).unwrap();
    let texts: Vec<Vec<u32>> = (1..6)
        .map(|i| seeded_ids(&model, 3 * i, i as u64))
        .collect();
    let request = Request {
        model: &model,
        seq_len: len,
        precision: Precision::parse(precision).unwrap(),
        ranges: Some(calibrated(&model, &texts, &mut Silent).unwrap()),
        machine,
        passes: PASSES,
    };
    let compiled = compile(&request, &mut Silent).unwrap_or_else(|e| panic!("{what}: {e}"));
    let ids = seeded_ids(&model, len - 2, 7);
    let found = infer(&model, &compiled.program, machine, &ids, &mut |_, _| {})
        .unwrap_or_else(|e| panic!("{what}: {e}"));
    let arrays = inputs(&model, &ids, len).unwrap();
    let arrays = reshaped(&compiled.stream, &arrays).unwrap();
    let outputs = evaluate(&compiled.stream, &arrays).unwrap_or_else(|e| panic!("{what}: {e}"));
    let want = outputs["hidden"].data.f32s().unwrap();
    let bits = |x: &[f32]| x.iter().map(|v| v.to_bits()).collect::<Vec<u32>>();
    assert_eq!(bits(&found.hidden), bits(want), "{what}");
    let x = host::embed(&model.config, &model.weights, &ids, len).unwrap();
    let exact = reference::encode(&model.config, &model.weights, &x, ids.len());
    let valid = ids.len() * model.config.hidden;
    let cosine = host::cosine(&found.hidden[..valid], &exact[..valid]);
    assert!(cosine >= 0.999, "{what}: {cosine}");
    (compiled, found.hidden)
}

#[test]
fn encoders_run_on_every_machine() {
    for (spec, len, precision) in [
        (
            "L=1,H=32,heads=2,ffn=64,vocab=40,max_positions=32",
            9,
            "int8",
        ),
        (
            "L=1,H=32,heads=2,ffn=64,vocab=40,max_positions=32",
            5,
            "fp16",
        ),
        (
            "L=1,H=384,heads=12,ffn=336,vocab=40,max_positions=32",
            7,
            "int8,attention=fp16",
        ),
    ] {
        let results = MACHINES.map(|name| {
            let machine = Machine::named(name).unwrap().unwrap();
            run(&machine, spec, len, precision)
        });
        // The same roundings everywhere: constants instead of immediates change no bit.
        let [(_, first), (_, second), (_, third)] = &results;
        assert!(first == second && second == third, "{spec} {precision}");
        let immediates = results.each_ref().map(|(c, _)| immediates(c));
        assert!(immediates[0] > 0 && immediates[1] > 0 && immediates[2] == 0);
    }
}

/// Per-lane operations with an immediate.
fn immediates(compiled: &Compiled) -> usize {
    let ops = compiled.stream.ops().map(|(_, d)| d);
    ops.filter(|d| d.opcode == Opcode::StreamAlu && d.attrs.has("imm"))
        .count()
}
