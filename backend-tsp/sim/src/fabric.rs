//! Everything that moves: the streams of both directions, the wires of the VXM mesh, results in flight.
//!
//! Nothing is copied to make it move. A value that is at position p of its axis at cycle T was at p−1 one
//! cycle before, so T−p (its diagonal) never changes and is its address in a ring; the ring is longer than
//! the axis, and the diagonal that reaches position 0 is emptied first. "Taking does not consume" is then
//! reading; "replacing the value that moved there" is storing on the same diagonal.
//!
//! In the mesh a value is at column k of its direction at (diagonal + k·hop). Results enter at columns
//! after the first, so a diagonal has one cell per column, and a column sees the nearest cell behind it.

use tspc_program::{Direction, Stream};

use crate::fault::{Check, Dispatch, FaultKind};
use crate::pool::{Bytes, Handle, Pool};
use crate::timing::Timing;

const STREAMS: usize = 32;

/// A place on one diagonal for one stream.
#[derive(Clone, Copy)]
struct Cell {
    value: Handle,
    /// The cycle in which an instruction last stored here, and which one.
    stored: Option<(u64, Dispatch)>,
}

const EMPTY: Cell = Cell {
    value: Handle::NONE,
    stored: None,
};

/// A result on its way to a cell.
struct Landing {
    mesh: bool,
    cell: u32,
    stream: Stream,
    value: Handle,
    by: Dispatch,
}

/// Where a result goes.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// A position of the stream's axis.
    Position(usize),
    /// A column of the mesh, counted in the stream's direction.
    Column(usize),
}

/// Streams, wires and results in flight at the current cycle.
pub struct Fabric {
    /// The positions.
    pub timing: Timing,
    /// The current cycle.
    pub cycle: u64,
    pool: Pool,
    /// Per direction and diagonal, 32 cells.
    axis: Vec<Cell>,
    axis_ring: usize,
    /// Per direction, diagonal and column, 32 cells.
    mesh: Vec<Cell>,
    mesh_ring: usize,
    /// Results by the cycle in which they appear.
    landings: Vec<Vec<Landing>>,
    in_flight: usize,
    last_landing: u64,
}

impl Fabric {
    /// Empty at cycle 0.
    pub fn new(timing: Timing) -> Fabric {
        let axis_ring = (timing.port + 1).next_power_of_two();
        let mesh_length = timing.mesh_entry + timing.mesh_hop * timing.mesh_columns as u64;
        let mesh_ring = (mesh_length as usize + 1).next_power_of_two();
        let landings = timing.longest.next_power_of_two();
        Fabric {
            axis: vec![EMPTY; 2 * axis_ring * STREAMS],
            mesh: vec![EMPTY; 2 * mesh_ring * timing.mesh_columns * STREAMS],
            landings: (0..landings).map(|_| Vec::new()).collect(),
            cycle: 0,
            pool: Pool::default(),
            axis_ring,
            mesh_ring,
            in_flight: 0,
            last_landing: 0,
            timing,
        }
    }

    fn axis_cell(&self, dir: Direction, position: usize, cycle: u64) -> usize {
        let diagonal = cycle.wrapping_sub(position as u64) as usize & (self.axis_ring - 1);
        (dir.index() * self.axis_ring + diagonal) * STREAMS
    }

    /// Cell of `column` on the diagonal that is at that column in `cycle`.
    fn mesh_cell(&self, dir: Direction, column: usize, cycle: u64) -> usize {
        let diagonal = cycle.wrapping_sub(self.timing.mesh_hop * column as u64) as usize
            & (self.mesh_ring - 1);
        ((dir.index() * self.mesh_ring + diagonal) * self.timing.mesh_columns + column) * STREAMS
    }

    /// Brings `self.cycle` to its start: moves everything, stores what is due.
    pub fn begin_cycle(&mut self) -> Check {
        let cycle = self.cycle;
        for dir in [Direction::West, Direction::East] {
            // What is at position 0 now came from nowhere.
            let first = self.axis_cell(dir, 0, cycle);
            clear(&mut self.pool, &mut self.axis[first..first + STREAMS]);
        }
        let due = cycle as usize & (self.landings.len() - 1);
        let mut landings = std::mem::take(&mut self.landings[due]);
        for landing in landings.drain(..) {
            self.in_flight -= 1;
            self.last_landing = cycle;
            self.land(landing)?;
        }
        self.landings[due] = landings;
        for dir in [Direction::West, Direction::East] {
            // What is on the entry SR_0 now is what the first column will see.
            let from = self.axis_cell(dir, self.timing.entry, cycle);
            let to = self.mesh_cell(dir, 0, cycle + self.timing.mesh_entry);
            clear(
                &mut self.pool,
                &mut self.mesh[to..to + self.timing.mesh_columns * STREAMS],
            );
            for k in 0..STREAMS {
                let value = self.axis[from + k].value;
                self.pool.hold(value);
                self.mesh[to + k].value = value;
            }
        }
        Ok(())
    }

    fn land(&mut self, landing: Landing) -> Check {
        let cells = if landing.mesh {
            &mut self.mesh
        } else {
            &mut self.axis
        };
        let cell = &mut cells[landing.cell as usize];
        if let Some((cycle, other)) = cell.stored
            && cycle == self.cycle
        {
            let where_ = if landing.mesh {
                "in the mesh"
            } else {
                "at its stream register"
            };
            let message = format!("{} is driven by {other} too {where_}", landing.stream);
            return Err(FaultKind::TwoProducers.blame(landing.by, message));
        }
        self.pool.release(cell.value);
        *cell = Cell {
            value: landing.value,
            stored: Some((self.cycle, landing.by)),
        };
        Ok(())
    }

    /// What is on a stream at a position now; nothing there is a fault.
    pub fn take(&self, stream: Stream, position: usize) -> Check<&Bytes> {
        let cell = self.axis_cell(stream.dir, position, self.cycle) + stream.id as usize;
        match self.axis[cell].value.some() {
            Some(value) => Ok(self.pool.get(value)),
            None => Err(FaultKind::EmptyStream.because(format!(
                "nothing on {stream} at {}",
                self.timing.place(stream.dir, position)
            ))),
        }
    }

    /// What an ALU in this column (counted in the stream's direction) sees on a wire now.
    pub fn take_wire(&self, stream: Stream, column: usize) -> Check<&Bytes> {
        let first = self.mesh_cell(stream.dir, column, self.cycle) + stream.id as usize;
        let seen = (0..=column).find_map(|back| self.mesh[first - back * STREAMS].value.some());
        match seen {
            Some(value) => Ok(self.pool.get(value)),
            None => Err(FaultKind::EmptyStream.because(format!(
                "nothing on {stream} in the mesh, column {column} of its direction"
            ))),
        }
    }

    /// The vector that appears at `target` `delay` ≥ 1 cycles from now; the caller fills it.
    pub fn emit(&mut self, stream: Stream, target: Target, delay: u64, by: Dispatch) -> &mut Bytes {
        let at = self.cycle + delay;
        let (mesh, cell) = match target {
            Target::Position(position) => (false, self.axis_cell(stream.dir, position, at)),
            Target::Column(column) => (true, self.mesh_cell(stream.dir, column, at)),
        };
        let due = at as usize & (self.landings.len() - 1);
        let (value, bytes) = self.pool.make();
        let cell = (cell + stream.id as usize) as u32;
        self.landings[due].push(Landing {
            mesh,
            cell,
            stream,
            value,
            by,
        });
        self.in_flight += 1;
        bytes
    }

    /// Whether results are on their way.
    pub fn in_flight(&self) -> bool {
        self.in_flight > 0
    }

    /// Whether every stream and wire has been empty long enough that skipping cycles changes nothing.
    pub fn is_quiet(&self) -> bool {
        let longest = (self.axis_ring + self.mesh_ring) as u64 * 2;
        self.in_flight == 0 && self.cycle > self.last_landing + longest
    }
}

fn clear(pool: &mut Pool, cells: &mut [Cell]) {
    for cell in cells {
        pool.release(cell.value);
        *cell = EMPTY;
    }
}

#[cfg(test)]
mod tests {
    use tspc_machine::Machine;
    use tspc_program::QueueId;

    use super::*;
    use crate::fault;

    fn fabric(settings: &[&str]) -> Fabric {
        let machine = Machine::tsp_v1().with(settings).unwrap();
        Fabric::new(Timing::new(&machine))
    }

    fn by(index: usize) -> Dispatch {
        fault::dispatch(QueueId::new(0).unwrap(), index, 0)
    }

    fn until(fabric: &mut Fabric, cycle: u64) {
        while fabric.cycle < cycle {
            fabric.cycle += 1;
            fabric.begin_cycle().unwrap();
        }
    }

    const E5: Stream = Stream {
        dir: Direction::East,
        id: 5,
    };

    #[test]
    fn a_value_crosses_the_chip_and_ends() {
        let mut f = fabric(&[]);
        f.begin_cycle().unwrap();
        f.emit(E5, Target::Position(0), 1, by(0)).fill(9);
        for p in 0..=f.timing.port {
            until(&mut f, 1 + p as u64);
            assert_eq!(f.take(E5, p).unwrap()[0], 9, "position {p}");
            assert!(p == 0 || f.take(E5, p - 1).is_err());
        }
        until(&mut f, 500);
        assert!((0..=f.timing.port).all(|p| f.take(E5, p).is_err()));
        assert!(f.is_quiet());
        assert_eq!(f.pool.held(), 0);
    }

    #[test]
    fn the_mesh_keeps_what_an_out_replaces() {
        let mut f = fabric(&[]);
        f.begin_cycle().unwrap();
        let (entry, exit) = (f.timing.entry, f.timing.exit());
        f.emit(E5, Target::Position(entry), 1, by(0)).fill(1);
        f.emit(E5, Target::Position(exit), 6, by(1)).fill(2);
        f.emit(E5, Target::Column(2), 12, by(2)).fill(3);
        until(&mut f, 6);
        assert_eq!(f.take(E5, exit).unwrap()[0], 2);
        assert_eq!(f.take_wire(E5, 0).unwrap()[0], 1);
        assert!(f.take_wire(E5, 1).is_err());
        until(&mut f, 9);
        assert_eq!(f.take_wire(E5, 1).unwrap()[0], 1);
        until(&mut f, 12);
        assert_eq!(f.take_wire(E5, 2).unwrap()[0], 3);
        until(&mut f, 15);
        assert_eq!(f.take_wire(E5, 3).unwrap()[0], 3);
        until(&mut f, 16);
        assert!((0..4).all(|c| f.take_wire(E5, c).is_err()));
    }

    #[test]
    fn without_waiting_columns_a_result_is_seen_ahead_of_it_only() {
        let mut f = fabric(&["vxm_column_hop=0"]);
        f.begin_cycle().unwrap();
        f.emit(E5, Target::Position(f.timing.entry), 1, by(0))
            .fill(1);
        f.emit(E5, Target::Column(2), 6, by(1)).fill(2);
        until(&mut f, 6);
        let seen: Vec<u8> = (0..4).map(|c| f.take_wire(E5, c).unwrap()[0]).collect();
        assert_eq!(seen, [1, 1, 2, 2]);
    }

    #[test]
    fn two_producers_collide_but_replacing_is_fine() {
        let mut f = fabric(&[]);
        f.begin_cycle().unwrap();
        f.emit(E5, Target::Position(0), 1, by(0)).fill(1);
        f.emit(E5, Target::Position(1), 2, by(1)).fill(2);
        until(&mut f, 2);
        assert_eq!(f.take(E5, 1).unwrap()[0], 2);
        f.emit(E5, Target::Position(4), 3, by(2));
        f.emit(E5, Target::Position(4), 3, by(3));
        until(&mut f, 4);
        f.cycle += 1;
        let fault = f.begin_cycle().unwrap_err();
        assert_eq!(
            (fault.kind, fault.at),
            (FaultKind::TwoProducers, Some(by(3)))
        );
    }
}
