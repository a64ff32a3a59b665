//! Cuts: which of a value's lanes (or rows) go into which tile. Plain arithmetic on ranges.

use std::fmt;

/// `count` positions from `start` on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Cut {
    pub start: usize,
    pub count: usize,
}

impl Cut {
    pub fn new(start: usize, count: usize) -> Cut {
        Cut { start, count }
    }

    /// The position after the last.
    pub fn end(self) -> usize {
        self.start + self.count
    }

    /// What both contain, if anything.
    pub fn overlap(self, other: Cut) -> Option<Cut> {
        let start = self.start.max(other.start);
        let count = self.end().min(other.end()).checked_sub(start)?;
        (count > 0).then_some(Cut { start, count })
    }

    /// The same positions counted from `origin`, which does not lie behind them.
    pub fn relative_to(self, origin: usize) -> Cut {
        Cut::new(self.start - origin, self.count)
    }

    /// The same positions after `offset` others.
    pub fn after(self, offset: usize) -> Cut {
        Cut::new(self.start + offset, self.count)
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end())
    }
}

/// Tiles of `tile` positions, the last one with the rest.
pub fn even(all: usize, tile: usize) -> Vec<Cut> {
    (0..all)
        .step_by(tile)
        .map(|start| Cut::new(start, tile.min(all - start)))
        .collect()
}

/// As few tiles, all alike, if they are whole groups of `unit`.
pub fn equal(all: usize, tile: usize, unit: usize) -> Option<Vec<Cut>> {
    let tiles = all.div_ceil(tile);
    let width = all / tiles;
    let whole = tiles == 1 || width.is_multiple_of(unit) && width * tiles == all;
    whole.then(|| even(all, width))
}

/// Tiles of at most `tile` lanes of which each holds whole heads, or only lanes of one head.
pub fn dealt(heads: usize, lanes: usize, tile: usize) -> Vec<Cut> {
    if lanes <= tile {
        return even(heads * lanes, tile / lanes * lanes);
    }
    let head = |h| {
        even(lanes, tile)
            .into_iter()
            .map(move |c| c.after(h * lanes))
    };
    (0..heads).flat_map(head).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_head_straddles_two_tiles() {
        assert_eq!(dealt(3, 100, 250), [Cut::new(0, 200), Cut::new(200, 100)]);
        let wide = [(0, 320), (320, 16), (336, 320), (656, 16)];
        assert_eq!(dealt(2, 336, 320), wide.map(|(s, n)| Cut::new(s, n)));
    }

    #[test]
    fn equal_tiles_are_as_few_and_whole_groups() {
        let widths = |all| {
            let cuts = equal(all, 320, 16);
            cuts.map(|cuts| cuts.iter().map(|c| c.count).collect::<Vec<_>>())
        };
        assert_eq!(widths(768), Some(vec![256; 3]));
        assert_eq!(widths(384), Some(vec![192; 2]));
        assert_eq!(widths(300), Some(vec![300]));
        assert_eq!(widths(400), None, "200 lanes are no whole groups");
        assert_eq!(widths(1000), None);
    }

    #[test]
    fn overlap_is_what_both_contain() {
        let cut = Cut::new(10, 10);
        assert_eq!(cut.overlap(Cut::new(15, 20)), Some(Cut::new(15, 5)));
        assert_eq!(cut.overlap(Cut::new(20, 5)), None);
        assert_eq!(cut.overlap(Cut::new(0, 3)), None);
    }
}
