//! What the host reads when everything is over, and the latency (machine.md section 5).

use tspc_program::WordRun;

use crate::follow::Chip;
use crate::memory::{Word, word_name, words_of};
use crate::report::Place;
use crate::rule::Rule;
use crate::token::Token;
use crate::uses::{Walk, cover_faults};

impl Chip<'_> {
    /// Compares every output word with `uses`; the latency, if an instruction wrote one.
    pub(crate) fn outputs(&mut self, outputs: &[Vec<(WordRun, u8)>]) -> Option<u64> {
        let mut readable = 0;
        for (entry, runs) in (0..).zip(outputs) {
            for (run, (words, byte)) in (0..).zip(runs) {
                let list = self.uses.of_run(self.program, entry, run);
                // What is wrong with the records has been said.
                let sound = cover_faults(words.count, list, &self.program.uses).is_empty();
                let mut walk = Walk::new(0, if sound { list.len() } else { 0 });
                for (i, word) in (0..).zip(words_of(words)) {
                    let state = self.memory.word(word);
                    readable = readable.max(state.readable);
                    let wanted = walk.at(i, list, self.program, self.sites);
                    let name =
                        || format!("output {entry} run {run} word {i} ({})", word_name(word));
                    self.output_word(state, *byte, wanted, name);
                }
            }
        }
        (readable > 0).then(|| readable + u64::from(self.m.stagger_cycles))
    }

    fn output_word(
        &mut self,
        state: Word,
        byte: u8,
        wanted: Option<(Token, u32)>,
        name: impl Fn() -> String,
    ) {
        let sites = self.sites;
        let loc = wanted.map(|(_, record)| self.program.uses[record as usize].loc);
        let maker = || sites.describe(state.token);
        let (rule, message) = if state.token.is_nothing() {
            (Rule::ReadUndefined, format!("{} is never written", name()))
        } else if let Some((wanted, _)) = wanted.filter(|w| !state.token.same_maker(w.0)) {
            let wanted = sites.describe(wanted);
            (
                Rule::OperandMismatch,
                format!("{} is from {}, expected from {wanted}", name(), maker()),
            )
        } else if let Some(other) = state.token.byte().filter(|b| *b != byte) {
            (
                Rule::ByteOrder,
                format!(
                    "{} is byte {other} of the value of {}, expected byte {byte}",
                    name(),
                    maker()
                ),
            )
        } else {
            return;
        };
        self.log.push(rule, Place::Part("outputs"), loc, || message);
    }
}
