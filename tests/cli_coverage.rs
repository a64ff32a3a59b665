//! Every rule of the checker and every fault of the simulator is expected by name in some lit test.

use std::fs;
use std::path::Path;

use tspc::check::Rule;
use tspc::sim::FaultKind;

/// What no listing can show, because the assembler refuses it; `lit-tests/asm/errors/form.tspasm` has these.
const REFUSED_BY_THE_ASSEMBLER: [&str; 4] =
    ["form", "group-alignment", "use-source", "use-unknown"];

/// Faults that come before the program runs and that the driver or the assembler finds first: `bad-input` is in
/// `tests/cli.rs`, `text-overflow` needs a machine that the program was not made for.
const FOUND_BEFORE: [&str; 4] = [
    "malformed-queue",
    "wrong-unit",
    "text-overflow",
    "bad-input",
];

/// The directives of all test files below a directory.
fn directives(directory: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            directives(&path, into);
        } else if path.extension().is_some_and(|e| e == "tspasm") {
            let text = fs::read_to_string(path).unwrap();
            let checks = text
                .lines()
                .filter(|line| line.starts_with("; CHECK") || line.starts_with("; FAULT"));
            into.extend(checks.map(|line| format!("{line} ")));
        }
    }
}

#[test]
fn every_rule_and_fault_has_a_lit_test() {
    let mut expected = Vec::new();
    directives(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("lit-tests"),
        &mut expected,
    );
    let named = |what: String| expected.iter().any(|line| line.contains(&what));
    for id in Rule::ALL.iter().map(|rule| rule.id()) {
        let here = named(format!(" {id} "));
        assert_ne!(here, REFUSED_BY_THE_ASSEMBLER.contains(&id), "rule {id}");
    }
    for id in FaultKind::ALL.iter().map(|kind| kind.id()) {
        let here = named(format!(" fault {id} in cycle "));
        assert_ne!(here, FOUND_BEFORE.contains(&id), "fault {id}");
    }
}
