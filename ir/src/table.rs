//! The shape of the op table: what an entry declares, and the macro that turns entries into [`crate::ops::Opcode`].
//!
//! The entries are in `ops.rs`. Builder, parser, printer, verifier and the dialect pages read these declarations;
//! what remains to be written per op is type inference and reference evaluation, both exhaustive matches.

use crate::attr::AttrKind;

/// The three levels of the language.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Dialect {
    /// Mathematical tensors; no machine.
    Tensor,
    /// Streams of vectors between producers and consumers; no place, no time.
    Stream,
    /// One instruction, or one instruction repeated; place and time arrive as facts.
    Tsp,
}

impl Dialect {
    /// All dialects, in pipeline order.
    pub const ALL: [Dialect; 3] = [Dialect::Tensor, Dialect::Stream, Dialect::Tsp];

    /// The prefix of the dialect's op names.
    pub fn name(self) -> &'static str {
        ["tensor", "stream", "tsp"][self as usize]
    }

    /// One sentence.
    pub fn doc(self) -> &'static str {
        [
            "Mathematical tensors: what the model computes, without a machine.",
            "Sequences of vectors between producers and consumers: tiling and rounding are decided, place and time are not.",
            "One instruction, or one instruction repeated, on one slice, plane or ALU: place and time arrive as facts.",
        ][self as usize]
    }
}

/// How many values an operand stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arity {
    /// Exactly one.
    One,
    /// One or none; only as the last operand.
    Opt,
    /// Any number; only as the last operand.
    Many,
}

/// A declared operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OperandDef {
    /// Name, for documentation and diagnostics.
    pub name: &'static str,
    /// How many values.
    pub arity: Arity,
}

/// A declared attribute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AttrDef {
    /// Name.
    pub name: &'static str,
    /// What it may be.
    pub kind: AttrKind,
    /// Whether the op is invalid without it.
    pub required: bool,
}

/// How many results an op has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Results {
    /// None.
    Zero,
    /// Exactly one.
    One,
    /// As many as inference says.
    Many,
}

/// Where an op may stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// In the module's body.
    Plain,
    /// In the body, with a region of its own.
    Region,
    /// Only inside a region.
    Inner,
    /// Ends the module's body.
    Return,
    /// Ends a region.
    Yield,
}

/// The declaration of an op: one entry of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpDef {
    /// Full name, `tensor.matmul`.
    pub name: &'static str,
    /// Its dialect.
    pub dialect: Dialect,
    /// Operands, in order.
    pub operands: &'static [OperandDef],
    /// Attributes, in printing order.
    pub attrs: &'static [AttrDef],
    /// Optional attributes that later stages add, in printing order after `attrs`.
    pub facts: &'static [AttrDef],
    /// Results.
    pub results: Results,
    /// Where it may stand.
    pub form: Form,
    /// One sentence.
    pub doc: &'static str,
    /// Arguments in parentheses on the first line, then text as the printer writes it.
    pub example: &'static str,
}

impl OpDef {
    /// The attribute of this name, with its rank in printing order.
    pub fn attr(&self, name: &str) -> Option<(usize, AttrDef)> {
        self.attrs
            .iter()
            .chain(self.facts)
            .copied()
            .enumerate()
            .find(|(_, a)| a.name == name)
    }

    /// Fewest and most operands.
    pub fn operand_range(&self) -> (usize, usize) {
        let n = self.operands.len();
        match self.operands.last().map(|o| o.arity) {
            Some(Arity::Opt) => (n - 1, n),
            Some(Arity::Many) => (n - 1, usize::MAX),
            _ => (n, n),
        }
    }
}

/// Expands the table into `Opcode` and its declarations. One entry:
///
/// ```text
/// Variant "dialect.name" [name: Arity, …] {Req name: Kind, Opt name: Kind, …} facts Results Form
///     "One sentence."
///     "An example: arguments on the first line, then ops.";
/// ```
macro_rules! op_table {
    (@Req) => { true };
    (@Opt) => { false };
    ($($variant:ident $dialect:ident $name:literal
        [$($operand:ident: $arity:ident),*]
        {$($need:ident $attr:ident: $kind:expr),*}
        $facts:ident $results:ident $form:ident
        $doc:literal $example:literal;)*) => {
        /// Every op of every dialect.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Opcode { $(#[doc = $doc] $variant,)* }

        impl Opcode {
            /// All ops, in table order.
            pub const ALL: &'static [Opcode] = &[$(Opcode::$variant),*];

            /// The op's declaration.
            pub fn def(self) -> &'static OpDef {
                &DEFS[self as usize]
            }
        }

        static DEFS: &[OpDef] = &[$(OpDef {
            name: $name,
            dialect: Dialect::$dialect,
            operands: &[$(OperandDef { name: stringify!($operand), arity: Arity::$arity }),*],
            attrs: &[$(AttrDef {
                name: stringify!($attr),
                kind: $kind,
                required: op_table!(@$need),
            }),*],
            facts: $facts,
            results: Results::$results,
            form: Form::$form,
            doc: $doc,
            example: $example,
        }),*];
    };
}
pub(crate) use op_table;
