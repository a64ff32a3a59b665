//! Literals of the text: numbers, strings and constants, written and read exactly.

use crate::constant::ConstData;
use crate::types::Elem;

/// Shortest decimal that reads back to the same bits; infinities and NaN as hexadecimal bits.
pub(super) fn f32_text(bits: u32) -> String {
    let x = f32::from_bits(bits);
    if x.is_finite() {
        format!("{x:?}")
    } else {
        format!("0x{bits:08x}")
    }
}

/// The bits of an fp32 number; its value is exactly what [`f32_text`] wrote.
pub(super) fn f32_bits(word: &str) -> Option<u32> {
    if let Some(hex) = word.strip_prefix("0x") {
        return hex_bits(hex, 8);
    }
    let digit = word
        .trim_start_matches('-')
        .starts_with(|c: char| c.is_ascii_digit());
    let x: f32 = word.parse().ok().filter(|_| digit)?;
    x.is_finite().then_some(x.to_bits())
}

fn hex_bits(hex: &str, digits: usize) -> Option<u32> {
    let lower = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    (hex.len() == digits && hex.bytes().all(lower)).then(|| u32::from_str_radix(hex, 16).ok())?
}

/// A quoted string with `\"`, `\\`, `\n` and `\u{…}` for other control characters.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out + "\""
}

/// The text between the quotes, or what is wrong with it.
pub(super) fn unquote(quoted: &str) -> Result<String, String> {
    let inner = quoted
        .strip_prefix('"')
        .and_then(|s| s.strip_suffix('"'))
        .ok_or("not a string")?;
    let mut out = String::new();
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some(c @ ('"' | '\\')) => out.push(c),
            Some('n') => out.push('\n'),
            Some('u') => {
                let (hex, tail) = rest
                    .as_str()
                    .strip_prefix('{')
                    .and_then(|s| s.split_once('}'))
                    .ok_or("\\u needs {…}")?;
                let code = u32::from_str_radix(hex, 16).ok().and_then(char::from_u32);
                out.push(code.ok_or("\\u names no character")?);
                rest = tail.chars();
            }
            _ => return Err("unknown escape".into()),
        }
    }
    Ok(out)
}

/// The elements of a constant: decimals, and hexadecimal bits for fp16.
pub(super) fn element_texts(data: &ConstData) -> impl Iterator<Item = String> + '_ {
    (0..data.elements())
        .map_while(|i| data.bits(i))
        .map(|bits| match data.elem {
            Elem::F32 => f32_text(bits),
            Elem::F16 => format!("0x{bits:04x}"),
            Elem::I8 => (bits as u8).cast_signed().to_string(),
            Elem::I16 => (bits as u16).cast_signed().to_string(),
            Elem::U8 => bits.to_string(),
            Elem::I32 => bits.cast_signed().to_string(),
        })
}

/// Appends the little-endian bytes of an element.
pub(super) fn push_element(word: &str, elem: Elem, out: &mut Vec<u8>) -> Option<()> {
    let bits = match elem {
        Elem::F32 => f32_bits(word)?,
        Elem::F16 => hex_bits(word.strip_prefix("0x")?, 4)?,
        Elem::I8 => u32::from(word.parse::<i8>().ok()?.cast_unsigned()),
        Elem::I16 => u32::from(word.parse::<i16>().ok()?.cast_unsigned()),
        Elem::U8 => u32::from(word.parse::<u8>().ok()?),
        Elem::I32 => word.parse::<i32>().ok()?.cast_unsigned(),
    };
    out.extend(&bits.to_le_bytes()[..crate::constant::bytes_of(elem)]);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_round_trip_to_the_bit() {
        for x in [
            0.0,
            -0.0,
            1e-12,
            f32::MIN_POSITIVE / 2.0,
            f32::MAX,
            0.1,
            f32::INFINITY,
            -f32::NAN,
        ] {
            assert_eq!(f32_bits(&f32_text(x.to_bits())), Some(x.to_bits()), "{x}");
        }
        assert_eq!(f32_bits("inf"), None);
        assert_eq!(f32_bits("1e99"), None);
        assert_eq!(f32_bits("0x7F800000"), None, "hexadecimal is lower case");
    }

    #[test]
    fn strings_round_trip() {
        for s in ["", "a\"b\\c\nd\te", "\u{7f}Δ"] {
            assert_eq!(unquote(&quote(s)).as_deref(), Ok(s));
        }
        assert!(unquote("\"\\x\"").is_err());
        assert!(unquote("\"\\u{d800}\"").is_err());
    }
}
