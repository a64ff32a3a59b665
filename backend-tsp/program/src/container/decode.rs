//! From bytes to a program.
//!
//! Before: nothing, the bytes may lie. Every count is held against the bytes that are left before anything of its
//! size is allocated, so that memory stays within a small factor of the input. After it the program is
//! well-formed, and encoding it gives the same bytes.

use sha2::{Digest, Sha256};

use super::{CHECKSUM, DecodeError, FORMAT_VERSION, HEADER, MAGIC, TAGS, text};
use crate::instr::{ElemType, Instr};
use crate::program::{
    Consumer, ImageSegment, IoEntry, IoTile, Program, Site, Source, Use, WordRun,
};
use crate::unit::{Hemisphere, QUEUES, QueueId};

type Decoded<T> = Result<T, DecodeError>;

impl Program {
    /// The program in a container; the error says at which byte what was expected.
    pub fn from_bytes(bytes: &[u8]) -> Result<Program, DecodeError> {
        let mut header = Reader {
            bytes,
            at: 0,
            end: bytes.len(),
        };
        if header.take(MAGIC.len(), "the magic")? != MAGIC {
            return error(
                0,
                format!("the magic {:?}", MAGIC.escape_ascii().to_string()),
                "other bytes",
            );
        }
        let version = header.u32()?;
        if version != FORMAT_VERSION {
            return error(8, format!("format version {FORMAT_VERSION}"), version);
        }
        let total = header.u64()?;
        if total != bytes.len() as u64 || bytes.len() < HEADER + CHECKSUM {
            return error(
                12,
                format!("the length of the container, {total} bytes"),
                format!("{} bytes", bytes.len()),
            );
        }
        let end = bytes.len() - CHECKSUM;
        if Sha256::digest(&bytes[..end])[..] != bytes[end..] {
            return error(end, "the SHA-256 of the bytes before", "another one");
        }
        let mut sections = Reader {
            bytes,
            at: HEADER,
            end,
        };
        let mut readers = Vec::with_capacity(TAGS.len());
        for tag in TAGS {
            readers.push(sections.section(tag)?);
        }
        sections.finish()?;
        let [meta, text, image, io, uses, locations] = &mut readers[..] else {
            return error(HEADER, "six sections", readers.len());
        };
        let program = Program {
            machine: meta.string()?,
            machine_hash: meta.string()?,
            queues: text.queues()?,
            image: image.list(12, Reader::image_segment)?,
            inputs: io.list(33, Reader::io_entry)?,
            outputs: io.list(33, Reader::io_entry)?,
            uses: uses.list(20, Reader::one_use)?,
            locations: locations.list(8, Reader::string)?,
        };
        readers.iter().try_for_each(Reader::finish)?;
        match program.validate() {
            Ok(()) => Ok(program),
            Err(errors) => error(HEADER, "a well-formed program", errors[0].to_string()),
        }
    }
}

fn error<T>(offset: usize, expected: impl Into<String>, found: impl ToString) -> Decoded<T> {
    Err(DecodeError {
        offset,
        expected: expected.into(),
        found: found.to_string(),
    })
}

/// Reads `bytes[at..end]`.
struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    end: usize,
}

impl<'b> Reader<'b> {
    fn take(&mut self, n: usize, what: &str) -> Decoded<&'b [u8]> {
        let left = self.end - self.at;
        if n > left {
            return error(
                self.at,
                format!("{what}, {n} bytes"),
                format!("{left} bytes to the end"),
            );
        }
        self.at += n;
        Ok(&self.bytes[self.at - n..self.at])
    }

    fn array<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, "a number")?);
        Ok(array)
    }

    fn u8(&mut self) -> Decoded<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn u16(&mut self) -> Decoded<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Decoded<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Decoded<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A count of things of at least `size` bytes each, which must fit in what is left.
    fn count(&mut self, size: usize) -> Decoded<usize> {
        let at = self.at;
        let count = self.u64()?;
        let room = (self.end - self.at) / size;
        match usize::try_from(count) {
            Ok(count) if count <= room => Ok(count),
            _ => error(
                at,
                format!("a count of at most {room}, for which there are bytes"),
                count,
            ),
        }
    }

    fn list<T>(&mut self, size: usize, one: impl Fn(&mut Self) -> Decoded<T>) -> Decoded<Vec<T>> {
        let count = self.count(size)?;
        (0..count).map(|_| one(self)).collect()
    }

    fn string(&mut self) -> Decoded<String> {
        let n = self.count(1)?;
        let at = self.at;
        let bytes = self.take(n, "text")?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_string()),
            Err(e) => error(at + e.valid_up_to(), "UTF-8", "another byte"),
        }
    }

    fn section(&mut self, tag: &[u8; 4]) -> Decoded<Reader<'b>> {
        let at = self.at;
        let found = self.take(tag.len(), "a section tag")?;
        if found != tag {
            return error(
                at,
                format!("section {}", tag.escape_ascii()),
                found.escape_ascii(),
            );
        }
        let n = self.count(1)?;
        let section = Reader {
            bytes: self.bytes,
            at: self.at,
            end: self.at + n,
        };
        self.at = section.end;
        Ok(section)
    }

    fn finish(&self) -> Decoded<()> {
        if self.at == self.end {
            return Ok(());
        }
        error(
            self.at,
            "the end of the section",
            format!("{} more bytes", self.end - self.at),
        )
    }

    /// The value of a one-byte code.
    fn one_of<T: Copy>(&mut self, values: &[T], what: &str) -> Decoded<T> {
        let code = self.u8()?;
        match values.get(usize::from(code)) {
            Some(&value) => Ok(value),
            None => error(
                self.at - 1,
                format!("{what}, less than {}", values.len()),
                code,
            ),
        }
    }

    fn hemisphere(&mut self) -> Decoded<Hemisphere> {
        self.one_of(&Hemisphere::ALL, "a hemisphere")
    }

    fn queues(&mut self) -> Decoded<Vec<Vec<Instr>>> {
        let lengths = (0..QUEUES)
            .map(|_| self.count(4))
            .collect::<Decoded<Vec<_>>>()?;
        lengths
            .into_iter()
            .map(|n| (0..n).map(|_| self.instruction()).collect())
            .collect()
    }

    fn instruction(&mut self) -> Decoded<Instr> {
        let at = self.at;
        match text::short(self.array()?) {
            Ok(instr) => Ok(instr),
            Err(opcode) => {
                let fields = self.array()?;
                text::long(opcode, fields)
                    .or_else(|(i, expected, found)| error(at + i, expected, found))
            }
        }
    }

    fn image_segment(&mut self) -> Decoded<ImageSegment> {
        let (hemi, slice, addr) = (self.hemisphere()?, self.u8()?, self.u16()?);
        let n = self.count(1)?;
        Ok(ImageSegment {
            hemi,
            slice,
            addr,
            bytes: self.take(n, "an image segment")?.to_vec(),
        })
    }

    fn io_entry(&mut self) -> Decoded<IoEntry> {
        Ok(IoEntry {
            name: self.string()?,
            elem: self.one_of(&ElemType::ALL, "an element type")?,
            rows: self.u32()?,
            cols: self.u32()?,
            tiles: self.list(16, Reader::tile)?,
        })
    }

    fn tile(&mut self) -> Decoded<IoTile> {
        let lane = |r: &mut Self| r.u32().map(|col| (col != u32::MAX).then_some(col));
        Ok(IoTile {
            lanes: self.list(4, lane)?,
            planes: self.list(8, |r| r.list(10, Reader::word_run))?,
        })
    }

    fn word_run(&mut self) -> Decoded<WordRun> {
        Ok(WordRun {
            hemi: self.hemisphere()?,
            slice: self.u8()?,
            addr: self.u16()?,
            step: self.u16()? as i16,
            count: self.u32()?,
        })
    }

    fn one_use(&mut self) -> Decoded<Use> {
        let instr = self.one_of(&[true, false], "an instruction (0) or an output (1)")?;
        let consumer = match instr {
            true => Consumer::Instr(self.site()?),
            false => Consumer::Output {
                entry: self.u32()?,
                run: self.u32()?,
            },
        };
        let (slot, first, count) = (self.u8()?, self.u32()?, self.u32()?);
        let expected = "a dispatch (0), the image (1) or the clock (2)";
        let source = match self.one_of(&[0, 1, 2], expected)? {
            0 => Source::Dispatch {
                site: self.site()?,
                first: self.u32()?,
                step: self.u32()? as i32,
            },
            1 => Source::Image {
                word: self.u16()?,
                step: self.u16()?.cast_signed(),
            },
            _ => Source::Clock { cycle: self.u64()? },
        };
        Ok(Use {
            consumer,
            slot,
            first,
            count,
            source,
            loc: self.u32()?,
        })
    }

    fn site(&mut self) -> Decoded<Site> {
        let queue = self.u8()?;
        let Some(queue) = QueueId::new(queue.into()) else {
            return error(self.at - 1, format!("a queue less than {QUEUES}"), queue);
        };
        Ok(Site {
            queue,
            index: self.u32()?,
        })
    }
}
