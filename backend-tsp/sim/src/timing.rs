//! The machine's numbers as places and delays of the simulator (machine.md sections 1–3).
//!
//! Everything that moves is described by one axis per direction. Position 0 is SR_11 of the hemisphere
//! where the direction enters, one position is one cycle, and the axis runs inward, through the VXM,
//! outward, and on to the SXM and the MXM port:
//!
//! ```text
//! SR_11 … SR_0 (inward) | VXM, pass-through | SR_0 … SR_11 (outward) | SXM | port
//!   0   …  11           |                   |  16  …  27             |  31 |  36
//! ```

use tspc_machine::Machine;
use tspc_program::{Direction, Hemisphere};

/// MEM slices between two stream-register columns; fixed by the program format.
const SLICES_PER_GROUP: u8 = 4;

/// Places and delays.
#[derive(Clone, Debug)]
pub struct Timing {
    last_column: usize,
    sr0_outward: usize,
    /// Position of the inward SR_0, where values enter the VXM.
    pub entry: usize,
    /// Position at which an SXM operation takes.
    pub sxm: usize,
    /// Position of the MXM port, the last one.
    pub port: usize,
    /// From the entry SR_0 to the first column of the mesh.
    pub mesh_entry: u64,
    /// From a column of the mesh to the next.
    pub mesh_hop: u64,
    /// Columns of the mesh.
    pub mesh_columns: usize,
    /// More than any delay from a dispatch to its result.
    pub longest: usize,
}

impl Timing {
    /// From a loaded machine: its results appear later than they are asked for, its port beyond the SXM.
    pub fn new(machine: &Machine) -> Timing {
        let m = &machine.numbers;
        let last_column = m.sr_columns as usize - 1;
        let sr0_outward = last_column + m.vxm_pass_through as usize;
        let sr_last_outward = sr0_outward + last_column;
        let sxm_longest = m
            .sxm_permute
            .max(m.sxm_distribute)
            .max(m.sxm_transpose)
            .max(m.sxm_shift + m.superlanes);
        let longest = [
            m.mem_read_latency,
            m.vxm_latency,
            m.vxm_latency_transcendental,
            m.mxm_accumulate_to_result,
            sxm_longest + m.sxm_out_back.max(m.sxm_out_on),
        ];
        Timing {
            last_column,
            sr0_outward,
            entry: last_column,
            sxm: sr_last_outward + m.sxm_in as usize,
            port: sr_last_outward + m.mxm_port_delay as usize,
            mesh_entry: m.vxm_entry.into(),
            mesh_hop: m.vxm_column_hop.into(),
            mesh_columns: m.vxm_columns as usize,
            longest: longest.into_iter().max().unwrap_or(0) as usize + 1,
        }
    }

    /// Position of SR_`column` of a hemisphere for streams of direction `dir`.
    pub fn sr(&self, hemi: Hemisphere, column: usize, dir: Direction) -> usize {
        if dir == hemi.outward() {
            self.sr0_outward + column
        } else {
            self.last_column - column
        }
    }

    /// Where a read of this slice drives a stream of direction `dir`.
    pub fn mem_drives(&self, hemi: Hemisphere, slice: u8, dir: Direction) -> usize {
        let group = (slice / SLICES_PER_GROUP) as usize;
        self.sr(hemi, group + usize::from(dir == hemi.outward()), dir)
    }

    /// Where a write of this slice takes a stream of direction `dir`.
    pub fn mem_takes(&self, hemi: Hemisphere, slice: u8, dir: Direction) -> usize {
        let group = (slice / SLICES_PER_GROUP) as usize;
        self.sr(hemi, group + usize::from(dir == hemi.inward()), dir)
    }

    /// Position of the SR_0 where a direction leaves the VXM.
    pub fn exit(&self) -> usize {
        self.sr0_outward
    }

    /// Position of SR_11 inward, where SXM and MXM results appear.
    pub fn results(&self) -> usize {
        0
    }

    /// The name of a position, for messages: `SR_3(E)`, `MXM port(E)`.
    pub fn place(&self, dir: Direction, position: usize) -> String {
        let (from, to) = match dir {
            Direction::East => ('W', 'E'),
            Direction::West => ('E', 'W'),
        };
        if position <= self.last_column {
            format!("SR_{}({from})", self.last_column - position)
        } else if position == self.port {
            format!("MXM port({to})")
        } else if position == self.sxm {
            format!("SXM({to})")
        } else {
            format!("SR_{}({to})", position.saturating_sub(self.sr0_outward))
        }
    }
}
