//! The program in time: all dispatches in order of cycle, each taking tokens and making tokens.
//!
//! Before: no rule that stops is broken. In a cycle all results are put in place before any operand is taken, so that
//! delays of 0 in a machine file are right too. Linear in the number of dispatches; the state is flat arrays.
//!
//! May not know any value, except the image words that are maps.

use tspc_machine::Machine;
use tspc_program::{Hemisphere, Instr, Program, QueueId, Stream, Unit, WordRun};

use crate::lines::{Lines, Point, Spot, Whereabouts};
use crate::memory::Memory;
use crate::mxm::{Half, Plane};
use crate::report::{Log, Place};
use crate::rule::Rule;
use crate::sites::Sites;
use crate::sxm::GoodMap;
use crate::token::{Maker, Token};
use crate::uses::{SLOTS, Uses, Walk};

/// A dispatch.
#[derive(Clone, Copy)]
pub(crate) struct Now {
    pub(crate) queue: QueueId,
    pub(crate) unit: Unit,
    pub(crate) site: u32,
    pub(crate) iteration: u32,
    pub(crate) cycle: u64,
}

impl Now {
    pub(crate) fn token(self) -> Token {
        Token::dispatch(self.site, self.iteration)
    }

    pub(crate) fn place(self) -> Place {
        Place::Dispatch {
            site: self.site,
            iteration: self.iteration,
        }
    }
}

/// The state of the chip in tokens.
pub(crate) struct Chip<'a> {
    pub(crate) program: &'a Program,
    pub(crate) m: &'a Machine,
    pub(crate) sites: &'a Sites,
    pub(crate) uses: &'a Uses,
    pub(crate) lines: Lines,
    pub(crate) memory: Memory<'a>,
    pub(crate) log: &'a mut Log,
    /// Per queue and slot.
    walks: Vec<[Walk; SLOTS]>,
    pub(crate) planes: [Plane; 4],
    pub(crate) halves: [Half; 2],
    pub(crate) good_map: GoodMap,
}

/// What following the program tells.
pub(crate) struct Totals {
    pub(crate) dispatches: u64,
    pub(crate) cycles: Option<u64>,
    pub(crate) sram_words: u64,
}

/// Where a queue stands.
struct Head<'a> {
    queue: QueueId,
    unit: Unit,
    instrs: &'a [Instr],
    /// First site of the queue.
    first: u32,
    site: u32,
    end: u32,
    iteration: u32,
}

/// Follows the program to its end.
pub(crate) fn follow(
    program: &Program,
    m: &Machine,
    sites: &Sites,
    uses: &Uses,
    outputs: &[Vec<(WordRun, u8)>],
    log: &mut Log,
) -> Totals {
    let memory = Memory::new(program, log);
    let mut chip = Chip {
        program,
        m,
        sites,
        uses,
        lines: Lines::new(m),
        memory,
        log,
        walks: vec![[Walk::EMPTY; SLOTS]; program.queues.len()],
        planes: Default::default(),
        halves: Default::default(),
        good_map: GoodMap::default(),
    };
    let dispatches = chip.run();
    chip.finish_planes();
    let cycles = chip.outputs(outputs);
    Totals {
        dispatches,
        cycles,
        sram_words: chip.memory.touched(),
    }
}

impl Chip<'_> {
    /// Dispatches everything; how many dispatches there were.
    fn run(&mut self) -> u64 {
        let mut heads = Vec::new();
        // Cycle of each head's next dispatch, apart, so that the earliest is found quickly.
        let mut next = Vec::new();
        for queue in QueueId::all() {
            let queue_sites = self.sites.of_queue(queue);
            let mut head = Head {
                queue,
                unit: queue.unit(),
                instrs: &self.program.queues[queue.index()],
                first: queue_sites.start,
                site: queue_sites.start,
                end: queue_sites.end,
                iteration: 0,
            };
            if let Some(cycle) = head.settle(self.sites) {
                heads.push(head);
                next.push(cycle);
            }
        }
        let mut dispatches = 0;
        let mut now: Vec<(usize, Now, Instr)> = Vec::with_capacity(heads.len());
        while let Some(&cycle) = next.iter().min()
            && cycle != u64::MAX
        {
            now.clear();
            for (i, head) in heads.iter().enumerate().filter(|(i, _)| next[*i] == cycle) {
                let instr = head.instrs[(head.site - head.first) as usize];
                let dispatch = Now {
                    queue: head.queue,
                    unit: head.unit,
                    site: head.site,
                    iteration: head.iteration,
                    cycle,
                };
                now.push((i, dispatch, instr));
            }
            dispatches += now.len() as u64;
            for (_, dispatch, instr) in &now {
                if dispatch.iteration == 0 {
                    self.enter(dispatch);
                }
                self.drive(*dispatch, instr);
            }
            for (i, dispatch, instr) in &now {
                self.take(*dispatch, instr);
                next[*i] = heads[*i].advance(self.sites).unwrap_or(u64::MAX);
            }
        }
        dispatches
    }

    /// Sets up the walks along the records of an instruction.
    fn enter(&mut self, now: &Now) {
        let walks = &mut self.walks[now.queue.index()];
        walks.fill(Walk::EMPTY);
        let list = self.uses.of_site(now.site);
        let slot = |i: usize| self.program.uses[list[i] as usize].slot;
        let mut first = 0;
        while first < list.len() {
            let end = (first + 1..list.len())
                .find(|&i| slot(i) != slot(first))
                .unwrap_or(list.len());
            if let Some(walk) = walks.get_mut(usize::from(slot(first))) {
                *walk = Walk::new(first, end);
            }
            first = end;
        }
    }

    /// What may have delay 0; the SXM looks back, where all results are in place.
    fn drive(&mut self, now: Now, instr: &Instr) {
        match (instr, now.unit) {
            (Instr::Alu(alu), Unit::Alu(number)) => self.alu_drives(now, alu, number),
            (_, Unit::Mxm(hemi, plane, _)) => self.mxm_drives(now, instr, hemi, plane),
            (_, Unit::Sxm(hemi, sxm)) => self.sxm(now, instr, hemi, sxm),
            _ => {}
        }
    }

    /// Operands of this cycle; reads of memory take at least a cycle.
    fn take(&mut self, now: Now, instr: &Instr) {
        match (instr, now.unit) {
            (Instr::Mem { read, write }, Unit::Mem(hemi, slice)) => {
                self.mem(now, hemi, slice, read.as_ref(), write.as_ref());
            }
            (Instr::Alu(alu), Unit::Alu(number)) => self.alu_takes(now, alu, number),
            (_, Unit::Mxm(hemi, _, _)) => self.mxm_takes(now, instr, hemi),
            _ => {}
        }
    }

    /// Puts a result at a spot in `cycle`.
    pub(crate) fn put(&mut self, now: Now, spot: Spot, cycle: u64, token: Token) {
        let Err(other) = self.lines.drive(spot, cycle, token) else {
            return;
        };
        let rule = match spot.point {
            Point::PORT => Rule::PortConflict,
            point if point.in_mesh() => Rule::MeshConflict,
            _ => Rule::StreamConflict,
        };
        let sites = self.sites;
        self.log.push(rule, now.place(), None, || {
            format!(
                "{spot} in cycle {cycle} is driven by {} too",
                sites.describe(other)
            )
        });
    }

    /// As [`Chip::get`], for byte `byte` of a typed operand.
    pub(crate) fn get_byte(&mut self, now: Now, slot: u8, byte: u8, spot: Spot, cycle: u64) {
        let token = self.get(now, slot, spot, cycle);
        if let Some(other) = token.byte().filter(|b| *b != byte) {
            let sites = self.sites;
            self.violation(Rule::ByteOrder, now, || {
                let maker = sites.describe(token);
                format!("slot {slot}: {spot} in cycle {cycle} is byte {other} of the value of {maker}, expected byte {byte}")
            });
        }
    }

    /// As [`Chip::get`], for a byte that counts alone: of an i32 the highest has the sign, the others have none.
    pub(crate) fn get_byte_alone(
        &mut self,
        now: Now,
        slot: u8,
        signed: bool,
        spot: Spot,
        cycle: u64,
    ) {
        let token = self.get(now, slot, spot, cycle);
        if let Some(other) = token.byte().filter(|b| (*b == 3) != signed) {
            let sites = self.sites;
            self.violation(Rule::ByteOrder, now, || {
                let (maker, sign) = (sites.describe(token), if signed { "a" } else { "no" });
                format!("slot {slot}: {spot} in cycle {cycle} is byte {other} of the value of {maker}, expected one with {sign} sign")
            });
        }
    }

    /// Takes what is at a spot in `cycle` as operand `slot`.
    pub(crate) fn get(&mut self, now: Now, slot: u8, spot: Spot, cycle: u64) -> Token {
        let token = self.lines.take(spot, cycle);
        let wanted = self.wanted(now, slot);
        let sites = self.sites;
        if token.is_nothing() {
            let lines = &self.lines;
            self.log.push(
                Rule::OperandMissing,
                now.place(),
                wanted.map(|w| w.1),
                || {
                    let wanted =
                        wanted.map_or(String::new(), |w| absent(lines, sites, spot, cycle, w.0));
                    format!("slot {slot}: nothing on {spot} in cycle {cycle}{wanted}")
                },
            );
        } else if let Some((wanted, loc)) = wanted
            && !token.same_maker(wanted)
        {
            let lines = &self.lines;
            self.log
                .push(Rule::OperandMismatch, now.place(), Some(loc), || {
                    format!(
                        "slot {slot}: {spot} in cycle {cycle} holds the result of {}{}",
                        sites.describe(token),
                        absent(lines, sites, spot, cycle, wanted)
                    )
                });
            self.report_loss(now, spot, cycle, wanted, loc);
        }
        token
    }

    fn report_loss(&mut self, now: Now, spot: Spot, cycle: u64, wanted: Token, loc: u32) {
        if let Whereabouts::ReplacedBy(by) = self.lines.find(spot, cycle, wanted)
            && let Maker::Dispatch { site, iteration } = by.maker()
        {
            let sites = self.sites;
            self.log.push(
                Rule::ValueLost,
                Place::Dispatch { site, iteration },
                Some(loc),
                || {
                    format!(
                        "replaces {} of {}, which {} takes as {spot} in cycle {cycle}",
                        spot.stream,
                        sites.describe(wanted),
                        sites.describe(now.token())
                    )
                },
            );
        }
    }

    /// Who `uses` says makes the operand, and the location.
    fn wanted(&mut self, now: Now, slot: u8) -> Option<(Token, u32)> {
        let list = self.uses.of_site(now.site);
        let walk = self.walks[now.queue.index()].get_mut(usize::from(slot))?;
        let (token, record) = walk.at(now.iteration, list, self.program, self.sites)?;
        Some((token, self.program.uses[record as usize].loc))
    }

    /// Compares an operand that is no stream with what `uses` says; `what` names it.
    pub(crate) fn compare(
        &mut self,
        now: Now,
        slot: u8,
        token: Token,
        what: impl FnOnce() -> String,
    ) {
        if let Some((wanted, loc)) = self.wanted(now, slot)
            && !token.same_maker(wanted)
        {
            let sites = self.sites;
            self.log
                .push(Rule::OperandMismatch, now.place(), Some(loc), || {
                    let (token, wanted) = (sites.describe(token), sites.describe(wanted));
                    format!(
                        "slot {slot}: {} is from {token}, expected from {wanted}",
                        what()
                    )
                });
        }
    }

    pub(crate) fn violation(&mut self, rule: Rule, now: Now, message: impl FnOnce() -> String) {
        self.log.push(rule, now.place(), None, message);
    }
}

/// Where the wanted value is, as the tail of a message.
fn absent(lines: &Lines, sites: &Sites, spot: Spot, cycle: u64, wanted: Token) -> String {
    let name = sites.describe(wanted);
    match lines.find(spot, cycle, wanted) {
        Whereabouts::ReplacedBy(_) => {
            format!("; expected that of {name}, which was replaced on its way")
        }
        Whereabouts::At(there) => {
            let way = if there > cycle { "later" } else { "earlier" };
            format!(
                "; expected that of {name}, which is there {} cycles {way}",
                there.abs_diff(cycle)
            )
        }
        Whereabouts::Unknown => format!("; expected that of {name}"),
    }
}

/// A stream that flows outward from, or inward to, the VXM.
pub(crate) fn outward(hemi: Hemisphere, id: u8) -> Stream {
    Stream {
        dir: hemi.outward(),
        id,
    }
}

impl Head<'_> {
    /// Skips sites that do not dispatch; the cycle of the next dispatch, if there is one.
    fn settle(&mut self, sites: &Sites) -> Option<u64> {
        while self.site < self.end {
            let times = sites.times(self.site);
            if self.iteration < times.count {
                return Some(times.cycle(self.iteration));
            }
            self.site += 1;
            self.iteration = 0;
        }
        None
    }

    fn advance(&mut self, sites: &Sites) -> Option<u64> {
        self.iteration += 1;
        self.settle(sites)
    }
}
