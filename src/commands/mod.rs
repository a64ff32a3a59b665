//! One file per subcommand.

pub mod machine;
