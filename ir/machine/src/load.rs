//! Reading machine files: JSON to typed numbers, overrides, the hash.
//!
//! A file is refused for an unknown, missing, mistyped or out-of-range number, and for any field that nobody would read.
//! It may not know what a number means.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{Key, Machine, Numbers, range};

/// How well a number is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// In a paper.
    Published,
    /// Derived from public programs that ran on cards.
    Observed,
    /// Ours.
    Assumed,
}

impl Status {
    /// All, best known first.
    pub const ALL: [Status; 3] = [Status::Published, Status::Observed, Status::Assumed];

    /// As in the file.
    pub fn name(self) -> &'static str {
        match self {
            Status::Published => "published",
            Status::Observed => "observed",
            Status::Assumed => "assumed",
        }
    }
}

/// A number as the file has it.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// Field of [`Numbers`].
    pub key: String,
    /// Value.
    pub value: Value,
    /// How well it is known.
    pub status: Status,
    /// Where it comes from; not empty.
    pub source: String,
}

/// What is wrong with a machine file or an override.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadError {
    /// File or option.
    pub origin: String,
    /// What was found and what was expected.
    pub message: String,
}

impl LoadError {
    fn new(origin: &str, message: impl Into<String>) -> LoadError {
        LoadError {
            origin: origin.to_string(),
            message: message.into(),
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}

impl std::error::Error for LoadError {}

const FILES: [(&str, &str); 3] = [
    ("tsp-v1", include_str!("../data/tsp-v1.json")),
    (
        "tsp-v1-optimistic",
        include_str!("../data/tsp-v1-optimistic.json"),
    ),
    (
        "tsp-v1-pessimistic",
        include_str!("../data/tsp-v1-pessimistic.json"),
    ),
];

pub(crate) fn typed<T: DeserializeOwned>(key: &'static str, value: Value) -> Result<T, LoadError> {
    serde_json::from_value(value).map_err(|e| LoadError::new(key, e.to_string()))
}

impl Machine {
    /// The embedded machines.
    pub const NAMES: [&'static str; 3] = [FILES[0].0, FILES[1].0, FILES[2].0];

    /// An embedded machine; `None` if there is none of that name.
    pub fn named(name: &str) -> Option<Result<Machine, LoadError>> {
        let (name, text) = FILES.iter().find(|f| f.0 == name)?;
        Some(Machine::from_json(text, name))
    }

    /// The default machine.
    pub fn tsp_v1() -> Machine {
        let (name, text) = FILES[0];
        // A test loads every embedded file.
        Machine::from_json(text, name).unwrap_or_else(|e| unreachable!("embedded: {e}"))
    }

    /// Reads a machine file; `origin` names it in errors.
    ///
    /// With `"base"`, an embedded machine, the file holds only what differs from it.
    pub fn from_json(text: &str, origin: &str) -> Result<Machine, LoadError> {
        let wrong = |message: String| LoadError::new(origin, message);
        let file: Value = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
        let file = file
            .as_object()
            .ok_or_else(|| wrong("expected an object".into()))?;
        only(file, &["format", "name", "base", "numbers"]).map_err(wrong)?;
        if file.get("format").and_then(Value::as_u64) != Some(1) {
            return Err(wrong("expected \"format\": 1".into()));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let name = file.get("name").and_then(Value::as_str).unwrap_or("");
        if name.is_empty() || !name.chars().all(plain) {
            return Err(wrong(
                "expected a \"name\" of letters, digits, `-`, `_`, `.`".into(),
            ));
        }
        let mut entries = match file.get("base") {
            None => Vec::new(),
            Some(base) => match FILES.iter().find(|f| Some(f.0) == base.as_str()) {
                Some((base, text)) => Machine::from_json(text, base)?.entries,
                None => {
                    let known = Machine::NAMES.join(", ");
                    return Err(wrong(format!("unknown base {base}; known: {known}")));
                }
            },
        };
        let numbers = file.get("numbers").and_then(Value::as_object);
        let numbers = numbers.ok_or_else(|| wrong("expected an object \"numbers\"".into()))?;
        for (key, value) in numbers {
            let entry = entry(key, value).map_err(wrong)?;
            match entries.iter_mut().find(|e| e.key == *key) {
                Some(there) => *there = entry,
                None => entries.push(entry),
            }
        }
        build(name.to_string(), entries).map_err(wrong)
    }

    /// The machine with some numbers replaced by `key=value`, the value as in the file; of two for one key the last counts.
    ///
    /// Such numbers are assumed, with source `--set`. The name says what was replaced, in the order of the keys.
    pub fn with(&self, settings: &[&str]) -> Result<Machine, LoadError> {
        if settings.is_empty() {
            return Ok(self.clone());
        }
        let mut entries = self.entries.clone();
        let mut replaced = BTreeMap::new();
        for setting in settings {
            let wrong = |message: String| LoadError::new(&format!("--set {setting}"), message);
            let (key, value) = setting
                .split_once('=')
                .ok_or_else(|| wrong("expected KEY=VALUE".into()))?;
            let known = known(key).map_err(wrong)?;
            // What is no JSON is no number either; the range says what was expected.
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
            check(known, &value).map_err(wrong)?;
            replaced.insert(known.name, value.to_string());
            if let Some(entry) = entries.iter_mut().find(|e| e.key == key) {
                entry.value = value;
                entry.status = Status::Assumed;
                entry.source = "--set".into();
            }
        }
        let settings: String = replaced.iter().map(|(k, v)| format!(" {k}={v}")).collect();
        build(self.name.clone() + &settings, entries)
            .map_err(|message| LoadError::new(&format!("--set{settings}"), message))
    }

    /// The entry of a number: value, status and source.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.key == key)
    }
}

/// Refuses fields that nobody reads.
fn only(object: &Map<String, Value>, fields: &[&str]) -> Result<(), String> {
    match object.keys().find(|k| !fields.contains(&k.as_str())) {
        Some(key) => Err(format!(
            "unknown field `{key}`; known: {}",
            fields.join(", ")
        )),
        None => Ok(()),
    }
}

fn entry(key: &str, value: &Value) -> Result<Entry, String> {
    let known = known(key)?;
    let of_key = |message: String| format!("`{key}`: {message}");
    let object = value
        .as_object()
        .ok_or_else(|| of_key("expected an object with value, status and source".into()))?;
    only(object, &["value", "status", "source"]).map_err(of_key)?;
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or("");
    let status = Status::ALL.into_iter().find(|s| s.name() == text("status"));
    let status = status
        .ok_or_else(|| of_key("expected \"status\" published, observed or assumed".into()))?;
    if text("source").is_empty() {
        return Err(of_key("expected a \"source\"".into()));
    }
    let value = object
        .get("value")
        .ok_or_else(|| of_key("expected a \"value\"".into()))?;
    check(known, value)?;
    Ok(Entry {
        key: key.to_string(),
        value: value.clone(),
        status,
        source: text("source").to_string(),
    })
}

fn check(key: Key, value: &Value) -> Result<(), String> {
    if key.range.contains(value) {
        Ok(())
    } else {
        Err(format!("`{}` is {value}, expected {}", key.name, key.range))
    }
}

/// Types and hashes entries whose values are in range.
fn build(name: String, entries: Vec<Entry>) -> Result<Machine, String> {
    let numbers = Numbers::read(&|key| match entries.iter().find(|e| e.key == key) {
        Some(entry) => Ok(entry.value.clone()),
        None => Err(LoadError::new(key, "is missing")),
    })
    .map_err(|e| e.to_string())?;
    range::constraints(&numbers)?;
    let mut hash = Sha256::new();
    hash.update(&name);
    for (key, value) in Numbers::KEYS.iter().zip(numbers.values()) {
        hash.update(format!("\n{}={value}", key.name));
    }
    let hash = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    Ok(Machine {
        name,
        numbers,
        entries,
        hash,
    })
}

fn known(key: &str) -> Result<Key, String> {
    let found = Numbers::KEYS.iter().find(|k| k.name == key);
    found
        .copied()
        .ok_or_else(|| format!("unknown key `{key}`; the nearest is `{}`", nearest(key)))
}

/// The known key with the longest common prefix and suffix: finds slips and forgotten unit names.
fn nearest(key: &str) -> &'static str {
    fn common(a: impl Iterator<Item = u8>, b: impl Iterator<Item = u8>) -> usize {
        a.zip(b).take_while(|(a, b)| a == b).count()
    }
    let alike = |k: &Key| {
        common(k.name.bytes(), key.bytes()) + common(k.name.bytes().rev(), key.bytes().rev())
    };
    Numbers::KEYS
        .iter()
        .max_by_key(|k| alike(k))
        .map_or("", |k| k.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_file_loads() {
        for name in Machine::NAMES {
            let machine = Machine::named(name).unwrap().unwrap();
            assert_eq!(machine.name, name);
            let keys: Vec<_> = machine.entries.iter().map(|e| e.key.as_str()).collect();
            assert!(
                Numbers::KEYS.iter().map(|k| k.name).eq(keys),
                "{name}: keys in table order"
            );
        }
        assert!(Machine::named("tsp-v2").is_none());
    }

    /// Sums that the contract gives as observations, formed from the numbers as any consumer would.
    #[test]
    fn default_numbers_reproduce_the_observations() {
        let m = Machine::tsp_v1();
        let read_to_entry = m.mem_read_latency + m.vxm_entry;
        // C6: read in slices 0 to 3, two chained operations, write, read again.
        assert_eq!(read_to_entry + 2 * m.vxm_latency + m.mem_write_to_read, 18);
        // C7: four operations; slices 4 to 7 are one hop further, each way.
        assert_eq!(
            read_to_entry + 2 + 4 * m.vxm_latency + m.mem_write_to_read,
            26
        );
        // C9: read in slices 40 to 43 onto SR_11, shift, back, write.
        let shift = m.sxm_in + m.sxm_shift + m.sxm_out_back;
        assert_eq!(m.mem_read_latency + shift + m.mem_write_to_read, 19);
        // From `act` to SR_11: 13 + 34 + 6.
        assert_eq!(m.mxm_act_to_accumulate + m.mxm_accumulate_to_result, 53);
        // Peak: 409,600 products a cycle at 900 MHz.
        let lanes = m.superlanes * m.lanes_per_superlane;
        assert_eq!(2 * m.mxm_planes * lanes * lanes, 409_600);
        assert_eq!(m.clock_mhz, 900);
        // 220 MiB of SRAM.
        let words = 2 * m.mem_slices * m.mem_banks * m.mem_words_per_bank;
        assert_eq!(u64::from(words) * u64::from(lanes), 220 << 20);
        assert_eq!(m.stagger_cycles, m.superlanes - 1);
    }

    #[test]
    fn the_variants_differ_in_what_they_are_for() {
        let changed = |name: &str| -> Vec<String> {
            let (base, other) = (Machine::tsp_v1(), Machine::named(name).unwrap().unwrap());
            let pairs = other
                .entries
                .iter()
                .filter(|e| base.entry(&e.key) != Some(e));
            pairs.map(|e| format!("{}={}", e.key, e.value)).collect()
        };
        assert_eq!(
            changed("tsp-v1-optimistic"),
            [
                "vxm_entry=4",
                "vxm_column_hop=0",
                "mxm_accumulator_rows=512"
            ]
        );
        assert_eq!(
            changed("tsp-v1-pessimistic"),
            [
                "vxm_latency_transcendental=9",
                "vxm_immediates=false",
                "mxm_iw_to_act=20",
                "mxm_iw_to_lw=20"
            ]
        );
    }

    #[test]
    fn overrides_change_the_number_its_source_and_the_hash() {
        let base = Machine::tsp_v1();
        let set = base.with(&["vxm_entry=4", "text_slices_west=[3]"]).unwrap();
        assert_eq!(
            (set.vxm_entry, set.text_slices_west.as_slice()),
            (4, &[3][..])
        );
        assert_eq!(set.name, "tsp-v1 text_slices_west=[3] vxm_entry=4");
        assert_ne!(set.hash, base.hash);
        let entry = set.entry("vxm_entry").unwrap();
        assert_eq!(
            (entry.status, entry.source.as_str()),
            (Status::Assumed, "--set")
        );
        // Neither order nor repetition is part of the machine.
        let again = base
            .with(&["text_slices_west=[3]", "vxm_entry=7", "vxm_entry= 4"])
            .unwrap();
        assert_eq!((&again.name, &again.hash), (&set.name, &set.hash));
        assert_eq!(base.with(&[]).unwrap().hash, base.hash);
    }

    #[test]
    fn hash_covers_values_and_name_but_not_sources_and_spelling() {
        let hash = |name: &str, entry: &str| {
            let text = format!(
                r#"{{"format":1,"name":"{name}","base":"tsp-v1","numbers":{{"host_latency_us":{entry}}}}}"#
            );
            Machine::from_json(&text, "test").unwrap().hash
        };
        let first = hash("a", r#"{"value":12.0,"status":"assumed","source":"x"}"#);
        assert_eq!(first.len(), 64);
        assert_eq!(
            first,
            hash("a", r#"{"value":12,"status":"observed","source":"y"}"#)
        );
        assert_ne!(
            first,
            hash("b", r#"{"value":12,"status":"assumed","source":"x"}"#)
        );
        assert_ne!(
            first,
            hash("a", r#"{"value":13,"status":"assumed","source":"x"}"#)
        );
    }

    #[test]
    fn bad_settings_are_refused_with_what_was_expected() {
        let base = Machine::tsp_v1();
        let message = |s: &str| base.with(&[s]).unwrap_err().to_string();
        for (setting, want) in [
            (
                "vxm_enty=4",
                "--set vxm_enty=4: unknown key `vxm_enty`; the nearest is `vxm_entry`",
            ),
            (
                "column_hop=0",
                "--set column_hop=0: unknown key `column_hop`; the nearest is `vxm_column_hop`",
            ),
            ("vxm_entry", "--set vxm_entry: expected KEY=VALUE"),
            (
                "vxm_entry=x",
                "--set vxm_entry=x: `vxm_entry` is \"x\", expected an integer 1…255",
            ),
            (
                "vxm_entry=",
                "--set vxm_entry=: `vxm_entry` is \"\", expected an integer 1…255",
            ),
            (
                "vxm_entry=4.5",
                "--set vxm_entry=4.5: `vxm_entry` is 4.5, expected an integer 1…255",
            ),
            (
                "vxm_immediates=1",
                "--set vxm_immediates=1: `vxm_immediates` is 1, expected true or false",
            ),
            (
                "superlanes=21",
                "--set superlanes=21: `superlanes` is 21, expected 20 (program format 1 encodes it)",
            ),
            (
                "clock_mhz=0",
                "--set clock_mhz=0: `clock_mhz` is 0, expected an integer 1…65535",
            ),
            (
                "sxm_in=9",
                "--set sxm_in=9: `sxm_in` is 9, expected less than `mxm_port_delay`, which is 9",
            ),
        ] {
            assert_eq!(message(setting), want);
        }
    }

    #[test]
    fn bad_files_are_refused() {
        let message = |s: &str| Machine::from_json(s, "m.json").unwrap_err().to_string();
        let file = |numbers: &str| {
            message(&format!(
                r#"{{"format":1,"name":"x","base":"tsp-v1","numbers":{{{numbers}}}}}"#
            ))
        };
        let entry = |fields: &str| file(&format!(r#""vxm_entry":{{{fields}}}"#));
        for (message, want) in [
            (message("{"), "EOF"),
            (message("[]"), "expected an object"),
            (message("{}"), "expected \"format\": 1"),
            (
                message(r#"{"format":2,"name":"x"}"#),
                "expected \"format\": 1",
            ),
            (
                message(r#"{"format":1,"name":"x y"}"#),
                "expected a \"name\"",
            ),
            (
                message(r#"{"format":1,"name":"x"}"#),
                "expected an object \"numbers\"",
            ),
            (
                message(r#"{"format":1,"name":"x","numbers":{}}"#),
                "clock_mhz: is missing",
            ),
            (
                message(r#"{"format":1,"name":"x","base":"y","numbers":{}}"#),
                "unknown base \"y\"",
            ),
            (
                message(r#"{"format":1,"name":"x","nombers":{}}"#),
                "unknown field `nombers`",
            ),
            (
                file(r#""vxm_enter":{}"#),
                "unknown key `vxm_enter`; the nearest is `vxm_entry`",
            ),
            (
                file(r#""vxm_entry":4"#),
                "expected an object with value, status and source",
            ),
            (
                entry(r#""value":4,"status":"guessed","source":"A""#),
                "expected \"status\"",
            ),
            (
                entry(r#""value":4,"status":"assumed","source":"""#),
                "expected a \"source\"",
            ),
            (
                entry(r#""status":"assumed","source":"A""#),
                "expected a \"value\"",
            ),
            (
                entry(r#""value":0,"status":"assumed","source":"A""#),
                "expected an integer 1…255",
            ),
            (
                entry(r#""value":4,"status":"assumed","source":"A","was":5"#),
                "unknown field `was`",
            ),
        ] {
            assert!(
                message.starts_with("m.json: ") && message.contains(want),
                "{message}"
            );
        }
    }
}
