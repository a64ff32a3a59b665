//! Stages: a module that is wholly of one dialect, as a type. A lowering takes one and gives the next.
//!
//! After construction no op of another dialect survives and every rule of the verifier holds.

use crate::diag::Diagnostic;
use crate::module::Module;
use crate::table::{Dialect, Form};
use crate::verify::verify;

macro_rules! stages {
    ($($name:ident $doc:literal;)*) => {$(
        #[doc = $doc]
        #[derive(Clone, PartialEq, Debug)]
        pub struct $name(Module);

        impl $name {
            /// Checks the module; the error lists every violation.
            pub fn new(module: Module) -> Result<$name, Vec<Diagnostic>> {
                legal(&module, Dialect::$name)?;
                Ok($name(module))
            }

            /// The module.
            pub fn module(&self) -> &Module {
                &self.0
            }

            /// The module, to be lowered.
            pub fn into_module(self) -> Module {
                self.0
            }
        }
    )*};
}

stages! {
    Tensor "What the model computes.";
    Stream "Streams and pipelines; tiled or not.";
    Tsp "Instructions; facts of place and time are there or not.";
}

/// Whether a module is well formed, wholly of this dialect, and ends with the dialect's return if it has one.
pub fn legal(module: &Module, dialect: Dialect) -> Result<(), Vec<Diagnostic>> {
    let mut errors = verify(module).err().unwrap_or_default();
    for (op, data) in module.ops() {
        let def = data.opcode.def();
        if def.dialect != dialect {
            let message = format!(
                "{} survives in a module of dialect {}",
                def.name,
                dialect.name()
            );
            errors.push(Diagnostic::new(message, module.place(op)));
        }
    }
    let last = module
        .body_ops()
        .last()
        .map(|&op| module[op].opcode.def().form);
    if dialect != Dialect::Tsp && last != Some(Form::Return) {
        let place = crate::diag::Place::named(format!("@{}", module.name));
        errors.push(Diagnostic::new(
            format!("the module does not end with {}.return", dialect.name()),
            place,
        ));
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::parse;

    fn read(lines: &str) -> Module {
        let text = format!("module @m(%0 \"x\": tensor<2xf32>) {{\n{lines}}}\n");
        parse("s", &text, &Default::default()).unwrap_or_else(|d| panic!("{d}"))
    }

    #[test]
    fn a_stage_is_of_one_dialect() {
        let tensor = "%1 = tensor.exp(%0) : tensor<2xf32>\ntensor.return(%1) {names = [\"y\"]}\n";
        assert!(Tensor::new(read(tensor)).is_ok());
        let errors = Stream::new(read(tensor)).unwrap_err();
        assert_eq!(
            errors[0].message,
            "tensor.exp survives in a module of dialect stream"
        );
        assert_eq!(errors.len(), 2, "exp and return");
    }

    #[test]
    fn a_module_ends_with_its_return() {
        let errors = Tensor::new(read("")).unwrap_err();
        assert_eq!(
            errors[0].message,
            "the module does not end with tensor.return"
        );
        assert!(Tsp::new(read("")).is_ok(), "outputs of tsp are ops");
    }
}
