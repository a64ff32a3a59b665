//! The cheapest terms of the e-graph, each scheduled: real cycles decide, not the cost.
//!
//! Before: a compiled model. After: the same, or what another choice of terms makes of its quantised module in fewer
//! cycles. One region after the other, the others as they are best so far: all combinations would be many.

use crate::compiler::{Compiled, Error, Listener, Scheduled, scheduled};
use crate::ir::Module;
use crate::ir::text::print_without_locations;
use crate::machine::Machine;
use crate::passes::egraph::decode::pipelines::Room;
use crate::passes::egraph::saturate::Settings;
use crate::passes::egraph::{candidates, fuse};
use crate::passes::tile::tile;

/// What a choice of terms leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trial {
    /// Per distinct region, how many cheaper terms were passed over: the pass option `choose`.
    pub choose: Vec<usize>,
    /// Cycles of the checked program, or why there is none.
    pub cycles: Result<u64, String>,
}

impl Trial {
    /// The option of the pass that says it again.
    pub fn option(&self) -> String {
        let numbers: Vec<String> = self.choose.iter().map(ToString::to_string).collect();
        format!("choose={}", numbers.join("+"))
    }
}

/// The best program of up to `count` terms for each distinct region, and all that was tried: first what was given,
/// which takes the cheapest terms.
pub fn improved(
    compiled: Compiled,
    machine: &Machine,
    settings: &Settings,
    room: Room,
    count: usize,
    listener: &mut dyn Listener,
) -> Result<(Compiled, Vec<Trial>), Error> {
    let regions = candidates(&compiled.quantised, machine, settings, count)?;
    let cycles = compiled.report.cycles.ok_or_else(no_cycles)?;
    let (mut best, mut taken) = (compiled, vec![0; regions.len()]);
    let mut seen = vec![print_without_locations(&best.untiled)];
    let mut trials = vec![Trial {
        choose: taken.clone(),
        cycles: Ok(cycles),
    }];
    let mut fewest = cycles;
    for (region, terms) in regions.iter().enumerate() {
        for nth in 1..terms.len() {
            let mut choose = taken.clone();
            choose[region] = nth;
            listener.step(&format!("candidate {}", trials.len()));
            let with = Settings {
                choose: choose.clone(),
                ..settings.clone()
            };
            let made = fuse(&best.quantised, machine, &with, room);
            let made = made.map_err(Error::from).map(|(untiled, _)| untiled);
            // Different terms may decode to one program.
            let text = made.as_ref().map(print_without_locations).ok();
            if text.as_ref().is_some_and(|text| seen.contains(text)) {
                continue;
            }
            seen.extend(text);
            let made = made.and_then(|untiled| from_untiled(untiled, machine, listener));
            let cycles = match made {
                Err(why) => Err(why.line()),
                Ok((untiled, stream, made)) => {
                    let cycles = made.report.cycles.ok_or_else(no_cycles)?;
                    if cycles < fewest {
                        (fewest, taken) = (cycles, choose.clone());
                        best = Compiled {
                            untiled,
                            stream,
                            tsp: made.tsp,
                            program: made.program,
                            report: made.report,
                            ..best
                        };
                    }
                    Ok(cycles)
                }
            };
            trials.push(Trial { choose, cycles });
        }
    }
    Ok((best, trials))
}

fn from_untiled(
    untiled: Module,
    machine: &Machine,
    listener: &mut dyn Listener,
) -> Result<(Module, Module, Scheduled), Error> {
    let stream = tile(&untiled, machine)?;
    let made = scheduled(&stream, machine, listener, &mut Vec::new())?;
    Ok((untiled, stream, made))
}

fn no_cycles() -> String {
    "the checker counted no cycles".to_string()
}
