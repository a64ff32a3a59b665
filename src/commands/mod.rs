//! One file per subcommand; two where one is the inverse of the other.

pub mod asm;
pub mod bench;
pub mod bisect;
pub mod blame;
pub mod check;
pub mod check_proof;
pub mod compile;
pub mod demo;
pub mod explain;
pub mod machine;
pub mod model;
pub mod opt;
pub mod passes;
pub mod prove;
pub mod report;
pub mod run;
pub mod sim;
pub mod source;
pub mod told;
pub mod why_not;
