//! Proofs of what the e-graph does with encoders: they hold, and each kind of tampering is refused with its place.

mod encoder;

use encoder::*;
use tspc_frontend_bert::Model;
use tspc_ir::Module;
use tspc_machine::Machine;
use tspc_passes::egraph::proof::check::{Refusal, Replayed, check, check_against};
use tspc_passes::egraph::proof::produce::prove;
use tspc_passes::egraph::proof::{Link, Proof, Region, VERSION};
use tspc_passes::egraph::saturate::Settings;

const FORMS: [&str; 3] = [
    "canonicalise,quantise",
    "canonicalise,quantise{precision=int8,attention=fp16}",
    "canonicalise,quantise{precision=fp16}",
];

fn module(layers: usize, pipeline: &str) -> Module {
    let spec = format!("L={layers},H=32,heads=2,ffn=64,vocab=40,max_positions=32");
    let model = Model::open(&spec, 1).unwrap();
    let text = |i: u32| (0..i).map(|j| (3 * i + 7 * j) % 40).collect();
    let texts: Vec<Vec<u32>> = (1..8).map(text).collect();
    let ranges = calibrated(&model, &texts);
    quantised(&model, 8, Some(&ranges), pipeline)
}

fn proof(module: &Module) -> Proof {
    prove(module, &Machine::tsp_v1(), &Settings::default()).unwrap_or_else(|d| panic!("{d}"))
}

#[test]
fn all_regions_of_encoders_are_proved() {
    for pipeline in FORMS {
        let module = module(2, pipeline);
        let proof = proof(&module);
        let replayed = check_against(&proof, &module).unwrap_or_else(|r| panic!("{pipeline}: {r}"));
        assert_eq!(replayed.len(), 3, "{pipeline}");
        let uses = |r: &Replayed, rule: &str| r.rules.contains_key(rule);
        let [norm, attention, ffn] = &replayed[..] else {
            panic!("{pipeline}")
        };
        let (bytes, halves) = ("layer-norm-by-bytes", "layer-norm-by-passes");
        let (wanted, other) = match pipeline.contains("precision=fp16") {
            true => (halves, bytes),
            false => (bytes, halves),
        };
        let right = |r: &Replayed| uses(r, wanted) && !uses(r, other);
        assert!(replayed.iter().all(right), "{pipeline}");
        assert!(!uses(norm, "stream-left"), "{pipeline}");
        assert!(uses(attention, "stream-right"), "{pipeline}");
        assert!(uses(ffn, "gelu-erf-by-tanh"), "{pipeline}");
    }
}

/// What occurs often is proved once: a list of all single rewrites of the unfolded terms would be far longer.
#[test]
fn proofs_are_small_and_equal_layers_share_one() {
    let deep = module(3, FORMS[2]);
    let json = proof(&deep).to_json().unwrap();
    assert!(json.len() < 40_000, "{} bytes", json.len());
    let shallow = proof(&module(1, FORMS[2]));
    assert_eq!(proof(&deep).regions, shallow.regions);
}

#[test]
fn the_same_module_gives_the_same_proof() {
    let module = module(1, FORMS[0]);
    let first = proof(&module).to_json().unwrap();
    for _ in 1..20 {
        assert_eq!(proof(&module).to_json().unwrap(), first);
    }
}

#[test]
fn proofs_read_back() {
    let proof = proof(&module(1, FORMS[0]));
    assert_eq!(Proof::from_json(&proof.to_json().unwrap()), Ok(proof));
}

#[test]
fn fuel_bounds_what_is_proved() {
    // Where fuel ends every search, nothing but what was extracted is proved, and it needs fewer rules.
    let module = module(1, FORMS[2]);
    let settings = Settings {
        fuel: Some(1),
        ..Settings::default()
    };
    let refusal = prove(&module, &Machine::tsp_v1(), &settings).unwrap_err();
    assert!(
        refusal.message.contains("has no form on the chip"),
        "{refusal}"
    );
}

/// The first link of this kind: its lemma and its place there.
fn find(region: &Region, wanted: impl Fn(&Link) -> bool) -> (usize, usize) {
    let lemmas = region.lemmas.iter().enumerate();
    let found = lemmas.flat_map(|(i, l)| l.links.iter().position(&wanted).map(|j| (i, j)));
    found.into_iter().next().unwrap()
}

fn is_rule(link: &Link) -> bool {
    !matches!(link, Link::Inside { .. })
}

fn rule_of(link: &mut Link) -> &mut String {
    match link {
        Link::Forward { rule, .. } | Link::Backward { rule, .. } => rule,
        Link::Inside { .. } => panic!("no rule"),
    }
}

fn to_of(link: &mut Link) -> &mut usize {
    match link {
        Link::Forward { to, .. } | Link::Backward { to, .. } | Link::Inside { to, .. } => to,
    }
}

fn turned(link: &Link) -> Link {
    match link.clone() {
        Link::Forward { rule, to } => Link::Backward { rule, to },
        Link::Backward { rule, to } => Link::Forward { rule, to },
        inside => inside,
    }
}

type Tamper = fn(&mut Proof);

/// What is done to a proof, and where and why it is then refused.
const TAMPERED: &[(&str, Tamper, &str, &str)] = &[
    (
        "another rule table",
        |p| p.rules.insert(0, '0'),
        "",
        "the proof is by another rule table",
    ),
    (
        "another module",
        |p| p.module.insert(0, '0'),
        "",
        "the proof is of another module",
    ),
    (
        "a rule that does not exist",
        |p| {
            let (i, j) = find(&p.regions[1], is_rule);
            *rule_of(&mut p.regions[1].lemmas[i].links[j]) = "because".into();
        },
        "(because)",
        "there is no rule because",
    ),
    (
        "a rule that does not match",
        |p| {
            let (i, j) = find(&p.regions[1], is_rule);
            *rule_of(&mut p.regions[1].lemmas[i].links[j]) = "pull-exp".into();
        },
        "(pull-exp)",
        "its left side (exp (t ?x)) does not match",
    ),
    (
        "a rule in the other direction",
        |p| {
            let (i, j) = find(&p.regions[2], is_rule);
            let link = &mut p.regions[2].lemmas[i].links[j];
            *link = turned(link);
        },
        "backward)",
        "does not match",
    ),
    (
        "another result",
        |p| {
            let (i, j) = find(&p.regions[2], is_rule);
            *to_of(&mut p.regions[2].lemmas[i].links[j]) = 0;
        },
        "region 2, lemma",
        "its right side is not",
    ),
    (
        "a result that does not exist",
        |p| {
            let (i, j) = find(&p.regions[2], is_rule);
            *to_of(&mut p.regions[2].lemmas[i].links[j]) = 9999;
        },
        "region 2, lemma",
        "there is no term 9999",
    ),
    (
        "a lemma that starts nowhere",
        |p| p.regions[0].lemmas[0].from = 9999,
        "region 0, lemma 0",
        "there is no term 9999",
    ),
    (
        "a step left out",
        |p| {
            let long = p.regions[1].lemmas.iter_mut().find(|l| l.links.len() > 1);
            long.unwrap().links.remove(0);
        },
        "region 1, lemma",
        "",
    ),
    (
        "a lemma that is not proved yet",
        |p| {
            let inside = |l: &Link| matches!(l, Link::Inside { .. });
            let (i, j) = find(&p.regions[1], inside);
            if let Link::Inside { lemmas, .. } = &mut p.regions[1].lemmas[i].links[j] {
                lemmas.fill(Some(i));
            }
        },
        "(inside)",
        "is not proved yet",
    ),
    (
        "an operand that changes for no reason",
        |p| {
            let inside = |l: &Link| matches!(l, Link::Inside { .. });
            let (i, j) = find(&p.regions[1], inside);
            if let Link::Inside { lemmas, .. } = &mut p.regions[1].lemmas[i].links[j] {
                lemmas.fill(None);
            }
        },
        "(inside)",
        "nothing takes operand",
    ),
    (
        "too few operands",
        |p| {
            let inside = |l: &Link| matches!(l, Link::Inside { .. });
            let (i, j) = find(&p.regions[1], inside);
            if let Link::Inside { lemmas, .. } = &mut p.regions[1].lemmas[i].links[j] {
                lemmas.clear();
            }
        },
        "(inside)",
        "do not differ in operands only",
    ),
    (
        "another number",
        |p| {
            // Numbers that rules name or compute.
            for term in &mut p.regions[2].terms {
                if term.contains('.') && !term.contains('e') {
                    term.push('1');
                }
            }
        },
        "region 2, lemma",
        "",
    ),
    (
        "an unknown operation",
        |p| {
            let exp = p.regions[1]
                .terms
                .iter_mut()
                .find(|t| t.starts_with("exp "));
            *exp.unwrap() = "conjure 0".into();
        },
        "region 1",
        "the checker knows no operation \"conjure\"",
    ),
    (
        "a term of later ones",
        |p| p.regions[1].terms[0] = "neg 5".into(),
        "region 1",
        "\"5\" is no earlier term",
    ),
    (
        "a term twice",
        |p| {
            let last = p.regions[1].terms.len() - 1;
            p.regions[1].terms[last] = "v0".into();
        },
        "region 1",
        "it is term 0 already",
    ),
    (
        "a leaf of another type",
        |p| p.regions[1].leaves[0].shape.push(7),
        "region 1",
        "",
    ),
    (
        "a leaf of no type",
        |p| p.regions[1].leaves[0].elem = "f31".into(),
        "region 1",
        "no element type \"f31\"",
    ),
    (
        "a role that does not exist",
        |p| p.regions[1].leaves[0].role = "friend".into(),
        "region 1",
        "no role \"friend\"",
    ),
    (
        "a leaf that is missing",
        |p| p.regions[1].leaves.clear(),
        "region 1",
        "the leaf is not in the table",
    ),
    (
        "another extracted term",
        |p| p.regions[2].roots[0].extracted = 0,
        "region 2, root 0",
        "what is proved is not that",
    ),
    (
        "no lemma for a root",
        |p| p.regions[2].roots[0].lemma = None,
        "region 2, root 0",
        "what is proved is not that",
    ),
    (
        "a lemma of a root that does not exist",
        |p| p.regions[2].roots[0].lemma = Some(9999),
        "region 2, root 0",
        "lemma 9999 is not proved yet",
    ),
    (
        "a root less",
        |p| p.regions[2].roots.clear(),
        "region 2 of the module",
        "no region of the proof has",
    ),
    (
        "a region less",
        |p| p.regions.truncate(1),
        "region 1 of the module",
        "no region of the proof has",
    ),
    (
        "an untrue role",
        |p| {
            let mut leaves = p.regions[0].leaves.iter_mut();
            leaves.find(|l| l.role == "input").unwrap().role = "computed".into();
        },
        "region 0 of the module",
        "no region of the proof has",
    ),
    (
        "an untrue sign",
        |p| {
            let mut leaves = p.regions[0].leaves.iter_mut();
            leaves.find(|l| !l.non_negative).unwrap().non_negative = true;
        },
        "region 0 of the module",
        "no region of the proof has",
    ),
    (
        "another computation, proved",
        |p| {
            let root = &mut p.regions[0].roots[0];
            (root.input, root.lemma) = (root.extracted, None);
        },
        "region 0 of the module",
        "no region of the proof has",
    ),
];

#[test]
fn tampered_proofs_are_refused_with_place_and_reason() {
    let module = module(1, FORMS[0]);
    let whole = proof(&module);
    for (what, tamper, place, reason) in TAMPERED {
        let mut tampered = whole.clone();
        tamper(&mut tampered);
        assert_ne!(tampered, whole, "{what}");
        match check_against(&tampered, &module) {
            Ok(_) => panic!("{what} is accepted"),
            Err(refusal) => {
                assert!(refusal.place.contains(place), "{what}: {refusal}");
                assert!(refusal.reason.contains(reason), "{what}: {refusal}");
                assert_eq!(
                    refusal.place.is_empty(),
                    place.is_empty(),
                    "{what}: {refusal}"
                );
            }
        }
    }
}

/// Every link matters: no rule, direction, result or reason can be another one.
#[test]
fn every_link_is_checked() {
    let proof = proof(&module(1, FORMS[0]));
    let accepted = |region: usize, i: usize, j: usize, change: &dyn Fn(&mut Link)| {
        let mut tampered = proof.clone();
        let link = &mut tampered.regions[region].lemmas[i].links[j];
        change(link);
        let changed = *link != proof.regions[region].lemmas[i].links[j];
        let verdict: Result<_, Refusal> = check(&tampered);
        changed && verdict.is_ok()
    };
    for (r, region) in proof.regions.iter().enumerate() {
        for (i, lemma) in region.lemmas.iter().enumerate() {
            for (j, link) in lemma.links.iter().enumerate() {
                let what = format!("region {r}, lemma {i}, link {j}: {link:?}");
                let next = |to: &mut usize| *to = (*to + 1) % region.terms.len();
                assert!(
                    !accepted(r, i, j, &|l| next(to_of(l))),
                    "another result: {what}"
                );
                assert!(!accepted(r, i, j, &|l| *l = turned(l)), "turned: {what}");
                for by in [1, i + 1] {
                    let change = |l: &mut Link| {
                        if let Link::Inside { lemmas, .. } = l {
                            let used = lemmas.iter_mut().flatten();
                            used.for_each(|lemma| *lemma = (*lemma + by) % region.lemmas.len());
                        }
                    };
                    assert!(!accepted(r, i, j, &change), "another lemma: {what}");
                }
            }
        }
    }
}

/// The checker is independent of what it checks.
#[test]
fn the_checker_uses_nothing_of_the_e_graph() {
    for file in ["check.rs", "facts.rs", "term.rs"] {
        let path = format!("{}/src/egraph/proof/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap();
        for foreign in [
            "egg::",
            "egraph::facts",
            "egraph::language",
            "egraph::saturate",
            "compile()",
        ] {
            assert!(!text.contains(foreign), "{file} uses {foreign}");
        }
    }
}

#[test]
fn what_is_no_proof_is_refused() {
    let proof = proof(&module(1, FORMS[2]));
    let json = proof.to_json().unwrap();
    let version = format!("\"version\":{VERSION}");
    for (text, why) in [
        (String::new(), "no proof: EOF"),
        ("{}".into(), "missing field `format`"),
        (
            json.replacen(&version, "\"version\":99", 1),
            "version 99 of the format, expected 1",
        ),
        (
            json.replacen("tspc-proof", "poem", 1),
            "format \"poem\", expected \"tspc-proof\"",
        ),
        (
            json.replacen("\"forward\"", "\"sideways\"", 1),
            "unknown variant `sideways`",
        ),
        (
            json.replacen("\"rules\"", "\"laws\"", 1),
            "unknown field `laws`",
        ),
        (
            json.replacen("\"to\":", "\"to\":-", 1),
            "invalid value: integer",
        ),
    ] {
        let refusal = Proof::from_json(&text).unwrap_err();
        assert!(refusal.contains(why), "{refusal}");
    }
}
