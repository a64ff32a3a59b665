//! Terms and patterns of the checker: each term once, so that equal terms have equal numbers.
//!
//! Holds nothing of egg: heads, texts and matching are written again here. What an operation means is in `facts`.

use std::collections::BTreeMap;
use std::fmt;

/// What stands at the top of a term.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Head {
    /// An fp32 number, by its bits.
    Scalar(u32),
    /// A count.
    Count(usize),
    /// A leaf, by its row in the table.
    Leaf(usize),
    /// An operation.
    Op(String),
}

impl Head {
    /// `1.5`, `12`, `v3` or the name of an operation.
    pub fn parse(text: &str) -> Result<Head, String> {
        let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
        if digits(text) {
            let count = text.parse().map_err(|_| format!("{text} is too large"))?;
            return Ok(Head::Count(count));
        }
        if let Some(row) = text.strip_prefix('v').filter(|t| digits(t)) {
            let row = row.parse().map_err(|_| format!("{text} is too large"))?;
            return Ok(Head::Leaf(row));
        }
        if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            let number: f32 = text.parse().map_err(|_| format!("{text} is no number"))?;
            return Ok(Head::Scalar(number.to_bits()));
        }
        let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        match !text.is_empty() && text.chars().all(name) {
            true => Ok(Head::Op(text.to_string())),
            false => Err(format!(
                "{text:?} is neither a number, a leaf nor an operation"
            )),
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Head::Scalar(bits) => write!(f, "{:?}", f32::from_bits(*bits)),
            Head::Count(n) => write!(f, "{n}"),
            Head::Leaf(row) => write!(f, "v{row}"),
            Head::Op(name) => f.write_str(name),
        }
    }
}

/// A term, by its number in the table.
pub type TermId = usize;

/// Terms, each once, operands first.
#[derive(Clone, Default, Debug)]
pub struct Terms {
    all: Vec<(Head, Vec<TermId>)>,
    known: BTreeMap<(Head, Vec<TermId>), TermId>,
}

impl Terms {
    /// The number of a term, which may be new. Its operands are in the table.
    pub fn add(&mut self, head: Head, children: Vec<TermId>) -> TermId {
        let key = (head, children);
        if let Some(&id) = self.known.get(&key) {
            return id;
        }
        self.all.push(key.clone());
        self.known.insert(key, self.all.len() - 1);
        self.all.len() - 1
    }

    /// The term of a number or count, if it occurs.
    pub fn number(&self, head: &Head) -> Option<TermId> {
        self.known.get(&(head.clone(), Vec::new())).copied()
    }

    /// Head and operands.
    pub fn get(&self, id: TermId) -> (&Head, &[TermId]) {
        let (head, children) = &self.all[id];
        (head, children)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Reads lines such as `mul 3 5`, whose operands are earlier lines. No term may be there twice.
    pub fn read(lines: &[String]) -> Result<Terms, String> {
        let mut terms = Terms::default();
        for (i, line) in lines.iter().enumerate() {
            let mut words = line.split(' ');
            let refuse = |why: String| format!("term {i}, {line:?}: {why}");
            let head = Head::parse(words.next().unwrap_or_default()).map_err(refuse)?;
            let child = |word: &str| match word.parse::<TermId>() {
                Ok(id) if id < i => Ok(id),
                _ => Err(refuse(format!("{word:?} is no earlier term"))),
            };
            let children = words.map(child).collect::<Result<Vec<TermId>, String>>()?;
            let id = terms.add(head, children);
            if id != i {
                return Err(refuse(format!("it is term {id} already")));
            }
        }
        Ok(terms)
    }

    /// The lines that `read` reads.
    pub fn lines(&self) -> Vec<String> {
        let line = |(head, children): &(Head, Vec<TermId>)| {
            let children = children.iter().map(|c| format!(" {c}"));
            format!("{head}{}", children.collect::<String>())
        };
        self.all.iter().map(line).collect()
    }

    /// As text for messages, `…` below a few levels.
    pub fn show(&self, id: TermId) -> String {
        self.shown(id, 3)
    }

    fn shown(&self, id: TermId, levels: usize) -> String {
        let (head, children) = self.get(id);
        if children.is_empty() {
            return head.to_string();
        }
        if levels == 0 {
            return "…".to_string();
        }
        let children = children
            .iter()
            .map(|&c| format!(" {}", self.shown(c, levels - 1)));
        format!("({head}{})", children.collect::<String>())
    }
}

/// A side of a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pattern {
    /// Any term, the same one wherever the name is.
    Variable(String),
    /// A term with this head.
    Node(Head, Vec<Pattern>),
}

/// What variables stand for.
pub type Bindings = BTreeMap<String, TermId>;

impl Pattern {
    /// Reads `(mul ?x (add ?y 1.0))`.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let spaced = text.replace('(', " ( ").replace(')', " ) ");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let mut rest = &words[..];
        let pattern = Pattern::words(&mut rest)?;
        match rest {
            [] => Ok(pattern),
            [word, ..] => Err(format!("{word:?} after the end of {text:?}")),
        }
    }

    fn words(rest: &mut &[&str]) -> Result<Pattern, String> {
        let Some((&first, after)) = rest.split_first() else {
            return Err("a pattern ends too early".into());
        };
        *rest = after;
        if first.starts_with('?') {
            return Ok(Pattern::Variable(first.to_string()));
        }
        if first != "(" {
            return Ok(Pattern::Node(Head::parse(first)?, Vec::new()));
        }
        let Some((&name, after)) = rest.split_first() else {
            return Err("a parenthesis is not closed".into());
        };
        *rest = after;
        let head = Head::parse(name)?;
        let mut children = Vec::new();
        loop {
            match rest.split_first() {
                None => return Err("a parenthesis is not closed".into()),
                Some((&")", after)) => {
                    *rest = after;
                    return Ok(Pattern::Node(head, children));
                }
                Some(_) => children.push(Pattern::words(rest)?),
            }
        }
    }

    /// Whether the term is of this form; what its variables stand for is added.
    pub fn matches(&self, terms: &Terms, id: TermId, bindings: &mut Bindings) -> bool {
        match self {
            Pattern::Variable(name) => *bindings.entry(name.clone()).or_insert(id) == id,
            Pattern::Node(head, patterns) => {
                let (have, children) = terms.get(id);
                have == head
                    && children.len() == patterns.len()
                    && patterns
                        .iter()
                        .zip(children)
                        .all(|(p, &c)| p.matches(terms, c, bindings))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(lines: &[&str]) -> Result<Terms, String> {
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        Terms::read(&lines)
    }

    #[test]
    fn tables_read_back() {
        let lines = [
            "v0",
            "-0.5",
            "1e-12",
            "12",
            "mul 0 1",
            "heads 4 3",
            "add 4 2",
        ];
        let read = terms(&lines).unwrap();
        assert_eq!(read.lines(), lines);
        assert_eq!(read.show(6), "(add (mul v0 -0.5) 1e-12)");
        assert_eq!(read.number(&Head::Scalar((-0.5f32).to_bits())), Some(1));
        assert_eq!(read.number(&Head::Scalar(0.5f32.to_bits())), None);
    }

    #[test]
    fn broken_tables_are_refused() {
        for (lines, why) in [
            (
                &["neg 0"][..],
                "term 0, \"neg 0\": \"0\" is no earlier term",
            ),
            (&["v0", "neg x"], "\"x\" is no earlier term"),
            (&["v0", "neg 0", "neg 0"], "it is term 1 already"),
            (&["Neg"], "neither a number"),
            (&[""], "neither a number"),
            (&["1.5x"], "1.5x is no number"),
            (&["v99999999999999999999"], "too large"),
        ] {
            let refusal = terms(lines).unwrap_err();
            assert!(refusal.contains(why), "{refusal}");
        }
    }

    #[test]
    fn patterns_match_equal_terms_only() {
        let terms = terms(&["v0", "v1", "mul 0 0", "mul 0 1", "0.5", "mul 2 4"]).unwrap();
        let found = |pattern: &str, id| {
            let mut bindings = Bindings::new();
            let pattern = Pattern::parse(pattern).unwrap();
            pattern
                .matches(&terms, id, &mut bindings)
                .then_some(bindings)
        };
        let square = "(mul ?x ?x)";
        assert_eq!(found(square, 2), Some([("?x".to_string(), 0)].into()));
        assert_eq!(found(square, 3), None);
        assert_eq!(
            found("(mul ?x 0.5)", 5),
            Some([("?x".to_string(), 2)].into())
        );
        assert_eq!(found("(mul ?x 0.25)", 5), None);
        assert_eq!(found("(mul ?x)", 5), None);
        assert_eq!(found("(add ?x 0.5)", 5), None);
    }

    #[test]
    fn broken_patterns_are_refused() {
        for (text, why) in [
            ("", "ends too early"),
            ("(mul ?x", "not closed"),
            ("(", "not closed"),
            ("?x ?y", "after the end"),
            ("(MUL ?x)", "neither a number"),
        ] {
            let refusal = Pattern::parse(text).unwrap_err();
            assert!(refusal.contains(why), "{text}: {refusal}");
        }
    }
}
