//! The tensors of a model in fp32: from a safetensors file, or seeded random ones for a geometry.
//!
//! After: every tensor has the shape that the geometry asks for, and every value is finite. Matrices are [out, in],
//! row-major, as in the file. The pooler, and what else a task head added, is not read.

use crate::{Config, Error, random};
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::fs::File;
use std::path::Path;

/// y = W·x + b.
#[derive(Clone, PartialEq, Debug)]
pub struct Linear {
    /// [out, in].
    pub weight: Vec<f32>,
    /// [out].
    pub bias: Vec<f32>,
}

/// The scale and shift of a LayerNorm, [hidden] each.
#[derive(Clone, PartialEq, Debug)]
pub struct Norm {
    /// γ.
    pub scale: Vec<f32>,
    /// β.
    pub shift: Vec<f32>,
}

/// One encoder layer.
#[derive(Clone, PartialEq, Debug)]
pub struct Layer {
    /// [hidden, hidden].
    pub query: Linear,
    /// [hidden, hidden].
    pub key: Linear,
    /// [hidden, hidden].
    pub value: Linear,
    /// [hidden, hidden], after the heads.
    pub attention_output: Linear,
    /// After the attention's residual sum.
    pub attention_norm: Norm,
    /// [ffn, hidden].
    pub intermediate: Linear,
    /// [hidden, ffn].
    pub output: Linear,
    /// After the feed-forward part's residual sum.
    pub output_norm: Norm,
}

/// All tensors of an encoder.
#[derive(Clone, PartialEq, Debug)]
pub struct Weights {
    /// [vocab, hidden].
    pub word_table: Vec<f32>,
    /// [max_positions, hidden].
    pub position_table: Vec<f32>,
    /// [type_vocab, hidden].
    pub type_table: Vec<f32>,
    /// After the sum of the three embeddings.
    pub embedding_norm: Norm,
    /// The layers, first to last.
    pub layers: Vec<Layer>,
}

impl Weights {
    /// Reads a safetensors file. Names may begin with `bert.`; LayerNorms may be named γ/β; f32, f16 and bf16
    /// are taken. The error names the file and the tensor, what was expected and what was found.
    pub fn from_file(path: &Path, config: &Config) -> Result<Weights, Error> {
        let file = File::open(path).map_err(|e| Error::file(path, e))?;
        // SAFETY: the map is read-only and lives for this call; that nobody truncates the file meanwhile is the one
        // condition that no check can give, as for every mapped file.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(|e| Error::file(path, e))?;
        Weights::from_bytes(&map, &path.display().to_string(), config)
    }

    /// The same from the bytes of a file; `origin` stands for it in errors.
    pub fn from_bytes(bytes: &[u8], origin: &str, config: &Config) -> Result<Weights, Error> {
        let file = SafeTensors::deserialize(bytes)
            .map_err(|e| Error::new(origin, format!("not a whole safetensors file: {e}")))?;
        Weights::collect(config, |name, shape| {
            let (stored, view) = find(&file, name)
                .ok_or_else(|| Error::new(format!("{origin}: {name}"), "the tensor is missing"))?;
            let refuse = |message: String| Error::new(format!("{origin}: {stored}"), message);
            if view.shape() != shape {
                let found = view.shape();
                return Err(refuse(format!(
                    "the shape should be {shape:?} by config.json, is {found:?}"
                )));
            }
            let values = to_f32(&view).map_err(refuse)?;
            match values.iter().position(|x| !x.is_finite()) {
                Some(i) => Err(refuse(format!("element {i} is {}", values[i]))),
                None => Ok(values),
            }
        })
    }

    /// Random weights: the same for the same geometry and seed on every machine; see [`random::tensor`].
    pub fn random(config: &Config, seed: u64) -> Weights {
        let made = Weights::collect(config, |name, shape| {
            Ok::<_, std::convert::Infallible>(random::tensor(seed, name, shape.iter().product()))
        });
        match made {
            Ok(weights) => weights,
            Err(never) => match never {},
        }
    }

    /// All tensors, from a function of name and shape.
    fn collect<E>(
        config: &Config,
        get: impl FnMut(&str, &[usize]) -> Result<Vec<f32>, E>,
    ) -> Result<Weights, E> {
        let mut source = Source(get);
        let h = config.hidden;
        let mut table =
            |name: &str, rows| (source.0)(&format!("embeddings.{name}.weight"), &[rows, h]);
        Ok(Weights {
            word_table: table("word_embeddings", config.vocab)?,
            position_table: table("position_embeddings", config.max_positions)?,
            type_table: table("token_type_embeddings", config.type_vocab)?,
            embedding_norm: source.norm("embeddings", h)?,
            layers: (0..config.layers)
                .map(|i| source.layer(&format!("encoder.layer.{i}"), config))
                .collect::<Result<_, E>>()?,
        })
    }
}

/// Where tensors come from.
struct Source<F>(F);

impl<E, F: FnMut(&str, &[usize]) -> Result<Vec<f32>, E>> Source<F> {
    fn linear(&mut self, name: &str, outs: usize, ins: usize) -> Result<Linear, E> {
        Ok(Linear {
            weight: (self.0)(&format!("{name}.weight"), &[outs, ins])?,
            bias: (self.0)(&format!("{name}.bias"), &[outs])?,
        })
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<Norm, E> {
        Ok(Norm {
            scale: (self.0)(&format!("{name}.LayerNorm.weight"), &[width])?,
            shift: (self.0)(&format!("{name}.LayerNorm.bias"), &[width])?,
        })
    }

    fn layer(&mut self, name: &str, config: &Config) -> Result<Layer, E> {
        let (h, f) = (config.hidden, config.ffn);
        let at = |part: &str| format!("{name}.{part}");
        Ok(Layer {
            query: self.linear(&at("attention.self.query"), h, h)?,
            key: self.linear(&at("attention.self.key"), h, h)?,
            value: self.linear(&at("attention.self.value"), h, h)?,
            attention_output: self.linear(&at("attention.output.dense"), h, h)?,
            attention_norm: self.norm(&at("attention.output"), h)?,
            intermediate: self.linear(&at("intermediate.dense"), f, h)?,
            output: self.linear(&at("output.dense"), h, f)?,
            output_norm: self.norm(&at("output"), h)?,
        })
    }
}

/// The tensor under one of the names it goes by, and that name.
fn find<'f>(file: &SafeTensors<'f>, name: &str) -> Option<(String, TensorView<'f>)> {
    // Checkpoints of before 2019 keep TensorFlow's names of a LayerNorm's parameters.
    let old = name
        .replace("LayerNorm.weight", "LayerNorm.gamma")
        .replace("LayerNorm.bias", "LayerNorm.beta");
    ["", "bert."].iter().find_map(|prefix| {
        [name, &old].iter().find_map(|name| {
            let name = format!("{prefix}{name}");
            let view = file.tensor(&name).ok()?;
            Some((name, view))
        })
    })
}

fn to_f32(view: &TensorView<'_>) -> Result<Vec<f32>, String> {
    let halves = || view.data().as_chunks::<2>().0.iter().copied();
    match view.dtype() {
        Dtype::F32 => {
            let words = view.data().as_chunks::<4>().0;
            Ok(words.iter().copied().map(f32::from_le_bytes).collect())
        }
        Dtype::F16 => Ok(halves().map(|b| f16::from_le_bytes(b).to_f32()).collect()),
        Dtype::BF16 => Ok(halves().map(|b| bf16::from_le_bytes(b).to_f32()).collect()),
        other => Err(format!("the type should be F32, F16 or BF16, is {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const ORIGIN: &str = "m.safetensors";

    fn config() -> Config {
        Config::from_spec("L=2,H=32,heads=2,ffn=48,vocab=10,max_positions=8").unwrap()
    }

    type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

    /// Random weights as the tensors of a file.
    fn tensors() -> Tensors {
        let mut out = Tensors::new();
        let collected = Weights::collect(&config(), |name, shape| {
            let values = random::tensor(7, name, shape.iter().product());
            let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            out.insert(name.to_string(), (Dtype::F32, shape.to_vec(), bytes));
            Ok::<_, ()>(values)
        });
        assert!(collected.is_ok());
        out
    }

    fn file(tensors: &Tensors) -> Vec<u8> {
        let views = tensors.iter().map(|(name, (dtype, shape, data))| {
            (name, TensorView::new(*dtype, shape.clone(), data).unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    }

    fn read(tensors: &Tensors) -> Result<Weights, Error> {
        Weights::from_bytes(&file(tensors), ORIGIN, &config())
    }

    fn renamed(rename: impl Fn(&str) -> String) -> Tensors {
        tensors()
            .into_iter()
            .map(|(name, t)| (rename(&name), t))
            .collect()
    }

    #[test]
    fn a_file_round_trips_under_all_names() {
        let weights = Weights::random(&config(), 7);
        let old = |name: &str| {
            name.replace("LayerNorm.weight", "LayerNorm.gamma")
                .replace("LayerNorm.bias", "LayerNorm.beta")
        };
        for tensors in [
            tensors(),
            renamed(|name| format!("bert.{name}")),
            renamed(old),
            renamed(|name| format!("bert.{}", old(name))),
        ] {
            assert!(read(&tensors).unwrap() == weights);
        }
        assert_ne!(weights.layers[0].query, weights.layers[0].key);
        assert_ne!(weights.layers[0], weights.layers[1]);
    }

    #[test]
    fn other_tensors_are_ignored() {
        let mut more = tensors();
        let ids = (Dtype::I64, vec![1, 8], vec![0; 64]);
        more.insert("embeddings.position_ids".into(), ids);
        more.insert(
            "pooler.dense.bias".into(),
            (Dtype::F32, vec![1], vec![0; 4]),
        );
        assert!(read(&more).unwrap() == Weights::random(&config(), 7));
    }

    #[test]
    fn halves_are_widened() {
        let name = "encoder.layer.1.output.dense.bias";
        let halves = |dtype, one: [u8; 2]| {
            let mut all = tensors();
            all.insert(name.into(), (dtype, vec![32], one.repeat(32)));
            read(&all).unwrap().layers[1].output.bias.clone()
        };
        assert_eq!(halves(Dtype::F16, 0x3E00u16.to_le_bytes()), [1.5; 32]);
        assert_eq!(halves(Dtype::BF16, 0xC020u16.to_le_bytes()), [-2.5; 32]);
    }

    #[test]
    fn errors_name_file_tensor_expected_and_found() {
        let name = "encoder.layer.1.intermediate.dense.weight";
        let with = |dtype, shape: &[usize], bytes: Vec<u8>| {
            let mut all = tensors();
            all.insert(name.into(), (dtype, shape.to_vec(), bytes));
            read(&all).unwrap_err().to_string()
        };
        let at = format!("{ORIGIN}: {name}");
        assert_eq!(
            with(Dtype::F32, &[32, 48], vec![0; 4 * 32 * 48]),
            format!("{at}: the shape should be [48, 32] by config.json, is [32, 48]")
        );
        assert_eq!(
            with(Dtype::I32, &[48, 32], vec![0; 4 * 32 * 48]),
            format!("{at}: the type should be F32, F16 or BF16, is I32")
        );
        let mut nan = vec![0; 4 * 32 * 48];
        nan[4..8].copy_from_slice(&f32::NAN.to_le_bytes());
        assert_eq!(
            with(Dtype::F32, &[48, 32], nan),
            format!("{at}: element 1 is NaN")
        );
        let mut missing = tensors();
        missing.remove(name);
        let error = read(&missing).unwrap_err().to_string();
        assert_eq!(error, format!("{at}: the tensor is missing"));
    }

    #[test]
    fn every_truncation_and_lies_in_the_header_are_refused() {
        let whole = file(&tensors());
        for cut in (0..2048).chain((2048..whole.len()).step_by(997)) {
            let error = Weights::from_bytes(&whole[..cut], ORIGIN, &config()).unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with("m.safetensors: not a whole safetensors file"),
                "{error}"
            );
        }
        let header = |text: &str| {
            let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
            bytes.extend(text.bytes());
            bytes.extend([0; 8]);
            bytes
        };
        for lie in [
            r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,16]}}"#,
            r#"{"x":{"dtype":"F32","shape":[4],"data_offsets":[0,8]}}"#,
            r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
            r#"{"x":{"dtype":"F32","shape":[18446744073709551615,4],"data_offsets":[0,8]}}"#,
            "{",
        ] {
            assert!(Weights::from_bytes(&header(lie), ORIGIN, &config()).is_err());
        }
        let huge = u64::MAX.to_le_bytes();
        assert!(Weights::from_bytes(&huge, ORIGIN, &config()).is_err());
    }

    #[test]
    fn an_absent_file_is_named() {
        let error = Weights::from_file(Path::new("no/model.safetensors"), &config()).unwrap_err();
        assert!(error.to_string().starts_with("no/model.safetensors: "));
    }
}
