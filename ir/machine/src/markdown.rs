//! Numbers as tables: one machine for the command line, all of them for `docs/machine.md`.

use crate::{Entry, Key, Machine, Numbers};

/// Units by the first part of their keys; what is in no other row belongs to the chip.
const UNITS: [(&str, &[&str]); 6] = [
    ("Chip and streams", &[]),
    ("MEM and program text", &["mem", "text"]),
    ("VXM", &["vxm"]),
    ("MXM", &["mxm"]),
    ("SXM", &["sxm"]),
    ("Host", &["host"]),
];

const HEAD: &str = "\
# The machine

<!-- Generated from ir/machine; `TSPC_BLESS=1 cargo test -p tspc-machine` rewrites it. -->

Groq's Tensor Streaming Processor (GroqChip 1), as far as it is public, with every gap filled by a stated assumption.
Where a rule is ambiguous the conservative reading is taken, so that no latency is flattered by the model; the readings are in `docs/decisions/`.
Sections 1 to 6 are the rules, a contract that checker and simulator implement separately; after them come the numbers.

The machine file is the only place where numbers of the chip stand: verifier, cost model, scheduler, checker and simulator read them from there.
They share numbers, never code; where the rules name a number, it is that of `tsp-v1`.
A number is *published* in a paper, *observed* in public programs that ran on cards, or *assumed* by us, then on the conservative side.
Delays are in cycles.
The loader refuses values outside the range, so that every consumer can rely on it.

Sources:

- **P1** \"Think Fast\", ISCA 2020.
- **P2** \"Answer Fast\", ASAP 2022, arXiv 2206.11062.
- **P3** the scale-out TSP paper, ISCA 2022.
- **G** GroqFlow's public documentation and estimator.
- **C** cycle counts and rules in public programs written against GroqAPI and run on cards, consistent to about 2 cycles:
  - **C1** transposer, VXM with three chained operations, distributor: 50 cycles;
  - **C3** weights reach the MXM from slice 25 in 4 hops + 9, results the first ALU in 6 + 10 + 3;
  - **C4** one plane's install with 16 streams: 20 cycles;
  - **C5** dependent matrix-vector passes every 27 to 30 cycles;
  - **C6** read, shift, add, write, read again in slices 0 to 3: 15 + 3 cycles;
  - **C7** the same with four chained operations in slices 4 to 7: 24 cycles;
  - **C9** a lane-shift loop: 19 cycles a turn.
- **A** our assumption.

Other machines: `--machine FILE` reads a file with `format`, `name`, `numbers` and, if it only changes some numbers, `base`;
`--set KEY=VALUE` changes one number.

";

/// What the units do, in words.
const RULES: &str = include_str!("../data/rules.md");

/// The text of `docs/machine.md`: the rules, the default machine, and what the other embedded ones change.
pub fn documentation() -> String {
    let base = Machine::tsp_v1();
    let mut text = format!("{HEAD}{RULES}\n{}", base.to_markdown());
    for machine in Machine::NAMES
        .iter()
        .filter_map(|name| Machine::named(name)?.ok())
    {
        let changed = |key: &Key| {
            let entry = machine.entry(key.name)?;
            (base.entry(key.name) != Some(entry)).then_some((*key, entry))
        };
        let rows: Vec<_> = Numbers::KEYS.iter().filter_map(changed).collect();
        if !rows.is_empty() {
            text += &format!(
                "\n## `{}`\n\nChanges, against `{}`:\n\n",
                machine.name, base.name
            );
            text += &table(&rows);
        }
    }
    text
}

impl Machine {
    /// All numbers, unit by unit.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("## `{}`\n", self.name);
        for (title, prefixes) in UNITS {
            let rows: Vec<_> = Numbers::KEYS
                .iter()
                .filter(|key| unit(key.name) == prefixes)
                .filter_map(|key| Some((*key, self.entry(key.name)?)))
                .collect();
            text += &format!("\n### {title}\n\n{}", table(&rows));
        }
        text
    }
}

fn unit(key: &str) -> &'static [&'static str] {
    let first = key.split('_').next().unwrap_or(key);
    UNITS
        .iter()
        .map(|(_, prefixes)| *prefixes)
        .find(|p| p.contains(&first))
        .unwrap_or(&[])
}

fn table(rows: &[(Key, &Entry)]) -> String {
    let mut text = String::from(
        "| name | value | status | source | meaning | range |\n|---|---|---|---|---|---|\n",
    );
    for (key, entry) in rows {
        let (status, source) = (entry.status.name(), entry.source.replace('|', "\\|"));
        text += &format!(
            "| `{}` | {} | {status} | {source} | {} | {} |\n",
            key.name, entry.value, key.doc, key.range
        );
    }
    text
}
