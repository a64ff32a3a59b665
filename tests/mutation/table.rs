//! The run over all changes and the kill table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use tspc::check::{Rule, check};
use tspc::sim::{FaultKind, simulate};

use crate::equivalence::RULES;
use crate::fields::{Class, FIELDS};
use crate::programs::{Arrays, Compiled};
use crate::subject::{Change, Subject};
use crate::tiled::Seeded;

/// Faults that depend on data values: the only ones that may pass the checker.
const OF_DATA: &[FaultKind] = &[FaultKind::Overflow, FaultKind::ShiftCount];

/// Unlucky choices in a row after which a field has no more changes.
const TRIES: usize = 50;

/// What became of a change.
pub enum Fate {
    /// The rules that are broken.
    Rejected(BTreeSet<Rule>),
    Faulted,
    Differs,
    /// By the rule of this name.
    Excused(&'static str),
    /// Why that is wrong.
    Survived(String),
}

/// Counts of one field.
#[derive(Clone, Copy, Default)]
pub struct Row {
    pub changes: usize,
    pub rejected: usize,
    pub faulted: usize,
    pub differs: usize,
    pub excused: usize,
    pub survived: usize,
}

impl Row {
    fn count(&mut self, fate: &Fate) {
        self.changes += 1;
        *match fate {
            Fate::Rejected(_) => &mut self.rejected,
            Fate::Faulted => &mut self.faulted,
            Fate::Differs => &mut self.differs,
            Fate::Excused(_) => &mut self.excused,
            Fate::Survived(_) => &mut self.survived,
        } += 1;
    }

    fn add(&mut self, other: &Row) {
        self.changes += other.changes;
        self.rejected += other.rejected;
        self.faulted += other.faulted;
        self.differs += other.differs;
        self.excused += other.excused;
        self.survived += other.survived;
    }
}

/// What became of the changes of a program, by field.
pub struct KillTable {
    pub name: &'static str,
    /// In the order of [`FIELDS`].
    pub rows: Vec<Row>,
    /// How many changes broke each rule of the checker.
    pub rules: BTreeMap<Rule, usize>,
    /// Excused changes, with the rule.
    pub excused: Vec<String>,
    pub survivors: Vec<String>,
}

/// Makes `changes` different changes, field after field, and sees what becomes of each.
pub fn run(compiled: &Compiled, seed: u64, changes: usize) -> KillTable {
    let name = compiled.name;
    let report = check(&compiled.program, &compiled.machine);
    assert!(report.accepted(), "{name}: {}", report.violations[0]);
    let judge = Judge::new(compiled);
    let subject = Subject::new(&compiled.program);
    let mut dice = Seeded(seed);
    let mut table = KillTable {
        name,
        rows: vec![Row::default(); FIELDS.len()],
        rules: BTreeMap::new(),
        excused: Vec::new(),
        survivors: Vec::new(),
    };
    let mut seen = BTreeSet::new();
    let mut left: Vec<usize> = (0..FIELDS.len()).collect();
    let mut done = 0;
    while done < changes && !left.is_empty() {
        left.retain(|&f| {
            if done == changes {
                return true;
            }
            let field = &FIELDS[f];
            let drawn = (0..TRIES).find_map(|_| {
                (field.change)(&subject, &mut dice).filter(|c| !seen.contains(&c.what))
            });
            let Some(change) = drawn else {
                return false;
            };
            let fate = judge.fate(&change, field.class);
            table.rows[f].count(&fate);
            let place = format!("{name}, {}: {}", field.name, change.what);
            match fate {
                Fate::Rejected(rules) => {
                    for rule in rules {
                        *table.rules.entry(rule).or_default() += 1;
                    }
                }
                Fate::Excused(rule) => table.excused.push(format!("{place}: {rule}")),
                Fate::Survived(why) => table.survivors.push(format!("{place}: {why}")),
                _ => {}
            }
            seen.insert(change.what);
            done += 1;
            true
        });
    }
    table
}

/// The original's outputs, to compare with.
pub struct Judge<'a> {
    compiled: &'a Compiled,
    outputs: Vec<Arrays>,
}

impl Judge<'_> {
    pub fn new(compiled: &Compiled) -> Judge<'_> {
        let run = |inputs| match simulate(&compiled.program, &compiled.machine, inputs) {
            Ok(outcome) => outcome.outputs,
            Err(fault) => panic!("{}: {fault}", compiled.name),
        };
        let outputs = compiled.inputs.iter().map(run).collect();
        Judge { compiled, outputs }
    }

    pub fn fate(&self, change: &Change, class: Class) -> Fate {
        let report = check(&change.program, &self.compiled.machine);
        if !report.accepted() {
            return Fate::Rejected(report.violations.iter().map(|v| v.rule).collect());
        }
        let original = &self.compiled.program;
        let excuse = RULES.iter().find(|r| (r.proves)(original, change));
        for (inputs, outputs) in self.compiled.inputs.iter().zip(&self.outputs) {
            match simulate(&change.program, &self.compiled.machine, inputs) {
                Err(fault) if !OF_DATA.contains(&fault.kind) => {
                    return Fate::Survived(format!("accepted, but: {fault}"));
                }
                Err(_) if class == Class::Data => return Fate::Faulted,
                Ok(outcome) if outcome.outputs != *outputs && class == Class::Data => {
                    assert!(excuse.is_none(), "{}: an excuse is wrong", change.what);
                    return Fate::Differs;
                }
                _ => {}
            }
        }
        match (excuse, class) {
            (Some(rule), _) => Fate::Excused(rule.name),
            (None, Class::Place) => Fate::Survived("accepted by the checker".into()),
            (None, Class::Data) => Fate::Survived("equal outputs".into()),
        }
    }
}

impl fmt::Display for KillTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        rows(f, self.name, &self.rows)?;
        lines(f, &self.excused, &self.survivors)
    }
}

/// All tables in one.
pub struct Summary {
    rows: Vec<Row>,
    rules: BTreeMap<Rule, usize>,
    pub changes: usize,
    pub excused: usize,
    pub survivors: Vec<String>,
}

impl Summary {
    pub fn of(tables: &[KillTable]) -> Summary {
        let mut rows = vec![Row::default(); FIELDS.len()];
        for table in tables {
            for (sum, row) in rows.iter_mut().zip(&table.rows) {
                sum.add(row);
            }
        }
        let mut rules = BTreeMap::new();
        for (&rule, count) in tables.iter().flat_map(|t| &t.rules) {
            *rules.entry(rule).or_default() += count;
        }
        Summary {
            rules,
            changes: rows.iter().map(|r| r.changes).sum(),
            excused: rows.iter().map(|r| r.excused).sum(),
            rows,
            survivors: tables.iter().flat_map(|t| t.survivors.clone()).collect(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        rows(f, "all programs", &self.rows)?;
        writeln!(f, "rejected changes that break a rule:")?;
        for (rule, count) in &self.rules {
            writeln!(f, "  {count:>6} {rule}")?;
        }
        writeln!(f, "excuses:")?;
        for rule in RULES {
            writeln!(f, "  {}: {}", rule.name, rule.why)?;
        }
        lines(f, &[], &self.survivors)
    }
}

fn rows(f: &mut fmt::Formatter<'_>, name: &str, rows: &[Row]) -> fmt::Result {
    let heads = [
        "changes", "rejected", "faulted", "differs", "excused", "survived",
    ];
    write!(f, "\n{name:<26}")?;
    heads.iter().try_for_each(|head| write!(f, " {head:>8}"))?;
    writeln!(f)?;
    let mut sum = Row::default();
    for row in rows {
        sum.add(row);
    }
    let names = FIELDS.iter().map(|field| field.name);
    for (name, row) in names.zip(rows).chain([("all", &sum)]) {
        if row.changes > 0 {
            let Row {
                changes,
                rejected,
                faulted,
                differs,
                excused,
                survived,
            } = row;
            writeln!(
                f,
                "{name:<26} {changes:>8} {rejected:>8} {faulted:>8} {differs:>8} {excused:>8} {survived:>8}"
            )?;
        }
    }
    Ok(())
}

fn lines(f: &mut fmt::Formatter<'_>, excused: &[String], survivors: &[String]) -> fmt::Result {
    excused
        .iter()
        .try_for_each(|line| writeln!(f, "excused: {line}"))?;
    survivors
        .iter()
        .try_for_each(|line| writeln!(f, "survived: {line}"))
}
