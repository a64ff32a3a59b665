//! One file per subcommand; two where one is the inverse of the other.

pub mod asm;
pub mod check;
pub mod compile;
pub mod demo;
pub mod machine;
pub mod model;
pub mod opt;
pub mod passes;
pub mod report;
pub mod run;
pub mod sim;
