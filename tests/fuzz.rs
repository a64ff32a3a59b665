//! Encoders of three hundred random geometries, most on random machines: the compiler takes each, the checker accepts
//! it, the simulator and the evaluations of `stream.*` and `tsp.*` agree bit for bit, and the result is near fp32.
//!
//! `TSPC_FUZZ=N cargo test --test fuzz` runs case N alone.

mod support;

use std::env;

use tspc::bert::random::SplitMix64;
use tspc::bert::{Model, host, reference};
use tspc::compiler::seeded_ids;
use tspc::machine::Machine;

const CASES: usize = 300;
/// The first ones are wide and on the default machine; the others are narrow and on any.
const WIDE: usize = 50;
/// Widths of a head: whole superlanes.
const WIDTHS: [usize; 7] = [16, 32, 48, 64, 80, 112, 128];
const LENGTHS: [usize; 6] = [1, 7, 16, 33, 128, 200];
/// The cosine of all hidden states of a text to those of the fp32 reference is at least this.
const PRECISIONS: [(&str, f64); 3] = [
    ("int8", 0.998),
    ("fp16", 0.999_999_8),
    ("int8,attention=fp16", 0.998),
];

/// Numbers that a machine may have. Left out: those of the mesh that make the search for its templates long.
const SETTINGS: [(&str, &[&str]); 25] = [
    ("clock_mhz", &["700", "1250"]),
    ("stagger_cycles", &["0", "40"]),
    (
        "text_slices_west",
        &["[]", "[0,1,2,3,4,5,6,7]", "[40,41,42,43]", "[16]"],
    ),
    ("text_slices_east", &["[]", "[0,2,4,6,8,10]", "[39,43]"]),
    ("text_bytes_instruction", &["8", "64"]),
    ("mem_read_latency", &["2", "5", "9"]),
    ("mem_write_to_read", &["1", "2", "13", "40"]),
    ("vxm_entry", &["1", "4", "8", "21"]),
    ("vxm_pass_through", &["1", "3", "17"]),
    ("mxm_port_delay", &["5", "12", "30"]),
    ("mxm_iw_min_groups_i8", &["1", "20"]),
    ("mxm_iw_min_groups_f16", &["1", "40"]),
    ("mxm_iw_to_act", &["1", "20", "50"]),
    ("mxm_iw_to_lw", &["1", "20", "50"]),
    ("mxm_act_to_accumulate", &["1", "9", "30"]),
    ("mxm_accumulate_to_result", &["1", "20", "90"]),
    ("mxm_accumulator_rows", &["64", "512"]),
    ("sxm_in", &["0", "2"]),
    ("sxm_out_back", &["1", "11"]),
    ("sxm_out_on", &["1", "2", "14"]),
    ("sxm_distribute", &["0", "9"]),
    ("sxm_transpose", &["0", "1", "16", "33"]),
    ("sxm_permute", &["4", "60"]),
    ("sxm_shift", &["1", "12"]),
    ("barrier_cycles", &["0", "100"]),
];

#[derive(Debug)]
struct Case {
    geometry: String,
    /// Of weights, calibration and token ids.
    seed: u64,
    /// Whether attention attends, as it does not with initial weights, which make it uniform.
    sharp: bool,
    seq_len: usize,
    tokens: usize,
    precision: &'static str,
    least: f64,
    machine: &'static str,
    settings: Vec<String>,
}

fn case(i: usize) -> Case {
    let mut random = SplitMix64::new(i as u64);
    let mut below = |n: usize| (random.next_u64() % n as u64) as usize;
    let (precision, least) = PRECISIONS[i % PRECISIONS.len()];
    if i < WIDE {
        return wide(i, &mut below);
    }
    let width = 16 * (1 + below(4));
    let heads = 1 + below(160 / width);
    let seq_len = 1 + below(40);
    let tokens = 1 + below(seq_len);
    let machine = match below(32) {
        0 => Machine::NAMES[2],
        1..12 => Machine::NAMES[1],
        _ => Machine::NAMES[0],
    };
    let mut settings = Vec::new();
    for _ in 0..below(5) {
        let (key, values) = SETTINGS[below(SETTINGS.len())];
        settings.push(format!("{key}={}", values[below(values.len())]));
    }
    Case {
        geometry: format!(
            "L=1,H={},heads={heads},ffn={},vocab=64,max_positions=64",
            heads * width,
            1 + below(320)
        ),
        seed: i as u64,
        sharp: false,
        seq_len,
        tokens,
        precision,
        least,
        machine,
        settings,
    }
}

fn wide(i: usize, below: &mut impl FnMut(usize) -> usize) -> Case {
    let (precision, least) = PRECISIONS[i % PRECISIONS.len()];
    let (layers, mut width) = (1 + below(2), WIDTHS[i % WIDTHS.len()]);
    let mut heads = 1 + below(6.min(400 / width));
    let (mut seq_len, mut ffn) = (LENGTHS[below(LENGTHS.len())], 1 + below(700));
    match i {
        // Heads, and rows of scores, that one pass cannot hold, in every precision.
        0..3 => (heads, width, seq_len) = (1, 336 + 16 * i, 7 * i + 7),
        3..6 => (heads, width, seq_len, ffn) = (2, 16, 330 + below(71), 50),
        _ => {}
    }
    let tokens = match below(2) {
        0 => seq_len,
        _ => 1 + below(seq_len),
    };
    Case {
        geometry: format!(
            "L={layers},H={},heads={heads},ffn={ffn},vocab=64",
            heads * width
        ),
        seed: 1,
        sharp: true,
        seq_len,
        tokens,
        precision,
        least,
        machine: Machine::NAMES[0],
        settings: Vec::new(),
    }
}

impl Case {
    fn model(&self) -> Result<Model, String> {
        let mut model = Model::open(&self.geometry, self.seed).map_err(|e| e.to_string())?;
        if self.sharp {
            for layer in &mut model.weights.layers {
                for part in [&mut layer.query, &mut layer.key, &mut layer.intermediate] {
                    part.weight.iter_mut().for_each(|w| *w *= 8.0);
                }
            }
        }
        Ok(model)
    }

    fn machine(&self) -> Result<Machine, String> {
        let settings: Vec<&str> = self.settings.iter().map(String::as_str).collect();
        let machine = Machine::named(self.machine).ok_or("no such machine")?;
        let machine = machine.and_then(|m| m.with(&settings));
        machine.map_err(|e| e.to_string())
    }

    fn ids(&self, model: &Model) -> Vec<u32> {
        seeded_ids(model, self.tokens, self.seed + 3)
    }

    /// What repeats the case: the driver, where it can make the weights.
    fn command(&self, i: usize) -> String {
        let model = match self.model() {
            Ok(model) if !self.sharp => model,
            _ => return format!("TSPC_FUZZ={i} cargo test --test fuzz"),
        };
        let ids: Vec<String> = self.ids(&model).iter().map(u32::to_string).collect();
        let settings: String = self
            .settings
            .iter()
            .map(|s| format!(" --set '{s}'"))
            .collect();
        format!(
            "tspc run --compare levels --model {} --seed {} --precision {} --seq-len {} --machine {}{settings} --ids {}",
            self.geometry,
            self.seed,
            self.precision,
            self.seq_len,
            self.machine,
            ids.join(",")
        )
    }

    fn run(&self) -> Result<(), String> {
        let (model, machine) = (self.model()?, self.machine()?);
        let ranges = support::seeded_ranges(&model, self.seed)?;
        let (seq_len, precision) = (self.seq_len, self.precision);
        let compiled = support::compile_for(&machine, &model, seq_len, precision, Some(&ranges))?;
        let ids = self.ids(&model);
        let hidden = support::agreed_on(&machine, &model, &compiled, &ids)?;
        let (config, weights) = (&model.config, &model.weights);
        let x = host::embed(config, weights, &ids, seq_len).map_err(|e| e.to_string())?;
        let want = reference::encode(config, weights, &x, ids.len());
        let valid = ids.len() * config.hidden;
        let cosine = host::cosine(&hidden[..valid], &want[..valid]);
        match cosine >= self.least {
            true => Ok(()),
            false => Err(format!(
                "cosine {cosine}, should be at least {}",
                self.least
            )),
        }
    }
}

#[test]
fn every_geometry_compiles_and_agrees_on_every_machine() {
    let only: Option<usize> = env::var("TSPC_FUZZ").ok().map(|n| n.parse().unwrap());
    let failures = support::failures(CASES, |i| {
        if only.is_some_and(|only| only != i) {
            return Ok(());
        }
        let case = case(i);
        let explain = |why| format!("case {i}: {why}\n  {}", case.command(i));
        case.run().map_err(explain)
    });
    assert!(
        failures.is_empty(),
        "{} fail:\n{}",
        failures.len(),
        failures.join("\n")
    );
}
