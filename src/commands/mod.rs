//! One file per subcommand; two where one is the inverse of the other.

pub mod asm;
pub mod check;
pub mod machine;
pub mod opt;
pub mod passes;
pub mod sim;
