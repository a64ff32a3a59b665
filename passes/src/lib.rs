//! Passes: change that preserves meaning, exactly or, where numbers are quantised, within a measured error.
//!
//! Reading order is the order of the modules below. Passes may read sizes, throughputs and latencies of the machine.
//! What they may not know: places and cycles; no pass assigns a slice or a cycle.

pub mod pass;
pub mod pipeline;

pub mod canonicalise;
pub mod quantise;

pub mod egraph;
pub mod tile;

pub use pass::{Context, Options, PassDef};
pub use pipeline::{Outcome, Pipeline};
pub use quantise::{Precision, Ranges};

/// All passes, in the order in which they usually run.
pub const PASSES: &[PassDef] = &[canonicalise::PASS, quantise::PASS, egraph::PASS, tile::PASS];
