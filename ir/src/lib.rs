//! The language of the compiler: an SSA IR with three dialects, its text, its verifier, its meaning.
//!
//! Reading order is the order of the modules below. `docs/ir.md` is the guide, `docs/dialects/` the reference.
//! What it may not know: passes, placement, scheduling; it reads and writes no file.

pub mod entity;
pub mod types;

pub mod attr;
pub mod constant;
pub mod loc;

pub mod ops;
pub mod table;

pub mod diag;
mod equal;
pub mod module;

pub mod builder;
pub mod infer;
pub mod rewrite;

pub mod text;

pub mod stage;
pub mod verify;

pub mod eval;

pub mod docs;

pub use attr::{Attr, Attrs};
pub use builder::Builder;
pub use constant::{ConstData, ConstPool};
pub use diag::{Diagnostic, Place};
pub use entity::{Block, Const, Entity, Loc, Op, Value};
pub use loc::{LocData, LocTable};
pub use module::{Def, Module};
pub use ops::Opcode;
pub use rewrite::Rewriter;
pub use table::Dialect;
pub use types::{Elem, Kind, Type};
pub use verify::verify;

/// The guide's examples, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/ir.md")]
struct Guide;
