//! The text form: exact to read, total to write.
//!
//! `parse ∘ print` gives an equal module, `print ∘ parse` the same text for text that `print` wrote.
//!
//! ```text
//! #loc0 = fused<"rule">["a", "file.mlir":3:4]
//! module @name(%0 "input": tensor<2x3xf32>) {
//!   %1 = tensor.exp(%0) : tensor<2x3xf32> loc(#loc0)
//!   tensor.return(%1) {names = ["output"]} loc("encoder/layer/0")
//! }
//! ```

mod items;
mod lexer;
mod literal;
mod parser;
mod printer;

pub use parser::{MAX_BYTES, MAX_OPS, parse};
pub use printer::{WIDTH, op_line, print, print_without_locations};
