//! The driver of `tspc`, a compiler for Groq's Tensor Streaming Processor.
//!
//! The only crate besides the frontends that reads files, and the only one that prints and exits.
//! It holds no knowledge of the chip: it connects the crates below it.

pub mod candidates;
pub mod cli;
mod commands;
pub mod compare;
pub mod compiler;
mod files;
mod progress;
pub mod report;
mod tensors;

pub use tspc_check as check;
pub use tspc_codegen as codegen;
pub use tspc_frontend_bert as bert;
pub use tspc_ir as ir;
pub use tspc_machine as machine;
pub use tspc_passes as passes;
pub use tspc_program as program;
pub use tspc_sim as sim;
