//! The chip: 144 queues against one clock.

use tspc_machine::Machine;
use tspc_program::{Hemisphere, Instr, Program, QueueId, Unit};

use crate::fabric::Fabric;
use crate::fault::{Check, Dispatch, Fault, dispatch};
use crate::memory::Memory;
use crate::mxm::Mxm;
use crate::queue::{self, Queue};
use crate::timing::Timing;
use crate::{mem, sxm, vxm};

/// Cycles between two calls of the progress callback.
const PROGRESS: u64 = 1024;

/// All state of the chip.
pub struct Chip {
    /// The SRAM.
    pub memory: Memory,
    fabric: Fabric,
    mxm: [Mxm; 2],
    sxm: sxm::Delays,
    vxm: vxm::Latency,
    read_latency: u64,
}

/// What a run counted.
pub struct Counts {
    /// One more than the last cycle in which something dispatched or was due.
    pub end: u64,
    /// Per queue; iterations of repeats count, nops do not.
    pub dispatches: Vec<u64>,
    /// Per chip-wide plane.
    pub acts: [u64; 4],
}

impl Chip {
    /// Empty at cycle 0.
    pub fn new(machine: &Machine, timing: Timing) -> Chip {
        Chip {
            memory: Memory::new(machine.mem_write_to_read.into()),
            fabric: Fabric::new(timing),
            mxm: Hemisphere::ALL.map(|hemi| Mxm::new(hemi, machine)),
            sxm: sxm::Delays::new(machine),
            vxm: vxm::Latency {
                plain: machine.vxm_latency.into(),
                transcendental: machine.vxm_latency_transcendental.into(),
            },
            read_latency: machine.mem_read_latency.into(),
        }
    }

    /// Runs a validated program until every queue is empty and every result has appeared.
    pub fn run(
        &mut self,
        program: &Program,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Counts, Fault> {
        let total = queue::length(&program.queues);
        let mut queues: Vec<(QueueId, Queue)> = QueueId::all()
            .zip(program.queues.iter().map(|instrs| Queue::new(instrs)))
            .collect();
        let mut dispatches = vec![0; queues.len()];
        loop {
            let cycle = self.fabric.cycle;
            self.fabric
                .begin_cycle()
                .map_err(|broken| broken.locate(program, cycle, None))?;
            let mut next = u64::MAX;
            for (id, queue) in &mut queues {
                if queue.next == cycle
                    && let Some((index, iteration, instr)) = queue.current()
                {
                    let by = dispatch(*id, index, iteration);
                    self.execute(id.unit(), instr, by)
                        .map_err(|broken| broken.locate(program, cycle, Some(by)))?;
                    dispatches[id.index()] += 1;
                    queue.advance();
                }
                next = next.min(queue.next);
            }
            for mxm in &mut self.mxm {
                mxm.end_cycle(cycle)
                    .map_err(|broken| broken.locate(program, cycle, None))?;
            }
            if cycle.is_multiple_of(PROGRESS) {
                progress(cycle.min(total), total);
            }
            self.fabric.cycle += 1;
            let idle = !self.fabric.in_flight() && !self.mxm.iter().any(Mxm::is_waiting);
            if next == u64::MAX && idle {
                break;
            }
            if idle && self.fabric.is_quiet() {
                self.fabric.cycle = next;
            }
        }
        progress(total, total);
        let [west, east] = &self.mxm;
        let acts = [west.acts(0), west.acts(1), east.acts(0), east.acts(1)];
        Ok(Counts {
            end: self.fabric.cycle,
            dispatches,
            acts,
        })
    }

    fn execute(&mut self, unit: Unit, instr: &Instr, by: Dispatch) -> Check {
        let fabric = &mut self.fabric;
        match (unit, instr) {
            (Unit::Mem(hemi, slice), Instr::Mem { read, write }) => {
                let slice = mem::Slice { hemi, slice };
                let parts = (read.as_ref(), write.as_ref());
                mem::execute(
                    fabric,
                    &mut self.memory,
                    self.read_latency,
                    slice,
                    parts,
                    by,
                )
            }
            (Unit::Alu(alu), Instr::Alu(i)) => vxm::execute(fabric, self.vxm, alu, i, by),
            (Unit::Mxm(hemi, plane, _), instr) => {
                self.mxm[hemi.index()].execute(fabric, plane, instr, by)
            }
            (Unit::Sxm(hemi, sub), instr) => sxm::execute(fabric, self.sxm, hemi, sub, instr, by),
            // Validation has refused everything else.
            _ => Ok(()),
        }
    }
}
