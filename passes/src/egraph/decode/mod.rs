//! Decoding: extracted terms become untiled `stream.*` with pipelines and installs.
//!
//! Before: every term consists of nodes that the chip has. After: a module of `stream.*` in which all that rounds is
//! written down; no place, no time.

mod constants;
pub mod emit;
pub mod moments;
pub mod pipelines;
pub mod plan;
pub mod terms;
