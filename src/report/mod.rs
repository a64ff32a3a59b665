//! What a program does with its cycles: units, phases, bounds, and the latency sheet that shows them.
//!
//! Everything here is read off the program and the machine file; nothing is measured with a clock.

pub mod blame;
pub mod bounds;
pub mod parts;
pub mod phases;
pub mod sheet;
pub mod waits;
pub mod why;
