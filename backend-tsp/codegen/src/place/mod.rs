//! place: hemisphere of every buffer; slice and bank of inputs; the sides that suit each chain's passes.
//!
//! Before: a problem whose chains are listed producers first. After: no chain needs one slice twice in a cycle for what is
//! placed (`Rooms` keeps that so while schedule places the rest); buffers that travel as one group (bytes of a VXM operand, writes of one
//! result) share a hemisphere. Knows no cycle and no word.

mod sides;
mod slices;

use std::cell::{Cell, RefCell};

use tspc_machine::Machine;
use tspc_program::Hemisphere;

use crate::Refusal;
use crate::problem::{BufferId, Problem};
pub use sides::dealings;
pub use slices::Rooms;

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
    /// Per buffer; slice and bank are known once schedule has given a chain that writes or reads it a time.
    pub places: Vec<Cell<Place>>,
    /// What slices hold so far.
    pub rooms: Rooms,
    /// Per chain: where each of its passes runs best; schedule may move them.
    pub passes: Vec<RefCell<Vec<Hemisphere>>>,
    /// Per hemisphere: planes that run passes. An fp16 unit keeps the odd plane still from its first load to its last
    /// result, so a hemisphere with an fp16 pass has one.
    pub planes: [u8; 2],
}

impl Placed {
    /// A buffer's place.
    pub fn of(&self, buffer: BufferId) -> Place {
        self.places[buffer.0 as usize].get()
    }

    /// The sides of a chain's passes.
    pub fn sides(&self, chain: usize) -> Vec<Hemisphere> {
        self.passes[chain].borrow().clone()
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
        passes: passes.into_iter().map(RefCell::new).collect(),
        planes,
    })
}
