// SPDX-License-Identifier: GPL-2.0
//! Values on the command line and in listings.

use anyhow::Result;
use serde::Serialize;

use ostor::exit::UsageError;

const HEX: &str = "hex:";

/// Parses a value: text, or `hex:` and pairs of hexadecimal digits.
pub(crate) fn parse(text: &str) -> Result<Vec<u8>> {
    let Some(digits) = text.strip_prefix(HEX) else {
        return Ok(text.as_bytes().to_vec());
    };
    let wrong = || {
        UsageError(format!(
            "{text:?} is not {HEX} followed by pairs of hexadecimal digits"
        ))
    };
    if digits.len() % 2 != 0 {
        return Err(wrong().into());
    }
    let nibbles: Option<Vec<u32>> = digits.chars().map(|digit| digit.to_digit(16)).collect();
    let nibbles = nibbles.ok_or_else(wrong)?;
    Ok(nibbles
        .chunks_exact(2)
        .map(|pair| ((pair[0] << 4) | pair[1]) as u8)
        .collect())
}

/// A note on a value that looks like a number but is stored as text, or `None`.
pub(crate) fn note(text: &str) -> Option<String> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))?;
    let is_hex = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_hexdigit());
    let even = if digits.len() % 2 == 0 { "" } else { "0" };
    is_hex.then(|| {
        format!(
            "the value is the text {text:?}, of {} bytes; to store bytes write {HEX}{even}{digits}",
            text.len()
        )
    })
}

/// A value as text and as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Shown {
    /// The text without zero bytes at its end, if it is printable.
    pub(crate) text: Option<String>,
    /// All bytes as hexadecimal digits.
    pub(crate) hex: String,
}

impl Shown {
    pub(crate) fn new(value: &[u8]) -> Self {
        let end = value
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| last + 1);
        let text = std::str::from_utf8(&value[..end]).ok();
        let printable = |text: &&str| !text.is_empty() && !text.contains(char::is_control);
        Self {
            text: text.filter(printable).map(str::to_owned),
            hex: digits(value),
        }
    }

    /// The text if it is printable, else the digits, without zero bytes at the end.
    /// `ostor set` parses it to the same value.
    pub(crate) fn line(&self) -> String {
        match &self.text {
            Some(text) if !text.starts_with(HEX) => text.clone(),
            _ => {
                let bytes = self.hex.trim_end_matches('0').len().div_ceil(2);
                format!("{HEX}{}", &self.hex[..bytes * 2])
            }
        }
    }
}

fn digits(value: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).expect("a nibble is below 16");
    value
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_are_parsed() {
        assert_eq!(parse("green").unwrap(), b"green");
        assert_eq!(parse("hex:00fF2a").unwrap(), [0, 255, 42]);
        assert_eq!(parse("hex:").unwrap(), b"");
        for text in ["hex:0", "hex:0g", "hex:+1", "hex: 1", "hex:é"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_note_says_how_to_store_bytes() {
        let text = note("0x1234").unwrap();
        assert!(text.contains("the text \"0x1234\", of 6 bytes"), "{text}");
        assert!(text.ends_with("write hex:1234"), "{text}");
        assert!(note("0XABC").unwrap().ends_with("write hex:0ABC"));
        for text in ["1234", "0x", "0xyz", "green", "hex:1234"] {
            assert_eq!(note(text), None, "{text}");
        }
    }

    #[test]
    fn a_shown_value_is_parsed_to_the_same_value() {
        for value in [
            &b"green\0\0"[..],
            b"\x01\x10\0",
            b"hex:zz",
            b"\xff\xfe",
            b"a\nb",
            b"\0\0",
        ] {
            let line = Shown::new(value).line();
            let mut again = parse(&line).unwrap();
            again.resize(value.len(), 0);
            assert_eq!(again, value, "{line}");
        }
    }

    #[test]
    fn only_printable_text_is_shown_as_text() {
        assert_eq!(Shown::new(b"green\0\0").text.as_deref(), Some("green"));
        assert_eq!(Shown::new(b"\0\0").text, None);
        assert_eq!(Shown::new(b"a\x1b[2J").text, None);
        assert_eq!(Shown::new(b"\x10\0").line(), "hex:10");
    }
}
