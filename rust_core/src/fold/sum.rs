//! `sum_agg` (metrics.md §4, §6.2): exact sum of a numeric property; events without one are not used.

use crate::decimal::Decimal;
use crate::error::Result;
use crate::json::{Kind, Value};
use crate::wire::{put_bytes, put_u64, Reader};

#[derive(Clone, Debug, Default)]
pub struct SumFold {
    total: Decimal,
    events: u64,
}

impl SumFold {
    pub fn fold(&mut self, value: Option<Value<'_>>) {
        if let Some(value) = value.as_ref().and_then(number) {
            self.total.add_assign(&value);
            self.events += 1;
        }
    }

    pub fn merge(&mut self, later: &Self) {
        self.total.add_assign(&later.total);
        self.events += later.events;
    }

    pub fn units(&self) -> String {
        self.total.to_string()
    }

    pub fn events_count(&self) -> u64 {
        self.events
    }

    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        put_u64(out, self.events);
        put_bytes(out, self.total.to_string().as_bytes())
    }

    /// None if the stored total is no number.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Option<Self>> {
        let events = reader.u64()?;
        let total = Decimal::parse_own(reader.bytes()?);
        Ok(total.map(|total| Self { total, events }))
    }
}

/// JSON numbers count in any notation, strings only as plain decimals (`^-?\d+(\.\d+)?$`).
fn number(value: &Value<'_>) -> Option<Decimal> {
    let text = value.text()?.decode();
    if value.kind == Kind::Number {
        Decimal::parse(&text)
    } else {
        Decimal::parse_plain(&text)
    }
}

#[cfg(test)]
mod tests {
    use crate::fold::{Aggregation, Sample};

    #[test]
    fn values_of_the_specification() {
        let sum = Aggregation::new("sum_agg", Some("gb")).unwrap();
        let mut aggregate = sum.empty();
        for gb in [
            "12.5",
            "\"7\"",
            "\"abc\"",
            "\"-3\"",
            "\"1e3\"",
            "\"+5\"",
            "\".5\"",
            "\"5.\"",
            "\" 5\"",
            "\"1,000\"",
            "\"\"",
            "true",
            "null",
            "[]",
            "{}",
            "1e3",
            "\"0007\"",
        ] {
            let properties = format!(r#"{{"gb":{gb}}}"#);
            let sample = Sample {
                timestamp_us: 0,
                properties: properties.as_bytes(),
            };
            aggregate.fold(&sum, &sample).unwrap();
        }
        let missing = Sample {
            timestamp_us: 0,
            properties: b"{}",
        };
        aggregate.fold(&sum, &missing).unwrap();
        assert_eq!(
            (aggregate.units().as_str(), aggregate.events_count()),
            ("1023.5", 5)
        );
    }
}
