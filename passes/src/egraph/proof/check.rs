//! The checker of proofs: replays every link, with conditions and numbers computed anew.
//!
//! It trusts the text of the rules, the arithmetic of their computed numbers, and that the terms given are those of
//! the module. It uses nothing of egg: not its terms, its patterns, its matching or its facts.

use std::collections::BTreeMap;
use std::fmt;

use tspc_ir::Module;

use super::facts::Knowledge;
use super::given;
use super::term::{Bindings, Head, Pattern, TermId, Terms};
use super::{Link, Proof, Region, module_hash, rules_hash};
use crate::egraph::parts;
use crate::egraph::rules::{Class, Right, Rule, all};

/// Why a proof is refused, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Such as `region 1, lemma 3, link 0`; empty if it is about the whole.
    pub place: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.is_empty() {
            true => f.write_str(&self.reason),
            false => write!(f, "{}: {}", self.place, self.reason),
        }
    }
}

impl From<String> for Refusal {
    fn from(reason: String) -> Refusal {
        let place = String::new();
        Refusal { place, reason }
    }
}

/// Puts a place in front of that of a refusal.
fn at(place: impl fmt::Display) -> impl Fn(Refusal) -> Refusal {
    move |Refusal {
              place: rest,
              reason,
          }| Refusal {
        place: match rest.is_empty() {
            true => place.to_string(),
            false => format!("{place}, {rest}"),
        },
        reason,
    }
}

/// What was replayed in a region.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replayed {
    /// Terms in the table.
    pub terms: usize,
    /// Lemmas.
    pub lemmas: usize,
    /// Links inside terms.
    pub inside: usize,
    /// How often each rule was used.
    pub rules: BTreeMap<&'static str, usize>,
    /// The classes of those rules: what the proof allows to change.
    pub classes: Vec<Class>,
}

struct Parsed {
    rule: &'static Rule,
    left: Pattern,
    right: Pattern,
}

/// Checks a proof of this module, which holds if every region of the module is proved in it.
pub fn check_against(proof: &Proof, module: &Module) -> Result<Vec<Replayed>, Refusal> {
    let hash = module_hash(module);
    if proof.module != hash {
        let why = format!(
            "the proof is of another module: {}, not {hash}",
            proof.module
        );
        return Err(why.into());
    }
    let replayed = check(proof)?;
    for (i, part) in parts(module).map_err(|d| d.message)?.iter().enumerate() {
        let encoded = &part.encoded;
        let leaves = given::leaves(encoded);
        let proved = |region: &&Region| {
            let Ok(mut terms) = Terms::read(&region.terms) else {
                return false;
            };
            let ids = given::insert(&mut terms, encoded);
            let roots = encoded.roots.iter().map(|(_, id)| ids[usize::from(*id)]);
            region.leaves == leaves && region.roots.iter().map(|r| r.input).eq(roots)
        };
        if !proof.regions.iter().any(|r| proved(&r)) {
            let why = "no region of the proof has its leaves and its term";
            return Err(at(format!("region {i} of the module"))(Refusal::from(
                why.to_string(),
            )));
        }
    }
    Ok(replayed)
}

/// Checks a proof by itself: that terms are equal under the leaf tables that it gives.
pub fn check(proof: &Proof) -> Result<Vec<Replayed>, Refusal> {
    let hash = rules_hash();
    if proof.rules != hash {
        let why = format!(
            "the proof is by another rule table: {}, not {hash}",
            proof.rules
        );
        return Err(why.into());
    }
    let rules = parsed()?;
    let regions = proof.regions.iter().enumerate();
    regions
        .map(|(i, region)| replay(region, &rules).map_err(at(format!("region {i}"))))
        .collect()
}

fn parsed() -> Result<BTreeMap<&'static str, Parsed>, Refusal> {
    let parse = |rule: &'static Rule| {
        let right = match rule.right {
            Right::Pattern(pattern)
            | Right::Computed { pattern, .. }
            | Right::Width { pattern, .. }
            | Right::Heads { pattern, .. } => pattern,
        };
        let parsed = Parsed {
            rule,
            left: Pattern::parse(rule.left)?,
            right: Pattern::parse(right)?,
        };
        Ok((rule.name, parsed))
    };
    let all: Result<_, String> = all().map(parse).collect();
    Ok(all?)
}

fn replay(region: &Region, rules: &BTreeMap<&'static str, Parsed>) -> Result<Replayed, Refusal> {
    let terms = Terms::read(&region.terms)?;
    let roles = ["constant", "input", "computed"];
    if let Some(leaf) = region.leaves.iter().find(|l| !roles.contains(&&l.role[..])) {
        return Err(format!(
            "no role {:?}; expected one of {}",
            leaf.role,
            roles.join(", ")
        )
        .into());
    }
    let mut replay = Replay {
        terms: &terms,
        known: Knowledge::new(&terms, &region.leaves)?,
        rules,
        proved: Vec::new(),
        inside: 0,
        used: BTreeMap::new(),
    };
    for (i, lemma) in region.lemmas.iter().enumerate() {
        let mut now = replay.term(lemma.from).map_err(at(format!("lemma {i}")))?;
        for (j, link) in lemma.links.iter().enumerate() {
            let place = || match link {
                Link::Forward { rule, .. } => format!("lemma {i}, link {j} ({rule})"),
                Link::Backward { rule, .. } => format!("lemma {i}, link {j} ({rule} backward)"),
                Link::Inside { .. } => format!("lemma {i}, link {j} (inside)"),
            };
            now = replay.link(now, link).map_err(|r| at(place())(r))?;
        }
        replay.proved.push((lemma.from, now));
    }
    for (i, root) in region.roots.iter().enumerate() {
        let wanted = (root.input, root.extracted);
        let have = match root.lemma {
            None => (
                replay.term(root.input).map_err(at(format!("root {i}")))?,
                root.input,
            ),
            Some(lemma) => replay.lemma(lemma).map_err(at(format!("root {i}")))?,
        };
        if have != wanted {
            let why = "what is proved is not that the model's term equals the extracted one";
            return Err(at(format!("root {i}"))(Refusal::from(why.to_string())));
        }
    }
    let mut classes: Vec<Class> = replay.used.keys().map(|n| rules[n].rule.class).collect();
    classes.sort();
    classes.dedup();
    Ok(Replayed {
        terms: terms.len(),
        lemmas: region.lemmas.len(),
        inside: replay.inside,
        rules: replay.used,
        classes,
    })
}

struct Replay<'a> {
    terms: &'a Terms,
    known: Knowledge<'a>,
    rules: &'a BTreeMap<&'static str, Parsed>,
    proved: Vec<(TermId, TermId)>,
    inside: usize,
    used: BTreeMap<&'static str, usize>,
}

impl Replay<'_> {
    fn term(&self, id: usize) -> Result<TermId, Refusal> {
        match id < self.terms.len() {
            true => Ok(id),
            false => Err(format!("there is no term {id}").into()),
        }
    }

    fn lemma(&self, number: usize) -> Result<(TermId, TermId), Refusal> {
        let proved = self.proved.get(number).copied();
        proved.ok_or_else(|| format!("lemma {number} is not proved yet").into())
    }

    /// From a term to the next.
    fn link(&mut self, from: TermId, link: &Link) -> Result<TermId, Refusal> {
        let to = self.term(link.to())?;
        match link {
            Link::Forward { rule, .. } => self.rule(rule, from, to)?,
            Link::Backward { rule, .. } => self.rule(rule, to, from)?,
            Link::Inside { lemmas, .. } => self.inside(lemmas, from, to)?,
        }
        self.known.unite(from, to)?;
        Ok(to)
    }

    /// That the rule takes the left term to the right one.
    fn rule(&mut self, name: &str, left: TermId, right: TermId) -> Result<(), Refusal> {
        let parsed = self
            .rules
            .get(name)
            .ok_or_else(|| format!("there is no rule {name}"))?;
        let rule = parsed.rule;
        let mut bindings = Bindings::new();
        if !parsed.left.matches(self.terms, left, &mut bindings) {
            let shown = self.terms.show(left);
            return Err(format!("its left side {} does not match {shown}", rule.left).into());
        }
        for condition in rule.when {
            let on = bound(&bindings, condition.on)?;
            if !self.known.holds(condition.name, &on)? {
                let shown: Vec<String> = on.iter().map(|&id| self.terms.show(id)).collect();
                let (name, on) = (condition.name, condition.on.join(", "));
                return Err(format!("`{name}` does not hold of {on}: {}", shown.join(", ")).into());
            }
        }
        if let Some((name, number)) = self.number(rule, &bindings)? {
            let missing = || format!("it computes {number}, which is no term here");
            let id = self.terms.number(&number).ok_or_else(missing)?;
            bindings.insert(name.to_string(), id);
        }
        let variables = bindings.len();
        let equal = parsed.right.matches(self.terms, right, &mut bindings);
        if !equal || bindings.len() != variables {
            let shown = self.terms.show(right);
            return Err(format!("its right side is not {shown}").into());
        }
        *self.used.entry(rule.name).or_default() += 1;
        Ok(())
    }

    /// The number that stands for `?k` or `?n`.
    fn number(
        &mut self,
        rule: &Rule,
        bindings: &Bindings,
    ) -> Result<Option<(&'static str, Head)>, Refusal> {
        let scalar = |x: f32| ("?k", Head::Scalar(x.to_bits()));
        match rule.right {
            Right::Pattern(_) => Ok(None),
            Right::Computed { of, number, .. } => {
                let on = bound(bindings, of)?;
                let numbers: Option<Vec<f32>> =
                    on.iter().map(|&id| self.known.number(id)).collect();
                let numbers = numbers.ok_or_else(|| format!("{} are no numbers", of.join(", ")))?;
                let computed = number(&numbers).ok_or("it does not apply to these numbers");
                Ok(Some(scalar(computed.map_err(str::to_string)?)))
            }
            Right::Width { of, number, .. } => {
                let on = bound(bindings, &[of])?;
                Ok(on
                    .first()
                    .map(|&x| scalar(number(self.known.width(x) as f32))))
            }
            Right::Heads { of, .. } => {
                let on = bound(bindings, &[of])?;
                let heads = on.first().and_then(|&x| self.known.heads(x));
                Ok(heads.map(|n| ("?n", Head::Count(n))))
            }
        }
    }

    /// That the terms differ in operands only, and that lemmas take these from one to the other.
    fn inside(
        &mut self,
        lemmas: &[Option<usize>],
        from: TermId,
        to: TermId,
    ) -> Result<(), Refusal> {
        let ((head, before), (other, after)) = (self.terms.get(from), self.terms.get(to));
        if head != other || before.len() != after.len() || before.len() != lemmas.len() {
            let (from, to) = (self.terms.show(from), self.terms.show(to));
            return Err(format!("{from} and {to} do not differ in operands only").into());
        }
        for (i, lemma) in lemmas.iter().enumerate() {
            let wanted = (before[i], after[i]);
            let have = match lemma {
                Some(lemma) => self.lemma(*lemma)?,
                None => (before[i], before[i]),
            };
            if have != wanted {
                let (from, to) = (self.terms.show(wanted.0), self.terms.show(wanted.1));
                return Err(format!("nothing takes operand {i} from {from} to {to}").into());
            }
        }
        self.inside += 1;
        Ok(())
    }
}

fn bound(bindings: &Bindings, on: &[&str]) -> Result<Vec<TermId>, String> {
    let of = |name: &&str| bindings.get(*name).copied();
    let missing = || format!("the left side does not name {}", on.join(", "));
    on.iter().map(of).collect::<Option<_>>().ok_or_else(missing)
}
