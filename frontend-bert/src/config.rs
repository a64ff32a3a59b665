//! The geometry of a model: from `config.json`, from a preset, or written out.
//!
//! After: every [`Config`] made here is one that the compiler can take, up to capacity; its sizes multiply without
//! overflow. What it may not know: weights, and how the geometry is mapped onto the chip.

use crate::Error;
use serde_json::{Map, Value};
use std::path::Path;

/// The non-linearity of the feed-forward part.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Activation {
    /// x·Φ(x) with the error function: `gelu`.
    GeluErf,
    /// The tanh form: `gelu_new`, `gelu_pytorch_tanh`.
    GeluTanh,
}

impl Activation {
    /// The names in `config.json` and what they mean.
    pub const NAMES: [(&'static str, Activation); 3] = [
        ("gelu", Activation::GeluErf),
        ("gelu_new", Activation::GeluTanh),
        ("gelu_pytorch_tanh", Activation::GeluTanh),
    ];

    fn from_name(name: &str) -> Result<Activation, String> {
        let known = || Activation::NAMES.map(|(name, _)| name).join(", ");
        Activation::NAMES
            .iter()
            .find(|(n, _)| *n == name)
            .map(|&(_, a)| a)
            .ok_or_else(|| format!("unknown activation \"{name}\"; known: {}", known()))
    }
}

/// The geometry of a BERT encoder.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// Encoder layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of the feed-forward part.
    pub ffn: usize,
    /// Rows of the word table.
    pub vocab: usize,
    /// Rows of the position table: the longest input in tokens.
    pub max_positions: usize,
    /// Rows of the token-type table.
    pub type_vocab: usize,
    /// The non-linearity.
    pub activation: Activation,
    /// Added to the variance in every LayerNorm.
    pub layer_norm_eps: f32,
    /// The token that fills the places after a text.
    pub pad_token: u32,
}

/// Names for `--model`, with layers, hidden, heads and ffn.
pub const PRESETS: [(&str, [usize; 4]); 7] = [
    ("bert-tiny", [2, 128, 2, 512]),
    ("bert-mini", [4, 256, 4, 1024]),
    ("bert-small", [4, 512, 8, 2048]),
    ("bert-medium", [8, 512, 8, 2048]),
    ("bert-base", [12, 768, 12, 3072]),
    ("bert-large", [24, 1024, 16, 4096]),
    ("minilm-l6", [6, 384, 12, 1536]),
];

/// Largest sizes taken, field by field, and of the whole: beyond them there is a slip of the pen, not a BERT.
const LARGEST: [(&str, usize); 7] = [
    ("layers", 256),
    ("hidden", 1 << 14),
    ("heads", 1 << 10),
    ("ffn", 1 << 16),
    ("vocab", 1 << 20),
    ("max_positions", 1 << 16),
    ("type_vocab", 1 << 8),
];
const MOST_PARAMETERS: usize = 1 << 30;

/// Lanes of a superlane. The transposer and the distributor work inside one, so a head must fill whole ones.
const HEAD_MULTIPLE: usize = 16;

/// A field's name in `config.json` and in a written-out geometry.
const KEYS: [(&str, &str); 7] = [
    ("num_hidden_layers", "L"),
    ("hidden_size", "H"),
    ("num_attention_heads", "heads"),
    ("intermediate_size", "ffn"),
    ("vocab_size", "vocab"),
    ("max_position_embeddings", "max_positions"),
    ("type_vocab_size", "type_vocab"),
];

/// What an option need not say: the values of the original BERT (uncased).
const DEFAULT_TABLES: [usize; 3] = [30522, 512, 2];

impl Config {
    /// Reads `config.json`. The error names the file and the key.
    pub fn from_file(path: &Path) -> Result<Config, Error> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::file(path, e))?;
        Config::from_json(&text, &path.display().to_string())
    }

    /// Reads the text of a `config.json`; `origin` stands for the file in errors.
    pub fn from_json(text: &str, origin: &str) -> Result<Config, Error> {
        let object: Map<String, Value> =
            serde_json::from_str(text).map_err(|e| Error::new(origin, e.to_string()))?;
        let json = Json { object, origin };
        json.must_be("model_type", &["bert"], "only BERT encoders are compiled")?;
        json.must_be(
            "position_embedding_type",
            &["absolute"],
            "relative positions are not supported",
        )?;
        if json.object.get("is_decoder") == Some(&Value::Bool(true)) {
            return Err(json.error(
                "is_decoder",
                "a decoder's causal attention is not supported",
            ));
        }
        let mut sizes = [0; 7];
        for (size, (key, _)) in sizes.iter_mut().zip(KEYS) {
            *size = json.size(key)?;
        }
        let activation = json.text("hidden_act")?;
        let eps = json.number("layer_norm_eps")?;
        let pad = json.object.get("pad_token_id").unwrap_or(&Value::Null);
        let pad_token = match pad {
            Value::Null => 0,
            _ => json.size("pad_token_id")?,
        };
        let name = |i: usize| format!("{origin}: {}", KEYS[i].0);
        let mut config = Config::checked(sizes, name)?;
        config.activation = Activation::from_name(activation)
            .map_err(|message| json.error("hidden_act", message))?;
        config.layer_norm_eps = eps as f32;
        if !(eps >= 0.0 && config.layer_norm_eps.is_finite()) {
            return Err(json.error(
                "layer_norm_eps",
                format!("{eps:e} is not a small number ≥ 0"),
            ));
        }
        config.pad_token = u32::try_from(pad_token)
            .ok()
            .filter(|_| pad_token < config.vocab)
            .ok_or_else(|| {
                let vocab = config.vocab;
                json.error(
                    "pad_token_id",
                    format!("{pad_token} is not below vocab_size {vocab}"),
                )
            })?;
        Ok(config)
    }

    /// A preset's name, or a geometry such as `L=2,H=128,heads=2,ffn=512` with, if wanted, `vocab`,
    /// `max_positions` and `type_vocab`. The activation is GELU with erf, epsilon 1e-12.
    pub fn from_spec(spec: &str) -> Result<Config, Error> {
        let origin = format!("model {spec}");
        if let Some((_, [layers, hidden, heads, ffn])) = PRESETS.iter().find(|p| p.0 == spec) {
            let [vocab, positions, types] = DEFAULT_TABLES;
            let sizes = [*layers, *hidden, *heads, *ffn, vocab, positions, types];
            return Config::checked(sizes, |i| format!("{origin}: {}", KEYS[i].1));
        }
        if !spec.contains('=') {
            let presets = PRESETS.map(|p| p.0).join(", ");
            return Err(Error::new(
                origin,
                format!(
                    "neither a folder nor a preset ({presets}) nor a geometry (L=2,H=128,heads=2,ffn=512)"
                ),
            ));
        }
        let mut sizes = [None; 7];
        for part in spec.split(',') {
            let refuse = |message: String| Err(Error::new(origin.clone(), message));
            let Some((key, value)) = part.split_once('=') else {
                return refuse(format!("\"{part}\" should be key=number"));
            };
            let Some(i) = KEYS.iter().position(|k| k.1 == key.trim()) else {
                let known = KEYS.map(|k| k.1).join(", ");
                return refuse(format!("unknown key \"{key}\"; known: {known}"));
            };
            let Ok(value) = value.trim().parse::<usize>() else {
                return refuse(format!("{key}: \"{value}\" is not a whole number"));
            };
            if sizes[i].replace(value).is_some() {
                return refuse(format!("{key} is given twice"));
            }
        }
        for (size, default) in sizes.iter_mut().skip(4).zip(DEFAULT_TABLES) {
            size.get_or_insert(default);
        }
        let mut whole = [0; 7];
        for (i, size) in sizes.into_iter().enumerate() {
            whole[i] =
                size.ok_or_else(|| Error::new(&*origin, format!("{} is missing", KEYS[i].1)))?;
        }
        Config::checked(whole, |i| format!("{origin}: {}", KEYS[i].1))
    }

    /// The geometry of these sizes in the order of [`KEYS`]; `name` says where a size was written.
    fn checked(sizes: [usize; 7], name: impl Fn(usize) -> String) -> Result<Config, Error> {
        for (i, (&size, (_, largest))) in sizes.iter().zip(LARGEST).enumerate() {
            if size == 0 || size > largest {
                return Err(Error::new(
                    name(i),
                    format!("{size} is not between 1 and {largest}"),
                ));
            }
        }
        let [layers, hidden, heads, ffn, vocab, max_positions, type_vocab] = sizes;
        if !hidden.is_multiple_of(heads) {
            let message = format!("{heads} heads do not divide a width of {hidden}");
            return Err(Error::new(name(2), message));
        }
        let head = hidden / heads;
        if !head.is_multiple_of(HEAD_MULTIPLE) {
            let message = format!(
                "{hidden} / {heads} gives heads {head} wide; the chip moves lanes in superlanes of {HEAD_MULTIPLE}, so a head's width must be a multiple of {HEAD_MULTIPLE}"
            );
            return Err(Error::new(name(2), message));
        }
        let config = Config {
            layers,
            hidden,
            heads,
            ffn,
            vocab,
            max_positions,
            type_vocab,
            activation: Activation::GeluErf,
            layer_norm_eps: 1e-12,
            pad_token: 0,
        };
        let parameters = config.parameters();
        if parameters > MOST_PARAMETERS {
            let message = format!("{parameters} parameters, at most {MOST_PARAMETERS} are taken");
            return Err(Error::new(name(0), message));
        }
        Ok(config)
    }

    /// Lanes of one head.
    pub fn head_width(&self) -> usize {
        self.hidden / self.heads
    }

    /// Parameters of embeddings and encoder, without a pooler.
    pub fn parameters(&self) -> usize {
        let (h, f) = (self.hidden, self.ffn);
        let attention = 4 * (h * h + h) + 2 * h;
        let feed_forward = 2 * h * f + f + h + 2 * h;
        let tables = (self.vocab + self.max_positions + self.type_vocab + 2) * h;
        self.layers * (attention + feed_forward) + tables
    }
}

/// An object of a file, read key by key.
struct Json<'a> {
    object: Map<String, Value>,
    origin: &'a str,
}

impl Json<'_> {
    fn error(&self, key: &str, message: impl Into<String>) -> Error {
        Error::new(format!("{}: {key}", self.origin), message)
    }

    fn get(&self, key: &str) -> Result<&Value, Error> {
        self.object
            .get(key)
            .ok_or_else(|| self.error(key, "the key is missing"))
    }

    fn size(&self, key: &str) -> Result<usize, Error> {
        let value = self.get(key)?;
        value
            .as_u64()
            .and_then(|n| usize::try_from(n).ok())
            .ok_or_else(|| self.error(key, format!("{value} is not a whole number ≥ 0")))
    }

    fn number(&self, key: &str) -> Result<f64, Error> {
        let value = self.get(key)?;
        value
            .as_f64()
            .ok_or_else(|| self.error(key, format!("{value} is not a number")))
    }

    fn text(&self, key: &str) -> Result<&str, Error> {
        let value = self.get(key)?;
        value
            .as_str()
            .ok_or_else(|| self.error(key, format!("{value} is not a string")))
    }

    /// The key, where it is given, must be one of these words.
    fn must_be(&self, key: &str, words: &[&str], why: &str) -> Result<(), Error> {
        if !self.object.contains_key(key) {
            return Ok(());
        }
        let found = self.text(key)?;
        if words.contains(&found) {
            return Ok(());
        }
        let words = words.join(", ");
        Err(self.error(key, format!("\"{found}\", should be {words}: {why}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINILM: &str = r#"{"model_type": "bert", "hidden_act": "gelu", "hidden_size": 384,
        "intermediate_size": 1536, "layer_norm_eps": 1e-12, "max_position_embeddings": 512,
        "num_attention_heads": 12, "num_hidden_layers": 6, "pad_token_id": 0,
        "position_embedding_type": "absolute", "type_vocab_size": 2, "vocab_size": 30522}"#;

    fn changed(from: &str, to: &str) -> Result<Config, Error> {
        assert!(MINILM.contains(from));
        Config::from_json(&MINILM.replace(from, to), "c.json")
    }

    #[test]
    fn a_real_config_equals_its_preset() {
        let config = Config::from_json(MINILM, "c.json").unwrap();
        assert_eq!(config, Config::from_spec("minilm-l6").unwrap());
        assert_eq!(config.head_width(), 32);
        // The published count less the pooler (384² + 384).
        assert_eq!(config.parameters(), 22_713_216 - 147_840);
    }

    #[test]
    fn bert_base_has_its_published_size() {
        let pooler = 768 * 768 + 768;
        let config = Config::from_spec("bert-base").unwrap();
        assert_eq!(config.parameters() + pooler, 109_482_240);
    }

    #[test]
    fn every_preset_is_valid() {
        for (name, _) in PRESETS {
            Config::from_spec(name).unwrap_or_else(|e| panic!("{e}"));
        }
    }

    #[test]
    fn both_tanh_names_are_known() {
        for name in ["gelu_new", "gelu_pytorch_tanh"] {
            let config = changed("\"gelu\"", &format!("\"{name}\"")).unwrap();
            assert_eq!(config.activation, Activation::GeluTanh);
        }
    }

    #[test]
    fn config_errors_name_file_key_and_reason() {
        let cases = [
            (
                "\"gelu\"",
                "\"swish\"",
                "c.json: hidden_act: unknown activation \"swish\"; known: gelu, gelu_new, gelu_pytorch_tanh",
            ),
            (
                "\"bert\"",
                "\"gpt2\"",
                "c.json: model_type: \"gpt2\", should be bert: only BERT encoders are compiled",
            ),
            ("\"bert\"", "7", "c.json: model_type: 7 is not a string"),
            (
                "absolute",
                "relative_key",
                "c.json: position_embedding_type: \"relative_key\", should be absolute: relative positions are not supported",
            ),
            (
                "\"bert\"",
                "\"bert\", \"is_decoder\": true",
                "c.json: is_decoder: a decoder's causal attention is not supported",
            ),
            (
                "\"hidden_size\"",
                "\"hiden\"",
                "c.json: hidden_size: the key is missing",
            ),
            (
                "384",
                "-384",
                "c.json: hidden_size: -384 is not a whole number ≥ 0",
            ),
            (
                "384",
                "383",
                "c.json: num_attention_heads: 12 heads do not divide a width of 383",
            ),
            (
                "384",
                "288",
                "c.json: num_attention_heads: 288 / 12 gives heads 24 wide; the chip moves lanes in superlanes of 16, so a head's width must be a multiple of 16",
            ),
            (
                "30522",
                "0",
                "c.json: vocab_size: 0 is not between 1 and 1048576",
            ),
            (
                "1e-12",
                "\"x\"",
                "c.json: layer_norm_eps: \"x\" is not a number",
            ),
            (
                "1e-12",
                "-1.0",
                "c.json: layer_norm_eps: -1e0 is not a small number ≥ 0",
            ),
            (
                "1e-12",
                "1e300",
                "c.json: layer_norm_eps: 1e300 is not a small number ≥ 0",
            ),
            (
                "\"pad_token_id\": 0",
                "\"pad_token_id\": 30522",
                "c.json: pad_token_id: 30522 is not below vocab_size 30522",
            ),
        ];
        for (from, to, message) in cases {
            assert_eq!(changed(from, to).unwrap_err().to_string(), message);
        }
        assert!(
            Config::from_json("{", "c.json")
                .unwrap_err()
                .to_string()
                .starts_with("c.json: ")
        );
        assert!(Config::from_json("[]", "c.json").is_err());
        let absent = Config::from_file(Path::new("no/config.json")).unwrap_err();
        assert!(absent.to_string().starts_with("no/config.json: "));
    }

    #[test]
    fn geometries_are_read() {
        let config = Config::from_spec("L=2,H=128,heads=2,ffn=512").unwrap();
        assert_eq!(config, Config::from_spec("bert-tiny").unwrap());
        let config =
            Config::from_spec("H=64, L=1,heads=4,ffn=80,vocab=50,max_positions=32").unwrap();
        let sizes = (
            config.layers,
            config.ffn,
            config.vocab,
            config.max_positions,
        );
        assert_eq!(sizes, (1, 80, 50, 32));
    }

    #[test]
    fn geometry_errors_name_key_and_reason() {
        let cases = [
            ("bert-huge", "neither a folder nor a preset"),
            ("L=2,H=128,heads=2", "ffn is missing"),
            ("L=2,H=128,heads=2,ffn", "\"ffn\" should be key=number"),
            ("L=2,H=x,heads=2,ffn=4", "H: \"x\" is not a whole number"),
            ("L=2,L=3", "L is given twice"),
            (
                "L=2,depth=3",
                "unknown key \"depth\"; known: L, H, heads, ffn, vocab, max_positions, type_vocab",
            ),
            ("L=2,H=128,heads=3,ffn=4", "heads: 3 heads do not divide"),
            ("L=2,H=128,heads=16,ffn=4", "must be a multiple of 16"),
            ("L=0,H=128,heads=2,ffn=4", "L: 0 is not between 1 and 256"),
            (
                "L=256,H=16384,heads=16,ffn=65536",
                "parameters, at most 1073741824 are taken",
            ),
        ];
        for (spec, message) in cases {
            let error = Config::from_spec(spec).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("model {spec}: ")) && error.contains(message),
                "{error}"
            );
        }
    }
}
