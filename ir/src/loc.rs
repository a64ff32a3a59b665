//! Locations: where in a file or in the model an op comes from. Every op has one.
//!
//! The table holds each location once. Parts of a fused location are older than it, so the table has no cycle.

use crate::entity::{Entity, Loc};
use indexmap::IndexSet;

/// A location.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LocData {
    /// A place in a text file; line and column count from 1.
    FileSpan {
        /// The file's name.
        file: String,
        /// The line.
        line: u32,
        /// The column.
        col: u32,
    },
    /// A path in the model, such as `encoder/layer/0/attention/query`.
    Path(String),
    /// The op replaces several, by a named rule.
    Fused {
        /// Who fused them.
        rule: String,
        /// What was fused, without repetition.
        parts: Vec<Loc>,
    },
}

/// The locations of a module, each once.
#[derive(Clone, Default, Debug)]
pub struct LocTable {
    set: IndexSet<LocData>,
    /// Per location: 0 for a place, else one more than the deepest part.
    depths: Vec<u8>,
}

/// Fusing deeper than this keeps the places and forgets the rules in between.
const MAX_DEPTH: u8 = 32;

impl LocTable {
    /// Enters a location; fused ones come from [`LocTable::fuse`].
    pub(crate) fn add(&mut self, data: LocData) -> Loc {
        let depth = match &data {
            LocData::Fused { parts, .. } => {
                1 + parts.iter().map(|&p| self.depth(p)).max().unwrap_or(0)
            }
            _ => 0,
        };
        let (index, new) = self.set.insert_full(data);
        if new {
            self.depths.push(depth);
        }
        Loc::new(index)
    }

    fn depth(&self, loc: Loc) -> u8 {
        self.depths.get(loc.index()).copied().unwrap_or(0)
    }

    /// A path in the model.
    pub fn path(&mut self, path: impl Into<String>) -> Loc {
        self.add(LocData::Path(path.into()))
    }

    /// The location of an op that `rule` made from ops at `parts`; of one distinct part, still names the rule.
    pub fn fuse(&mut self, rule: impl Into<String>, parts: &[Loc]) -> Loc {
        let deep = parts.iter().any(|&p| self.depth(p) >= MAX_DEPTH);
        let distinct: IndexSet<Loc> = match deep {
            true => parts.iter().flat_map(|&p| self.leaf_locs(p)).collect(),
            false => parts.iter().copied().collect(),
        };
        self.add(LocData::Fused {
            rule: rule.into(),
            parts: distinct.into_iter().collect(),
        })
    }

    /// The copy of a location of another table.
    pub fn copy(&mut self, from: &LocTable, loc: Loc) -> Loc {
        match from.get(loc) {
            Some(LocData::Fused { rule, parts }) => {
                let parts: Vec<Loc> = parts.iter().map(|&p| self.copy(from, p)).collect();
                self.fuse(rule.clone(), &parts)
            }
            Some(place) => self.add(place.clone()),
            None => self.path(loc.to_string()),
        }
    }

    /// The location, or `None` for a reference of another module.
    pub fn get(&self, loc: Loc) -> Option<&LocData> {
        self.set.get_index(loc.index())
    }

    /// Files and model paths behind a location, each once, in order.
    pub fn leaves(&self, loc: Loc) -> Vec<String> {
        self.leaf_locs(loc)
            .into_iter()
            .map(|leaf| self.describe(leaf))
            .collect()
    }

    fn leaf_locs(&self, loc: Loc) -> Vec<Loc> {
        let (mut seen, mut todo) = (IndexSet::new(), vec![loc]);
        while let Some(loc) = todo.pop() {
            if seen.insert(loc)
                && let Some(LocData::Fused { parts, .. }) = self.get(loc)
            {
                todo.extend(parts.iter().rev());
            }
        }
        seen.retain(|&l| self.depth(l) == 0);
        seen.into_iter().collect()
    }

    /// A place in a text file.
    pub fn file(&mut self, file: impl Into<String>, line: u32, col: u32) -> Loc {
        self.add(LocData::FileSpan {
            file: file.into(),
            line,
            col,
        })
    }

    /// The location in words: `file:3:8`, `encoder/layer/0`, `a + b (rule)`.
    pub fn describe(&self, loc: Loc) -> String {
        match self.get(loc) {
            Some(LocData::FileSpan { file, line, col }) => format!("{file}:{line}:{col}"),
            Some(LocData::Path(path)) => path.clone(),
            Some(LocData::Fused { rule, .. }) => {
                format!("{} ({rule})", self.leaves(loc).join(" + "))
            }
            None => loc.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_shared_and_fusing_keeps_all_leaves() {
        let mut table = LocTable::default();
        let a = table.path("a");
        let b = table.file("f", 3, 1);
        assert_eq!(table.path("a"), a);
        let ab = table.fuse("r1", &[a, b, a]);
        let c = table.path("c");
        let abc = table.fuse("r2", &[ab, c, a]);
        assert_eq!(table.leaves(abc), ["a", "f:3:1", "c"]);
        assert_eq!(table.describe(abc), "a + f:3:1 + c (r2)");
    }

    #[test]
    fn deep_fusing_keeps_all_places() {
        let mut table = LocTable::default();
        let mut loc = table.path("start");
        for i in 0..1000 {
            let other = table.path(i.to_string());
            loc = table.fuse("r", &[loc, other]);
        }
        assert_eq!(table.leaves(loc).len(), 1001);
        assert!(table.depths.iter().all(|&d| d <= MAX_DEPTH));
    }
}
