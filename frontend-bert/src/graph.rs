//! The encoder as `tensor.*`, in the parts that an ONNX exporter writes: nothing is fused.
//!
//! After: a module with the inputs [`EMBEDDINGS`] and [`MASK`] and the output [`HIDDEN`]; every op has the path of
//! the model's node as its location. Recognising GELU, softmax and LayerNorm is the business of the passes, so that
//! they meet one form whatever a model came from. What it may not know: numbers other than the model's own.

use crate::weights::{Layer, Linear, Norm};
use crate::{Activation, Config, Weights};
use tspc_ir::Opcode::*;
use tspc_ir::diag::{Diagnostic, Place};
use tspc_ir::{
    Attr, Builder, Const, ConstData, ConstPool, Elem, Kind, Loc, Module, Opcode, Type, Value,
};

/// Input: the sum of the embeddings before its LayerNorm, [seq_len, hidden], see [`crate::host::embed`].
pub const EMBEDDINGS: &str = "embeddings";
/// Input: what is added to every row of scores, [1, seq_len], see [`crate::host::mask`].
pub const MASK: &str = "mask";
/// Output: the last hidden states, [seq_len, hidden].
pub const HIDDEN: &str = "hidden";

type Built<T> = Result<T, Diagnostic>;

/// The encoder for this sequence length. An error if the model has no so many positions.
pub fn build(config: &Config, weights: &Weights, seq_len: usize) -> Built<Module> {
    check_length(config, seq_len)?;
    Encoder::new(config, weights)?.module(seq_len)
}

fn check_length(config: &Config, seq_len: usize) -> Built<()> {
    if (1..=config.max_positions).contains(&seq_len) {
        return Ok(());
    }
    let message = format!(
        "sequence length {seq_len}, should be 1 to {}",
        config.max_positions
    );
    Err(Diagnostic::new(message, Place::named("model")))
}

/// A model whose tensors are constants, laid out and hashed once for the modules of all sequence lengths.
pub struct Encoder<'m> {
    config: &'m Config,
    pool: ConstPool,
    embedding_norm: NormConsts,
    layers: Vec<LayerConsts>,
}

struct NormConsts {
    scale: Const,
    shift: Const,
}

struct LinearConsts {
    /// [in, out].
    weight: Const,
    bias: Const,
}

struct LayerConsts {
    query: LinearConsts,
    key: LinearConsts,
    value: LinearConsts,
    attention_output: LinearConsts,
    attention_norm: NormConsts,
    intermediate: LinearConsts,
    output: LinearConsts,
    output_norm: NormConsts,
}

impl<'m> Encoder<'m> {
    /// The tensors of this model as constants.
    pub fn new(config: &'m Config, weights: &Weights) -> Built<Encoder<'m>> {
        let mut consts = Consts::default();
        let embedding_norm = consts.norm(&weights.embedding_norm);
        let layers = weights.layers.iter().map(|l| consts.layer(l));
        let (embedding_norm, layers) = embedding_norm
            .and_then(|norm| Ok((norm, layers.collect::<Result<_, _>>()?)))
            .map_err(|why| Diagnostic::new(why, Place::named("model")))?;
        Ok(Encoder {
            config,
            pool: consts.0,
            embedding_norm,
            layers,
        })
    }

    /// The encoder for this sequence length. An error if the model has no so many positions.
    pub fn module(&self, seq_len: usize) -> Built<Module> {
        check_length(self.config, seq_len)?;
        let mut builder = Builder::new("encoder");
        let mut input = |name: &str, rows, columns| {
            let ty = Type::new(Kind::Tensor, [rows, columns], Elem::F32);
            let ty = ty.map_err(|why| Diagnostic::new(why, Place::named(name)))?;
            Ok(builder.input(name, ty))
        };
        let embeddings = input(EMBEDDINGS, seq_len, self.config.hidden)?;
        let mask = input(MASK, 1, seq_len)?;
        let mut graph = Graph {
            builder,
            config: self.config,
            pool: &self.pool,
            seq_len,
            loc: None,
        };
        let mut x = graph.layer_norm("embeddings.LayerNorm", &self.embedding_norm, embeddings)?;
        for (i, layer) in self.layers.iter().enumerate() {
            x = graph.layer(&format!("encoder.layer.{i}"), layer, x, mask)?;
        }
        graph.output(x)
    }
}

/// The constants of a model as they are entered.
#[derive(Default)]
struct Consts(ConstPool);

impl Consts {
    fn layer(&mut self, layer: &Layer) -> Result<LayerConsts, String> {
        Ok(LayerConsts {
            query: self.linear(&layer.query)?,
            key: self.linear(&layer.key)?,
            value: self.linear(&layer.value)?,
            attention_output: self.linear(&layer.attention_output)?,
            attention_norm: self.norm(&layer.attention_norm)?,
            intermediate: self.linear(&layer.intermediate)?,
            output: self.linear(&layer.output)?,
            output_norm: self.norm(&layer.output_norm)?,
        })
    }

    fn linear(&mut self, part: &Linear) -> Result<LinearConsts, String> {
        let (outs, ins) = (part.bias.len(), part.weight.len() / part.bias.len());
        // Exporters store the matrix as the product takes it: [in, out]. By blocks, so that neither the rows read
        // nor the rows written leave the cache.
        let mut bytes = vec![0; 4 * ins * outs];
        for block in (0..outs).step_by(16) {
            for i in 0..ins {
                for o in block..outs.min(block + 16) {
                    let value = part.weight[o * ins + i];
                    bytes[4 * (i * outs + o)..][..4].copy_from_slice(&value.to_le_bytes());
                }
            }
        }
        let weight = ConstData::new(&[ins, outs], Elem::F32, bytes)?;
        Ok(LinearConsts {
            weight: self.0.add(weight),
            bias: self.vector(&part.bias)?,
        })
    }

    fn norm(&mut self, norm: &Norm) -> Result<NormConsts, String> {
        Ok(NormConsts {
            scale: self.vector(&norm.scale)?,
            shift: self.vector(&norm.shift)?,
        })
    }

    fn vector(&mut self, values: &[f32]) -> Result<Const, String> {
        Ok(self.0.add(ConstData::f32s(&[values.len()], values)?))
    }
}

/// A graph under construction; `loc` is where the next ops come from.
struct Graph<'e> {
    builder: Builder,
    config: &'e Config,
    pool: &'e ConstPool,
    seq_len: usize,
    loc: Option<Loc>,
}

impl Graph<'_> {
    fn layer(&mut self, path: &str, layer: &LayerConsts, x: Value, mask: Value) -> Built<Value> {
        let at = |part: &str| format!("{path}.{part}");
        let context = self.attention(&at("attention.self"), layer, x, mask)?;
        let attended = self.linear(
            &at("attention.output.dense"),
            &layer.attention_output,
            context,
        )?;
        self.at(&at("attention.output"));
        let sum = self.op(TensorAdd, &[attended, x])?;
        let h = self.layer_norm(
            &at("attention.output.LayerNorm"),
            &layer.attention_norm,
            sum,
        )?;
        let wide = self.linear(&at("intermediate.dense"), &layer.intermediate, h)?;
        let active = self.activation(&at("intermediate.intermediate_act_fn"), wide)?;
        let out = self.linear(&at("output.dense"), &layer.output, active)?;
        self.at(&at("output"));
        let sum = self.op(TensorAdd, &[out, h])?;
        self.layer_norm(&at("output.LayerNorm"), &layer.output_norm, sum)
    }

    fn attention(
        &mut self,
        path: &str,
        layer: &LayerConsts,
        x: Value,
        mask: Value,
    ) -> Built<Value> {
        let at = |part: &str| format!("{path}.{part}");
        let q = self.linear(&at("query"), &layer.query, x)?;
        let q = self.heads(q, &[1, 0, 2])?;
        let k = self.linear(&at("key"), &layer.key, x)?;
        let k = self.heads(k, &[1, 2, 0])?;
        let v = self.linear(&at("value"), &layer.value, x)?;
        let v = self.heads(v, &[1, 0, 2])?;
        self.at(&at("scores"));
        let scores = self.op(TensorMatmul, &[q, k])?;
        let root = self.scalar((self.config.head_width() as f32).sqrt())?;
        let scaled = self.op(TensorDiv, &[scores, root])?;
        let masked = self.op(TensorAdd, &[scaled, mask])?;
        self.at(&at("softmax"));
        let most = self.reduce("max", masked, 2)?;
        let shifted = self.op(TensorSub, &[masked, most])?;
        let exp = self.op(TensorExp, &[shifted])?;
        let sum = self.reduce("sum", exp, 2)?;
        let probabilities = self.op(TensorDiv, &[exp, sum])?;
        self.at(&at("context"));
        let context = self.op(TensorMatmul, &[probabilities, v])?;
        let context = self.transpose(context, &[1, 0, 2])?;
        self.reshape(context, &[self.seq_len, self.config.hidden])
    }

    /// [seq_len, hidden] as [seq_len, heads, head width], its dimensions then permuted.
    fn heads(&mut self, x: Value, perm: &[usize]) -> Built<Value> {
        let shape = [self.seq_len, self.config.heads, self.config.head_width()];
        let split = self.reshape(x, &shape)?;
        self.transpose(split, perm)
    }

    fn linear(&mut self, path: &str, part: &LinearConsts, x: Value) -> Built<Value> {
        self.at(path);
        let weight = self.constant(part.weight)?;
        let product = self.op(TensorMatmul, &[x, weight])?;
        let bias = self.constant(part.bias)?;
        self.op(TensorAdd, &[product, bias])
    }

    fn layer_norm(&mut self, path: &str, norm: &NormConsts, x: Value) -> Built<Value> {
        self.at(path);
        let mean = self.mean(x)?;
        let centred = self.op(TensorSub, &[x, mean])?;
        let square = self.op(TensorMul, &[centred, centred])?;
        let variance = self.mean(square)?;
        let eps = self.scalar(self.config.layer_norm_eps)?;
        let positive = self.op(TensorAdd, &[variance, eps])?;
        let deviation = self.op(TensorSqrt, &[positive])?;
        let normal = self.op(TensorDiv, &[centred, deviation])?;
        let scale = self.constant(norm.scale)?;
        let scaled = self.op(TensorMul, &[normal, scale])?;
        let shift = self.constant(norm.shift)?;
        self.op(TensorAdd, &[scaled, shift])
    }

    fn mean(&mut self, x: Value) -> Built<Value> {
        let sum = self.reduce("sum", x, 1)?;
        let width = self.scalar(self.config.hidden as f32)?;
        self.op(TensorDiv, &[sum, width])
    }

    fn activation(&mut self, path: &str, x: Value) -> Built<Value> {
        use std::f32::consts::{FRAC_2_PI, SQRT_2};
        self.at(path);
        let one = self.scalar(1.0)?;
        let half = self.scalar(0.5)?;
        match self.config.activation {
            Activation::GeluErf => {
                let root = self.scalar(SQRT_2)?;
                let scaled = self.op(TensorDiv, &[x, root])?;
                let erf = self.op(TensorErf, &[scaled])?;
                let weight = self.op(TensorAdd, &[erf, one])?;
                let product = self.op(TensorMul, &[x, weight])?;
                self.op(TensorMul, &[product, half])
            }
            Activation::GeluTanh => {
                let square = self.op(TensorMul, &[x, x])?;
                let cube = self.op(TensorMul, &[square, x])?;
                let factor = self.scalar(0.044715)?;
                let scaled = self.op(TensorMul, &[cube, factor])?;
                let sum = self.op(TensorAdd, &[x, scaled])?;
                let root = self.scalar(FRAC_2_PI.sqrt())?;
                let inner = self.op(TensorMul, &[sum, root])?;
                let tanh = self.op(TensorTanh, &[inner])?;
                let weight = self.op(TensorAdd, &[tanh, one])?;
                let halved = self.op(TensorMul, &[x, half])?;
                self.op(TensorMul, &[halved, weight])
            }
        }
    }

    fn output(mut self, x: Value) -> Built<Module> {
        self.at(HIDDEN);
        let names = Attr::Strs(vec![HIDDEN.to_string()]);
        let loc = self.loc();
        self.builder
            .build(TensorReturn, &[x], &[("names", names)], loc)?;
        Ok(self.builder.finish())
    }

    /// The ops from here on come from this node of the model.
    fn at(&mut self, path: &str) {
        self.loc = Some(self.builder.locs().path(path));
    }

    fn loc(&mut self) -> Loc {
        match self.loc {
            Some(loc) => loc,
            None => self.builder.locs().path("model"),
        }
    }

    fn op(&mut self, opcode: Opcode, operands: &[Value]) -> Built<Value> {
        self.with(opcode, operands, &[])
    }

    fn with(&mut self, opcode: Opcode, operands: &[Value], attrs: &[(&str, Attr)]) -> Built<Value> {
        let loc = self.loc();
        self.builder.one(opcode, operands, attrs, loc)
    }

    fn reduce(&mut self, kind: &'static str, x: Value, axis: i64) -> Built<Value> {
        let attrs = [("kind", Attr::Sym(kind)), ("axis", Attr::Int(axis))];
        self.with(TensorReduce, &[x], &attrs)
    }

    fn transpose(&mut self, x: Value, perm: &[usize]) -> Built<Value> {
        self.with(TensorTranspose, &[x], &[("perm", Attr::sizes(perm))])
    }

    fn reshape(&mut self, x: Value, shape: &[usize]) -> Built<Value> {
        self.with(TensorReshape, &[x], &[("shape", Attr::sizes(shape))])
    }

    fn scalar(&mut self, x: f32) -> Built<Value> {
        let loc = self.loc();
        let data = ConstData::f32s(&[], &[x]).map_err(|why| self.refusal(why))?;
        self.builder.constant_op(TensorConstant, data, loc)
    }

    /// A constant of the model.
    fn constant(&mut self, c: Const) -> Built<Value> {
        let carried = self.builder.carry(self.pool, c);
        let c = carried.ok_or_else(|| self.refusal("the constant is not of this model".into()))?;
        self.with(TensorConstant, &[], &[("value", Attr::Const(c))])
    }

    fn refusal(&mut self, why: String) -> Diagnostic {
        let loc = self.loc();
        Diagnostic::new(
            why,
            Place::named(self.builder.module().locs().describe(loc)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{host, reference};
    use tspc_ir::eval::{Array, evaluate};

    fn config() -> Config {
        Config::from_spec("L=2,H=32,heads=2,ffn=48,vocab=20,max_positions=16").unwrap()
    }

    /// Weights whose effects are visible: fifty times those of initialisation.
    fn weights(config: &Config) -> Weights {
        let mut weights = Weights::random(config, 11);
        for layer in &mut weights.layers {
            for part in [
                &mut layer.query,
                &mut layer.key,
                &mut layer.value,
                &mut layer.intermediate,
            ] {
                part.weight.iter_mut().for_each(|w| *w *= 50.0);
            }
        }
        weights
    }

    #[test]
    fn the_graph_means_what_the_reference_computes() {
        for activation in [Activation::GeluErf, Activation::GeluTanh] {
            let config = Config {
                activation,
                ..config()
            };
            let weights = weights(&config);
            for (tokens, len) in [(1, 1), (5, 5), (3, 16), (16, 16)] {
                let ids: Vec<u32> = (0..tokens).map(|i| 3 + i).collect();
                let x = host::embed(&config, &weights, &ids, len).unwrap();
                let tokens = tokens as usize;
                let want = reference::encode(&config, &weights, &x, tokens);
                let module = build(&config, &weights, len).unwrap();
                let inputs = [
                    (EMBEDDINGS, Array::f32s([len, config.hidden], x).unwrap()),
                    (
                        MASK,
                        Array::f32s([1, len], host::mask(tokens, len)).unwrap(),
                    ),
                ];
                let inputs = inputs.map(|(name, array)| (name.to_string(), array)).into();
                let outputs = evaluate(&module, &inputs).unwrap_or_else(|d| panic!("{d}"));
                let got = outputs[HIDDEN].data.f32s().unwrap();
                let apart = got
                    .iter()
                    .zip(&want)
                    .map(|(a, b)| (a - b).abs())
                    .fold(0.0, f32::max);
                assert!(apart < 1e-5, "{activation:?}, {tokens} of {len}: {apart}");
            }
        }
    }

    #[test]
    fn every_op_names_its_node_of_the_model() {
        let module = build(&config(), &weights(&config()), 16).unwrap();
        let paths: Vec<String> = module
            .ops()
            .map(|(_, op)| module.locs().describe(op.loc))
            .collect();
        let of_model = |p: &String| {
            p.starts_with("encoder.layer.") || p == "embeddings.LayerNorm" || p == HIDDEN
        };
        assert!(paths.iter().all(of_model), "{paths:?}");
        for part in [
            "0.attention.self.query",
            "1.attention.self.softmax",
            "1.output.LayerNorm",
            "0.intermediate.dense",
        ] {
            assert!(paths.contains(&format!("encoder.layer.{part}")), "{part}");
        }
    }

    #[test]
    fn one_encoder_gives_the_modules_of_all_lengths() {
        let (config, weights) = (config(), weights(&config()));
        let encoder = Encoder::new(&config, &weights).unwrap();
        for len in [16, 1, 5] {
            let module = encoder.module(len).unwrap();
            assert!(module == build(&config, &weights, len).unwrap(), "{len}");
        }
        assert!(encoder.module(17).is_err());
    }

    #[test]
    fn lengths_beyond_the_position_table_are_refused() {
        for len in [0, 17] {
            let error = build(&config(), &weights(&config()), len).unwrap_err();
            assert_eq!(
                error.message,
                format!("sequence length {len}, should be 1 to 16")
            );
        }
    }

    #[test]
    fn one_layer_as_text() {
        let config = Config::from_spec("L=1,H=32,heads=2,ffn=48,vocab=4,max_positions=4").unwrap();
        let module = build(&config, &Weights::random(&config, 0), 4).unwrap();
        insta::assert_snapshot!(tspc_ir::text::print(&module));
    }
}
