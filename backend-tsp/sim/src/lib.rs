//! The simulator: executes a program cycle by cycle on real data and says what came out and when.
//!
//! - *What it does*: runs all 144 queues against the machine description, bit for bit, and stops with a
//!   [`Fault`] at the first thing that the chip cannot do. It never repairs and never returns zeros for
//!   something that was not there.
//! - *Before*: nothing; any program, however malformed, gives an outcome or a fault, not a panic.
//! - *After*: outputs and cycles depend on program, machine file and inputs alone.
//! - *What it may not know*: the scheduler and the checker, whose witness it is. It shares the machine's
//!   numbers with them, not a line of code. A program's `uses` serve to name things in messages only.

mod arith;
mod chip;
mod fabric;
mod fault;
mod host;
mod matvec;
mod mem;
mod memory;
mod mxm;
mod pool;
mod queue;
mod sxm;
mod timing;
mod validate;
mod vxm;

use std::collections::BTreeMap;

use tspc_machine::Machine;
use tspc_program::Program;

pub use fault::{Dispatch, Fault, FaultKind};

use chip::Chip;
use timing::Timing;

/// What a program did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Each output's elements, little-endian, row after row.
    pub outputs: BTreeMap<String, Vec<u8>>,
    /// The latency in cycles (machine.md section 5): dispatch of the last write of an output word, plus the
    /// write-to-read time and the stagger. 0 if the program writes no output word.
    pub cycles: u64,
    /// One more than the last cycle in which an instruction dispatched or a result appeared.
    pub end: u64,
    /// Dispatches per queue, iterations of repeats counted, nops not.
    pub dispatches: Vec<u64>,
    /// Activations per chip-wide plane.
    pub acts: [u64; 4],
}

/// How to run; the result does not depend on it.
#[derive(Default)]
pub struct Options<'a> {
    /// Called now and then with the current cycle and the program's length in cycles.
    pub progress: Option<&'a mut dyn FnMut(u64, u64)>,
}

/// Runs a program. `inputs` are raw little-endian elements, row after row, for each of its inputs.
///
/// # Errors
/// The first [`Fault`], by cycle and within a cycle by queue.
pub fn simulate(
    program: &Program,
    machine: &Machine,
    inputs: &BTreeMap<String, Vec<u8>>,
) -> Result<Outcome, Fault> {
    simulate_with(program, machine, inputs, Options::default())
}

/// [`simulate`] with options.
///
/// # Errors
/// As [`simulate`].
pub fn simulate_with(
    program: &Program,
    machine: &Machine,
    inputs: &BTreeMap<String, Vec<u8>>,
    options: Options,
) -> Result<Outcome, Fault> {
    validate::program(program, machine)?;
    let mut chip = Chip::new(machine, Timing::new(machine));
    host::fill(program, machine, inputs, &mut chip.memory)?;
    let mut silent = |_, _| {};
    let counts = chip.run(program, options.progress.unwrap_or(&mut silent))?;
    let (outputs, last) = host::outputs(program, &chip.memory, counts.end)?;
    let settle = u64::from(machine.mem_write_to_read + machine.stagger_cycles);
    Ok(Outcome {
        outputs,
        cycles: last.map_or(0, |last| last + settle),
        end: counts.end,
        dispatches: counts.dispatches,
        acts: counts.acts,
    })
}
