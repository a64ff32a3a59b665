//! One instruction of a listing. The mnemonic alone decides what it is; whether it suits the queue is a rule of form.

use super::line::{Line, Parsed, Token, integer};
use crate::instr::{
    AluInstr, AluOp, ElemType, Instr, MemAccess, MemPart, Operand, ResultMode, SxmMode,
};
use crate::unit::{Direction, Stream};

pub(super) fn instruction(line: &mut Line) -> Parsed<Instr> {
    let mnemonic = line.word("an instruction")?;
    match mnemonic.text.as_str() {
        "nop" => Ok(Instr::Nop {
            n: line.integer("cycles", 1, 0xFFFF)?,
        }),
        "repeat" => {
            let n = line.integer("repetitions", 1, 0xFFFF)?;
            Ok(Instr::Repeat {
                n,
                d: line.integer("interval", 1, 0xFFFF)?,
            })
        }
        "read" | "gather" | "write" | "scatter" => mem(line, mnemonic),
        "lw" => lw(line, false),
        "lw.f16" => lw(line, true),
        "iw" => Ok(Instr::Iw {
            n: line.integer("groups", 1, 20)?,
            f16: None,
        }),
        "iw.f16" => Ok(Instr::Iw {
            n: line.integer("groups", 1, 40)?,
            f16: Some(half(line)?),
        }),
        "act" => {
            let (stream, ty) = line.parse("a stream and its type like `s5:i8`", |text| {
                let (stream, ty) = text.split_once(':')?;
                Some((prefixed(stream, 's', 31)?, elem(ty)?))
            })?;
            Ok(Instr::Act { stream, ty })
        }
        "out" => Ok(Instr::Out { d: result(line)? }),
        "acc" => Ok(Instr::Acc {
            s: number(line)?,
            d: result(line)?,
        }),
        "drop" => Ok(Instr::Drop),
        "distribute" => {
            let mask = line.integer("mask", 1, 0xFF)?;
            let map = map(line)?;
            Ok(Instr::Distribute {
                mask,
                map,
                dst: result(line)?,
                mode: sxm_mode(line)?,
            })
        }
        "transpose" => Ok(Instr::Transpose {
            src: number(line)?,
            dst: result(line)?,
            mode: sxm_mode(line)?,
        }),
        "permute" => {
            let (src, w) = (number(line)?, width(line)?);
            let map = map(line)?;
            Ok(Instr::Permute {
                src,
                w,
                map,
                dst: result(line)?,
                mode: sxm_mode(line)?,
            })
        }
        "shift" => {
            let (src, w) = (number(line)?, width(line)?);
            line.keyword("by")?;
            let n = line.integer("lanes", 1, 319)?;
            Ok(Instr::Shift {
                src,
                w,
                n,
                dst: result(line)?,
                mode: sxm_mode(line)?,
            })
        }
        op => match AluOp::ALL.iter().find(|known| known.name() == op) {
            Some(&op) => operation(line, op),
            None => Err(line.refuse(&mnemonic, "an instruction")),
        },
    }
}

/// `w3`, `e17`.
pub(super) fn stream(text: &str) -> Option<Stream> {
    let (dir, id) = match text.split_at_checked(1)? {
        ("e", id) => (Direction::East, id),
        ("w", id) => (Direction::West, id),
        _ => return None,
    };
    Some(Stream {
        dir,
        id: integer(id, 0, 31)?,
    })
}

pub(super) fn elem(text: &str) -> Option<ElemType> {
    ElemType::ALL.into_iter().find(|ty| ty.name() == text)
}

fn prefixed(text: &str, prefix: char, most: i64) -> Option<u8> {
    integer(text.strip_prefix(prefix)?, 0, most)
}

fn number(line: &mut Line) -> Parsed<u8> {
    line.parse("a stream s0…s31", |text| prefixed(text, 's', 31))
}

fn result(line: &mut Line) -> Parsed<u8> {
    line.keyword("->")?;
    number(line)
}

fn map(line: &mut Line) -> Parsed<u8> {
    line.keyword("map")?;
    number(line)
}

fn width(line: &mut Line) -> Parsed<u8> {
    line.parse("a width w1…w4", |text| {
        prefixed(text, 'w', 4).filter(|&w| w >= 1)
    })
}

fn half(line: &mut Line) -> Parsed<u8> {
    line.parse("a K half p0 or p1", |text| prefixed(text, 'p', 1))
}

fn sxm_mode(line: &mut Line) -> Parsed<SxmMode> {
    line.parse("`back` or `on`", |text| match text {
        "back" => Some(SxmMode::Back),
        "on" => Some(SxmMode::On),
        _ => None,
    })
}

fn lw(line: &mut Line, f16: bool) -> Parsed<Instr> {
    let j = line.integer("group", 0, if f16 { 39 } else { 19 })?;
    let step = line.integer("step", -128, 127)?;
    let b = line.parse("s0 or s16", |text| {
        prefixed(text, 's', 16).filter(|b| b % 16 == 0)
    })?;
    Ok(Instr::Lw {
        j,
        step,
        b,
        f16: if f16 { Some(half(line)?) } else { None },
    })
}

/// A read part, a write part, or both with a comma between.
fn mem(line: &mut Line, verb: Token) -> Parsed<Instr> {
    let is_read = |verb: &str| matches!(verb, "read" | "gather");
    let first = mem_part(line, &verb)?;
    if !is_read(&verb.text) {
        return Ok(Instr::Mem {
            read: None,
            write: Some(first),
        });
    }
    if line.next_if(|text| text == ",").is_none() {
        return Ok(Instr::Mem {
            read: Some(first),
            write: None,
        });
    }
    let expected = "`write` or `scatter`";
    let verb = line.word(expected)?;
    if !matches!(verb.text.as_str(), "write" | "scatter") {
        return Err(line.refuse(&verb, expected));
    }
    Ok(Instr::Mem {
        read: Some(first),
        write: Some(mem_part(line, &verb)?),
    })
}

fn mem_part(line: &mut Line, verb: &Token) -> Parsed<MemPart> {
    let any = "a stream e0…e31 or w0…w31";
    let data = line.parse(any, stream)?;
    let access = if matches!(verb.text.as_str(), "read" | "write") {
        let addr = line.integer("address", 0, 0x1FFF)?;
        let step = match line.next_if(|text| text != ",") {
            None => 0,
            Some(token) => integer(&token.text, -4096, 4095).ok_or_else(|| {
                line.refuse(&token, "step -4096…4095, `,` or the end of the line")
            })?,
        };
        MemAccess::Direct { addr, step }
    } else {
        line.keyword("bank")?;
        let bank = line.integer("bank", 0, 1)?;
        line.keyword("map")?;
        MemAccess::Mapped {
            bank,
            map: line.parse(any, stream)?,
        }
    };
    Ok(MemPart {
        stream: data,
        access,
    })
}

fn typed(text: &str) -> Option<(Stream, ElemType)> {
    let (s, ty) = text.split_once(':')?;
    Some((stream(s)?, elem(ty)?))
}

fn operation(line: &mut Line, op: AluOp) -> Parsed<Instr> {
    let mut imm = 0;
    let mut operand = |line: &mut Line| {
        let expected = "an operand like `e4:f32` or `imm:0x3f800000`";
        let token = line.word(expected)?;
        if let Some((stream, ty)) = typed(&token.text) {
            return Ok(Operand::Stream { stream, ty });
        }
        let bits = token
            .text
            .strip_prefix("imm:")
            .and_then(|bits| integer(bits, 0, u32::MAX.into()));
        imm = bits.ok_or_else(|| line.refuse(&token, expected))?;
        Ok(Operand::Imm)
    };
    let a = operand(line)?;
    let b = if op.arity() == 2 {
        Some(operand(line)?)
    } else {
        None
    };
    line.keyword("->")?;
    let (result, ty) = line.parse("a result like `e4:f32`", typed)?;
    let mode = line.parse("`mesh` or `out`", |text| match text {
        "mesh" => Some(ResultMode::Mesh),
        "out" => Some(ResultMode::Out),
        _ => None,
    })?;
    Ok(Instr::Alu(AluInstr {
        op,
        a,
        b,
        imm,
        result,
        ty,
        mode,
    }))
}
