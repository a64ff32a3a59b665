//! Words of memory as tokens: who wrote them last, and from when they may be read.
//!
//! After a scatter a word may have a maker per superlane; such words have their tokens in a side table.

use tspc_program::{Hemisphere, IoEntry, Program, SLICES, WordRun};

use crate::report::Log;
use crate::rule::Rule;
use crate::token::{Maker, Token};

pub(crate) const WORDS_PER_SLICE: usize = 8192;
const WORD_BYTES: usize = 320;
const SUPERLANES: usize = 20;

/// State of a word.
#[derive(Clone, Copy)]
pub(crate) struct Word {
    pub(crate) token: Token,
    /// First cycle in which the word may be read; 0 if no instruction has written it.
    pub(crate) readable: u64,
}

/// All words, and the bytes of the image.
pub(crate) struct Memory<'a> {
    words: Vec<Word>,
    mixed: Vec<[Token; SUPERLANES]>,
    /// Entries of `mixed` that no word uses.
    free: Vec<usize>,
    /// First word and bytes of each image segment, sorted.
    segments: Vec<(usize, &'a [u8])>,
}

/// Number of a word among all; `addr` < 8192.
pub(crate) fn word_number(hemi: Hemisphere, slice: u8, addr: u16) -> usize {
    (hemi.index() * SLICES as usize + slice as usize) * WORDS_PER_SLICE + addr as usize
}

/// `MEM_W3 word 17`, with the bank's bit.
pub(crate) fn word_name(word: usize) -> String {
    let slice = word / WORDS_PER_SLICE;
    let (hemi, slice) = (
        Hemisphere::ALL[slice / SLICES as usize % 2],
        slice % SLICES as usize,
    );
    format!(
        "MEM_{}{slice} word {}",
        hemi.letter(),
        word % WORDS_PER_SLICE
    )
}

/// The words of a run whose bounds have been checked.
pub(crate) fn words_of(run: &WordRun) -> impl Iterator<Item = usize> + use<> {
    let first = word_number(run.hemi, run.slice, run.addr) as i64;
    let step = i64::from(run.step);
    (0..i64::from(run.count)).map(move |i| (first + i * step) as usize)
}

/// The runs of an input or output, numbered as consumers are, each with the byte of the element that it holds.
pub(crate) fn planes_of(entry: &IoEntry) -> impl Iterator<Item = (WordRun, u8)> {
    let plane = |(byte, runs)| <[WordRun]>::iter(runs).map(move |run| (*run, byte));
    entry.tiles.iter().flat_map(move |tile| {
        (0..)
            .zip(tile.planes.iter().map(Vec::as_slice))
            .flat_map(plane)
    })
}

impl<'a> Memory<'a> {
    /// The state at cycle 0; words that two owners claim are reported.
    pub(crate) fn new(program: &'a Program, log: &mut Log) -> Memory<'a> {
        let nothing = Word {
            token: Token::NOTHING,
            readable: 0,
        };
        let mut memory = Memory {
            words: vec![nothing; 2 * SLICES as usize * WORDS_PER_SLICE],
            mixed: Vec::new(),
            free: Vec::new(),
            segments: Vec::new(),
        };
        for (i, segment) in program.image.iter().enumerate() {
            let first = word_number(segment.hemi, segment.slice, segment.addr);
            memory.segments.push((first, &segment.bytes));
            for word in first..first + segment.bytes.len() / WORD_BYTES {
                memory.claim(
                    word,
                    Token::image((word % WORDS_PER_SLICE) as u16, word),
                    "image",
                    || format!("segment {i}"),
                    log,
                );
            }
        }
        memory.segments.sort_unstable_by_key(|s| s.0);
        for input in &program.inputs {
            for (run, byte) in planes_of(input) {
                for word in words_of(&run) {
                    let token = Token::input((word % WORDS_PER_SLICE) as u16)
                        .of_value(byte, input.elem.bytes());
                    memory.claim(word, token, "inputs", || format!("`{}`", input.name), log);
                }
            }
        }
        memory
    }

    fn claim(
        &mut self,
        word: usize,
        token: Token,
        part: &'static str,
        owner: impl Fn() -> String,
        log: &mut Log,
    ) {
        let there = &mut self.words[word].token;
        if !there.is_nothing() {
            let other = if there.constant().is_some() {
                "an image segment"
            } else {
                "an input"
            };
            let message = format!(
                "{} wants {}, which belongs to {other}",
                owner(),
                word_name(word)
            );
            log.part(Rule::WordOverlap, part, message);
        }
        *there = token;
    }

    pub(crate) fn word(&self, word: usize) -> Word {
        self.words[word]
    }

    /// Tokens of a word with several makers.
    pub(crate) fn mixed(&self, index: usize) -> &[Token; SUPERLANES] {
        &self.mixed[index]
    }

    pub(crate) fn store(&mut self, word: usize, token: Token, readable: u64) {
        if let Maker::Mixed(index) = self.words[word].token.maker() {
            self.free.push(index);
        }
        self.words[word] = Word { token, readable };
    }

    /// Superlane `k` only.
    pub(crate) fn store_superlane(&mut self, word: usize, k: usize, token: Token, readable: u64) {
        let old = self.words[word].token;
        let index = match old.maker() {
            Maker::Mixed(index) => index,
            _ => {
                let index = self.free.pop().unwrap_or(self.mixed.len());
                if index == self.mixed.len() {
                    self.mixed.push([old; SUPERLANES]);
                }
                self.mixed[index] = [old; SUPERLANES];
                self.words[word].token = Token::mixed(index);
                index
            }
        };
        self.mixed[index][k] = token;
        self.words[word].readable = readable;
        if self.mixed[index].iter().all(|t| *t == token) {
            self.store(word, token, readable);
        }
    }

    /// The 320 bytes of a word of the image.
    pub(crate) fn image_bytes(&self, word: usize) -> Option<&'a [u8]> {
        let i = self
            .segments
            .partition_point(|s| s.0 <= word)
            .checked_sub(1)?;
        let (first, bytes) = self.segments[i];
        bytes.get((word - first) * WORD_BYTES..(word - first + 1) * WORD_BYTES)
    }

    /// Words that the image, an input or a write has touched.
    pub(crate) fn touched(&self) -> u64 {
        self.words.iter().filter(|w| !w.token.is_nothing()).count() as u64
    }
}
