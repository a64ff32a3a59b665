//! The moving streams: who is where.
//!
//! A byte stream of one direction is a line of places: the inward stream registers of one hemisphere, then either the
//! columns of the mesh or the way past them to the outward registers of the other hemisphere, and its MXM port. All
//! values on a line move alike, so a value stays for ever on its *diagonal* (cycle minus distance), and what is at a
//! place is what was put last on that diagonal, at this place or before it. A diagonal is one cell of a ring with one
//! token per place: driving and taking cost the same few operations whatever the distance.
//!
//! May not know which instruction wants what.

use std::fmt;

use tspc_machine::Machine;
use tspc_program::{Direction, Hemisphere, Stream};

use crate::token::Token;

const COLUMNS: u8 = 12;
const MESH: u8 = COLUMNS;
const OUTWARD: u8 = MESH + 4;
const PORT: u8 = OUTWARD + COLUMNS;
const PLACES: usize = PORT as usize + 1;

/// A place on a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Point(u8);

impl Point {
    /// The outward SR_11, which the SXM takes.
    pub(crate) const SXM_IN: Point = Point(OUTWARD + COLUMNS - 1);
    /// The inward SR_11, which SXM and MXM drive.
    pub(crate) const RESULT: Point = Point(0);
    /// The SR_0 where the direction leaves the VXM.
    pub(crate) const VXM_OUT: Point = Point(OUTWARD);
    pub(crate) const PORT: Point = Point(PORT);

    /// SR_`column` of a hemisphere, for the streams of `dir`.
    pub(crate) fn register(hemi: Hemisphere, dir: Direction, column: u8) -> Point {
        if dir == hemi.inward() {
            Point(COLUMNS - 1 - column)
        } else {
            Point(OUTWARD + column)
        }
    }

    /// The k-th mesh column of the direction, k = 0…3.
    pub(crate) fn mesh(k: u8) -> Point {
        Point(MESH + k)
    }

    pub(crate) fn in_mesh(self) -> bool {
        (MESH..OUTWARD).contains(&self.0)
    }

    /// Places whose values come by here, this one included.
    fn visible(self) -> u32 {
        let mesh = ((1u32 << OUTWARD) - 1) & !((1 << MESH) - 1);
        let before = (2u32 << self.0) - 1;
        if self.in_mesh() {
            before
        } else {
            before & !mesh
        }
    }

    /// `SR_3(W)`, `mesh column 2`, `MXM_E port`; columns are counted from the West.
    fn name(self, dir: Direction) -> String {
        let (entry, exit) = match dir {
            Direction::East => ('W', 'E'),
            Direction::West => ('E', 'W'),
        };
        match self.0 {
            i if i < MESH => format!("SR_{}({entry})", COLUMNS - 1 - i),
            k if k < OUTWARD => {
                let k = k - MESH;
                format!(
                    "mesh column {}",
                    if dir == Direction::East { k } else { 3 - k }
                )
            }
            o if o < PORT => format!("SR_{}({exit})", o - OUTWARD),
            _ => format!("the port of MXM_{exit}"),
        }
    }
}

/// A stream at a place; prints as `e7 at SR_3(W)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub(crate) stream: Stream,
    pub(crate) point: Point,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.stream, self.point.name(self.stream.dir))
    }
}

#[derive(Clone)]
struct Cell {
    diagonal: u64,
    /// Places with a token.
    filled: u32,
    tokens: [Token; PLACES],
}

/// Where the expected value is instead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whereabouts {
    /// On the same diagonal, replaced by this token.
    ReplacedBy(Token),
    /// Comes by in this cycle.
    At(u64),
    Unknown,
}

/// All lines.
pub(crate) struct Lines {
    /// Cycles from the first place of the line.
    distance: [u64; PLACES],
    /// A power of two.
    ring: usize,
    /// Longest distance: added to diagonals, so that none is negative.
    farthest: u64,
    cells: Vec<Cell>,
}

impl Lines {
    pub(crate) fn new(m: &Machine) -> Lines {
        let mut distance = [0u64; PLACES];
        let entry = u64::from(COLUMNS) - 1;
        for i in 0..u64::from(COLUMNS) {
            distance[i as usize] = i;
            distance[OUTWARD as usize + i as usize] = entry + u64::from(m.vxm_pass_through) + i;
        }
        for k in 0..4 {
            distance[usize::from(MESH) + k] =
                entry + u64::from(m.vxm_entry) + k as u64 * u64::from(m.vxm_column_hop);
        }
        distance[PORT as usize] = distance[Point::SXM_IN.0 as usize] + u64::from(m.mxm_port_delay);
        // No instruction drives further ahead or looks further back than all delays together.
        let sxm = u64::from(
            m.sxm_distribute
                .max(m.sxm_transpose)
                .max(m.sxm_permute)
                .max(m.sxm_shift + 19),
        );
        let ahead = u64::from(m.mem_read_latency + m.vxm_latency + m.vxm_latency_transcendental)
            + u64::from(m.mxm_accumulate_to_result)
            + sxm
            + u64::from(m.sxm_out_back + m.sxm_out_on);
        let farthest = distance.iter().max().copied().unwrap_or(0);
        let ring = (ahead + farthest + u64::from(m.sxm_in) + 2).next_power_of_two() as usize;
        let empty = Cell {
            diagonal: 0,
            filled: 0,
            tokens: [Token::NOTHING; PLACES],
        };
        Lines {
            distance,
            ring,
            farthest,
            cells: vec![empty; 64 * ring],
        }
    }

    fn first(&self, stream: Stream) -> usize {
        (stream.dir.index() * 32 + usize::from(stream.id & 31)) * self.ring
    }

    fn locate(&self, spot: Spot, cycle: u64) -> (usize, u64) {
        let diagonal = cycle + self.farthest - self.distance[spot.point.0 as usize];
        (
            self.first(spot.stream) + (diagonal as usize & (self.ring - 1)),
            diagonal,
        )
    }

    /// Puts a value at a spot; the error is the value that somebody else puts there in the same cycle.
    pub(crate) fn drive(&mut self, spot: Spot, cycle: u64, token: Token) -> Result<(), Token> {
        let (index, diagonal) = self.locate(spot, cycle);
        let cell = &mut self.cells[index];
        if cell.diagonal != diagonal {
            cell.diagonal = diagonal;
            cell.filled = 0;
        }
        let place = spot.point.0;
        if cell.filled & 1 << place != 0 {
            return Err(cell.tokens[place as usize]);
        }
        cell.filled |= 1 << place;
        cell.tokens[place as usize] = token;
        Ok(())
    }

    /// What is at a spot: all drives until this cycle must have been made.
    pub(crate) fn take(&self, spot: Spot, cycle: u64) -> Token {
        let (index, diagonal) = self.locate(spot, cycle);
        let cell = &self.cells[index];
        let seen = cell.filled & spot.point.visible();
        if cell.diagonal != diagonal || seen == 0 {
            return Token::NOTHING;
        }
        cell.tokens[seen.ilog2() as usize]
    }

    /// Where a value is that was expected at a spot and is not there.
    pub(crate) fn find(&self, spot: Spot, cycle: u64, wanted: Token) -> Whereabouts {
        let visible = spot.point.visible();
        let holds = |cell: &Cell| {
            (0..PLACES)
                .any(|p| cell.filled & visible & 1 << p != 0 && cell.tokens[p].same_maker(wanted))
        };
        let (index, diagonal) = self.locate(spot, cycle);
        if self.cells[index].diagonal == diagonal && holds(&self.cells[index]) {
            return Whereabouts::ReplacedBy(self.take(spot, cycle));
        }
        let first = self.first(spot.stream);
        let line = &self.cells[first..first + self.ring];
        match line.iter().find(|c| holds(c)) {
            Some(cell) => Whereabouts::At((cycle + cell.diagonal).saturating_sub(diagonal)),
            None => Whereabouts::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn east(id: u8, point: Point) -> Spot {
        Spot {
            stream: Stream {
                dir: Direction::East,
                id,
            },
            point,
        }
    }

    fn sr(hemi: Hemisphere, column: u8) -> Point {
        Point::register(hemi, Direction::East, column)
    }

    #[test]
    fn a_value_moves_one_register_a_cycle_and_passes_the_vxm() {
        let m = Machine::tsp_v1();
        let mut lines = Lines::new(&m);
        let token = Token::dispatch(1, 0);
        lines
            .drive(east(4, sr(Hemisphere::West, 3)), 10, token)
            .unwrap();
        assert_eq!(lines.take(east(4, sr(Hemisphere::West, 3)), 10), token);
        assert_eq!(lines.take(east(4, sr(Hemisphere::West, 0)), 13), token);
        assert!(
            lines
                .take(east(4, sr(Hemisphere::West, 0)), 12)
                .is_nothing()
        );
        assert!(lines.take(east(4, sr(Hemisphere::West, 4)), 9).is_nothing());
        for k in 0..4 {
            assert_eq!(
                lines.take(east(4, Point::mesh(k)), 13 + 5 + 3 * u64::from(k)),
                token
            );
        }
        assert_eq!(lines.take(east(4, Point::VXM_OUT), 18), token);
        assert_eq!(lines.take(east(4, sr(Hemisphere::East, 11)), 29), token);
        assert_eq!(lines.take(east(4, Point::PORT), 38), token);
        assert!(lines.take(east(5, Point::PORT), 38).is_nothing());
    }

    #[test]
    fn a_later_producer_replaces_from_its_place_on() {
        let m = Machine::tsp_v1();
        let mut lines = Lines::new(&m);
        let (old, new) = (Token::dispatch(1, 0), Token::dispatch(2, 0));
        lines
            .drive(east(0, sr(Hemisphere::West, 3)), 10, old)
            .unwrap();
        lines
            .drive(east(0, sr(Hemisphere::West, 1)), 12, new)
            .unwrap();
        assert_eq!(lines.take(east(0, sr(Hemisphere::West, 2)), 11), old);
        assert_eq!(lines.take(east(0, sr(Hemisphere::West, 1)), 12), new);
        assert_eq!(
            lines.find(east(0, sr(Hemisphere::West, 0)), 13, old),
            Whereabouts::ReplacedBy(new)
        );
        assert_eq!(
            lines.find(east(0, sr(Hemisphere::West, 2)), 14, old),
            Whereabouts::At(11)
        );
        assert_eq!(
            lines.drive(east(0, sr(Hemisphere::West, 1)), 12, old),
            Err(new)
        );
    }

    #[test]
    fn mesh_results_stay_in_the_mesh_and_outs_outside() {
        let m = Machine::tsp_v1();
        let mut lines = Lines::new(&m);
        let [entry, mesh, out] = [1, 2, 3].map(|s| Token::dispatch(s, 0));
        lines
            .drive(east(0, sr(Hemisphere::West, 0)), 10, entry)
            .unwrap();
        lines.drive(east(0, Point::mesh(2)), 21, mesh).unwrap();
        assert_eq!(lines.take(east(0, Point::mesh(1)), 18), entry);
        assert_eq!(lines.take(east(0, Point::mesh(3)), 24), mesh);
        assert_eq!(lines.take(east(0, Point::VXM_OUT), 15), entry);
        lines.drive(east(0, Point::VXM_OUT), 15, out).unwrap();
        assert_eq!(lines.take(east(0, Point::PORT), 15 + 11 + 9), out);
    }

    #[test]
    fn the_ring_forgets_old_diagonals() {
        let m = Machine::tsp_v1();
        let mut lines = Lines::new(&m);
        let spot = east(0, sr(Hemisphere::West, 3));
        lines.drive(spot, 0, Token::dispatch(1, 0)).unwrap();
        assert!(lines.take(spot, lines.ring as u64).is_nothing());
        lines
            .drive(spot, lines.ring as u64, Token::dispatch(2, 0))
            .unwrap();
        assert_eq!(spot.to_string(), "e0 at SR_3(W)");
    }
}
