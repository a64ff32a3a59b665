//! Programs of the TSP: units and queues, instructions, the container and its listing.
//!
//! What it may not know: any delay and any resource rule; those are the checker's and the simulator's.

mod asm;
mod container;
mod instr;
mod io;
mod print;
mod program;
#[cfg(test)]
mod samples;
mod timeline;
mod unit;
mod validate;

pub use asm::{AsmError, Diagnostic, assemble};
pub use container::{DecodeError, FORMAT_VERSION, MAGIC};
pub use instr::*;
pub use io::{LANES, PackError, Word, WordAddress};
pub use print::listing;
pub use program::*;
pub use timeline::{Dispatch, dispatches};
pub use unit::*;
pub use validate::{FormError, FormPlace};
