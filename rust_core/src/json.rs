//! Strict JSON scanner (RFC 8259) that keeps values as slices of the body.
//!
//! Stricter than many: lone surrogate escapes, nesting deeper than [`DEPTH_MAX`] and trailing bytes are
//! malformed. The caller checks UTF-8 first ([`document`] does), so strings are only searched for quotes,
//! escapes and control characters.

mod text;

pub use text::{push_string, Kind, Text, Value};

/// Deepest allowed nesting of arrays and objects.
pub const DEPTH_MAX: u32 = 64;

/// The text is not JSON as we accept it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

pub type Scan<T> = Result<T, Malformed>;

pub struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u32,
}

/// Scans one whole document: `read` must consume exactly its top-level value.
pub fn document<'a, T>(bytes: &'a [u8], read: impl FnOnce(&mut Scanner<'a>) -> Scan<T>) -> Scan<T> {
    std::str::from_utf8(bytes).map_err(|_| Malformed)?;
    let mut scanner = Scanner {
        bytes,
        at: 0,
        depth: 0,
    };
    let result = read(&mut scanner)?;
    scanner.blanks();
    if scanner.at == bytes.len() {
        Ok(result)
    } else {
        Err(Malformed)
    }
}

/// Gives every member of an object given as text to `each`.
pub fn members<'a>(object: &'a [u8], mut each: impl FnMut(Text<'a>, Value<'a>)) -> Scan<()> {
    let mut scanner = Scanner {
        bytes: object,
        at: 0,
        depth: 0,
    };
    scanner.object(|scanner, key| {
        let value = scanner.value()?;
        each(key, value);
        Ok(())
    })
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Scan<()> {
        if self.eat(byte) {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    /// The first byte of the next value, which is not consumed.
    pub fn next_byte(&mut self) -> Option<u8> {
        self.blanks();
        self.peek()
    }

    /// Where the scanner stands; with [`Self::since`] it gives the text of what was scanned between.
    pub fn position(&mut self) -> usize {
        self.blanks();
        self.at
    }

    pub fn since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.at]
    }

    /// Scans one value of any kind.
    pub fn value(&mut self) -> Scan<Value<'a>> {
        let start = self.position();
        let mut escaped = false;
        let kind = match self.peek().ok_or(Malformed)? {
            b'{' => {
                self.object(|scanner, _| scanner.value().map(|_| ()))?;
                Kind::Object
            }
            b'[' => {
                self.array(|scanner| scanner.value().map(|_| ()))?;
                Kind::Array
            }
            b'"' => {
                escaped = self.string()?.is_escaped();
                Kind::String
            }
            b't' => self.word(b"true", Kind::True)?,
            b'f' => self.word(b"false", Kind::False)?,
            b'n' => self.word(b"null", Kind::Null)?,
            _ => {
                self.number()?;
                Kind::Number
            }
        };
        Ok(Value {
            kind,
            raw: self.since(start),
            escaped,
        })
    }

    /// Scans an object; `each` gets every key and must consume its value.
    pub fn object(&mut self, mut each: impl FnMut(&mut Self, Text<'a>) -> Scan<()>) -> Scan<()> {
        self.enter(b'{')?;
        self.blanks();
        if !self.eat(b'}') {
            loop {
                self.blanks();
                let key = self.string()?;
                self.blanks();
                self.expect(b':')?;
                each(self, key)?;
                self.blanks();
                if !self.eat(b',') {
                    break;
                }
            }
            self.expect(b'}')?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Scans an array; `each` must consume one value.
    pub fn array(&mut self, mut each: impl FnMut(&mut Self) -> Scan<()>) -> Scan<()> {
        self.enter(b'[')?;
        self.blanks();
        if !self.eat(b']') {
            loop {
                each(self)?;
                self.blanks();
                if !self.eat(b',') {
                    break;
                }
            }
            self.expect(b']')?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn enter(&mut self, open: u8) -> Scan<()> {
        self.blanks();
        self.expect(open)?;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Malformed);
        }
        Ok(())
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Scan<Kind> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(kind)
        } else {
            Err(Malformed)
        }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Scan<()> {
        self.eat(b'-');
        let leading_zero = self.peek() == Some(b'0');
        let whole = self.digits();
        if whole == 0 || (leading_zero && whole > 1) {
            return Err(Malformed);
        }
        if self.eat(b'.') && self.digits() == 0 {
            return Err(Malformed);
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _signed = self.eat(b'-') || self.eat(b'+');
            if self.digits() == 0 {
                return Err(Malformed);
            }
        }
        Ok(())
    }

    fn string(&mut self) -> Scan<Text<'a>> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.plain_run();
            match self.peek().ok_or(Malformed)? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                0..=0x1F => return Err(Malformed),
                _ => self.at += 1,
            }
        }
        let raw = self.since(start);
        self.at += 1;
        Ok(Text::new(raw, escaped))
    }

    /// Skips whole groups of eight bytes that hold no quote, backslash or control character.
    fn plain_run(&mut self) {
        while let Some(group) = self.bytes.get(self.at..self.at + 8) {
            let mut word = [0; 8];
            word.copy_from_slice(group);
            let special = first_special(u64::from_le_bytes(word));
            self.at += special;
            if special < 8 {
                return;
            }
        }
    }

    fn escape(&mut self) -> Scan<()> {
        self.at += 1;
        match self.peek().ok_or(Malformed)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {
                self.at += 1;
                Ok(())
            }
            b'u' => match self.code_unit()? {
                0xDC00..=0xDFFF => Err(Malformed),
                0xD800..=0xDBFF => {
                    self.expect(b'\\')?;
                    match self.code_unit()? {
                        0xDC00..=0xDFFF => Ok(()),
                        _ => Err(Malformed),
                    }
                }
                _ => Ok(()),
            },
            _ => Err(Malformed),
        }
    }

    fn code_unit(&mut self) -> Scan<u32> {
        self.expect(b'u')?;
        let digits = self.bytes.get(self.at..self.at + 4).ok_or(Malformed)?;
        self.at += 4;
        text::hex4(digits).ok_or(Malformed)
    }
}

/// Index of the first byte of a little-endian word that is a quote, a backslash or below 0x20; 8 = none.
///
/// The usual bit trick marks the high bit of each such byte; it may mark a byte wrongly only *after* a true mark.
fn first_special(word: u64) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let zero_bytes = |x: u64| x.wrapping_sub(ONES) & !x & HIGHS;
    let quotes = zero_bytes(word ^ (ONES * 0x22));
    let backslashes = zero_bytes(word ^ (ONES * 0x5C));
    let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
    ((quotes | backslashes | controls).trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(text: &[u8]) -> bool {
        document(text, |scanner| scanner.value().map(|_| ())).is_ok()
    }

    #[test]
    fn strictness() {
        for good in [
            r#"{"a":[1,-0,2.5e+10,"x\u00e9\ud83d\ude00",true,false,null,{}]}"#,
            " [ ] ",
            "0",
            "\"a longer string of é and others\"",
        ] {
            assert!(accepts(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "01",
            "+1",
            "1.",
            ".5",
            "1e",
            "-",
            "NaN",
            "tru",
            "\"\t\"",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\udc00\"",
            "\"\\ud800\\u0041\"",
            "\"open",
            "1 1",
            "{a:1}",
            "'a'",
            "\u{feff}1",
            "\"12345678\u{1}\"",
        ] {
            assert!(!accepts(bad.as_bytes()), "{bad}");
        }
        assert!(!accepts(b"\"\xff\""));
    }

    #[test]
    fn depth_limit() {
        let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert!(accepts(&nested(64)));
        assert!(!accepts(&nested(65)));
    }

    #[test]
    fn members_come_in_order_and_escapes_decode() {
        let object = br#"{"gb":1,"g\u0062":"\u00e9\ud83d\ude00\n\/","x":{"gb":3}}"#;
        let mut found = None;
        members(object, |key, value| {
            if key.is(b"gb") {
                found = value.text().map(|text| text.decode());
            }
        })
        .unwrap();
        assert_eq!(found.as_deref(), Some("é😀\n/".as_bytes()));
    }

    #[test]
    fn special_bytes_are_found_at_every_position() {
        for special in [b'"', b'\\', 0, 0x1F] {
            for position in 0..8 {
                let mut bytes = [0x80 | b'x'; 8];
                bytes[position] = special;
                assert_eq!(first_special(u64::from_le_bytes(bytes)), position);
            }
        }
        assert_eq!(first_special(u64::from_le_bytes(*b"plain ~!")), 8);
    }
}
