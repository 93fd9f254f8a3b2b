//! Order, product, quotient and rounding of exact decimals.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};

use super::{power_of_ten, Decimal, Mantissa};

/// Where a digit that is cut off carries to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    HalfAwayFromZero,
    /// Towards +∞.
    Ceiling,
    /// Towards −∞.
    Floor,
}

impl Decimal {
    pub fn is_zero(&self) -> bool {
        match &self.mantissa {
            Mantissa::Small(value) => *value == 0,
            Mantissa::Big(value) => value.sign() == Sign::NoSign,
        }
    }

    pub fn is_negative(&self) -> bool {
        match &self.mantissa {
            Mantissa::Small(value) => *value < 0,
            Mantissa::Big(value) => value.sign() == Sign::Minus,
        }
    }

    pub fn negated(&self) -> Self {
        let mantissa = match &self.mantissa {
            Mantissa::Small(value) => match value.checked_neg() {
                Some(negated) => Mantissa::Small(negated),
                None => Mantissa::Big(-BigInt::from(*value)),
            },
            Mantissa::Big(value) => Mantissa::Big(-value),
        };
        Self {
            mantissa,
            scale: self.scale,
        }
    }

    pub fn times(&self, other: &Self) -> Self {
        let product = match (&self.mantissa, &other.mantissa) {
            (Mantissa::Small(a), Mantissa::Small(b)) => a.checked_mul(*b).map(Mantissa::Small),
            _ => None,
        };
        Self {
            mantissa: product
                .unwrap_or_else(|| Mantissa::Big(self.mantissa.to_big() * other.mantissa.to_big())),
            scale: self.scale + other.scale,
        }
    }

    /// How many digits the mantissa has; zeros at its end count.
    pub fn digit_count(&self) -> usize {
        match &self.mantissa {
            Mantissa::Small(0) => 1,
            Mantissa::Small(value) => value.unsigned_abs().ilog10() as usize + 1,
            Mantissa::Big(value) => value.magnitude().to_string().len(),
        }
    }

    /// Binary digits of the mantissa.
    pub fn bits(&self) -> u64 {
        match &self.mantissa {
            Mantissa::Small(value) => u64::from(i128::BITS - value.unsigned_abs().leading_zeros()),
            Mantissa::Big(value) => value.bits(),
        }
    }

    pub fn scale(&self) -> u32 {
        self.scale
    }

    /// The quotient at `scale` fractional digits. The divisor must not be zero.
    pub fn divided(&self, divisor: &Self, scale: u32, rounding: Rounding) -> Self {
        // self / divisor × 10^scale = n × 10^(scale + divisor.scale) / (d × 10^self.scale)
        let numerator = self.mantissa.to_big() * power_of_ten(scale + divisor.scale);
        let denominator = divisor.mantissa.to_big() * power_of_ten(self.scale);
        Self {
            mantissa: Mantissa::Big(rounded_quotient(&numerator, &denominator, rounding)),
            scale,
        }
    }

    /// The quotient at `digits` significant digits, half away from zero. The divisor must not be zero.
    pub fn divided_to_digits(&self, divisor: &Self, digits: u32) -> Self {
        if self.is_zero() {
            return Self::default();
        }
        let numerator = self.mantissa.to_big();
        let denominator = divisor.mantissa.to_big();
        // The quotient of the mantissas has `whole` digits before its point, or one less.
        let whole = self.digit_count().cast_signed() - divisor.digit_count().cast_signed() + 1;
        let mut places = i64::from(digits) - i64::try_from(whole).unwrap_or(i64::MAX);
        let cut = shifted_quotient(
            &BigInt::from(numerator.magnitude().clone()),
            &BigInt::from(denominator.magnitude().clone()),
            places,
            Rounding::Floor,
        );
        if digits_of(&cut) < digits as usize {
            places += 1;
        }
        let rounding = Rounding::HalfAwayFromZero;
        let quotient = shifted_quotient(&numerator, &denominator, places, rounding);
        let scale = places + i64::from(self.scale) - i64::from(divisor.scale);
        from_big(quotient, scale)
    }

    /// At most `places` fractional digits; negative places round whole digits.
    pub fn rounded_to(&self, places: i64, rounding: Rounding) -> Self {
        if places >= i64::from(self.scale) {
            return self.clone();
        }
        let cut = u32::try_from(i64::from(self.scale) - places).unwrap_or(u32::MAX);
        let quotient = rounded_quotient(&self.mantissa.to_big(), &power_of_ten(cut), rounding);
        from_big(quotient, places)
    }
}

/// `value × 10^-scale`, also for a negative scale.
fn from_big(value: BigInt, scale: i64) -> Decimal {
    match u32::try_from(scale) {
        Ok(scale) => Decimal {
            mantissa: Mantissa::Big(value),
            scale,
        },
        Err(_) => Decimal {
            mantissa: Mantissa::Big(value * power_of_ten(u32::try_from(-scale).unwrap_or(0))),
            scale: 0,
        },
    }
}

fn digits_of(value: &BigInt) -> usize {
    value.magnitude().to_string().len()
}

/// `numerator × 10^places / denominator`
fn shifted_quotient(
    numerator: &BigInt,
    denominator: &BigInt,
    places: i64,
    rounding: Rounding,
) -> BigInt {
    let shift = power_of_ten(u32::try_from(places.abs()).unwrap_or(0));
    if places < 0 {
        rounded_quotient(numerator, &(denominator * shift), rounding)
    } else {
        rounded_quotient(&(numerator * shift), denominator, rounding)
    }
}

fn rounded_quotient(numerator: &BigInt, denominator: &BigInt, rounding: Rounding) -> BigInt {
    let negative = (numerator.sign() == Sign::Minus) != (denominator.sign() == Sign::Minus);
    let magnitude = BigInt::from(numerator.magnitude().clone());
    let divisor = BigInt::from(denominator.magnitude().clone());
    let mut quotient: BigInt = &magnitude / &divisor;
    let rest: BigInt = magnitude - &quotient * &divisor;
    let away = match rounding {
        Rounding::HalfAwayFromZero => &rest * 2 >= divisor,
        Rounding::Ceiling => !negative && rest.sign() == Sign::Plus,
        Rounding::Floor => negative && rest.sign() == Sign::Plus,
    };
    if away {
        quotient += 1;
    }
    if negative {
        -quotient
    } else {
        quotient
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    /// By value: 1.0 equals 1.
    fn cmp(&self, other: &Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        let left = self.rescaled(scale - self.scale);
        let right = other.rescaled(scale - other.scale);
        match (&left, &right) {
            (Mantissa::Small(a), Mantissa::Small(b)) => a.cmp(b),
            _ => left.to_big().cmp(&right.to_big()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn quotients() {
        let seven = decimal("106").divided(&decimal("15"), 20, Rounding::Ceiling);
        assert_eq!(seven.to_string(), "7.06666666666666666667");
        let negative = decimal("-106").divided(&decimal("15"), 20, Rounding::Ceiling);
        assert_eq!(negative.to_string(), "-7.06666666666666666666");
        for (a, b, expected) in [
            ("350", "1000", "0.35"),
            ("1", "3", &format!("0.{}", "3".repeat(100))),
            ("2", "3", &format!("0.{}7", "6".repeat(99))),
            ("200", "0.3", &format!("666.{}7", "6".repeat(96))),
            ("1e-30", "1e30", &format!("0.{}1", "0".repeat(59))),
            ("-1e300", "-1e-3", &format!("1{}", "0".repeat(303))),
            ("0", "7", "0"),
            (&"9".repeat(101), "1", &format!("1{}", "0".repeat(101))),
            (
                &format!("{}6", "9".repeat(99)),
                "1",
                &format!("{}6", "9".repeat(99)),
            ),
        ] {
            let quotient = decimal(a).divided_to_digits(&decimal(b), 100);
            assert_eq!(quotient.to_string(), expected, "{a} / {b}");
        }
    }

    #[test]
    fn rounding() {
        use Rounding::{Ceiling, Floor, HalfAwayFromZero};
        for (text, places, mode, expected) in [
            ("12.345", 2, HalfAwayFromZero, "12.35"),
            ("-2.5", 0, HalfAwayFromZero, "-3"),
            ("1250", -2, HalfAwayFromZero, "1300"),
            ("49", -2, HalfAwayFromZero, "0"),
            ("1234.5", -2, Floor, "1200"),
            ("-1234.5", -2, Floor, "-1300"),
            ("1.01", 1, Ceiling, "1.1"),
            ("-1.01", 1, Ceiling, "-1"),
            ("1", -3, Ceiling, "1000"),
            ("1.5", 7, Floor, "1.5"),
        ] {
            let rounded = decimal(text).rounded_to(places, mode);
            assert_eq!(rounded.to_string(), expected, "{text} {places} {mode:?}");
        }
    }

    #[test]
    fn order_and_products() {
        assert!(decimal("1.10") == decimal("1.1") && decimal("-2") < decimal("1e-5"));
        assert!(decimal("1e60") > decimal("9.9e59"));
        let product = decimal("1e30").times(&decimal("-1.5e30"));
        assert_eq!(product.to_string(), format!("-15{}", "0".repeat(59)));
        assert_eq!(decimal("-0.5").negated().to_string(), "0.5");
        assert_eq!(decimal("1000").digit_count(), 4);
    }
}
