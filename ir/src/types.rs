//! Types of values: a kind, a shape and an element type, written `kind<2x3xf32>`.
//!
//! After [`Type::new`] every size that can be computed from a shape fits in a `usize` without overflow.

use std::fmt;

pub use tspc_num::Type as Elem;

/// What kind of thing a value is; it decides what the dimensions mean.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// `tensor<…>`: a mathematical tensor; row-major.
    Tensor,
    /// `stream<…xROWSxLANES>`: rows of vectors between producers and consumers; batch dimensions in front.
    /// Inside a pipeline `stream<LANES>` is one row.
    Stream,
    /// `weights<…xKxN>`: installed weights; column n is one output lane.
    Weights,
    /// `mem<WORDSxi8>`: a buffer of 320-byte words in one slice.
    Mem,
    /// `seq<COUNTxelem>`: 320-lane vectors at a fixed interval.
    Seq,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 5] = [
        Kind::Tensor,
        Kind::Stream,
        Kind::Weights,
        Kind::Mem,
        Kind::Seq,
    ];

    /// The keyword.
    pub fn name(self) -> &'static str {
        ["tensor", "stream", "weights", "mem", "seq"][self as usize]
    }

    /// The kind with this keyword.
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|k| k.name() == name)
    }
}

/// Most dimensions of a type.
pub const MAX_RANK: usize = 8;
/// Most elements of a type.
pub const MAX_ELEMENTS: usize = 1 << 31;

/// The type of a value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Type {
    /// What the dimensions mean.
    pub kind: Kind,
    /// The dimensions; empty for a scalar tensor.
    pub shape: Vec<usize>,
    /// The element type.
    pub elem: Elem,
}

impl Type {
    /// A type, if it keeps the limits: at most [`MAX_RANK`] dimensions, none zero, at most [`MAX_ELEMENTS`].
    pub fn new(kind: Kind, shape: impl Into<Vec<usize>>, elem: Elem) -> Result<Type, String> {
        let shape = shape.into();
        if shape.len() > MAX_RANK {
            return Err(format!(
                "{} dimensions, at most {MAX_RANK} are allowed",
                shape.len()
            ));
        }
        if shape.contains(&0) {
            return Err("a dimension is 0".into());
        }
        let least = match kind {
            Kind::Tensor => 0,
            Kind::Stream | Kind::Mem | Kind::Seq => 1,
            Kind::Weights => 2,
        };
        let most = if matches!(kind, Kind::Mem | Kind::Seq) {
            1
        } else {
            MAX_RANK
        };
        if shape.len() < least || shape.len() > most {
            return Err(format!(
                "a {} cannot have {} dimensions",
                kind.name(),
                shape.len()
            ));
        }
        let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        match elements {
            Some(n) if n <= MAX_ELEMENTS => Ok(Type { kind, shape, elem }),
            _ => Err(format!("more than {MAX_ELEMENTS} elements")),
        }
    }

    /// Number of elements (of a `mem`, words; of a `seq`, vectors).
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The last dimension; 1 for a scalar.
    pub fn last(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// All dimensions but the last `n`.
    pub fn lead(&self, n: usize) -> &[usize] {
        &self.shape[..self.shape.len().saturating_sub(n)]
    }
}

/// `2x3x` followed by the element type, as inside the angle brackets.
pub(crate) fn shape_text(shape: &[usize], elem: Elem) -> String {
    shape.iter().map(|d| format!("{d}x")).collect::<String>() + elem.name()
}

/// The element type with this name.
pub fn elem_from_name(name: &str) -> Option<Elem> {
    Elem::ALL.iter().copied().find(|e| e.name() == name)
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}<{}>",
            self.kind.name(),
            shape_text(&self.shape, self.elem)
        )
    }
}

impl fmt::Debug for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_print_shape_and_element() {
        assert_eq!(
            Type::new(Kind::Tensor, [128, 768], Elem::F32)
                .unwrap()
                .to_string(),
            "tensor<128x768xf32>"
        );
        assert_eq!(
            Type::new(Kind::Tensor, [], Elem::F32).unwrap().to_string(),
            "tensor<f32>"
        );
        assert_eq!(
            Type::new(Kind::Mem, [128], Elem::I8).unwrap().to_string(),
            "mem<128xi8>"
        );
    }

    #[test]
    fn limits_are_enforced() {
        assert!(Type::new(Kind::Tensor, [1; MAX_RANK + 1], Elem::I8).is_err());
        assert!(Type::new(Kind::Tensor, [0], Elem::I8).is_err());
        assert!(Type::new(Kind::Tensor, [usize::MAX, 2], Elem::I8).is_err());
        assert!(Type::new(Kind::Seq, [2, 2], Elem::I8).is_err());
        assert!(Type::new(Kind::Weights, [2], Elem::I8).is_err());
    }
}
