//! Exact reservations: which queue, stream and mesh wire is taken when.
//!
//! Holds no delay and takes no decision: the scheduler asks for the first cycle at which a claim fits, then
//! books it.

use std::collections::BTreeMap;

/// A half-open span of cycles or diagonals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// First.
    pub start: i64,
    /// One past the last.
    pub end: i64,
}

impl Span {
    /// The span moved by `by`.
    pub fn shift(self, by: i64) -> Span {
        Span {
            start: self.start + by,
            end: self.end + by,
        }
    }

    /// Whether two spans have a member in common.
    pub fn meets(self, other: Span) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// What one resource (a queue, a byte stream, a byte of a mesh wire) has been booked for: rectangles of diagonals
/// (for queues: cycles) times coordinates (for queues: a single one).
#[derive(Clone, Default, Debug)]
pub struct Calendar {
    booked: BTreeMap<(i64, i64), (Span, Span)>,
    longest: i64,
}

impl Calendar {
    /// The least shift ≥ 0 of `time` after which the rectangle `time` × `place` is free.
    pub fn first_fit(&self, time: Span, place: Span) -> i64 {
        let mut by = 0;
        while let Some(end) = self.blocker(time.shift(by), place) {
            by = end - time.start;
        }
        by
    }

    /// The latest end among the bookings that meet the rectangle.
    fn blocker(&self, time: Span, place: Span) -> Option<i64> {
        self.booked
            .range((time.start - self.longest, i64::MIN)..(time.end, i64::MIN))
            .filter(|(_, (t, p))| t.meets(time) && p.meets(place))
            .map(|(_, (t, _))| t.end)
            .max()
    }

    /// Frees what was booked.
    pub fn free(&mut self, time: Span, place: Span) {
        self.booked.remove(&(time.start, place.start));
    }

    /// Books a rectangle that `first_fit` found free.
    pub fn book(&mut self, time: Span, place: Span) {
        debug_assert!(self.blocker(time, place).is_none());
        self.longest = self.longest.max(time.end - time.start);
        self.booked.insert((time.start, place.start), (time, place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: i64, end: i64) -> Span {
        Span { start, end }
    }

    #[test]
    fn fits_into_holes_and_beside_other_places() {
        let mut c = Calendar::default();
        c.book(span(10, 20), span(0, 5));
        c.book(span(25, 40), span(0, 5));
        assert_eq!(c.first_fit(span(0, 10), span(0, 5)), 0);
        assert_eq!(c.first_fit(span(5, 10), span(0, 5)), 0);
        assert_eq!(c.first_fit(span(12, 17), span(4, 6)), 8);
        assert_eq!(c.first_fit(span(12, 18), span(0, 1)), 28);
        assert_eq!(c.first_fit(span(12, 18), span(5, 9)), 0);
    }
}
