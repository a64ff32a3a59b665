//! Which model the e-graph is measured on: imported and calibrated once, every row starts from the same quantised module.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::Failure;
use crate::commands::model::ModelArgs;
use crate::ir::Module;
use crate::machine::Machine;
use crate::passes::Pipeline;
use crate::passes::egraph::decode::pipelines::Room;
use crate::passes::egraph::saturate::Settings;
use crate::passes::egraph::{PASS, configure};

/// What to measure.
#[derive(Args)]
pub struct On {
    /// Hugging Face folder, preset (bert-base, bert-tiny, …) or geometry (L=2,H=128,heads=2,ffn=512)
    #[arg(long, value_name = "MODEL", default_value = "bert-base")]
    pub model: String,
    /// Weights, precision, passes
    #[command(flatten)]
    pub how: ModelArgs,
    /// Tokens that the program takes; 128, or all that the model has positions for if fewer
    #[arg(long, value_name = "N")]
    pub seq_len: Option<usize>,
    /// Report as JSON
    #[arg(long)]
    pub json: bool,
}

/// A quantised module, and how the e-graph is set.
pub struct Prepared {
    /// The module.
    pub module: Module,
    /// Of saturation.
    pub settings: Settings,
    /// For pipelines.
    pub room: Room,
    /// Tokens.
    pub seq_len: usize,
}

impl On {
    /// What the passes before the e-graph make of a model.
    pub fn prepare(
        &self,
        model: &str,
        seq_len: Option<usize>,
        machine: &Machine,
    ) -> Result<Prepared, Failure> {
        let model = self.how.open(model)?;
        let seq_len = ModelArgs::seq_len(&model, seq_len)?;
        let pipeline = Pipeline::parse(&self.how.pass_pipeline).map_err(|d| vec![d])?;
        let (before, options) = pipeline
            .before(PASS.name)
            .ok_or_else(|| format!("the passes should include {}", PASS.name))?;
        let (settings, room) = configure(machine, options).map_err(|d| vec![d])?;
        let module = self.how.prepare(&model, seq_len, machine, &before)?;
        Ok(Prepared {
            module,
            settings,
            room,
            seq_len,
        })
    }

    /// What is measured, in a line.
    pub fn title(&self, seq_len: usize, machine: &Machine) -> String {
        format!(
            "{}, {}, {seq_len} tokens, {}",
            self.model, self.how.precision, machine.name
        )
    }

    /// What is measured and what was found, as JSON.
    pub fn report(&self, seq_len: usize, machine: &Machine, found: Value) -> String {
        let mut report = json!({
            "model": self.model,
            "precision": self.how.precision,
            "seq_len": seq_len,
            "machine": machine.name,
        });
        if let (Value::Object(all), Value::Object(found)) = (&mut report, found) {
            all.extend(found);
        }
        format!("{report:#}\n")
    }
}
