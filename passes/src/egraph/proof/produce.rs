//! Proofs from egg's explanations.
//!
//! A region is extracted as ever, then saturated once more by an e-graph that keeps reasons, which is asked why the
//! model's term equals the extracted one. What it answers is not trusted: the proof is checked before it is given out.

use std::collections::BTreeMap;
use std::rc::Rc;

use egg::{Id, Language, RecExpr, TreeTerm};
use tspc_ir::{Diagnostic, Module, Place};
use tspc_machine::Machine;

use super::check::check_against;
use super::given::{head, insert, leaves};
use super::term::{TermId, Terms};
use super::{FORMAT, Lemma, Link, Proof, Region, Root, VERSION, module_hash, rules_hash};
use crate::egraph::cost::Cost;
use crate::egraph::language::Node;
use crate::egraph::region::Encoded;
use crate::egraph::saturate::{Settings, saturate, solve};
use crate::egraph::{parts, rules};

/// Proves what the pass does with these settings, for every distinct region.
pub fn prove(source: &Module, machine: &Machine, settings: &Settings) -> Result<Proof, Diagnostic> {
    let cost = Cost::new(machine);
    let mut settings = settings.clone();
    let mut proof = Proof {
        format: FORMAT.to_string(),
        version: VERSION,
        rules: rules_hash(),
        module: module_hash(source),
        regions: Vec::new(),
    };
    for part in parts(source)? {
        if part.which < proof.regions.len() {
            continue;
        }
        let proved =
            region(&part.encoded, &cost, &mut settings).map_err(|why| part.refuse(source, why))?;
        proof.regions.push(proved);
    }
    check_against(&proof, source).map_err(|r| {
        Diagnostic::new(
            format!("the proof does not hold: {r}"),
            Place::named("proof"),
        )
    })?;
    Ok(proof)
}

fn region(encoded: &Encoded, cost: &Cost, settings: &mut Settings) -> Result<Region, String> {
    let rules: Vec<_> = rules::all().collect();
    let solved = solve(encoded, &rules, cost, settings)?;
    settings.spend(solved.statistics.rewrites());
    // Rewrites come in another order where reasons are kept, so fuel would end elsewhere.
    let unbounded = Settings {
        fuel: None,
        ..settings.clone()
    };
    let mut runner = saturate(encoded, &rules, &unbounded, true)?.runner;
    let mut writer = Writer::default();
    insert(&mut writer.terms, encoded);
    let mut roots = Vec::new();
    for (&(_, input), &extracted) in encoded.roots.iter().zip(&solved.term.roots) {
        let input = below(encoded.term.as_ref(), usize::from(input));
        let extracted = below(&solved.term.nodes, extracted);
        let class = |term: &RecExpr<Node>| runner.egraph.lookup_expr(term);
        let (before, after) = (class(&input), class(&extracted));
        if before.is_none() || before != after {
            return Err(
                "the limits stop the search before it finds the extracted term again".into(),
            );
        }
        let why = runner.explain_equivalence(&input, &extracted);
        let (from, to) = writer.ends(&why.explanation_trees);
        roots.push(Root {
            input: from,
            extracted: to,
            lemma: writer.lemma(&why.explanation_trees),
        });
        writer.ends.clear();
    }
    Ok(Region {
        leaves: leaves(encoded),
        terms: writer.terms.lines(),
        lemmas: writer.lemmas,
        roots,
    })
}

/// The term of a node in a list.
fn below(nodes: &[Node], root: usize) -> RecExpr<Node> {
    let node = |id: Id| nodes[usize::from(id)].clone();
    nodes[root].build_recexpr(node)
}

type Tree = Rc<TreeTerm<Node>>;

/// Terms and lemmas, each once.
#[derive(Default)]
struct Writer {
    terms: Terms,
    /// The first and last term of a tree, by its address, which means something while the explanation lives.
    ends: BTreeMap<*const TreeTerm<Node>, (TermId, TermId)>,
    lemmas: Vec<Lemma>,
    known: BTreeMap<(TermId, TermId), usize>,
}

impl Writer {
    /// The first and the last term of a chain.
    fn ends(&mut self, trees: &[Tree]) -> (TermId, TermId) {
        let first = self.tree(&trees[0]).0;
        let last = self.tree(&trees[trees.len() - 1]).1;
        (first, last)
    }

    fn tree(&mut self, tree: &Tree) -> (TermId, TermId) {
        let key = Rc::as_ptr(tree);
        if let Some(&ends) = self.ends.get(&key) {
            return ends;
        }
        let children = tree.child_proofs.iter().map(|c| self.ends(c));
        let (first, last): (Vec<TermId>, Vec<TermId>) = children.collect();
        let ends = (
            self.terms.add(head(&tree.node), first),
            self.terms.add(head(&tree.node), last),
        );
        self.ends.insert(key, ends);
        ends
    }

    /// The lemma of a chain; none if it leads back to where it starts.
    fn lemma(&mut self, trees: &[Tree]) -> Option<usize> {
        let (from, to) = self.ends(trees);
        if from == to {
            return None;
        }
        if let Some(&lemma) = self.known.get(&(from, to)) {
            return Some(lemma);
        }
        let mut links: Vec<Link> = Vec::new();
        for tree in trees {
            let (first, last) = self.tree(tree);
            if let Some(rule) = tree.forward_rule {
                let rule = rule.to_string();
                links.push(Link::Forward { rule, to: first });
            }
            if let Some(rule) = tree.backward_rule {
                let rule = rule.to_string();
                links.push(Link::Backward { rule, to: first });
            }
            if first != last {
                let lemmas = tree.child_proofs.iter().map(|c| self.lemma(c)).collect();
                links.push(Link::Inside { lemmas, to: last });
            }
        }
        self.lemmas.push(Lemma {
            from,
            links: straight(from, links),
        });
        self.known.insert((from, to), self.lemmas.len() - 1);
        Some(self.lemmas.len() - 1)
    }
}

/// The chain without its detours that come back to the same term.
fn straight(from: TermId, links: Vec<Link>) -> Vec<Link> {
    let mut kept: Vec<Link> = Vec::new();
    for link in links {
        let to = link.to();
        if to == from {
            kept.clear();
            continue;
        }
        if let Some(i) = kept.iter().position(|k| k.to() == to) {
            kept.truncate(i + 1);
            continue;
        }
        kept.push(link);
    }
    kept
}
