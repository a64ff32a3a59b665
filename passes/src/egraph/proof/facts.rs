//! What the checker knows of terms: types, and by what has been proved equal so far, numbers, constants and signs.
//!
//! Written again, not taken from the analysis of the e-graph. A fact of one term holds of every term proved equal to
//! it, and so of what is made of it.

use tspc_ir::{Elem, Kind, Type};

use super::Leaf;
use super::term::{Head, TermId, Terms};

/// What may be known besides the type.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Flags {
    /// The bits of the number that it is.
    scalar: Option<u32>,
    /// Known when the module is compiled.
    constant: bool,
    /// No element is below zero.
    non_negative: bool,
}

impl Flags {
    fn or(self, other: Flags) -> Flags {
        Flags {
            scalar: self.scalar.or(other.scalar),
            constant: self.constant || other.constant,
            non_negative: self.non_negative || other.non_negative,
        }
    }
}

/// Terms with their types and what is proved of them.
pub struct Knowledge<'t> {
    terms: &'t Terms,
    leaves: &'t [Leaf],
    types: Vec<Type>,
    /// Per term, one of those proved equal that stands for all.
    same: Vec<TermId>,
    /// Of what stands for all.
    flags: Vec<Flags>,
    /// Whether a fact may not have reached all that it bears on.
    stale: bool,
}

impl<'t> Knowledge<'t> {
    /// Before anything is proved. Refuses a table with a term that has no type.
    pub fn new(terms: &'t Terms, leaves: &'t [Leaf]) -> Result<Knowledge<'t>, String> {
        let mut types: Vec<Type> = Vec::new();
        for id in 0..terms.len() {
            let ty = type_of(terms, leaves, &types, id);
            types.push(ty.map_err(|why| format!("term {id}, {}: {why}", terms.show(id)))?);
        }
        Ok(Knowledge {
            terms,
            leaves,
            types,
            same: (0..terms.len()).collect(),
            flags: vec![Flags::default(); terms.len()],
            stale: true,
        })
    }

    fn find(&self, mut id: TermId) -> TermId {
        while self.same[id] != id {
            id = self.same[id];
        }
        id
    }

    /// Takes note that two terms are equal. Refuses terms of different types.
    pub fn unite(&mut self, a: TermId, b: TermId) -> Result<(), String> {
        let (x, y) = (&self.types[a], &self.types[b]);
        if x != y {
            return Err(format!("a {x} cannot equal a {y}"));
        }
        let (a, b) = (self.find(a), self.find(b));
        let joined = self.flags[a].or(self.flags[b]);
        self.stale |= joined != self.flags[a] || joined != self.flags[b];
        let (stands, follows) = (a.min(b), a.max(b));
        self.same[follows] = stands;
        self.flags[stands] = joined;
        Ok(())
    }

    fn flags(&mut self, id: TermId) -> Flags {
        while self.stale {
            self.stale = false;
            for term in 0..self.terms.len() {
                let own = self.own(term);
                let class = self.find(term);
                let joined = self.flags[class].or(own);
                self.stale |= joined != self.flags[class];
                self.flags[class] = joined;
            }
        }
        self.flags[self.find(id)]
    }

    /// What a term is by its head and by what is known of its operands.
    fn own(&self, id: TermId) -> Flags {
        let (head, children) = self.terms.get(id);
        let flags: Vec<Flags> = children.iter().map(|&c| self.flags[self.find(c)]).collect();
        let name = match head {
            Head::Scalar(bits) => {
                return Flags {
                    scalar: Some(*bits),
                    constant: true,
                    non_negative: f32::from_bits(*bits) >= 0.0,
                };
            }
            Head::Count(_) => {
                return Flags {
                    scalar: None,
                    constant: true,
                    non_negative: true,
                };
            }
            Head::Leaf(row) => {
                let leaf = &self.leaves[*row];
                return Flags {
                    scalar: None,
                    constant: leaf.role == "constant",
                    non_negative: leaf.non_negative,
                };
            }
            Head::Op(name) => name,
        };
        let zero = Some(0f32.to_bits());
        let non_negative = match (&name[..], &flags[..]) {
            ("exp" | "sqrt" | "rsqrt" | "recip" | "softmax" | "variance", _) => true,
            ("max", [a, b]) => a.non_negative || b.non_negative,
            ("mul", _) if children[0] == children[1] => true,
            // Without an offset, scaling keeps the sign.
            ("quantize", [x, r, o]) => x.non_negative && r.non_negative && o.scalar == zero,
            ("bounded" | "moment", [x, ..]) => x.non_negative,
            ("neg" | "sub" | "layer-norm", _) => false,
            _ => flags.iter().all(|f| f.non_negative),
        };
        Flags {
            scalar: None,
            constant: flags.iter().all(|f| f.constant),
            non_negative,
        }
    }

    /// The number that a term is.
    pub fn number(&mut self, id: TermId) -> Option<f32> {
        self.flags(id).scalar.map(f32::from_bits)
    }

    /// Elements in the last dimension.
    pub fn width(&self, id: TermId) -> usize {
        self.types[id].last()
    }

    /// Elements in the first dimension.
    pub fn heads(&self, id: TermId) -> Option<usize> {
        self.types[id].shape.first().copied()
    }

    /// Whether a condition of a rule holds; refuses a condition that it does not know.
    pub fn holds(&mut self, condition: &str, on: &[TermId]) -> Result<bool, String> {
        if let Some((_, wanted)) = NEAR.iter().find(|(name, _)| *name == condition) {
            let wanted = wanted();
            let near = |x: f32| (f64::from(x) - wanted).abs() <= 1e-6 * wanted.abs();
            return Ok(on.iter().all(|&id| self.number(id).is_some_and(near)));
        }
        let types: Vec<&Type> = on.iter().map(|&id| &self.types[id]).collect();
        Ok(match (condition, on) {
            ("single", _) => types.iter().all(|t| t.elements() == 1),
            ("matrix", _) => types.iter().all(|t| t.rank() >= 2),
            ("narrow", _) => types.iter().all(|t| matches!(t.elem, Elem::I8 | Elem::F16)),
            ("one-lane", _) => types.iter().all(|t| t.last() == 1),
            ("wide", _) => types.iter().all(|t| t.last() > 1),
            ("row", _) => types
                .iter()
                .all(|t| t.last() > 1 && t.elements() == t.last()),
            ("as-wide", _) => types.iter().all(|t| t.last() == types[0].last()),
            ("alike", _) => {
                let alike = types
                    .iter()
                    .all(|t| t.last() > 1 && t.shape == types[0].shape);
                alike && on.iter().all(|&id| !self.flags(id).constant)
            }
            ("parts", [_, n]) => match (&types[0].shape[..], self.count(*n)) {
                (&[parts, _], n) => Some(parts) == n,
                _ => false,
            },
            ("head-row", [_, n]) => match (&types[0].shape[..], self.count(*n)) {
                (&[heads, 1, _], n) => Some(heads) == n,
                _ => false,
            },
            ("whole-row", _) => match (&types[0].shape[..], &types[1].shape[..]) {
                (&[heads, _, lanes], [.., width]) => {
                    let one = types[1].elements() == *width && types[1].rank() < 3;
                    one && heads * lanes == *width
                }
                _ => false,
            },
            ("within", _) => types.iter().all(|t| {
                let joined = broadcast(&types[0].shape, &t.shape);
                joined.is_ok_and(|shape| shape == types[0].shape)
            }),
            ("not-one", _) => on.iter().all(|&id| self.number(id) != Some(1.0)),
            ("scalar", _) => on.iter().all(|&id| self.flags(id).scalar.is_some()),
            ("constant", _) => on.iter().all(|&id| self.flags(id).constant),
            ("input", _) => on.iter().all(|&id| self.is_input(id)),
            ("computed", _) => on.iter().all(|&id| !self.flags(id).constant),
            ("non-negative", _) => on.iter().all(|&id| self.flags(id).non_negative),
            // Bounded says what calibration saw.
            ("unbounded", _) => !on.iter().any(|&id| self.is_made_by("bounded", id)),
            ("unscaled", _) => !on.iter().any(|&id| self.is_made_by("mul", id)),
            ("inverse-width", [x, k]) => {
                let (width, k) = (self.width(*x) as f64, self.number(*k));
                k.is_some_and(|k| (f64::from(k) * width - 1.0).abs() <= 1.1e-6)
            }
            _ => {
                let n = on.len();
                return Err(format!(
                    "the checker knows no condition {condition:?} on {n} terms"
                ));
            }
        })
    }

    /// Whether a term is an input of the module, perhaps transposed.
    fn is_input(&self, mut id: TermId) -> bool {
        loop {
            match self.terms.get(id) {
                (Head::Leaf(row), _) => return self.leaves[*row].role == "input",
                (Head::Op(name), [x]) if name == "t" => id = *x,
                _ => return false,
            }
        }
    }

    /// Whether a term proved equal is of this operation.
    fn is_made_by(&self, op: &str, id: TermId) -> bool {
        let made = |t: TermId| matches!(self.terms.get(t).0, Head::Op(name) if name == op);
        (0..self.terms.len()).any(|t| self.find(t) == self.find(id) && made(t))
    }

    fn count(&self, id: TermId) -> Option<usize> {
        match self.terms.get(id).0 {
            Head::Count(n) => Some(*n),
            _ => None,
        }
    }
}

/// A condition and the number that its name says.
type Near = (&'static str, fn() -> f64);

/// Conditions that a number is within a millionth of another.
const NEAR: [Near; 5] = [
    ("near √½", || 0.5f64.sqrt()),
    ("near 1/0.044715", || 1.0 / 0.044715),
    ("near 0.044715·√(2/π)", || {
        0.044715 * std::f64::consts::FRAC_2_PI.sqrt()
    }),
    ("near −1.702", || -1.702),
    ("near 0.851", || 0.851),
];

fn type_of(terms: &Terms, leaves: &[Leaf], types: &[Type], id: TermId) -> Result<Type, String> {
    let (head, children) = terms.get(id);
    let made = |shape: Vec<usize>, elem: Elem| Type::new(Kind::Tensor, shape, elem);
    let name = match head {
        Head::Op(name) => name,
        _ if !children.is_empty() => return Err("it should have no operands".into()),
        Head::Scalar(_) => return made(Vec::new(), Elem::F32),
        Head::Count(_) => return made(Vec::new(), Elem::I32),
        Head::Leaf(row) => {
            let leaf = leaves.get(*row).ok_or("the leaf is not in the table")?;
            return leaf.ty();
        }
    };
    let operands: Vec<&Type> = children.iter().map(|&c| &types[c]).collect();
    let same = |a: &Type, b: &Type| match a.elem == b.elem {
        true => Ok(a.elem),
        false => Err(format!("{a} does not meet {b}")),
    };
    let floats = |x: &Type| match x.elem {
        Elem::F32 => Ok(x.clone()),
        _ => Err(format!("expected f32 and not {x}")),
    };
    let last = |x: &Type| {
        let mut shape = x.shape.clone();
        *shape.last_mut().ok_or("no lanes")? = 1;
        Ok::<_, String>(shape)
    };
    let count = |operand: usize| match terms.get(children[operand]).0 {
        Head::Count(n) => Some(*n),
        _ => None,
    };
    match (&name[..], &operands[..]) {
        ("add" | "sub" | "mul" | "div" | "max" | "min", [a, b]) => {
            made(broadcast(&a.shape, &b.shape)?, same(a, b)?)
        }
        ("neg" | "exp" | "tanh" | "erf" | "sqrt" | "rsqrt" | "recip", [x])
        | ("gelu-erf" | "gelu-tanh" | "gelu-sigmoid" | "softmax", [x])
        | ("layer-norm", [x, _, _, _]) => floats(x),
        ("sum-last" | "max-last", [x]) => made(last(x)?, x.elem),
        ("mean" | "variance", [x]) => made(last(x)?, floats(x)?.elem),
        ("lane-sum", [x]) => made(last(x)?, accumulated(x, x)?),
        ("bounded", [x, e]) if e.elements() == 1 && e.elem == Elem::F32 => floats(x),
        ("moment", [x, e, _]) if e.elements() == 1 && matches!(count(2), Some(1 | 2)) => {
            made(last(x)?, floats(x)?.elem)
        }
        ("max-rows", [x]) => match x.shape[..] {
            [.., _, lanes] => {
                let mut shape = x.lead(2).to_vec();
                shape.extend([1, lanes]);
                made(shape, x.elem)
            }
            _ => Err(format!("{x} has no rows")),
        },
        ("quantize", [x, r, o]) => {
            let wide = broadcast(&x.shape, &broadcast(&r.shape, &o.shape)?)?;
            match wide == x.shape && same(x, r)? == Elem::F32 && same(r, o)? == Elem::F32 {
                true => made(wide, Elem::I8),
                false => Err(format!("{x} is not quantised by {r} and {o}")),
            }
        }
        ("dequantize", [q, s]) if matches!(q.elem, Elem::I8 | Elem::I32) => {
            made(broadcast(&q.shape, &s.shape)?, floats(s)?.elem)
        }
        ("cast-f16", [x]) => made(x.shape.clone(), Elem::F16),
        ("cast-f32", [x]) => made(x.shape.clone(), Elem::F32),
        ("t", [x]) => made(swapped(x)?, x.elem),
        ("heads", [x, _]) => match (count(1), &x.shape[..]) {
            (Some(heads), &[lanes]) if heads > 0 && lanes % heads == 0 => {
                made(vec![heads, 1, lanes / heads], x.elem)
            }
            (Some(heads), &[rows, lanes]) if heads > 0 && lanes % heads == 0 => {
                made(vec![heads, rows, lanes / heads], x.elem)
            }
            _ => Err(format!("{x} does not divide into so many heads")),
        },
        ("merge", [x]) => match x.shape[..] {
            [heads, rows, lanes] => made(vec![rows, heads * lanes], x.elem),
            _ => Err(format!("{x} has no heads")),
        },
        ("split", [x, _]) => match (count(1), &x.shape[..]) {
            (Some(parts), [lead @ .., lanes]) if parts > 0 && lanes % parts == 0 => {
                made([lead, &[parts, lanes / parts]].concat(), x.elem)
            }
            _ => Err(format!("{x} does not divide into so many parts")),
        },
        ("join", [x]) => match &x.shape[..] {
            [lead @ .., parts, lanes] => made([lead, &[parts * lanes]].concat(), x.elem),
            _ => Err(format!("{x} has no parts")),
        },
        ("swap", [x]) => match x.shape[..] {
            [a, b, c] => made(vec![b, a, c], x.elem),
            _ => Err(format!("{x} has not three dimensions")),
        },
        ("lanes", [x, _, _]) => match (count(1), count(2), &x.shape[..]) {
            (Some(start), Some(n), [lead @ .., lanes])
                if n > 0 && n <= lanes.saturating_sub(start) =>
            {
                made([lead, &[n]].concat(), x.elem)
            }
            _ => Err(format!("{x} has no such lanes")),
        },
        ("matmul", [a, b]) => product(a, b, &swapped(b)?),
        ("pass", [x, w]) => product(x, w, &w.shape),
        _ => Err(format!(
            "the checker knows no operation {name:?} on {} operands of such types",
            operands.len()
        )),
    }
}

fn swapped(x: &Type) -> Result<Vec<usize>, String> {
    match x.shape[..] {
        [.., rows, lanes] => {
            let mut shape = x.lead(2).to_vec();
            shape.extend([lanes, rows]);
            Ok(shape)
        }
        _ => Err(format!("{x} has no rows")),
    }
}

fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let (long, short) = if a.len() < b.len() { (b, a) } else { (a, b) };
    let mut shape = long.to_vec();
    for (x, &y) in shape.iter_mut().rev().zip(short.iter().rev()) {
        match (*x, y) {
            (same, other) if same == other || other == 1 => {}
            (1, wide) => *x = wide,
            _ => return Err(format!("{a:?} does not meet {b:?}")),
        }
    }
    Ok(shape)
}

/// What products of these elements are summed in.
fn accumulated(a: &Type, b: &Type) -> Result<Elem, String> {
    match (a.elem, b.elem) {
        (Elem::I8, Elem::I8) => Ok(Elem::I32),
        (Elem::F16, Elem::F16) | (Elem::F32, Elem::F32) => Ok(Elem::F32),
        _ => Err(format!("no products of {a} and {b}")),
    }
}

/// Rows of `a` by the rows of `w`, whose shape is given.
fn product(a: &Type, w: &Type, shape: &[usize]) -> Result<Type, String> {
    match (&a.shape[..], shape) {
        ([batch @ .., m, k], [batches @ .., n, k2]) if k == k2 => {
            let mut shape = broadcast(batch, batches)?;
            shape.extend([*m, *n]);
            Type::new(Kind::Tensor, shape, accumulated(a, w)?)
        }
        _ => Err(format!("{a} does not multiply {w}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(text: &str) -> Leaf {
        let (role, ty) = text.split_once(' ').unwrap();
        let (elem, shape) = ty.split_once(' ').unwrap();
        Leaf {
            elem: elem.to_string(),
            shape: shape.split('x').map(|d| d.parse().unwrap()).collect(),
            role: role.to_string(),
            non_negative: false,
        }
    }

    fn table(leaves: &[&str], lines: &[&str]) -> (Vec<Leaf>, Terms) {
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        let leaves = leaves.iter().map(|l| leaf(l)).collect();
        (leaves, Terms::read(&lines).unwrap())
    }

    /// The type of the last term.
    fn ty(leaves: &[&str], lines: &[&str]) -> Result<String, String> {
        let (leaves, terms) = table(leaves, lines);
        let known = Knowledge::new(&terms, &leaves)?;
        Ok(known.types[terms.len() - 1].to_string())
    }

    #[test]
    fn types() {
        let x = "computed f32 4x6";
        for (leaves, lines, want) in [
            (
                &[x, "computed f32 6"][..],
                &["v0", "v1", "add 0 1"][..],
                "4x6xf32",
            ),
            (&[x], &["v0", "sum-last 0"], "4x1xf32"),
            (&[x], &["v0", "max-rows 0"], "1x6xf32"),
            (&[x], &["v0", "3", "heads 0 1"], "3x4x2xf32"),
            (&[x], &["v0", "3", "split 0 1"], "4x3x2xf32"),
            (&[x], &["v0", "3", "split 0 1", "swap 2"], "3x4x2xf32"),
            (&[x], &["v0", "3", "split 0 1", "join 2"], "4x6xf32"),
            (&[x], &["v0", "3", "heads 0 1", "merge 2"], "4x6xf32"),
            (&[x], &["v0", "3", "2", "lanes 0 1 2"], "4x2xf32"),
            (&[x], &["v0", "t 0"], "6x4xf32"),
            (&[x], &["v0", "127.0", "0.0", "quantize 0 1 2"], "4x6xi8"),
            (&["computed i8 4x6"], &["v0", "lane-sum 0"], "4x1xi32"),
            (&["computed i8 4x6"], &["v0", "pass 0 0"], "4x4xi32"),
            (
                &["computed f16 4x6"],
                &["v0", "t 0", "matmul 0 1"],
                "4x4xf32",
            ),
            (
                &["computed i32 4x6"],
                &["v0", "0.5", "dequantize 0 1"],
                "4x6xf32",
            ),
        ] {
            let want = format!("tensor<{want}>");
            assert_eq!(ty(leaves, lines), Ok(want), "{lines:?}");
        }
    }

    #[test]
    fn what_has_no_type() {
        let (x, q) = ("computed f32 4x6", "computed i8 4x6");
        for (leaves, lines, why) in [
            (&[x, q][..], &["v0", "v1", "add 0 1"][..], "does not meet"),
            (
                &[x, "computed f32 4"],
                &["v0", "v1", "add 0 1"],
                "does not meet",
            ),
            (&[q], &["v0", "exp 0"], "expected f32"),
            (&[x], &["v0", "4", "heads 0 1"], "so many heads"),
            (&[x], &["v0", "0", "split 0 1"], "so many parts"),
            (&[x], &["v0", "swap 0"], "three dimensions"),
            (&[x], &["v0", "merge 0"], "no heads"),
            (&[x], &["v0", "4", "3", "lanes 0 1 2"], "no such lanes"),
            (&["computed f32 6"], &["v0", "join 0"], "no parts"),
            (&["computed f32 6"], &["v0", "t 0"], "no rows"),
            (&["computed f32 6"], &["v0", "max-rows 0"], "no rows"),
            (&[x], &["v0", "matmul 0 0"], "does not multiply"),
            (&[x, q], &["v0", "v1", "pass 0 1"], "no products"),
            (&[x], &["v0", "0.5", "dequantize 0 1"], "knows no operation"),
            (&[x], &["v0", "quantize 0 0"], "knows no operation"),
            (&[x], &["v0", "conjure 0"], "knows no operation"),
            (&[x], &["v0", "1.0 0"], "should have no operands"),
            (&[x], &["v0", "v1"], "not in the table"),
            (
                &[x, "computed f32 2x4x6"],
                &["v0", "v1", "quantize 0 1 0"],
                "is not quantised",
            ),
        ] {
            let refusal = ty(leaves, lines).unwrap_err();
            assert!(refusal.contains(why), "{lines:?}: {refusal}");
        }
    }

    #[test]
    fn facts_follow_from_what_is_proved() {
        let leaves = ["computed f32 4x6", "constant f32 4x6", "computed f32 4x6"];
        let lines = ["v0", "v1", "v2", "exp 2", "mul 0 1", "mul 4 2", "neg 0"];
        let (leaves, terms) = table(&leaves, &lines);
        let mut known = Knowledge::new(&terms, &leaves).unwrap();
        let mut holds = |what: &str, id| known.holds(what, &[id]).unwrap();
        assert!(holds("non-negative", 3) && holds("constant", 1) && holds("computed", 4));
        for id in [0, 1, 4, 6] {
            assert!(!holds("non-negative", id), "term {id}");
        }
        // v0 = exp v2 says something of v0 · v1 only when the sign of v1 is known too.
        known.unite(0, 3).unwrap();
        assert!(known.holds("non-negative", &[0]).unwrap());
        assert!(!known.holds("non-negative", &[4]).unwrap());
        known.unite(1, 3).unwrap();
        assert!(known.holds("non-negative", &[4]).unwrap());
        assert!(known.holds("constant", &[4]).unwrap());
        assert!(!known.holds("non-negative", &[5]).unwrap());
        assert!(!known.holds("non-negative", &[6]).unwrap());
    }

    #[test]
    fn terms_of_different_types_are_not_equal() {
        let (leaves, terms) = table(&["computed f32 4x6"], &["v0", "t 0"]);
        let mut known = Knowledge::new(&terms, &leaves).unwrap();
        let refusal = known.unite(0, 1).unwrap_err();
        assert_eq!(refusal, "a tensor<4x6xf32> cannot equal a tensor<6x4xf32>");
    }

    #[test]
    fn unknown_conditions_are_refused() {
        let (leaves, terms) = table(&["computed f32 4x6"], &["v0"]);
        let mut known = Knowledge::new(&terms, &leaves).unwrap();
        let refusal = known.holds("pretty", &[0]).unwrap_err();
        assert_eq!(
            refusal,
            "the checker knows no condition \"pretty\" on 1 terms"
        );
    }
}
