//! Scanned values and the text inside them.

use std::borrow::Cow;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

/// A scanned value; `raw` is its text as sent, quotes included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    pub kind: Kind,
    pub raw: &'a [u8],
    pub(super) escaped: bool,
}

impl<'a> Value<'a> {
    /// The text of a string, or of a number as written; None for the other kinds.
    pub fn text(&self) -> Option<Text<'a>> {
        match self.kind {
            Kind::String => Some(Text {
                raw: &self.raw[1..self.raw.len() - 1],
                escaped: self.escaped,
            }),
            Kind::Number => Some(Text {
                raw: self.raw,
                escaped: false,
            }),
            _ => None,
        }
    }
}

/// String contents between the quotes, escapes not yet resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a> {
    pub raw: &'a [u8],
    escaped: bool,
}

impl<'a> Text<'a> {
    /// A text whose slice was kept apart from the mark whether it has escapes.
    pub fn new(raw: &'a [u8], escaped: bool) -> Self {
        Self { raw, escaped }
    }

    pub fn is_escaped(&self) -> bool {
        self.escaped
    }

    /// The UTF-8 bytes the text stands for.
    pub fn decode(&self) -> Cow<'a, [u8]> {
        if self.escaped {
            Cow::Owned(unescape(self.raw))
        } else {
            Cow::Borrowed(self.raw)
        }
    }

    pub fn is(&self, expected: &[u8]) -> bool {
        if self.escaped {
            *self.decode() == *expected
        } else {
            self.raw == expected
        }
    }
}

/// The number of four hexadecimal digits.
pub(super) fn hex4(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |unit, &digit| {
        Some(unit * 16 + char::from(digit).to_digit(16)?)
    })
}

/// Appends a text as a JSON string.
pub fn push_string(out: &mut Vec<u8>, text: &str) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..=0x1F => {
                let (high, low) = (
                    DIGITS[usize::from(byte >> 4)],
                    DIGITS[usize::from(byte & 15)],
                );
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Resolves the escapes of a text the scanner has accepted.
fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        if byte != b'\\' {
            out.push(byte);
            at += 1;
            continue;
        }
        let escape = raw[at + 1];
        at += 2;
        match escape {
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let (decoded, length) = code_point(&raw[at..]);
                out.extend_from_slice(decoded.encode_utf8(&mut [0; 4]).as_bytes());
                at += length;
            }
            plain => out.push(plain),
        }
    }
    out
}

/// The character of the digits after `\u`, and how many bytes it took; a pair of surrogates is one character.
fn code_point(digits: &[u8]) -> (char, usize) {
    let unit = hex4(&digits[..4]).unwrap_or(0);
    let (point, length) = if (0xD800..0xDC00).contains(&unit) {
        let low = hex4(&digits[6..10]).unwrap_or(0);
        (0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00), 10)
    } else {
        (unit, 4)
    };
    (
        char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER),
        length,
    )
}
