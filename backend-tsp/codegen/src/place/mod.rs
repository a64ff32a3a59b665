//! place: hemisphere of every buffer; slice and bank of what is there at cycle 0; the side that suits each pass.
//!
//! Before: a problem whose chains are listed producers first. After: no chain needs one slice twice in a cycle for what is
//! placed (`Rooms` keeps that so while schedule places the rest); buffers that travel as one group (bytes of a VXM operand, writes of one
//! result) share a hemisphere. Knows no cycle and no word.

mod sides;
mod slices;

use std::cell::Cell;

use tspc_machine::Machine;
use tspc_program::Hemisphere;

use crate::Refusal;
use crate::problem::{BufferId, Problem};
pub use slices::{Rooms, floating};

/// Where a buffer lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Hemisphere.
    pub hemi: Hemisphere,
    /// Slice.
    pub slice: u8,
    /// Bank.
    pub bank: u8,
}

/// A problem with places.
#[derive(Clone, Debug)]
pub struct Placed {
    /// What is placed.
    pub problem: Problem,
    /// Per buffer; slice and bank of a written one are known once schedule has given its writer a time.
    pub places: Vec<Cell<Place>>,
    /// What slices hold so far.
    pub rooms: Rooms,
    /// Per chain: where its pass runs best (West for a chain without one); schedule may move it.
    pub passes: Vec<Cell<Hemisphere>>,
    /// Whether fp16 passes run beside int8 ones: they have a side of their own.
    pub mixed: bool,
    /// Per hemisphere: planes that run passes. An fp16 unit keeps the odd plane still from its first load to its last
    /// result, so a hemisphere with an fp16 pass has one.
    pub planes: [u8; 2],
}

impl Placed {
    /// A buffer's place.
    pub fn of(&self, buffer: BufferId) -> Place {
        self.places[buffer.0 as usize].get()
    }
}

/// Places a problem.
pub fn place(problem: Problem, machine: &Machine) -> Result<Placed, Refusal> {
    let planes = sides::planes(&problem);
    let passes = sides::of_passes(&problem, planes);
    let hemispheres = sides::of_buffers(&problem, &passes, machine);
    let (rooms, places) = Rooms::new(&problem, hemispheres, machine)?;
    Ok(Placed {
        problem,
        rooms,
        places: places.into_iter().map(Cell::new).collect(),
        passes: passes.into_iter().map(Cell::new).collect(),
        mixed: planes[0] != planes[1],
        planes,
    })
}
