//! The rules: one entry each, from which come the enum, the ids in reports and the table in the documentation.
//!
//! May not know how a rule is checked.

use std::fmt;

macro_rules! rules {
    ($($variant:ident $id:literal $kind:ident $doc:literal;)*) => {
        /// A rule of the machine or of the program format; a violation names the one that is broken.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Rule { $(#[doc = $doc] $variant,)* }

        impl Rule {
            /// All rules, in documentation order.
            pub const ALL: &'static [Rule] = &[$(Rule::$variant),*];
            /// Stable kebab-case name.
            pub fn id(self) -> &'static str { match self { $(Rule::$variant => $id),* } }
            /// One sentence: what must hold.
            pub fn doc(self) -> &'static str { match self { $(Rule::$variant => $doc),* } }
            /// Whether the program cannot be followed in time once this is broken.
            pub fn stops(self) -> bool { match self { $(Rule::$variant => rules!(@ $kind)),* } }
        }
    };
    (@ structure) => { true };
    (@ machine) => { false };
}

rules! {
    Form "form" structure "Queues, fields, tables and records have the shape and the ranges of the program format, and every instruction stands in a queue of its unit.";
    GroupAlignment "group-alignment" structure "A group of streams starts at a multiple of its size.";
    GroupRange "group-range" structure "`lw` loads a group that the plane has, in every iteration, and `iw` installs between the least and the greatest number of groups.";
    BankExit "bank-exit" structure "Addresses stay in their bank, in every iteration, segment and run.";
    UseSource "use-source" structure "A `uses` record names iterations that are dispatched, or words that a slice has.";
    MachineMismatch "machine-mismatch" machine "The program was compiled for this machine: name and hash agree.";
    TextCapacity "text-capacity" machine "The program text fits in the slices reserved for it.";
    TextSlice "text-slice" machine "Slices of program text hold no data and are not accessed.";
    WordOverlap "word-overlap" machine "No word belongs to two image segments or inputs.";
    UseMissing "use-missing" machine "Every operand, in every iteration, is covered by a `uses` record.";
    UseTwice "use-twice" machine "No operand, in no iteration, is covered by two `uses` records.";
    UseUnknown "use-unknown" machine "Every `uses` record is for operands that are taken.";
    OperandMissing "operand-missing" machine "Where and when an operand is taken there is a value.";
    OperandMismatch "operand-mismatch" machine "An operand was made by the dispatch that `uses` names; a word that the host wrote is the one that it names.";
    ByteOrder "byte-order" machine "Byte k of an operand or of an output is byte k of the value that was made, if that has several; an activation may be one byte of it, i8 the highest, u8 another.";
    ValueLost "value-lost" machine "A moving value is not replaced before the consumer that `uses` names has taken it (reported at the replacer).";
    StreamConflict "stream-conflict" machine "One producer at most drives a (direction, stream, stream register, cycle).";
    PortConflict "port-conflict" machine "One producer at most drives a (stream, MXM port, cycle).";
    MeshConflict "mesh-conflict" machine "One ALU at most drives a (direction, stream, mesh column, cycle).";
    SameBank "same-bank" machine "The read part and the write part of a MEM instruction use different banks.";
    WriteToRead "write-to-read" machine "A word is not read in the cycles after its write that the write takes.";
    ReadUndefined "read-undefined" machine "A word that is read, also by the host, is in the image, an input, or written before.";
    MapConstant "map-constant" machine "Maps of `gather`, `scatter` and `permute` are words of the initial image.";
    MapRange "map-range" machine "Word addresses in the map of a `gather` or `scatter` are inside the bank.";
    MapBijection "map-bijection" machine "The map of a `permute` names every lane once.";
    MapStream "map-stream" machine "The map of a `distribute` is not on one of the distributor's own eight streams.";
    WireReach "wire-reach" machine "An ALU takes from and drives the wires of its row only.";
    WireDirections "wire-directions" machine "Two operands do not use the same wire number in opposite directions.";
    MeshEdge "mesh-edge" machine "A result for the mesh has a next column in its direction.";
    SmallAlu "small-alu" machine "exp, tanh and rsqrt run on large ALUs.";
    Immediate "immediate" machine "One of two operands may be an immediate, if the machine has them; as a shift count it is 0…31.";
    OpTypes "op-types" machine "The types of operands and result are legal for the operation.";
    LwTooEarly "lw-too-early" machine "`lw` waits until the plane's `iw` is over.";
    IwGroups "iw-groups" machine "`iw` installs groups that were all loaded since the last `iw`.";
    InstallTime "install-time" machine "`iw` dispatches in the cycle that `uses` names, if it names one.";
    WeightForm "weight-form" machine "Loads since the last `iw`, the `iw` and the activations agree on int8 or fp16, and on the K half.";
    ActTooEarly "act-too-early" machine "No activation dispatches while the plane's `iw` installs.";
    ActWithoutWeights "act-without-weights" machine "An activation meets installed weights.";
    ActUnmet "act-unmet" machine "Every activation meets an instruction of the accumulate queue.";
    AccumulateUnmet "accumulate-unmet" machine "Every instruction of the accumulate queue meets an activation.";
    OddPlane "odd-plane" machine "fp16 is driven by the even plane's queues, and from its first `lw` to its last result the odd plane's queues dispatch nothing.";
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// The rules as a Markdown table.
pub fn rules_markdown() -> String {
    let mut table = String::from("| rule | what must hold | stops |\n|---|---|---|\n");
    for rule in Rule::ALL {
        let stops = if rule.stops() { "yes" } else { "" };
        table += &format!("| `{}` | {} | {stops} |\n", rule.id(), rule.doc());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = "<!-- rules: generated -->\n";
    const END: &str = "<!-- end of rules -->";

    /// `TSPC_BLESS=1` rewrites the table.
    #[test]
    fn the_documented_table_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/checker.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (head, rest) = page.split_once(BEGIN).expect("begin marker");
        let (table, tail) = rest.split_once(END).expect("end marker");
        if std::env::var_os("TSPC_BLESS").is_some() {
            std::fs::write(
                path,
                format!("{head}{BEGIN}{}{END}{tail}", rules_markdown()),
            )
            .unwrap();
        } else {
            assert_eq!(table, rules_markdown(), "run once with TSPC_BLESS=1");
        }
    }

    #[test]
    fn ids_are_kebab_case_and_unique() {
        let mut ids: Vec<_> = Rule::ALL.iter().map(|r| r.id()).collect();
        assert!(
            ids.iter()
                .all(|id| id.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
        );
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), Rule::ALL.len());
    }
}
