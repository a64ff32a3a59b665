//! A tiled `stream.*` module through all levels: evaluation of `stream.*`, evaluation of `tsp.*` and simulation agree bit
//! for bit, the checker accepts the program, and the text of the `tsp` module reads back exactly.

use std::collections::BTreeMap;

use tspc::check::check;
use tspc::codegen;
use tspc::ir::eval::{Array, evaluate};
use tspc::ir::{Value, text};
use tspc::machine::Machine;
use tspc::program::Program;
use tspc::sim::simulate;

use crate::tiled::{Tiled, bytes, raw};

/// Compares the levels; the program and its latency in cycles.
pub fn levels(tiled: Tiled, outputs: &[Value]) -> (Program, u64) {
    let (module, inputs) = tiled.finish(outputs);
    let machine = Machine::tsp_v1();
    let want = evaluate(&module, &inputs).unwrap_or_else(|e| panic!("{e}"));
    let tsp = codegen::lower(&module, &machine).unwrap_or_else(|e| panic!("{e}"));
    let values = evaluate(tsp.module(), &inputs).unwrap_or_else(|e| panic!("{e}"));
    same("tsp.*", &want, |name| bytes(&values[name].data));
    let printed = text::print(tsp.module());
    let read = text::parse("tsp", &printed, tsp.module().consts());
    let read = read.unwrap_or_else(|e| panic!("{e}"));
    assert!(read == *tsp.module() && text::print(&read) == printed);
    let program = codegen::emit(&tsp, &machine).unwrap_or_else(|e| panic!("{e}"));
    let report = check(&program, &machine);
    let violations = report.violations.iter().take(5);
    let shown: Vec<String> = violations.map(ToString::to_string).collect();
    assert!(report.accepted(), "{}", shown.join("\n"));
    let outcome = simulate(&program, &machine, &raw(&inputs));
    let outcome = outcome.unwrap_or_else(|fault| panic!("{fault}"));
    same("simulation", &want, |name| outcome.outputs[name].clone());
    assert_eq!(report.cycles, Some(outcome.cycles));
    (program, outcome.cycles)
}

fn same(level: &str, want: &BTreeMap<String, Array>, got: impl Fn(&str) -> Vec<u8>) {
    for (name, array) in want {
        let (got, want) = (got(name), bytes(&array.data));
        let first = got.iter().zip(&want).position(|(a, b)| a != b);
        assert_eq!(
            (got.len(), first),
            (want.len(), None),
            "{level}, output {name}: length, first byte that differs"
        );
    }
}
