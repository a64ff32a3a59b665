//! The independent checker of programs: the last word before a program may run.
//!
//! Knows the program and the machine file, nothing of the compiler. From the instructions alone it derives when and
//! where every operand arrives and who made it, compares that with the program's `uses`, and finds every conflict over
//! a resource. It follows *tokens* (who made it) instead of data, so what depends on data values passes; the list is in
//! `docs/checker.md`. Total on any program: malformed ones give violations.

mod follow;
mod instruction;
mod lines;
mod mem;
mod memory;
mod mxm;
mod op_types;
mod outputs;
mod report;
mod rule;
mod sites;
mod structure;
mod sxm;
mod token;
mod uses;
mod vxm;

pub use report::{Report, VIOLATIONS_KEPT, Violation};
pub use rule::{Rule, rules_markdown};

use tspc_machine::Machine;
use tspc_program::{Program, QUEUES, WordRun};

use report::Log;
use sites::Sites;
use uses::Uses;

/// Checks a program against a machine, in time linear in its text, tables and dispatches.
///
/// If a rule that [stops](Rule::stops) is broken, the program is not followed in time.
pub fn check(program: &Program, machine: &Machine) -> Report {
    let mut log = Log::default();
    let mut report = Report {
        violations: Vec::new(),
        total: 0,
        dispatches: 0,
        cycles: None,
        text_bytes: structure::text_bytes(program, machine),
        sram_words: 0,
    };
    let instructions: usize = program.queues.iter().map(Vec::len).sum();
    if program.queues.len() != QUEUES || instructions >= token::MAX_SITES {
        let message = format!(
            "{} queues, expected {QUEUES}; {instructions} instructions",
            program.queues.len()
        );
        log.part(Rule::Form, "program", message);
        report.total = log.total;
        report.violations = log.into_violations(program, &Sites::default(), &Uses::default());
        return report;
    }
    let sites = Sites::new(program);
    let outputs = output_runs(program);
    structure::check_parts(program, machine, &mut log);
    structure::check_instructions(program, machine, &sites, &mut log);
    structure::check_uses(program, &sites, &outputs, &mut log);
    let uses = Uses::new(program, &sites);
    if !log.stop {
        structure::check_cover(program, &sites, &uses, &outputs, &mut log);
        let totals = follow::follow(program, machine, &sites, &uses, &outputs, &mut log);
        report.dispatches = totals.dispatches;
        report.cycles = totals.cycles;
        report.sram_words = totals.sram_words;
    }
    report.total = log.total;
    report.violations = log.into_violations(program, &sites, &uses);
    report
}

/// The runs of each output.
fn output_runs(program: &Program) -> Vec<Vec<(WordRun, u8)>> {
    program
        .outputs
        .iter()
        .map(|entry| memory::planes_of(entry).collect())
        .collect()
}
