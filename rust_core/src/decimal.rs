//! Exact decimals: `mantissa × 10^-scale`. 38 digits without allocation, any number beyond.

mod arithmetic;

use std::fmt;

use num_bigint::BigInt;

pub use arithmetic::Rounding;

/// Longest accepted number, digits as written.
pub const DIGITS_MAX: usize = 1_000;
/// Largest accepted power of ten in a number with an exponent.
pub const EXPONENT_MAX: u32 = 400;
/// Digits that always fit an i128.
const SMALL_DIGITS_MAX: usize = 38;

#[derive(Clone, Debug)]
pub struct Decimal {
    mantissa: Mantissa,
    scale: u32,
}

#[derive(Clone, Debug)]
enum Mantissa {
    Small(i128),
    Big(BigInt),
}

impl Mantissa {
    fn to_big(&self) -> BigInt {
        match self {
            Self::Small(value) => BigInt::from(*value),
            Self::Big(value) => value.clone(),
        }
    }
}

impl Default for Decimal {
    fn default() -> Self {
        Self {
            mantissa: Mantissa::Small(0),
            scale: 0,
        }
    }
}

/// The parts of `-?digits[.digits][e[+-]digits]`.
struct Parts<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i32,
}

impl<'a> Parts<'a> {
    fn split(text: &'a [u8]) -> Option<Self> {
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        let (number, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            Some(at) => (&text[..at], parse_exponent(&text[at + 1..])?),
            None => (text, 0),
        };
        let (whole, fraction) = match number.iter().position(|&byte| byte == b'.') {
            Some(at) if at + 1 < number.len() => (&number[..at], &number[at + 1..]),
            Some(_) => return None,
            None => (number, &number[..0]),
        };
        let all_digits = whole.iter().chain(fraction).all(u8::is_ascii_digit);
        (all_digits && !whole.is_empty()).then_some(Self {
            negative,
            whole,
            fraction,
            exponent,
        })
    }

    fn digit_count(&self) -> usize {
        self.whole.len() + self.fraction.len()
    }

    fn mantissa(&self) -> Option<Mantissa> {
        let digits = self.whole.iter().chain(self.fraction);
        if self.digit_count() <= SMALL_DIGITS_MAX {
            let value = digits.fold(0_i128, |value, digit| value * 10 + i128::from(digit - b'0'));
            return Some(Mantissa::Small(if self.negative { -value } else { value }));
        }
        let digits: Vec<u8> = digits.copied().collect();
        let value = BigInt::parse_bytes(&digits, 10)?;
        Some(Mantissa::Big(if self.negative { -value } else { value }))
    }

    fn into_decimal(self) -> Option<Decimal> {
        let mantissa = self.mantissa()?;
        let scale = i64::try_from(self.fraction.len()).ok()? - i64::from(self.exponent);
        if let Ok(scale) = u32::try_from(scale) {
            return Some(Decimal { mantissa, scale });
        }
        let raised = Decimal { mantissa, scale: 0 };
        Some(Decimal {
            mantissa: raised.rescaled(u32::try_from(-scale).ok()?),
            scale: 0,
        })
    }
}

fn parse_exponent(text: &[u8]) -> Option<i32> {
    let (sign, digits) = match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        _ => (1, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let magnitude = digits.iter().fold(0_i32, |value, digit| {
        (value * 10 + i32::from(digit - b'0')).min(1_000_000)
    });
    (magnitude.unsigned_abs() <= EXPONENT_MAX).then_some(sign * magnitude)
}

fn power_of_ten(exponent: u32) -> BigInt {
    BigInt::from(10).pow(exponent)
}

impl Decimal {
    pub fn from_integer(value: i128) -> Self {
        Self {
            mantissa: Mantissa::Small(value),
            scale: 0,
        }
    }

    /// `mantissa × 10^-scale`
    pub fn from_parts(mantissa: i64, scale: u32) -> Self {
        Self {
            mantissa: Mantissa::Small(mantissa.into()),
            scale,
        }
    }

    /// Mantissa and scale, if the mantissa is a short one.
    pub fn small_parts(&self) -> Option<(i64, u32)> {
        match self.mantissa {
            Mantissa::Small(value) => Some((i64::try_from(value).ok()?, self.scale)),
            Mantissa::Big(_) => None,
        }
    }

    /// `-?digits[.digits][e[+-]digits]`, at most [`DIGITS_MAX`] digits and [`EXPONENT_MAX`]; else None.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let parts = Parts::split(text)?;
        (parts.digit_count() <= DIGITS_MAX)
            .then(|| parts.into_decimal())
            .flatten()
    }

    /// `-?digits[.digits]` only, as metrics.md §4 wants it of strings.
    pub fn parse_plain(text: &[u8]) -> Option<Self> {
        let plain = !text.iter().any(|byte| matches!(byte, b'e' | b'E'));
        plain.then(|| Self::parse(text)).flatten()
    }

    /// Text written by `Display`, of any length.
    pub fn parse_own(text: &[u8]) -> Option<Self> {
        Parts::split(text)?.into_decimal()
    }

    pub fn add_assign(&mut self, other: &Self) {
        let scale = self.scale.max(other.scale);
        let (left, right) = (
            self.rescaled(scale - self.scale),
            other.rescaled(scale - other.scale),
        );
        self.mantissa = match (left, right) {
            (Mantissa::Small(a), Mantissa::Small(b)) => match a.checked_add(b) {
                Some(sum) => Mantissa::Small(sum),
                None => Mantissa::Big(BigInt::from(a) + b),
            },
            (left, right) => Mantissa::Big(left.to_big() + right.to_big()),
        };
        self.scale = scale;
    }

    /// The mantissa with `places` zeros appended.
    fn rescaled(&self, places: u32) -> Mantissa {
        if places == 0 {
            return self.mantissa.clone();
        }
        if let Mantissa::Small(value) = self.mantissa {
            let factor = 10_i128.checked_pow(places);
            if let Some(product) = factor.and_then(|factor| value.checked_mul(factor)) {
                return Mantissa::Small(product);
            }
        }
        Mantissa::Big(self.mantissa.to_big() * power_of_ten(places))
    }

    /// Sign, whole digits (at least one) and fractional digits without trailing zeros.
    fn written(&self) -> (bool, String, String) {
        let text = match &self.mantissa {
            Mantissa::Small(value) => value.unsigned_abs().to_string(),
            Mantissa::Big(value) => value.magnitude().to_string(),
        };
        let negative = match &self.mantissa {
            Mantissa::Small(value) => *value < 0,
            Mantissa::Big(value) => *value < BigInt::ZERO,
        };
        let scale = self.scale as usize;
        let padded = format!("{text:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        (
            negative,
            whole.to_owned(),
            fraction.trim_end_matches('0').to_owned(),
        )
    }

    /// How many digits stand before the decimal point, without leading zeros.
    pub fn whole_digits(&self) -> usize {
        self.written().1.trim_start_matches('0').len()
    }

    /// How many digits stand after the decimal point, without trailing zeros.
    pub fn fraction_digits(&self) -> usize {
        self.written().2.len()
    }

    /// Plain text with at least one fractional digit: `140.0`.
    pub fn with_fraction(&self) -> String {
        let text = self.to_string();
        if text.contains('.') {
            text
        } else {
            text + ".0"
        }
    }
}

impl fmt::Display for Decimal {
    /// Plain: no exponent, no trailing zeros, `0` for zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (negative, whole, fraction) = self.written();
        if negative {
            f.write_str("-")?;
        }
        f.write_str(&whole)?;
        if fraction.is_empty() {
            Ok(())
        } else {
            write!(f, ".{fraction}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<String> {
        Decimal::parse(text.as_bytes()).map(|value| value.to_string())
    }

    fn sum(texts: &[&str]) -> String {
        let mut total = Decimal::default();
        for text in texts {
            total.add_assign(&Decimal::parse(text.as_bytes()).unwrap());
        }
        total.to_string()
    }

    #[test]
    fn numbers_are_normalized() {
        for (text, expected) in [
            ("12", "12"),
            ("12.50", "12.5"),
            ("-3", "-3"),
            ("0007", "7"),
            ("-0.00", "0"),
            ("1e3", "1000"),
            ("1E-3", "0.001"),
            ("-12.5e+2", "-1250"),
            (
                "0.0000000000000000000000000000000000000000001",
                "0.0000000000000000000000000000000000000000001",
            ),
            (
                "99999999999999999999999999999999999999999",
                "99999999999999999999999999999999999999999",
            ),
        ] {
            assert_eq!(parsed(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_number() {
        for text in [
            "", "-", "+5", ".5", "5.", " 5", "1,000", "abc", "1e", "1e401", "1e-401", "1.2.3",
            "--1", "1e5.0", "NaN", "0x10", "1_000",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
        assert!(Decimal::parse(&[b'9'; 1_000]).is_some());
        assert!(Decimal::parse(&[b'9'; 1_001]).is_none());
        assert!(Decimal::parse_plain(b"1e3").is_none());
        assert!(Decimal::parse_plain(b"-1.30").is_some());
    }

    #[test]
    fn sums_are_exact() {
        assert_eq!(sum(&["12.5", "7", "-3"]), "16.5");
        assert_eq!(sum(&["0.1", "0.2", "-0.3"]), "0");
        let most = i128::MAX.to_string();
        assert_eq!(sum(&[&most, "1", &format!("-{most}")]), "1");
        assert_eq!(
            sum(&["1e38", "1e-38"]),
            "100000000000000000000000000000000000000.00000000000000000000000000000000000001"
        );
        assert_eq!(sum(&["1e400", "1e-400", "-1e400"]).len(), 402);
    }

    #[test]
    fn rounding_goes_away_from_zero_at_half() {
        for (text, expected) in [
            ("1.25", "1.3"),
            ("-1.25", "-1.3"),
            ("1.24", "1.2"),
            ("-0.04", "0"),
        ] {
            let value = Decimal::parse(text.as_bytes()).unwrap();
            let rounded = value.rounded_to(1, Rounding::HalfAwayFromZero);
            assert_eq!(rounded.to_string(), expected);
        }
        assert_eq!(Decimal::parse(b"140").unwrap().with_fraction(), "140.0");
        assert_eq!(Decimal::parse(b"00140.5").unwrap().whole_digits(), 3);
    }

    #[test]
    fn own_text_reads_back() {
        let long = "9".repeat(2_000) + ".5";
        let value = Decimal::parse_own(long.as_bytes()).unwrap();
        assert_eq!(value.to_string(), long);
    }
}
