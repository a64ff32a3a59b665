//! Tokens: who made a value, in place of the value.
//!
//! A token packs the maker (a dispatch, the host or nobody) with two things that verbatim copies inherit: which byte of
//! a wider value this is, and which image word the bytes are. Equality of makers ignores these. What the host made has
//! the word's address in its slice in the place of the iteration.

/// 25 bits of site, 16 of iteration, 3 of byte, 20 of image word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Token(u64);

const BYTE: u32 = 20;
const ITERATION: u32 = 23;
const SITE: u32 = 39;
const NO_WORD: u64 = (1 << BYTE) - 1;
const ANY_BYTE: u64 = 7;
/// What a copy inherits; this value: nothing.
const INHERITED: u64 = (1 << ITERATION) - 1;
const IMAGE: u64 = (1 << 25) - 1;
const NOTHING: u64 = (1 << 25) - 2;
const MIXED: u64 = (1 << 25) - 3;

/// Sites that tokens can name: more than the reserved slices hold.
pub(crate) const MAX_SITES: usize = MIXED as usize;

/// Who made a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Maker {
    Nobody,
    /// The image or an input: the word's address in its slice.
    Image(u16),
    /// Several scatters: index of the superlanes' tokens in the memory's side table.
    Mixed(usize),
    Dispatch {
        site: u32,
        iteration: u32,
    },
}

impl Token {
    pub(crate) const NOTHING: Token = Token(NOTHING << SITE | INHERITED);
    /// The word at `addr` of a slice, written by the host.
    pub(crate) fn input(addr: u16) -> Token {
        Token(IMAGE << SITE | u64::from(addr) << ITERATION | INHERITED)
    }

    /// The same, being word number `word` of the initial image.
    pub(crate) fn image(addr: u16, word: usize) -> Token {
        Token(Token::input(addr).0 & !NO_WORD | word as u64)
    }

    /// `site` < [`MAX_SITES`]; `iteration` ≤ 65535.
    pub(crate) fn dispatch(site: u32, iteration: u32) -> Token {
        Token(u64::from(site) << SITE | u64::from(iteration) << ITERATION | INHERITED)
    }

    pub(crate) fn mixed(index: usize) -> Token {
        Token(MIXED << SITE | index as u64)
    }

    pub(crate) fn is_nothing(self) -> bool {
        self == Token::NOTHING
    }

    pub(crate) fn maker(self) -> Maker {
        match self.0 >> SITE {
            NOTHING => Maker::Nobody,
            IMAGE => Maker::Image((self.0 >> ITERATION) as u16),
            MIXED => Maker::Mixed((self.0 & ((1 << SITE) - 1)) as usize),
            site => {
                let iteration = (self.0 >> ITERATION) as u32 & 0xFFFF;
                Maker::Dispatch {
                    site: site as u32,
                    iteration,
                }
            }
        }
    }

    /// The image word whose bytes the value has.
    pub(crate) fn constant(self) -> Option<usize> {
        let word = self.0 & NO_WORD;
        (word != NO_WORD && self.0 >> SITE != MIXED).then_some(word as usize)
    }

    /// This maker, of a verbatim copy of `origin`.
    pub(crate) fn copying(self, origin: Token) -> Token {
        match origin.maker() {
            Maker::Mixed(_) => self,
            _ => Token(self.0 & !INHERITED | origin.0 & INHERITED),
        }
    }

    /// Byte `byte` of a value of `width` bytes.
    pub(crate) fn of_value(self, byte: u8, width: u8) -> Token {
        let byte = if width == 1 {
            ANY_BYTE
        } else {
            u64::from(byte & 3)
        };
        Token(self.0 & !(ANY_BYTE << BYTE) | byte << BYTE)
    }

    /// The same, of bytes that are no image word as they stand.
    pub(crate) fn without_word(self) -> Token {
        Token(self.0 | NO_WORD)
    }

    /// What `maker` makes of the bytes of several values by moving them across lanes: still byte k, if all are.
    pub(crate) fn moved(maker: Token, values: &[Token]) -> Token {
        match values.split_first() {
            Some((first, others)) if others.iter().all(|t| t.byte() == first.byte()) => {
                maker.copying(*first).without_word()
            }
            _ => maker,
        }
    }

    /// Which byte of a wider value this is.
    pub(crate) fn byte(self) -> Option<u8> {
        let byte = self.0 >> BYTE & ANY_BYTE;
        (byte != ANY_BYTE && self.0 >> SITE != MIXED).then_some(byte as u8)
    }

    pub(crate) fn same_maker(self, other: Token) -> bool {
        self.0 >> ITERATION == other.0 >> ITERATION
    }

    /// The token of `iterations` (or words) later; the caller has checked that there are as many.
    pub(crate) fn later(self, iterations: i64) -> Token {
        Token(self.0.wrapping_add((iterations as u64) << ITERATION))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makers_and_words_are_independent() {
        let t = Token::dispatch(7, 65_535);
        assert_eq!(
            t.maker(),
            Maker::Dispatch {
                site: 7,
                iteration: 65_535
            }
        );
        assert_eq!(t.constant(), None);
        let copy = t.copying(Token::image(8191, 720_895));
        assert!(copy.same_maker(t) && copy.constant() == Some(720_895));
        assert_eq!(copy.copying(Token::input(5)).constant(), None);
        assert_eq!(t.copying(Token::input(5).of_value(3, 4)).byte(), Some(3));
        assert_eq!([t.byte(), t.of_value(0, 1).byte(), copy.byte()], [None; 3]);
        assert!(t.later(-5).same_maker(Token::dispatch(7, 65_530)));
        assert_eq!(Token::mixed(3).maker(), Maker::Mixed(3));
        assert_eq!(t.copying(Token::mixed(3)), t);
        assert!(Token::NOTHING.is_nothing());
        assert!(Token::input(7).later(1).same_maker(Token::image(8, 3)));
        assert_eq!(Token::image(8191, 3).maker(), Maker::Image(8191));
    }
}
