//! From a model on disk, or a geometry, to `tensor.*`; and everything about a model that the host does.
//!
//! Reading order is the order of the modules below. It reads files, writes none, prints nothing.
//! What it may not know: passes, and of the chip more than the one width in `config.rs`.

mod error;

pub mod config;
pub mod random;
pub mod weights;

pub mod tokenize;

pub mod model;

pub mod host;
pub mod reference;

pub mod graph;

pub mod calibrate;
pub mod golden;

pub use config::{Activation, Config};
pub use error::Error;
pub use model::Model;
pub use tokenize::Tokenizer;
pub use weights::Weights;
