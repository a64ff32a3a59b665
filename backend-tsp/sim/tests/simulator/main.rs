//! The simulator against the machine description: every unit, every fault, on hand-timed programs.

mod faults;
mod mesh;
mod mxm;
mod refusals;
mod rig;
mod streams;
mod sxm;
