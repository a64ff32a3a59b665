//! The checker of proofs on single steps: it accepts every case of every rule, and refuses what conditions refuse.

use tspc_passes::egraph::facts::{LeafFacts, Role};
use tspc_passes::egraph::proof::check::{Refusal, Replayed, check};
use tspc_passes::egraph::proof::term::{Bindings, Pattern, TermId, Terms};
use tspc_passes::egraph::proof::{
    FORMAT, Leaf, Lemma, Link, Proof, Region, Root, VERSION, rules_hash,
};
use tspc_passes::egraph::rules::{Right, Rule};

use crate::cases::CASES;
use crate::refusals::REFUSALS;
use crate::terms::leaves;
use crate::{rule, term};

fn leaf((facts, _): &(LeafFacts, f32)) -> Leaf {
    Leaf {
        elem: facts.ty.elem.name().to_string(),
        shape: facts.ty.shape.clone(),
        role: match facts.role {
            Role::Constant => "constant",
            Role::Input => "input",
            Role::Computed => "computed",
        }
        .to_string(),
        non_negative: facts.non_negative,
    }
}

fn instance(terms: &mut Terms, pattern: &Pattern, bindings: &Bindings) -> TermId {
    match pattern {
        Pattern::Variable(name) => bindings[name],
        Pattern::Node(head, children) => {
            let children = children.iter().map(|c| instance(terms, c, bindings));
            let children = children.collect();
            terms.add(head.clone(), children)
        }
    }
}

fn right(rule: &Rule) -> &'static str {
    match rule.right {
        Right::Pattern(pattern)
        | Right::Computed { pattern, .. }
        | Right::Width { pattern, .. }
        | Right::Heads { pattern, .. } => pattern,
    }
}

fn parse(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

/// A term that a rule should match, and what variables stand for.
fn matched(name: &str, left: &str) -> (Terms, TermId, Bindings) {
    let (mut terms, mut bindings) = (Terms::default(), Bindings::new());
    let from = instance(&mut terms, &parse(&term(left).to_string()), &bindings);
    let matches = parse(rule(name).left).matches(&terms, from, &mut bindings);
    assert!(matches, "{name}: {left}");
    (terms, from, bindings)
}

/// Checks lemmas of one link each.
fn checked(with: &str, terms: &Terms, steps: &[(TermId, Link)]) -> Result<Vec<Replayed>, Refusal> {
    let lemma = |(from, link): &(TermId, Link)| Lemma {
        from: *from,
        links: vec![link.clone()],
    };
    let root = |(i, (from, link)): (usize, &(TermId, Link))| Root {
        input: *from,
        extracted: link.to(),
        lemma: Some(i),
    };
    check(&Proof {
        format: FORMAT.to_string(),
        version: VERSION,
        rules: rules_hash(),
        module: String::new(),
        regions: vec![Region {
            leaves: leaves(with).iter().map(leaf).collect(),
            terms: terms.lines(),
            lemmas: steps.iter().map(lemma).collect(),
            roots: steps.iter().enumerate().map(root).collect(),
        }],
    })
}

/// What a rule computes stands for this variable.
fn computed(rule: &Rule) -> &'static str {
    match rule.right {
        Right::Heads { .. } => "?n",
        _ => "?k",
    }
}

/// A rule from this term to its right side, where `?k` or `?n` is the number given, and back.
fn step(name: &str, with: &str, left: &str, k: Option<&str>) -> Result<Vec<Replayed>, Refusal> {
    let (mut terms, from, mut bindings) = matched(name, left);
    if let Some(k) = k {
        let k = instance(&mut terms, &parse(k), &bindings);
        bindings.insert(computed(rule(name)).to_string(), k);
    }
    let to = instance(&mut terms, &parse(right(rule(name))), &bindings);
    let rule = name.to_string();
    let back = Link::Backward {
        rule: rule.clone(),
        to: from,
    };
    checked(
        with,
        &terms,
        &[(from, Link::Forward { rule, to }), (to, back)],
    )
}

/// The number that a case computes: the only one on its right side that makes the step hold.
fn numbers(rule: &Rule, text: &str) -> Vec<Option<String>> {
    if matches!(rule.right, Right::Pattern(_)) {
        return vec![None];
    }
    let term = term(text).to_string();
    let words = term.split(['(', ')', ' ']);
    let counts = computed(rule) == "?n";
    let number = |w: &&str| w.parse::<f32>().is_ok() && w.contains(['.', 'e']) != counts;
    words.filter(number).map(|w| Some(w.to_string())).collect()
}

#[test]
fn the_checker_accepts_every_case() {
    for case in CASES {
        let tried = numbers(rule(case.rule), case.right)
            .iter()
            .map(|k| step(case.rule, case.leaves, case.left, k.as_deref()))
            .collect::<Vec<_>>();
        let held = tried.iter().flatten().next();
        let Some(replayed) = held else {
            panic!("{}: {}: {tried:?}", case.rule, case.left)
        };
        assert_eq!(replayed[0].rules[case.rule], 2);
        assert_eq!(replayed[0].classes, [rule(case.rule).class]);
    }
}

#[test]
fn the_checker_refuses_what_conditions_refuse() {
    for refusal in REFUSALS {
        // Conditions come first: where they do not hold, the right side may have no type.
        let (terms, from, _) = matched(refusal.rule, refusal.term);
        let link = Link::Forward {
            rule: refusal.rule.to_string(),
            to: from,
        };
        let refused = checked(refusal.leaves, &terms, &[(from, link)]).unwrap_err();
        let why = match refusal.condition {
            "number" => "it does not apply to these numbers".to_string(),
            condition => format!("`{condition}` does not hold of ?"),
        };
        assert!(refused.reason.contains(&why), "{}: {refused}", refusal.rule);
        let place = format!("region 0, lemma 0, link 0 ({})", refusal.rule);
        assert_eq!(refused.place, place);
    }
}

#[test]
fn another_number_is_refused() {
    let of = |k| step("div-by-number", "f32 4x6", "(div v0 4.0)", Some(k));
    assert!(of("0.25").is_ok());
    let refused = of("0.5").unwrap_err();
    assert_eq!(refused.reason, "it computes 0.25, which is no term here");
    let refused = step(
        "mul-numbers",
        "f32 4x6",
        "(mul (mul v0 3.0) 2.0)",
        Some("3.0"),
    );
    assert_eq!(
        refused.unwrap_err().reason,
        "it computes 6.0, which is no term here"
    );
    let refused = step(
        "mul-numbers",
        "f32 4x6",
        "(mul (mul v0 1.0) 2.0)",
        Some("1.0"),
    );
    assert_eq!(
        refused.unwrap_err().reason,
        "its right side is not (mul v0 1.0)"
    );
}
