//! The rules one by one: each fires where it should, alone, and nowhere else; and both its sides have the same value.

mod cases;
mod proofs;
mod refusals;
mod terms;

use std::collections::BTreeSet;
use std::time::Duration;

use cases::{ABBREVIATIONS, CASES};
use egg::{Id, RecExpr, Runner, SimpleScheduler, Var};
use refusals::REFUSALS;
use terms::{graph, leaves, value, values};
use tspc_ir::eval::{Array, Data};
use tspc_passes::egraph::facts::Graph;
use tspc_passes::egraph::language::Node;
use tspc_passes::egraph::rules::{Class, Right, Rule, all};

fn rule(name: &str) -> &'static Rule {
    let found = all().find(|r| r.name == name);
    found.unwrap_or_else(|| panic!("no rule {name}"))
}

fn term(text: &str) -> RecExpr<Node> {
    let spell = |text: String, (short, long): &(&str, &str)| text.replace(short, long);
    let text = ABBREVIATIONS.iter().fold(text.to_string(), spell);
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// One round of one rule; how often it did something.
fn apply(graph: Graph, rule: &Rule) -> (Graph, usize) {
    let runner = Runner::default()
        .with_egraph(graph)
        .with_scheduler(SimpleScheduler)
        .with_iter_limit(1)
        .with_time_limit(Duration::MAX)
        .run(&[rule.compile()]);
    let applied = runner.iterations[0].applied.values().sum();
    assert_eq!(runner.egraph.analysis.unsound, None, "{}", rule.name);
    (runner.egraph, applied)
}

#[test]
fn every_rule_compiles_and_has_a_case_and_a_refusal_for_each_condition() {
    let mut names = BTreeSet::new();
    for rule in all() {
        assert_eq!(rule.compile().name.as_str(), rule.name);
        assert!(names.insert(rule.name), "{} twice", rule.name);
        assert!(!rule.reason.is_empty(), "{}", rule.name);
        assert!(CASES.iter().any(|c| c.rule == rule.name), "{}", rule.name);
        let computed = matches!(rule.right, Right::Computed { .. }).then_some("number");
        for condition in rule.when.iter().map(|c| c.name).chain(computed) {
            let refused = |r: &&refusals::Refusal| (r.rule, r.condition) == (rule.name, condition);
            let has = REFUSALS.iter().any(|r| refused(&r));
            assert!(has, "{}: no refusal for {condition}", rule.name);
        }
    }
    let known = |name: &str| assert!(names.contains(name), "no rule {name}");
    CASES.iter().for_each(|c| known(c.rule));
    REFUSALS.iter().for_each(|r| known(r.rule));
}

#[test]
fn rules_make_what_they_should() {
    for case in CASES {
        let (left, right) = (term(case.left), term(case.right));
        let (graph, root) = graph(&leaves(case.leaves), &left);
        assert_ne!(
            graph.lookup_expr(&right),
            Some(graph.find(root)),
            "{}",
            case.rule
        );
        let (graph, _) = apply(graph, rule(case.rule));
        let same = graph.lookup_expr(&right) == Some(graph.find(root));
        assert!(same, "{}: {left} is not {right}", case.rule);
    }
}

#[test]
fn conditions_hold_rules_back() {
    for refusal in REFUSALS {
        let rule = rule(refusal.rule);
        let (graph, _) = graph(&leaves(refusal.leaves), &term(refusal.term));
        let rewrite = rule.compile();
        let matches = rewrite.searcher.search(&graph);
        let found: Vec<_> = matches.iter().flat_map(|m| &m.substs).collect();
        assert!(
            !found.is_empty(),
            "{}: {} has another form",
            rule.name,
            refusal.term
        );
        for subst in found {
            let ids = |on: &[&str]| -> Vec<Id> {
                let var = |name: &&str| subst[name.parse::<Var>().unwrap()];
                on.iter().map(var).collect()
            };
            let broken = rule.when.iter().filter(|c| !(c.holds)(&graph, &ids(c.on)));
            let broken: Vec<&str> = broken.map(|c| c.name).collect();
            match refusal.condition {
                "number" => assert!(broken.is_empty(), "{}: {broken:?}", rule.name),
                condition => assert_eq!(broken, [condition], "{}", rule.name),
            }
        }
        let before = (graph.total_number_of_nodes(), graph.number_of_classes());
        let (graph, applied) = apply(graph, rule);
        let after = (graph.total_number_of_nodes(), graph.number_of_classes());
        assert_eq!(
            (applied, after),
            (0, before),
            "{}: {}",
            rule.name,
            refusal.term
        );
    }
}

#[test]
fn both_sides_have_the_same_value() {
    for case in CASES {
        let leaves = leaves(case.leaves);
        for seed in 0..8 {
            let data: Vec<Array> = leaves
                .iter()
                .enumerate()
                .map(|(i, (leaf, bound))| values(leaf, *bound, 1000 * seed + i as u64))
                .collect();
            let left = value(&term(case.left), &data);
            let right = value(&term(case.right), &data);
            if let Err(why) = close(&left, &right, rule(case.rule).class) {
                panic!("{}, seed {seed}, {}: {why}", case.rule, case.left);
            }
        }
    }
}

/// Whether two values differ by no more than a class allows.
fn close(a: &Array, b: &Array, class: Class) -> Result<(), String> {
    if a.shape != b.shape || a.data.elem() != b.data.elem() {
        return Err(format!("{:?} and {:?}", a.shape, b.shape));
    }
    let n = a.data.len();
    let (x, y) = match (&a.data, &b.data) {
        (Data::F32(x), Data::F32(y)) if class != Class::Exact => (x.clone(), y.clone()),
        // A quantiser may round to the neighbour.
        (Data::I8(x), Data::I8(y)) if class == Class::Rounding => {
            let far = |(x, y): (&i8, &i8)| x.abs_diff(*y) > 1;
            let apart = x.iter().zip(y).position(far);
            return apart.map_or(Ok(()), |i| Err(format!("{} and {}", x[i], y[i])));
        }
        (a, b) if a.lanes(0..n) == b.lanes(0..n) => return Ok(()),
        _ => return Err("other bits".into()),
    };
    let largest = x.iter().fold(0f32, |m, v| m.max(v.abs()));
    let bound = match class {
        Class::Exact => 0.0,
        Class::Rounding => 3e-7 * largest,
        Class::Statistics => 2e-4 * largest,
        Class::GeluTanh => 4.8e-4,
        Class::GeluSigmoid => 2.1e-2,
        Class::RowMax => 1e-6 * largest,
        Class::Halves => 2e-3 * largest,
    };
    let worst = x.iter().zip(&y).map(|(x, y)| (x - y).abs());
    let worst = worst.fold(0f32, |m, d| if d.is_nan() { d } else { m.max(d) });
    match worst <= bound {
        true => Ok(()),
        false => Err(format!("{worst:e} apart, {bound:e} is allowed")),
    }
}
