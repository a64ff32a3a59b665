//! Proofs: why an extracted term equals the term of the model, on request, in a file that a small checker replays.
//!
//! `produce` asks egg why; `check` and what it replays with (`term`, `facts`) know nothing of egg; `given` says what a
//! region is to both. A proof is a list of
//! lemmas, each a chain of links from one term to another; a link is a rule at the top of the term, or earlier lemmas
//! inside it. Terms are a table without repetition, so that what occurs often is proved once. docs/proofs.md.

pub mod check;
mod facts;
mod given;
pub mod produce;
pub mod term;

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tspc_ir::{Elem, Kind, Module, Type, text, types};

use super::rules::{Right, all};

/// What the format is called.
pub const FORMAT: &str = "tspc-proof";
/// Its version.
pub const VERSION: u32 = 1;

/// A proof for all regions of a module.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Says what this is.
    pub format: String,
    /// Of the format.
    pub version: u32,
    /// Hash of the rule table.
    pub rules: String,
    /// Hash of the module, quantised `tensor.*`.
    pub module: String,
    /// Distinct regions, in order of appearance.
    pub regions: Vec<Region>,
}

/// A proof for a region.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// What leaves are, by row.
    pub leaves: Vec<Leaf>,
    /// Terms such as `mul 3 5`, operands first.
    pub terms: Vec<String>,
    /// Each may use those before it.
    pub lemmas: Vec<Lemma>,
    /// What the region computes.
    pub roots: Vec<Root>,
}

/// A row of the leaf table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    /// Element type.
    pub elem: String,
    /// Dimensions.
    pub shape: Vec<usize>,
    /// `constant`, `input` or `computed`.
    pub role: String,
    /// A scale without an element below zero.
    pub non_negative: bool,
}

impl Leaf {
    /// As a type.
    fn ty(&self) -> Result<Type, String> {
        let elem: Option<Elem> = types::elem_from_name(&self.elem);
        let elem = elem.ok_or_else(|| format!("no element type {:?}", self.elem))?;
        Type::new(Kind::Tensor, self.shape.clone(), elem)
    }
}

/// That the first term of a chain equals its last one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lemma {
    /// The first term.
    pub from: usize,
    /// From each term to the next.
    pub links: Vec<Link>,
}

/// From one term to the next, `to`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Link {
    /// By a rule, from its left side to its right.
    Forward {
        /// Its name.
        rule: String,
        /// The next term.
        to: usize,
    },
    /// By a rule, from its right side to its left.
    Backward {
        /// Its name.
        rule: String,
        /// The next term.
        to: usize,
    },
    /// By lemmas about operands; `null` where the operand stays.
    Inside {
        /// One for each operand.
        lemmas: Vec<Option<usize>>,
        /// The next term.
        to: usize,
    },
}

impl Link {
    /// The next term.
    pub fn to(&self) -> usize {
        match self {
            Link::Forward { to, .. } | Link::Backward { to, .. } | Link::Inside { to, .. } => *to,
        }
    }
}

/// What the model computes, and what was extracted for it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// The term of the model.
    pub input: usize,
    /// The extracted one.
    pub extracted: usize,
    /// The lemma that they are equal; none is needed if they are the same.
    pub lemma: Option<usize>,
}

impl Proof {
    /// As JSON.
    pub fn to_json(&self) -> Result<String, String> {
        serde_json::to_string(self).map_err(|e| e.to_string())
    }

    /// Reads JSON; another format or version is refused.
    pub fn from_json(text: &str) -> Result<Proof, String> {
        let proof: Proof = serde_json::from_str(text).map_err(|e| format!("no proof: {e}"))?;
        match (&proof.format[..], proof.version) {
            (FORMAT, VERSION) => Ok(proof),
            (FORMAT, other) => Err(format!("version {other} of the format, expected {VERSION}")),
            (other, _) => Err(format!("format {other:?}, expected {FORMAT:?}")),
        }
    }
}

/// Hash of the rule table: the text of every rule. A computed number is told by what it is at a few points.
pub fn rules_hash() -> String {
    let mut table = String::new();
    for rule in all() {
        let (kind, pattern, of, points) = match &rule.right {
            Right::Pattern(pattern) => ("pattern", pattern, Vec::new(), Vec::new()),
            Right::Computed {
                pattern,
                of,
                number,
            } => {
                let at = |x: &f32| number(&vec![*x; of.len()]).map(f32::to_bits);
                (
                    "computed",
                    pattern,
                    of.to_vec(),
                    POINTS.iter().map(at).collect(),
                )
            }
            Right::Width {
                pattern,
                of,
                number,
            } => {
                let at = |x: &f32| Some(number(*x).to_bits());
                ("width", pattern, vec![*of], POINTS.iter().map(at).collect())
            }
            Right::Heads { pattern, of } => ("heads", pattern, vec![*of], Vec::new()),
        };
        let when: Vec<_> = rule.when.iter().map(|c| (c.name, c.on)).collect();
        let (name, class, left) = (rule.name, rule.class, rule.left);
        let _ = writeln!(
            table,
            "{name} {class:?} {left} {kind} {pattern} {of:?} {points:?} {when:?}"
        );
    }
    hash(&table)
}

/// Where computed numbers are sampled for the hash.
const POINTS: [f32; 4] = [0.25, 1.0, 3.0, 768.0];

/// Hash of a module; constants take part as its text has them.
pub fn module_hash(module: &Module) -> String {
    hash(&text::print_without_locations(module))
}

fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
