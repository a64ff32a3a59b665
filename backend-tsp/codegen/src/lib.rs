//! The back end: select → place → schedule → allocate → lower → emit, each fact written once.
//!
//! What it may not know: the names of the model's functions (softmax, LayerNorm, …); nor does it share code with the
//! checker or the simulator, which derive everything again.

pub mod mesh;
pub mod problem;

mod allocate;
mod emit;
mod geometry;
mod lower;
mod order;
mod place;
mod run;
mod schedule;
mod select;
mod space;

use std::fmt;

use tspc_ir::stage::Tsp;
use tspc_machine::Machine;
use tspc_program::Program;

pub use allocate::{Allocated, allocate};
pub use emit::emit;
pub use lower::lower_allocated;
pub use place::{Place, Placed, place};
pub use schedule::{Scheduled, schedule};
pub use select::select;

/// Why a problem cannot be compiled: what is missing, by how much, and for which part of the model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Path in the model.
    pub location: String,
    /// What is needed, what there is.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.message)
    }
}

impl std::error::Error for Refusal {}

/// Lowers a tiled `stream.*` module to `tsp.*` with all facts of place, time and address.
pub fn lower(module: &tspc_ir::Module, machine: &Machine) -> Result<Tsp, Refusal> {
    let placed = place(select(module, machine)?, machine)?;
    let scheduled = schedule(placed, machine)?;
    let allocated = allocate(scheduled, machine)?;
    lower_allocated(&allocated, &module.name)
}

/// Compiles a tiled `stream.*` module to a program.
pub fn compile(module: &tspc_ir::Module, machine: &Machine) -> Result<Program, Refusal> {
    emit(&lower(module, machine)?, machine)
}
