// SPDX-License-Identifier: GPL-2.0
//! Values as a person reads and writes them.

use anyhow::Result;
use serde::Serialize;

use ostor::exit::UsageError;

const HEX: &str = "hex:";

/// Reads a value: text, or `hex:` and pairs of hexadecimal digits.
pub(crate) fn parse(text: &str) -> Result<Vec<u8>> {
    let Some(digits) = text.strip_prefix(HEX) else {
        return Ok(text.as_bytes().to_vec());
    };
    let wrong = || {
        UsageError(format!(
            "{text:?} is not {HEX} and pairs of hexadecimal digits"
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

/// A value both ways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Shown {
    /// As text without the zero bytes at its end, if it is printable text.
    pub(crate) text: Option<String>,
    /// As hexadecimal digits.
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

    /// The way that says most to a person; `ostor set` reads it back. Zero
    /// bytes at the end are left out.
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
    fn text_and_bytes_go_in() {
        assert_eq!(parse("green").unwrap(), b"green");
        assert_eq!(parse("hex:00fF2a").unwrap(), [0, 255, 42]);
        assert_eq!(parse("hex:").unwrap(), b"");
        for text in ["hex:0", "hex:0g", "hex:+1", "hex: 1", "hex:é"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_comes_out_goes_in_again() {
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
    fn text_is_shown_as_text_only_if_it_prints() {
        assert_eq!(Shown::new(b"green\0\0").text.as_deref(), Some("green"));
        assert_eq!(Shown::new(b"\0\0").text, None);
        assert_eq!(Shown::new(b"a\x1b[2J").text, None);
        assert_eq!(Shown::new(b"\x10\0").line(), "hex:10");
    }
}
