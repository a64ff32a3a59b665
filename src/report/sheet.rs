//! The latency sheet: one page that says what an inference costs, where the time goes, and how far it is from bounds.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::bounds::{Bounds, largest};
use super::phases::{Busy, Phase, Usage, title};
use crate::check::Report;
use crate::machine::Machine;
use crate::program::{IoEntry, Program};

/// Width of the bars.
const BAR: usize = 30;

/// What a sheet shows.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// What was compiled, for the title.
    pub model: String,
    /// As the option says.
    pub precision: String,
    /// Tokens.
    pub seq_len: usize,
    /// On-chip latency.
    pub cycles: u64,
    /// Activations that entered each plane.
    pub activations: [u64; 4],
    /// Busy shares and phases.
    pub usage: Usage,
    /// Lower bounds.
    pub bounds: Bounds,
    /// Of the checker.
    pub text_bytes: u64,
    /// Of the checker.
    pub sram_words: u64,
    /// Bytes to the chip and back.
    pub host_bytes: (u64, u64),
    /// Of the program.
    pub sha256: String,
    /// The least cosine of a valid token's last hidden state with fp32, and whether the weights are seeded.
    pub cosine: Option<(f64, bool)>,
    /// Wall time: calibration and compilation, then simulation.
    pub seconds: Option<(Duration, Duration)>,
}

/// Bytes of an input or output.
fn bytes(entries: &[IoEntry]) -> u64 {
    let size = |e: &IoEntry| u64::from(e.rows) * u64::from(e.cols) * u64::from(e.elem.bytes());
    entries.iter().map(size).sum()
}

/// What a program alone tells: its size, and what the host moves.
pub fn sizes(program: &Program, report: &Report) -> (u64, u64, (u64, u64)) {
    let host = (bytes(&program.inputs), bytes(&program.outputs));
    (report.text_bytes, report.sram_words, host)
}

impl Sheet {
    /// On-chip latency.
    pub fn latency_us(&self, machine: &Machine) -> f64 {
        self.cycles as f64 / f64::from(machine.clock_mhz)
    }

    /// Transfer to the chip and back (machine.md, Host), beside the latency and never in it.
    pub fn host_us(&self, machine: &Machine) -> f64 {
        let way =
            |bytes: u64| machine.host_latency_us + bytes as f64 / (machine.host_gb_per_s * 1e3);
        way(self.host_bytes.0) + way(self.host_bytes.1)
    }

    /// Plane-cycles with an activation entering, of all plane-cycles.
    pub fn mxm_busy(&self) -> f64 {
        match 4 * self.cycles {
            0 => 0.0,
            all => self.activations.iter().sum::<u64>() as f64 / all as f64,
        }
    }

    /// For scripts; only the seconds and MiB vary between runs.
    pub fn json(&self, machine: &Machine) -> Value {
        let phase = |p: &Phase| {
            json!({"name": p.name, "layer": p.layer, "start": p.start, "end": p.end,
                "mxm_busy": p.busy.mxm, "vxm_busy": p.busy.vxm})
        };
        json!({
            "model": self.model,
            "cycles": self.cycles,
            "latency_us": self.latency_us(machine),
            "clock_mhz": machine.clock_mhz,
            "host_us": self.host_us(machine),
            "machine": machine.name,
            "precision": self.precision,
            "seq_len": self.seq_len,
            "mxm_busy": self.mxm_busy(),
            "vxm_busy": self.usage.busy.vxm,
            "bound_cycles": largest(&self.bounds),
            "bounds": self.bounds,
            "cosine_min": self.cosine.map(|c| c.0),
            "compile_s": self.seconds.map(|s| s.0.as_secs_f64()),
            "simulate_s": self.seconds.map(|s| s.1.as_secs_f64()),
            "peak_rss_mib": peak_rss_mib(),
            "text_bytes": self.text_bytes,
            "sram_words": self.sram_words,
            "program_sha256": self.sha256,
            "phases": self.usage.phases.iter().map(phase).collect::<Vec<_>>(),
        })
    }

    /// For people: a page.
    pub fn text(&self, machine: &Machine) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{}, {} tokens, {}, on {} at {} MHz\n",
            self.model, self.seq_len, self.precision, machine.name, machine.clock_mhz
        );
        let _ = writeln!(
            out,
            "latency    {:>9} cycles  {:>9.2} us on the chip\nhost             {:>16} {:>9.2} us beside it: {} KiB \
             in, {} KiB out",
            self.cycles,
            self.latency_us(machine),
            "",
            self.host_us(machine),
            self.host_bytes.0.div_ceil(1024),
            self.host_bytes.1.div_ceil(1024)
        );
        self.write_bounds(&mut out);
        self.write_units(&mut out);
        self.write_layers(&mut out);
        self.write_memory(&mut out, machine);
        if let Some((cosine, seeded)) = self.cosine {
            let mark = match seeded {
                true => "  (seeded weights: says nothing of a trained model)",
                false => "",
            };
            let _ = writeln!(
                out,
                "\ncosine     {cosine:.6} with fp32, the worst token{mark}"
            );
        }
        let _ = writeln!(out, "program    {}", self.sha256);
        if let Some((compile, simulate)) = self.seconds {
            let _ = writeln!(
                out,
                "this run   compiled in {:.1} s, simulated in {:.1} s, at most {:.0} MiB",
                compile.as_secs_f64(),
                simulate.as_secs_f64(),
                peak_rss_mib().unwrap_or(0.0)
            );
        }
        out
    }

    fn write_bounds(&self, out: &mut String) {
        if self.bounds.is_empty() {
            return;
        }
        let _ = writeln!(out, "\nlower bound            cycles   latency is");
        for (name, cycles) in &self.bounds {
            let gap = self.cycles as f64 / (*cycles).max(1) as f64;
            let _ = writeln!(out, "  {name:<18} {cycles:>8}   {gap:>6.2} times it");
        }
    }

    fn write_units(&self, out: &mut String) {
        let _ = writeln!(out, "\nbusy");
        let Busy { vxm, mem, sxm, .. } = self.usage.busy;
        for (name, share) in [
            ("MXM", self.mxm_busy()),
            ("VXM", vxm),
            ("MEM", mem),
            ("SXM", sxm),
        ] {
            let _ = writeln!(
                out,
                "  {name}  {:>5.1} %  {}",
                share * 100.0,
                bar(0.0, share)
            );
        }
    }

    /// A line per layer, then the phases of the first layer in full.
    fn write_layers(&self, out: &mut String) {
        let phases = &self.usage.phases;
        let span = |layer: Option<usize>| {
            let own = phases.iter().filter(|p| p.layer == layer);
            let start = own.clone().map(|p| p.start).min();
            start.map(|s| (s, own.map(|p| p.end).max().unwrap_or(s)))
        };
        let mut layers: Vec<usize> = phases.iter().filter_map(|p| p.layer).collect();
        layers.sort_unstable();
        layers.dedup();
        let total = self.cycles.max(1) as f64;
        let _ = writeln!(
            out,
            "\nphase                                 from       to   cycles"
        );
        let mut line = |name: &str, start: u64, end: u64, rest: String| {
            let (from, to) = (start as f64 / total, end as f64 / total);
            let _ = writeln!(
                out,
                "  {name:<34} {start:>8} {end:>8} {:>8}  {}{rest}",
                end - start,
                bar(from, to)
            );
        };
        for layer in &layers {
            if let Some((start, end)) = span(Some(*layer)) {
                line(&format!("layer {layer}"), start, end, String::new());
            }
        }
        for phase in phases
            .iter()
            .filter(|p| p.layer.is_none_or(|l| Some(&l) == layers.first()))
        {
            let name = title(phase.layer, &phase.name);
            let rest = format!(
                "  MXM {:>4.1} %  VXM {:>4.1} %",
                phase.busy.mxm * 100.0,
                phase.busy.vxm * 100.0
            );
            line(&name, phase.start, phase.end, rest);
        }
    }

    fn write_memory(&self, out: &mut String, machine: &Machine) {
        let text = machine.text_slices_west.len() + machine.text_slices_east.len();
        let bank = u64::from(machine.mem_banks * machine.mem_words_per_bank);
        let word = u64::from(machine.superlanes * machine.lanes_per_superlane);
        let words = u64::from(2 * machine.mem_slices) * bank - text as u64 * bank;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let _ = writeln!(
            out,
            "\nSRAM       {:>7.1} of {:.1} MiB\ntext       {:>7.1} of {:.1} MiB (fetch bandwidth is not modelled)",
            mib(self.sram_words * word),
            mib(words * word),
            mib(self.text_bytes),
            mib(text as u64 * bank * word)
        );
    }
}

/// A bar from one share of the whole to another.
fn bar(from: f64, to: f64) -> String {
    let at = |share: f64| ((share * BAR as f64).round() as usize).min(BAR);
    let (from, to) = (at(from), at(to));
    let full = (to - from).max(usize::from(to > from));
    format!(
        "{}{}{}",
        "·".repeat(from),
        "█".repeat(full),
        "·".repeat(BAR - from - full)
    )
}

/// The most memory that this process held, where the system tells.
pub fn peak_rss_mib() -> Option<f64> {
    memory_mib("VmHWM:")
}

/// From now on the peak is that of what follows. Linux alone knows how; elsewhere nobody tells memory anyway.
pub fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// A line of the system's account of this process's memory, where there is one.
pub fn memory_mib(line: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with(line))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}
