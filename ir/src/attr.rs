//! Attributes: the compile-time facts of an op.
//!
//! Every attribute compares, hashes and prints exactly; floats are kept as bits so that this holds for NaN too.

use crate::entity::Const;
use crate::table::OpDef;
use crate::types::Elem;

/// The value of an attribute.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Attr {
    /// A number.
    Int(i64),
    /// The bits of an fp32 number.
    F32(u32),
    /// `true` or `false`.
    Bool(bool),
    /// A quoted string.
    Str(String),
    /// Quoted strings.
    Strs(Vec<String>),
    /// One of the keywords that the op table allows.
    Sym(&'static str),
    /// Numbers.
    Ints(Vec<i64>),
    /// An element type.
    Elem(Elem),
    /// A constant of the module's pool.
    Const(Const),
}

impl Attr {
    /// An fp32 attribute.
    pub fn f32(x: f32) -> Attr {
        Attr::F32(x.to_bits())
    }

    /// A list of numbers; sizes beyond `i64::MAX` do not occur in types.
    pub fn sizes(sizes: &[usize]) -> Attr {
        Attr::Ints(
            sizes
                .iter()
                .map(|&n| i64::try_from(n).unwrap_or(i64::MAX))
                .collect(),
        )
    }

    /// Whether the attribute is of this kind.
    pub fn is(&self, kind: AttrKind) -> bool {
        match (self, kind) {
            (Attr::Int(_), AttrKind::Int)
            | (Attr::F32(_), AttrKind::F32)
            | (Attr::Bool(_), AttrKind::Bool)
            | (Attr::Str(_), AttrKind::Str)
            | (Attr::Strs(_), AttrKind::Strs)
            | (Attr::Ints(_), AttrKind::Ints)
            | (Attr::Elem(_), AttrKind::Elem)
            | (Attr::Const(_), AttrKind::Const) => true,
            (Attr::Sym(word), AttrKind::Sym(words)) => words.contains(word),
            _ => false,
        }
    }
}

/// The attributes of an op, in the table's printing order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Attrs(pub(crate) Vec<(&'static str, Attr)>);

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident $variant:ident -> $ty:ty = $get:expr;)*) => {
        impl Attrs {$(
            $(#[$doc])*
            pub fn $name(&self, name: &str) -> Result<$ty, String> {
                match self.get(name) {
                    Some(Attr::$variant(x)) => Ok($get(x)),
                    Some(_) => Err(format!("attribute {name} is of another kind")),
                    None => Err(format!("attribute {name} is missing")),
                }
            }
        )*}
    };
}

getters! {
    /// A number.
    int Int -> i64 = |x: &i64| *x;
    /// An fp32 number.
    f32 F32 -> f32 = |x: &u32| f32::from_bits(*x);
    /// A boolean.
    bool Bool -> bool = |x: &bool| *x;
    /// A string.
    str Str -> &str = String::as_str;
    /// Strings.
    strs Strs -> &[String] = Vec::as_slice;
    /// A keyword.
    sym Sym -> &'static str = |x: &&'static str| *x;
    /// Numbers.
    ints Ints -> &[i64] = Vec::as_slice;
    /// An element type.
    elem Elem -> Elem = |x: &Elem| *x;
    /// A constant.
    constant Const -> Const = |x: &Const| *x;
}

impl Attrs {
    /// The attribute of this name.
    pub fn get(&self, name: &str) -> Option<&Attr> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, a)| a)
    }

    /// Whether the attribute is there.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets an attribute, keeping the printing order of the declaration.
    pub(crate) fn insert(&mut self, def: &OpDef, name: &'static str, value: Attr) {
        let rank = |n: &str| def.attr(n).map_or(usize::MAX, |(rank, _)| rank);
        let at = self.0.partition_point(|(n, _)| rank(n) < rank(name));
        match self.0.get_mut(at) {
            Some((n, old)) if *n == name => *old = value,
            _ => self.0.insert(at, (name, value)),
        }
    }

    /// Names and values, in printing order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Attr)> {
        self.0.iter().map(|(n, a)| (*n, a))
    }

    /// A number that is a size or a position.
    pub fn size(&self, name: &str) -> Result<usize, String> {
        to_size(name, self.int(name)?)
    }

    /// Numbers that are sizes or positions.
    pub fn sizes(&self, name: &str) -> Result<Vec<usize>, String> {
        self.ints(name)?.iter().map(|&n| to_size(name, n)).collect()
    }

    /// A flag; absent means false.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name) == Some(&Attr::Bool(true))
    }

    /// The bits of an immediate, written signed or unsigned.
    pub fn imm(&self) -> Result<Option<u32>, String> {
        if !self.has("imm") {
            return Ok(None);
        }
        let n = self.int("imm")?;
        let bits = u32::try_from(n).or_else(|_| i32::try_from(n).map(i32::cast_unsigned));
        bits.map(Some)
            .map_err(|_| format!("imm {n} does not fit in 32 bits"))
    }
}

fn to_size(name: &str, n: i64) -> Result<usize, String> {
    usize::try_from(n).map_err(|_| format!("{name} {n} is negative"))
}

impl From<i64> for Attr {
    fn from(n: i64) -> Attr {
        Attr::Int(n)
    }
}

impl From<Elem> for Attr {
    fn from(elem: Elem) -> Attr {
        Attr::Elem(elem)
    }
}

impl From<Const> for Attr {
    fn from(c: Const) -> Attr {
        Attr::Const(c)
    }
}

/// What an attribute may be, as declared in the op table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AttrKind {
    /// A number.
    Int,
    /// An fp32 number.
    F32,
    /// `true` or `false`.
    Bool,
    /// A string.
    Str,
    /// Strings.
    Strs,
    /// One of these keywords.
    Sym(&'static [&'static str]),
    /// Numbers.
    Ints,
    /// An element type.
    Elem,
    /// A constant.
    Const,
}

impl AttrKind {
    /// How documentation and diagnostics call it.
    pub fn describe(self) -> String {
        match self {
            AttrKind::Int => "integer".into(),
            AttrKind::F32 => "fp32 number".into(),
            AttrKind::Bool => "true or false".into(),
            AttrKind::Str => "string".into(),
            AttrKind::Strs => "list of strings".into(),
            AttrKind::Sym(words) => words.join(" | "),
            AttrKind::Ints => "list of integers".into(),
            AttrKind::Elem => "element type".into(),
            AttrKind::Const => "constant".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_compare_by_bits() {
        assert_eq!(Attr::f32(f32::NAN), Attr::f32(f32::NAN));
        assert_ne!(Attr::f32(0.0), Attr::f32(-0.0));
    }

    #[test]
    fn a_keyword_must_be_in_the_list() {
        assert!(Attr::Sym("sum").is(AttrKind::Sym(&["sum", "max"])));
        assert!(!Attr::Sym("min").is(AttrKind::Sym(&["sum", "max"])));
        assert!(!Attr::Int(1).is(AttrKind::F32));
    }
}
