//! The terms of the e-graph: quantised `tensor.*` operations, and below them the forms that the chip has.
//!
//! Binary sums never chain: reductions are one node. Constants of one element are scalars, which rules may look into;
//! all others are opaque leaves, so that equal layers make equal terms.

use std::fmt;
use std::str::FromStr;

/// An fp32 number by its bits, written with a decimal point or an exponent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Scalar(pub u32);

impl Scalar {
    /// The number.
    pub fn value(self) -> f32 {
        f32::from_bits(self.0)
    }
}

impl From<f32> for Scalar {
    fn from(x: f32) -> Scalar {
        Scalar(x.to_bits())
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.value())
    }
}

impl FromStr for Scalar {
    type Err = String;
    fn from_str(text: &str) -> Result<Scalar, String> {
        let number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        match text.parse::<f32>() {
            Ok(x) if number && text.contains(['.', 'e']) => Ok(Scalar::from(x)),
            _ => Err(format!("{text} is not a scalar")),
        }
    }
}

/// A count, such as the number of heads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Count(pub usize);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Count {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Count, Self::Err> {
        text.parse().map(Count)
    }
}

/// What a term starts from: a value from outside the region, or a constant; `v3` in text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Leaf(pub usize);

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl FromStr for Leaf {
    type Err = String;
    fn from_str(text: &str) -> Result<Leaf, String> {
        let number = text.strip_prefix('v').and_then(|n| n.parse().ok());
        number
            .map(Leaf)
            .ok_or_else(|| format!("{text} is not a leaf"))
    }
}

#[allow(missing_docs)] // The macro takes no comments on variants; their names are their text.
mod node {
    use super::{Count, Leaf, Scalar};
    use egg::{Id, define_language};

    define_language! {
    /// An operation. Dimensions broadcast as in numpy.
    pub enum Node {
        Count(Count),
        Scalar(Scalar),
        Leaf(Leaf),

        // What models are written in.
        "matmul" = Matmul([Id; 2]),
        "add" = Add([Id; 2]),
        "sub" = Sub([Id; 2]),
        "mul" = Mul([Id; 2]),
        "div" = Div([Id; 2]),
        "max" = Max([Id; 2]),
        "min" = Min([Id; 2]),
        "neg" = Neg([Id; 1]),
        "exp" = Exp([Id; 1]),
        "tanh" = Tanh([Id; 1]),
        "erf" = Erf([Id; 1]),
        "sqrt" = Sqrt([Id; 1]),
        "rsqrt" = Rsqrt([Id; 1]),
        "sum-last" = SumLast([Id; 1]),
        "max-last" = MaxLast([Id; 1]),
        "quantize" = Quantize([Id; 3]),
        "dequantize" = Dequantize([Id; 2]),
        "cast-f16" = CastF16([Id; 1]),
        "cast-f32" = CastF32([Id; 1]),

        // Layout: swap the last two dimensions; lanes to heads (a vector is one row) and back, whole or by halves: lanes
        // apart and together, the first two dimensions swapped; consecutive lanes: start, count.
        "t" = Transpose([Id; 1]),
        "heads" = Heads([Id; 2]),
        "merge" = Merge([Id; 1]),
        "split" = Split([Id; 2]),
        "join" = Join([Id; 1]),
        "swap" = Swap([Id; 1]),
        "lanes" = Lanes([Id; 3]),

        // x, with the greatest sum of squares of a row that calibration saw.
        "bounded" = Bounded([Id; 2]),

        // Functions that rules recognise.
        "gelu-erf" = GeluErf([Id; 1]),
        "gelu-tanh" = GeluTanh([Id; 1]),
        "gelu-sigmoid" = GeluSigmoid([Id; 1]),
        "softmax" = Softmax([Id; 1]),
        "mean" = Mean([Id; 1]),
        "variance" = Variance([Id; 1]),
        "layer-norm" = LayerNorm([Id; 4]),

        // What the chip has: rows of the first through the second installed row by row; the maximum over rows; the
        // sum over lanes by a pass through ones; the mean over lanes of x (1) or x² (2) by passes of the bytes of a fixed
        // point number, whose unit follows from the energy: x, energy, 1 or 2; 1/x as rsqrt(x)².
        "pass" = Pass([Id; 2]),
        "max-rows" = MaxRows([Id; 1]),
        "lane-sum" = LaneSum([Id; 1]),
        "moment" = Moment([Id; 3]),
        "recip" = Recip([Id; 1]),
    }
    }
}

pub use node::Node;

#[cfg(test)]
mod tests {
    use super::*;
    use egg::RecExpr;

    #[test]
    fn terms_read_back() {
        let text = "(quantize (mul (heads v0 12) 0.5) v1 1e-12)";
        let term: RecExpr<Node> = text.parse().unwrap();
        assert_eq!(term.to_string(), text);
        assert!("(mul v0 inf)".parse::<RecExpr<Node>>().is_err());
    }
}
