//! Pipelines: passes in order, from a text such as `canonicalise,quantise{precision=int8,attention=fp16},egraph`.
//!
//! Passes are separated by commas, options in braces by spaces. Before anything runs, every pass and option exists
//! and each pass takes the dialect that the one before gives. The module is verified before the first pass and
//! after each one, so that a broken module is found where it was broken.

use crate::pass::{Context, Options, PassDef};
use std::time::{Duration, Instant};
use tspc_ir::{Diagnostic, Module, Place, stage};

/// Passes in order, with their options.
#[derive(Clone, Debug)]
pub struct Pipeline {
    steps: Vec<(&'static PassDef, Options)>,
}

/// What a run gives besides its effect on the outside.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The last module.
    pub module: Module,
    /// How long each pass took, verification not counted.
    pub timings: Vec<(&'static str, Duration)>,
}

impl Pipeline {
    /// Reads a pipeline of the passes of [`crate::PASSES`].
    pub fn parse(text: &str) -> Result<Pipeline, Diagnostic> {
        Pipeline::parse_with(text, crate::PASSES)
    }

    /// Reads a pipeline of the passes of this table.
    pub fn parse_with(text: &str, table: &'static [PassDef]) -> Result<Pipeline, Diagnostic> {
        let refuse = |why: String| Diagnostic::new(why, Place::named(format!("pipeline {text:?}")));
        let mut steps: Vec<(&PassDef, Options)> = Vec::new();
        for item in split(text).map_err(refuse)? {
            let (name, options) = match item.split_once('{') {
                Some((name, rest)) => (name.trim(), rest.strip_suffix('}').unwrap_or(rest)),
                None => (item, ""),
            };
            let Some(def) = table.iter().find(|def| def.name == name) else {
                let names: Vec<&str> = table.iter().map(|def| def.name).collect();
                return Err(refuse(format!(
                    "no pass {name:?}; expected one of {}",
                    names.join(", ")
                )));
            };
            if let Some((before, _)) = steps.last()
                && before.stage_out != def.stage_in
            {
                return Err(refuse(format!(
                    "{name} takes {}.*, but {} before it gives {}.*",
                    def.stage_in.name(),
                    before.name,
                    before.stage_out.name()
                )));
            }
            steps.push((def, Options::parse(def, options)?));
        }
        Ok(Pipeline { steps })
    }

    /// The names of the passes, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.steps.iter().map(|(def, _)| def.name)
    }

    /// What runs before the first pass of this name, and the options of that pass.
    pub fn before(&self, name: &str) -> Option<(Pipeline, &Options)> {
        let at = self.steps.iter().position(|(def, _)| def.name == name)?;
        let steps = self.steps[..at].to_vec();
        Some((Pipeline { steps }, &self.steps[at].1))
    }

    /// Runs all passes; `after` sees the module that each one gives.
    pub fn run(
        &self,
        module: Module,
        context: &Context,
        after: &mut dyn FnMut(&str, &Module),
    ) -> Result<Outcome, Vec<Diagnostic>> {
        if let Some((first, _)) = self.steps.first() {
            stage::legal(&module, first.stage_in)
                .map_err(|errors| said(errors, &format!("before {}", first.name)))?;
        }
        let mut outcome = Outcome {
            module,
            timings: Vec::new(),
        };
        for (def, options) in &self.steps {
            let start = Instant::now();
            outcome.module = (def.run)(outcome.module, context, options)?;
            outcome.timings.push((def.name, start.elapsed()));
            // Shown even if it is broken: that is when one wants to see it.
            after(def.name, &outcome.module);
            stage::legal(&outcome.module, def.stage_out)
                .map_err(|errors| said(errors, &format!("after {}", def.name)))?;
        }
        Ok(outcome)
    }
}

/// The same errors, saying when they were found.
fn said(errors: Vec<Diagnostic>, when: &str) -> Vec<Diagnostic> {
    let say = |d: Diagnostic| Diagnostic {
        message: format!("{when}: {}", d.message),
        ..d
    };
    errors.into_iter().map(say).collect()
}

/// The items of a comma-separated list in which braces hold commas.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let (mut items, mut start, mut inside) = (Vec::new(), 0, false);
    for (i, c) in text.char_indices() {
        match c {
            '{' if inside => return Err("braces do not nest".into()),
            '}' if !inside => return Err("a brace is closed that was not opened".into()),
            '{' | '}' => inside = c == '{',
            ',' if !inside => {
                items.push(text[start..i].trim());
                start = i + 1;
            }
            _ => {}
        }
    }
    if inside {
        return Err("a brace is not closed".into());
    }
    items.push(text[start..].trim());
    match items[..] {
        [""] => Ok(Vec::new()),
        _ => Ok(items),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pass::OptionDef;
    use crate::quantise::Precision;
    use tspc_ir::{Dialect, Rewriter, text};
    use tspc_machine::Machine;

    const fn pass(name: &'static str, stage_in: Dialect, stage_out: Dialect) -> PassDef {
        PassDef {
            name,
            sentence: "For these tests.",
            stage_in,
            stage_out,
            options: &[OptionDef {
                name: "depth",
                sentence: "A number.",
            }],
            run: |module, _, options| match options.get("depth") {
                // Forgets the ops.
                Some("0") => Ok(Rewriter::new(&module).finish()),
                _ => Ok(module),
            },
        }
    }

    static TABLE: [PassDef; 3] = [
        pass("clean", Dialect::Tensor, Dialect::Tensor),
        pass("fuse", Dialect::Tensor, Dialect::Stream),
        pass("cut", Dialect::Stream, Dialect::Stream),
    ];

    fn context() -> Context {
        Context {
            machine: Machine::tsp_v1(),
            ranges: None,
            precision: Precision::parse("fp16").unwrap(),
        }
    }

    fn module() -> Module {
        let text =
            "module @m(%0 \"x\": tensor<2xf32>) {\n  tensor.return(%0) {names = [\"y\"]}\n}\n";
        text::parse("p", text, &Default::default()).unwrap()
    }

    fn refusal(text: &str) -> String {
        Pipeline::parse_with(text, &TABLE).unwrap_err().message
    }

    #[test]
    fn pipelines_are_read_in_order() {
        let pipeline = Pipeline::parse_with("clean, fuse{depth=3,4},cut{ }", &TABLE).unwrap();
        assert_eq!(
            pipeline.names().collect::<Vec<_>>(),
            ["clean", "fuse", "cut"]
        );
        assert_eq!(pipeline.steps[1].1.get("depth"), Some("3,4"));
        assert_eq!(Pipeline::parse("").unwrap().steps.len(), 0);
    }

    #[test]
    fn what_is_not_there_is_refused_by_name() {
        assert_eq!(
            refusal("clean,frob"),
            "no pass \"frob\"; expected one of clean, fuse, cut"
        );
        assert_eq!(
            refusal("clean,"),
            "no pass \"\"; expected one of clean, fuse, cut"
        );
        assert_eq!(
            refusal("clean{width=2}"),
            "pass clean has no option \"width\"; it has depth"
        );
        assert_eq!(
            refusal("clean{depth}"),
            "option \"depth\" should be NAME=VALUE"
        );
        assert_eq!(
            refusal("clean{depth=1 depth=1}"),
            "option depth is given twice"
        );
        assert_eq!(refusal("clean{depth=1"), "a brace is not closed");
        assert_eq!(refusal("clean}"), "a brace is closed that was not opened");
        assert_eq!(refusal("clean{{}"), "braces do not nest");
    }

    #[test]
    fn the_order_follows_the_dialects() {
        assert_eq!(
            refusal("fuse,clean"),
            "clean takes tensor.*, but fuse before it gives stream.*"
        );
        assert_eq!(
            refusal("clean,cut"),
            "cut takes stream.*, but clean before it gives tensor.*"
        );
    }

    #[test]
    fn modules_are_verified_before_and_after_and_shown() {
        let run = |text: &str, seen: &mut Vec<String>| {
            let pipeline = Pipeline::parse_with(text, &TABLE).unwrap();
            pipeline.run(module(), &context(), &mut |name, _| {
                seen.push(name.to_string())
            })
        };
        let mut seen = Vec::new();
        let outcome = run("clean{depth=1},clean", &mut seen).unwrap();
        assert_eq!(seen, ["clean", "clean"]);
        assert_eq!(outcome.timings.len(), 2);
        assert_eq!(outcome.module, module());
        let broken = run("clean{depth=0},clean", &mut seen).unwrap_err();
        assert_eq!(
            broken[0].message,
            "after clean: the module does not end with tensor.return"
        );
        assert_eq!(seen.len(), 3);
        let wrong = run("cut", &mut seen).unwrap_err();
        assert_eq!(
            wrong[0].message,
            "before cut: tensor.return survives in a module of dialect stream"
        );
        let kept = run("fuse", &mut seen).unwrap_err();
        assert_eq!(
            kept[0].message,
            "after fuse: tensor.return survives in a module of dialect stream"
        );
    }
}
