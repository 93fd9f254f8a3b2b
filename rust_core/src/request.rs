//! An HTTP body of usage events, read up to the per-event checks (events.md §3, §4).

use crate::answer::Refusal;
use crate::event::{Context, Flaw, RawEvent, UsageEvent};
use crate::json::{self, Scan};

/// An event that passed the checks, or what is wrong with it.
pub type Checked<'a> = std::result::Result<UsageEvent<'a>, Flaw>;

/// Reads and checks a body. The order of the checks is the order of the answers in the spec.
pub fn read<'a>(
    body: &'a [u8],
    single: bool,
    batch_max: usize,
    context: &Context<'_>,
) -> std::result::Result<Vec<UsageEvent<'a>>, Refusal> {
    let body = or_empty(body);
    if single {
        read_single(body, context)
    } else {
        read_batch(body, batch_max, context)
    }
}

/// A request without any body has no parameters, which is not the same as malformed JSON.
fn or_empty(body: &[u8]) -> &[u8] {
    if body.is_empty() {
        b"{}"
    } else {
        body
    }
}

fn read_single<'a>(
    body: &'a [u8],
    context: &Context<'_>,
) -> std::result::Result<Vec<UsageEvent<'a>>, Refusal> {
    let event = json::document(body, |scanner| {
        let mut event = None;
        scanner.object(|scanner, key| {
            if key.is(b"event") {
                event = Some(RawEvent::scan(scanner)?);
            } else {
                scanner.value()?;
            }
            Ok(())
        })?;
        Ok(event)
    })
    .map_err(|_| Refusal::Malformed)?
    .filter(RawEvent::has_members)
    .ok_or(Refusal::MissingEvent)?;
    let event = event.check(context).map_err(Refusal::Event)?;
    Ok(vec![event])
}

fn read_batch<'a>(
    body: &'a [u8],
    batch_max: usize,
    context: &Context<'_>,
) -> std::result::Result<Vec<UsageEvent<'a>>, Refusal> {
    check_all(bounded_batch(body, batch_max)?, context)
}

/// Reads a batch and checks each of its events for itself.
pub fn read_each<'a>(
    body: &'a [u8],
    batch_max: usize,
    context: &Context<'_>,
) -> std::result::Result<Vec<Checked<'a>>, Refusal> {
    let events = bounded_batch(or_empty(body), batch_max)?.into_iter();
    Ok(events.map(|event| event.check(context)).collect())
}

/// The events of a batch that has some, and not too many.
fn bounded_batch(body: &[u8], batch_max: usize) -> std::result::Result<Vec<RawEvent<'_>>, Refusal> {
    let (events, count) = scan_batch(body, batch_max).map_err(|_| Refusal::Malformed)?;
    match count {
        0 => Err(Refusal::NoEvents),
        count if count > batch_max => Err(Refusal::TooManyEvents),
        _ => Ok(events),
    }
}

/// The last `events` array: its first `batch_max` items and how many it has. Anything else counts as empty.
fn scan_batch(body: &[u8], batch_max: usize) -> Scan<(Vec<RawEvent<'_>>, usize)> {
    let mut events = Vec::new();
    let mut count = 0;
    json::document(body, |scanner| {
        scanner.object(|scanner, key| {
            if !key.is(b"events") {
                return scanner.value().map(|_| ());
            }
            events.clear();
            count = 0;
            if scanner.next_byte() != Some(b'[') {
                return scanner.value().map(|_| ());
            }
            scanner.array(|scanner| {
                let event = RawEvent::scan(scanner)?;
                if count < batch_max {
                    events.push(event);
                }
                count += 1;
                Ok(())
            })
        })
    })?;
    Ok((events, count))
}

fn check_all<'a>(
    events: Vec<RawEvent<'a>>,
    context: &Context<'_>,
) -> std::result::Result<Vec<UsageEvent<'a>>, Refusal> {
    let mut checked = Vec::with_capacity(events.len());
    let mut failures: Vec<(usize, Flaw)> = Vec::new();
    for (index, event) in events.into_iter().enumerate() {
        match event.check(context) {
            Ok(event) => checked.push(event),
            Err(flaw) => failures.push((index, flaw)),
        }
    }
    if failures.is_empty() {
        Ok(checked)
    } else {
        Err(Refusal::Events(failures))
    }
}
