//! Event timestamps (events.md §2.2): decimal seconds since the epoch in, microseconds inside, ISO 8601 out.

const US_PER_S: i64 = 1_000_000;
const US_PER_MS: i64 = 1_000;
const US_PER_DAY: i64 = 86_400 * US_PER_S;

/// Decimal seconds as microseconds, cut to the microsecond at or before; None if it is not a number or does not fit.
///
/// Accepted: `[+-]digits[.digits][e[+-]digits]` with blanks around it.
pub fn parse_seconds(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii();
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (whole, rest) = split_digits(text);
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => {
            let (fraction, rest) = split_digits(rest);
            if fraction.is_empty() {
                return None;
            }
            (fraction, rest)
        }
        _ => (&rest[..0], rest),
    };
    if whole.is_empty() {
        return None;
    }
    let exponent = match rest {
        [] => 0,
        [b'e' | b'E', rest @ ..] => parse_exponent(rest)?,
        _ => return None,
    };
    to_micros(negative, whole, fraction, exponent)
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.split_at(length)
}

/// A power of ten; magnitudes beyond every use are capped, which changes no result.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let magnitude = digits.iter().fold(0_i64, |value, digit| {
        (value * 10 + i64::from(digit - b'0')).min(1 << 40)
    });
    Some(if negative { -magnitude } else { magnitude })
}

fn to_micros(negative: bool, whole: &[u8], fraction: &[u8], exponent: i64) -> Option<i64> {
    let mut kept = i64::try_from(whole.len()).ok()? + exponent + 6;
    let mut micros = 0_i128;
    let mut cut = false;
    for &digit in whole.iter().chain(fraction) {
        if kept > 0 {
            micros = next_digit(micros, digit)?;
        } else {
            cut |= digit != b'0';
        }
        kept -= 1;
    }
    while kept > 0 && micros != 0 {
        micros = next_digit(micros, b'0')?;
        kept -= 1;
    }
    let floored = if negative {
        -micros - i128::from(cut)
    } else {
        micros
    };
    i64::try_from(floored).ok()
}

fn next_digit(value: i128, digit: u8) -> Option<i128> {
    let next = value * 10 + i128::from(digit - b'0');
    (next <= 1 << 64).then_some(next)
}

/// The instant cut to whole milliseconds, the precision of window and subscription bounds.
pub fn floor_ms(at_us: i64) -> i64 {
    at_us
        .checked_sub(at_us.rem_euclid(US_PER_MS))
        .unwrap_or(i64::MIN)
}

/// Appends `2025-06-15T15:06:40.123Z`, three decimals, cut.
pub fn push_millis(out: &mut Vec<u8>, at_us: i64) {
    push_to_seconds(out, at_us);
    out.push(b'.');
    push_padded::<3>(out, at_us.rem_euclid(US_PER_S) / US_PER_MS);
    out.push(b'Z');
}

/// Appends `2025-06-15T15:06:40Z`.
pub fn push_seconds(out: &mut Vec<u8>, at_us: i64) {
    push_to_seconds(out, at_us);
    out.push(b'Z');
}

/// Years beyond four digits are written in full, years before 0 with a minus sign, as Ruby's `iso8601` does.
fn push_to_seconds(out: &mut Vec<u8>, at_us: i64) {
    let (year, month, day) = civil_date(at_us.div_euclid(US_PER_DAY));
    let second = at_us.rem_euclid(US_PER_DAY) / US_PER_S;
    if year < 0 {
        out.push(b'-');
    }
    if year.abs() < 10_000 {
        push_padded::<4>(out, year.abs());
    } else {
        push_padded::<6>(out, year.abs());
        let length = out.len();
        if out[length - 6] == b'0' {
            out.remove(length - 6);
        }
    }
    for (separator, value) in [
        (b'-', month),
        (b'-', day),
        (b'T', second / 3600),
        (b':', second / 60 % 60),
        (b':', second % 60),
    ] {
        out.push(separator);
        push_padded::<2>(out, value);
    }
}

/// Appends the last `N` decimal digits of a value that is not negative.
fn push_padded<const N: usize>(out: &mut Vec<u8>, mut value: i64) {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
    out.extend_from_slice(&digits);
}

/// Proleptic Gregorian (year, month, day) of a day number, day 0 = 1970-01-01.
///
/// Years are counted from 1 March in eras of 400 years, so that leap days come last.
fn civil_date(day_number: i64) -> (i64, i64, i64) {
    const DAYS_PER_ERA: i64 = 146_097;
    let from_march_0000 = day_number + 719_468;
    let era = from_march_0000.div_euclid(DAYS_PER_ERA);
    let day_of_era = from_march_0000.rem_euclid(DAYS_PER_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(at_us: i64) -> String {
        let mut out = Vec::new();
        push_millis(&mut out, at_us);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn seconds_are_parsed_as_decimals() {
        for (text, expected) in [
            ("1750000000", Some(1_750_000_000_000_000)),
            ("1750000000.123", Some(1_750_000_000_123_000)),
            ("1750000000.1239", Some(1_750_000_000_123_900)),
            ("1750000000.1234569", Some(1_750_000_000_123_456)),
            ("1.75e9", Some(1_750_000_000_000_000)),
            (" 1750000000 ", Some(1_750_000_000_000_000)),
            ("-5", Some(-5_000_000)),
            ("-0.0000001", Some(-1)),
            ("1750000000000", Some(1_750_000_000_000_000_000)),
            ("9223372036854.775807", Some(i64::MAX)),
            ("-9223372036854.775808", Some(i64::MIN)),
            ("9223372036854.775808", None),
            ("0e99999999999999999999", Some(0)),
            ("1e99999999999999999999", None),
            ("1e-99999999999999999999", Some(0)),
            ("125e-2", Some(1_250_000)),
            ("", None),
            ("  ", None),
            ("abc", None),
            ("NaN", None),
            ("Infinity", None),
            ("1.", None),
            (".5", None),
            ("1e", None),
            ("1e5x", None),
            ("1 2", None),
            ("2025-06-15T15:06:40Z", None),
        ] {
            assert_eq!(parse_seconds(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn instants_are_rendered() {
        for (at_us, expected) in [
            (1_750_000_000_123_900, "2025-06-15T15:06:40.123Z"),
            (-5_000_000, "1969-12-31T23:59:55.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000Z"),
            (1_750_000_000_000_000_000, "57425-04-17T15:06:40.000Z"),
            (i64::MAX, "294247-01-10T04:00:54.775Z"),
            (-62_167_219_200_000_001, "-0001-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(millis(at_us), expected);
        }
    }

    #[test]
    fn milliseconds_are_cut_downwards() {
        assert_eq!(floor_ms(1_999), 1_000);
        assert_eq!(floor_ms(-1), -1_000);
        assert_eq!(floor_ms(2_000), 2_000);
    }
}
