//! From a listing (`.tspasm`) to a program; `docs/program-format.md` has the grammar.
//!
//! After it: the program is well-formed, and `assemble(listing(p))` is `p`. A refused line does not stop the
//! assembler: the error has all of them, except for follow-ups.

mod instr;
mod line;
mod tables;
mod uses;

use std::fmt;

use tspc_machine::Machine;

pub use self::line::Diagnostic;
use self::line::{Line, Parsed, Token, diagnostic};
use crate::instr::Instr;
use crate::io::LANES;
use crate::program::{ImageSegment, Program};
use crate::unit::{QUEUES, QueueId};
use crate::validate::{FormError, FormPlace};

/// Diagnostics that an error keeps.
const KEPT: usize = 50;

/// What is wrong with a listing; prints one `file:line:column: …` per diagnostic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AsmError {
    /// Name of the listing, as given.
    pub file: String,
    /// At least one, in the order of the listing; at most 50.
    pub diagnostics: Vec<Diagnostic>,
}

impl fmt::Display for AsmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for d in &self.diagnostics {
            write!(
                f,
                "{between}{}:{}:{}: expected {}, found {}",
                self.file, d.line, d.column, d.expected, d.found
            )?;
            between = "\n";
        }
        Ok(())
    }
}

impl std::error::Error for AsmError {}

/// Assembles a listing; `file_name` is for messages only.
pub fn assemble(text: &str, file_name: &str) -> Result<Program, AsmError> {
    let mut assembler = Assembler::new();
    for (number, text) in (1..).zip(text.lines()) {
        if let Err(d) = assembler.line(number, text) {
            assembler.diagnostics.push(d);
        }
    }
    assembler.finish().map_err(|mut diagnostics| {
        diagnostics.sort_by_key(|d| (d.line, d.column));
        diagnostics.truncate(KEPT);
        AsmError {
            file: file_name.into(),
            diagnostics,
        }
    })
}

/// What the lines that do not begin with a directive belong to.
enum Section {
    /// Nothing, or a directive that was refused: its lines are skipped.
    None,
    Image,
    Input,
    Output,
    Queue(QueueId),
    Uses,
}

struct Assembler {
    program: Program,
    diagnostics: Vec<Diagnostic>,
    section: Section,
    has_machine: bool,
    has_uses: bool,
    autonop: bool,
    /// First cycle in which the current queue can dispatch; `None` after a refused line.
    free: Option<u64>,
    /// Cycle of the current queue's last dispatch, if the next line may repeat it.
    repeatable: Option<u64>,
    /// Lines of `.uses`, for when all queues are known.
    records: Vec<Line>,
    /// Line of each instruction, image segment, input, output and record.
    lines: Lines,
}

#[derive(Default)]
struct Lines {
    instrs: Vec<Vec<usize>>,
    queues: Vec<Option<usize>>,
    image: Vec<usize>,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    uses: Vec<usize>,
}

impl Assembler {
    fn new() -> Assembler {
        Assembler {
            program: Program {
                machine: String::new(),
                machine_hash: String::new(),
                queues: vec![Vec::new(); QUEUES],
                image: Vec::new(),
                inputs: Vec::new(),
                outputs: Vec::new(),
                uses: Vec::new(),
                locations: Vec::new(),
            },
            diagnostics: Vec::new(),
            section: Section::None,
            has_machine: false,
            has_uses: false,
            autonop: false,
            free: Some(0),
            repeatable: None,
            records: Vec::new(),
            lines: Lines {
                instrs: vec![Vec::new(); QUEUES],
                queues: vec![None; QUEUES],
                ..Lines::default()
            },
        }
    }

    fn line(&mut self, number: usize, text: &str) -> Parsed<()> {
        let mut line = Line::new(number, text)?;
        if line.is_empty() {
            return Ok(());
        }
        if let Some(directive) = line.next_if(|text| text.starts_with('.')) {
            self.section = Section::None;
            self.section = self.directive(&mut line, &directive)?;
            return line.finish();
        }
        let program = &mut self.program;
        match self.section {
            // The directive before it was refused, or is complete in itself.
            Section::None if self.diagnostics.is_empty() => {
                let token = line.text("a directive")?;
                return Err(line.refuse(&token, "a directive like `.queue` before it"));
            }
            Section::None => return Ok(()),
            Section::Image => {
                let Some(segment) = program.image.last_mut() else {
                    return Ok(());
                };
                let room = 4096 - usize::from(segment.addr & 0xFFF) - segment.bytes.len() / LANES;
                let (word, times) = tables::words(&mut line, room)?;
                segment.bytes.extend(word.repeat(times));
            }
            Section::Input => {
                program
                    .inputs
                    .last_mut()
                    .map_or(Ok(()), |entry| tables::io_line(&mut line, entry))?;
            }
            Section::Output => {
                program
                    .outputs
                    .last_mut()
                    .map_or(Ok(()), |entry| tables::io_line(&mut line, entry))?;
            }
            Section::Queue(queue) => {
                let known = self.free;
                self.free = None;
                self.instruction(&mut line, queue, known)?;
                if let Err(d) = line.finish() {
                    self.free = None;
                    return Err(d);
                }
                return Ok(());
            }
            Section::Uses => {
                self.records.push(line);
                return Ok(());
            }
        }
        line.finish()
    }

    fn directive(&mut self, line: &mut Line, directive: &Token) -> Parsed<Section> {
        let program = &mut self.program;
        let section = match directive.text.as_str() {
            ".machine" if !self.has_machine => {
                self.has_machine = true;
                self.machine(line)?;
                Section::None
            }
            ".autonop" => {
                self.autonop = true;
                Section::None
            }
            ".location" => {
                program
                    .locations
                    .push(line.quoted("a quoted location")?.text);
                Section::None
            }
            ".image" => {
                let (hemi, slice) = tables::slice(line)?;
                let addr = line.integer("address", 0, 0x1FFF)?;
                program.image.push(ImageSegment {
                    hemi,
                    slice,
                    addr,
                    bytes: Vec::new(),
                });
                self.lines.image.push(line.number());
                Section::Image
            }
            ".input" => {
                program.inputs.push(tables::io_entry(line)?);
                self.lines.inputs.push(line.number());
                Section::Input
            }
            ".output" => {
                program.outputs.push(tables::io_entry(line)?);
                self.lines.outputs.push(line.number());
                Section::Output
            }
            ".queue" => {
                let name = line.word("a queue")?;
                let queue = QueueId::all().find(|queue| queue.to_string() == name.text);
                let queue = queue.ok_or_else(|| {
                    line.refuse(&name, "a queue like `ALU3`, `MEM_W12` or `MXM2.act`")
                })?;
                if self.lines.queues[queue.index()]
                    .replace(line.number())
                    .is_some()
                {
                    return Err(line.refuse(&name, "each queue once"));
                }
                self.free = Some(0);
                self.repeatable = None;
                Section::Queue(queue)
            }
            ".uses" if !self.has_uses => {
                self.has_uses = true;
                Section::Uses
            }
            ".machine" | ".uses" => return Err(line.refuse(directive, "this directive once")),
            _ => {
                let all = "one of `.machine .autonop .location .image .input .output .queue .uses`";
                return Err(line.refuse(directive, all));
            }
        };
        Ok(section)
    }

    /// Without a hash it is that of the built-in machine file of this name.
    fn machine(&mut self, line: &mut Line) -> Parsed<()> {
        let name = line.text("the name of a machine file")?;
        let hash = if line.is_empty() {
            match Machine::named(&name.text) {
                Some(Ok(machine)) => machine.hash,
                _ => {
                    return Err(
                        line.refuse(&name, "a built-in machine file, or a hash after the name")
                    );
                }
            }
        } else {
            line.text("a hash")?.text
        };
        self.program.machine = name.text;
        self.program.machine_hash = hash;
        Ok(())
    }

    /// One line of a queue. `free` is the first cycle in which the queue can dispatch, if that is known.
    fn instruction(&mut self, line: &mut Line, queue: QueueId, free: Option<u64>) -> Parsed<()> {
        let repeatable = self.repeatable.take();
        let at = line.next_if(|text| text.starts_with('@'));
        let instr = instr::instruction(line)?;
        let number = line.number();
        let dispatches = !matches!(instr, Instr::Nop { .. } | Instr::Repeat { .. });
        let mut now = free;
        if let Some(at) = at {
            let wanted = at
                .text
                .strip_prefix('@')
                .and_then(|cycle| line::integer(cycle, 0, i64::MAX));
            let wanted: u64 = wanted.ok_or_else(|| line.refuse(&at, "a cycle like `@200`"))?;
            if !dispatches {
                return Err(line.refuse(&at, "no cycle: a nop or a repeat does not dispatch"));
            }
            match now {
                Some(free) if self.autonop && wanted > free => {
                    self.wait(queue, wanted - free, line, &at)?
                }
                Some(free) if wanted != free => {
                    let earliest = if self.autonop { " or later" } else { "" };
                    return Err(line.refuse(&at, &format!("cycle @{free}{earliest}")));
                }
                _ => {}
            }
            now = Some(wanted);
        }
        self.free = match instr {
            Instr::Nop { n } => now.map(|now| now.saturating_add(n.into())),
            // An error of form if there is nothing to repeat.
            Instr::Repeat { n, d } => {
                let end = |first: u64| first.saturating_add(u64::from(n) * u64::from(d) + 1);
                repeatable.map_or(now, |first| Some(end(first)))
            }
            _ => {
                self.repeatable = now;
                now.map(|now| now.saturating_add(1))
            }
        };
        self.push(queue, instr, number);
        Ok(())
    }

    fn push(&mut self, queue: QueueId, instr: Instr, line: usize) {
        self.program.queues[queue.index()].push(instr);
        self.lines.instrs[queue.index()].push(line);
    }

    /// The fewest nops that wait `cycles`.
    fn wait(&mut self, queue: QueueId, mut cycles: u64, line: &Line, at: &Token) -> Parsed<()> {
        /// A day at 900 MHz would be 10^14; this is a guard against listings whose nops fill the memory.
        const LONGEST: u64 = 1 << 32;
        if cycles > LONGEST {
            return Err(line.refuse(at, "a gap of at most 2^32 cycles"));
        }
        while cycles > 0 {
            let n = u16::try_from(cycles).unwrap_or(u16::MAX);
            self.push(queue, Instr::Nop { n }, line.number());
            cycles -= u64::from(n);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Program, Vec<Diagnostic>> {
        if !self.has_machine {
            self.diagnostics.push(diagnostic(
                1,
                1,
                "a line `.machine NAME [HASH]`",
                "none in the listing",
            ));
        }
        // Sites have other cycles once a line is missing.
        if self.diagnostics.is_empty() {
            self.records();
        }
        if !self.diagnostics.is_empty() {
            return Err(self.diagnostics);
        }
        match self.program.validate() {
            Ok(()) => Ok(self.program),
            Err(errors) => Err(errors.iter().map(|error| self.form(error)).collect()),
        }
    }

    fn records(&mut self) {
        let names = uses::Names::new(&self.program.queues);
        let mut loc = 0;
        for mut line in std::mem::take(&mut self.records) {
            let parsed = uses::record(&mut line, &names, &mut self.program, &mut loc);
            self.diagnostics
                .extend(parsed.and_then(|()| line.finish()).err());
            self.lines
                .uses
                .resize(self.program.uses.len(), line.number());
        }
    }

    /// A rule of form that one line cannot see, at the line that it is about.
    fn form(&self, error: &FormError) -> Diagnostic {
        let line = match error.place {
            FormPlace::Queues => None,
            FormPlace::Instr(site) => {
                self.lines.instrs[site.queue.index()].get(site.index as usize)
            }
            FormPlace::Image(i) => self.lines.image.get(i),
            FormPlace::Input(i) => self.lines.inputs.get(i),
            FormPlace::Output(i) => self.lines.outputs.get(i),
            FormPlace::Use(i) => self.lines.uses.get(i),
        };
        diagnostic(
            line.copied().unwrap_or(1),
            1,
            "a well-formed program",
            error.to_string(),
        )
    }
}

#[cfg(test)]
mod tests;
