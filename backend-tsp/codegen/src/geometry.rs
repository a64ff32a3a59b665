//! Where values are when: one coordinate per direction, along which a value moves one step a cycle.
//!
//! Eastward, coordinate 0 is SR_11 of the West; SR_0(W) is `edge`; the VXM lies between it and SR_0(E), and the
//! MXM port of the East is the last coordinate. Westward is the mirror image. A value made at coordinate x in
//! cycle t stays on the diagonal t − x for ever, so a stream is reserved as a rectangle: diagonals × coordinates.
//!
//! All delays of machine.md sections 2 and 3 that join two units pass through here; nobody else adds them.

use tspc_machine::Numbers;
use tspc_program::{Direction, Hemisphere};

/// Position along a direction of flow.
pub type Coordinate = i64;

/// Positions of the units, derived from the machine's numbers.
#[derive(Clone, Debug)]
pub struct Geometry {
    columns: i64,
    slices_per_group: i64,
    pass_through: i64,
    port: i64,
    read_latency: i64,
}

impl Geometry {
    /// The geometry of a machine.
    pub fn new(machine: &Numbers) -> Geometry {
        Geometry {
            columns: i64::from(machine.sr_columns),
            slices_per_group: i64::from(machine.mem_slices_per_group),
            pass_through: i64::from(machine.vxm_pass_through),
            port: i64::from(machine.mxm_port_delay),
            read_latency: i64::from(machine.mem_read_latency),
        }
    }

    /// Stream register SR_p of a hemisphere, seen by a stream that flows in `dir`.
    pub fn register(&self, dir: Direction, hemi: Hemisphere, p: i64) -> Coordinate {
        if dir == hemi.inward() {
            self.columns - 1 - p
        } else {
            self.vxm_exit() + p
        }
    }

    /// SR_0 where a direction enters the VXM.
    pub fn vxm_entry(&self) -> Coordinate {
        self.columns - 1
    }

    /// SR_0 where a direction leaves the VXM: later than the entry by the pass-through delay.
    pub fn vxm_exit(&self) -> Coordinate {
        self.columns - 1 + self.pass_through
    }

    /// SR_11 where a direction arrives at SXM and MXM.
    pub fn edge(&self) -> Coordinate {
        self.vxm_exit() + self.columns - 1
    }

    /// The MXM port where a direction ends.
    pub fn mxm_port(&self) -> Coordinate {
        self.edge() + self.port
    }

    /// Where a read of a slice drives a stream of this direction.
    pub fn read(&self, dir: Direction, hemi: Hemisphere, slice: u8) -> Coordinate {
        let g = i64::from(slice) / self.slices_per_group;
        self.register(dir, hemi, if dir == hemi.outward() { g + 1 } else { g })
    }

    /// Where a write of a slice takes a stream of this direction.
    pub fn write(&self, dir: Direction, hemi: Hemisphere, slice: u8) -> Coordinate {
        let g = i64::from(slice) / self.slices_per_group;
        self.register(dir, hemi, if dir == hemi.outward() { g } else { g + 1 })
    }

    /// Dispatch cycle of the read that puts its word on diagonal `d`.
    pub fn read_dispatch(&self, dir: Direction, hemi: Hemisphere, slice: u8, d: i64) -> i64 {
        d + self.read(dir, hemi, slice) - self.read_latency
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tspc_machine::Machine;

    /// Observation C3: weights from slice 25 reach the port after 4 hops and 9 cycles.
    #[test]
    fn slice_25_is_four_hops_from_the_mxm() {
        let g = Geometry::new(&Machine::tsp_v1());
        for hemi in Hemisphere::ALL {
            let at = g.read(hemi.outward(), hemi, 25);
            assert_eq!(g.edge() - at, 4);
            assert_eq!(g.mxm_port() - g.edge(), 9);
        }
    }

    #[test]
    fn a_value_crosses_the_chip() {
        let g = Geometry::new(&Machine::tsp_v1());
        let west = g.read(Direction::East, Hemisphere::West, 0);
        let east = g.write(Direction::East, Hemisphere::East, 3);
        assert_eq!(east - west, 5, "SR_0(W) to SR_0(E)");
        assert_eq!(
            g.write(Direction::West, Hemisphere::East, 0),
            g.register(Direction::West, Hemisphere::East, 1)
        );
    }
}
