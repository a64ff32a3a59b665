//! Which values a number may have.
//!
//! One [`Range`] stands beside every number in the table of `lib.rs`; [`constraints`] holds what two numbers must
//! satisfy together. Nothing else is checked, and nothing that a consumer relies on may be checked only there.

use std::fmt;

use serde_json::Value;

use crate::Numbers;

/// Values that the loader accepts.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Range {
    /// A size that fields, queue numbers or words of program format 1 encode: this value only.
    Encoded(i64),
    /// An integer from … to.
    Int(i64, i64),
    /// Distinct integers from … to, ascending; may be empty.
    List(i64, i64),
    /// A number from … to.
    Real(f64, f64),
    /// `true` or `false`.
    Flag,
}

impl Range {
    /// Whether the value is of the right type and in range.
    pub fn contains(self, value: &Value) -> bool {
        let int = |v: &Value, low, high| v.as_i64().is_some_and(|v| (low..=high).contains(&v));
        match self {
            Range::Encoded(only) => value.as_i64() == Some(only),
            Range::Int(low, high) => int(value, low, high),
            Range::List(low, high) => value.as_array().is_some_and(|list| {
                list.iter().all(|v| int(v, low, high))
                    && list.is_sorted_by(|a, b| a.as_i64() < b.as_i64())
            }),
            Range::Real(low, high) => value.as_f64().is_some_and(|v| (low..=high).contains(&v)),
            Range::Flag => value.is_boolean(),
        }
    }
}

impl fmt::Display for Range {
    /// What was expected, as it stands in errors and in the documentation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Range::Encoded(only) => write!(f, "{only} (program format 1 encodes it)"),
            Range::Int(low, high) => write!(f, "an integer {low}…{high}"),
            Range::List(low, high) => write!(f, "an ascending list of integers {low}…{high}"),
            Range::Real(low, high) => write!(f, "a number {low}…{high}"),
            Range::Flag => write!(f, "true or false"),
        }
    }
}

/// What the numbers must satisfy together; the error says what does not hold.
pub(crate) fn constraints(n: &Numbers) -> Result<(), String> {
    // The SXM lies between SR_11 and the MXM.
    if n.sxm_in >= n.mxm_port_delay {
        return Err(format!(
            "`sxm_in` is {}, expected less than `mxm_port_delay`, which is {}",
            n.sxm_in, n.mxm_port_delay
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn borders_and_types() {
        let cases = [
            (Range::Encoded(4), json!(4), json!(5)),
            (Range::Int(-1, 2), json!(-1), json!(-2)),
            (Range::Int(-1, 2), json!(2), json!(3)),
            (Range::Int(0, 2), json!(0), json!(0.5)),
            (Range::Int(0, 2), json!(1), json!("1")),
            (Range::List(0, 9), json!([0, 9]), json!([0, 10])),
            (Range::List(0, 9), json!([]), json!([1, 1])),
            (Range::List(0, 9), json!([3]), json!(3)),
            (Range::Real(0.5, 2.0), json!(1), json!(0.25)),
            (Range::Real(0.5, 2.0), json!(2.0), json!(null)),
            (Range::Flag, json!(false), json!(0)),
        ];
        for (range, good, bad) in cases {
            assert!(range.contains(&good), "{range}: {good}");
            assert!(!range.contains(&bad), "{range}: {bad}");
        }
    }
}
