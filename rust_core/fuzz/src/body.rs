//! HTTP bodies of usage events.

use _core::core::{Answer, Core};
use _core::error::Result;
use _core::json::{self, Scanner, DEPTH_MAX};
use _core::segment::Segment;

const ORG: u128 = 7;
const NOW_US: i64 = 1_750_000_000_123_456;
const BATCH_MAX: usize = 20;

/// The way in is the same after the way through the log.
///
/// No input panics; every answer is JSON; what is accepted can be read back from its segment and gives the same answer again;
/// a second time it is a repetition, also for a core that was fed from the log; and event by event a batch
/// is taken exactly when it is taken as a whole.
///
/// # Panics
///
/// When one of that does not hold.
pub fn check_body(body: &[u8]) {
    check_json(body);
    for single in [true, false] {
        let core = core();
        let answer = ok(core.ingest(ORG, body, single, NOW_US));
        assert!(matches!(answer.status, 200 | 400 | 422));
        assert!(is_json(&answer.body), "an answer is JSON");
        if answer.status == 200 {
            check_accepted(&core, body, single, &answer);
        } else {
            assert_eq!(answer.count, 0, "what is refused is not staged");
            assert_eq!(core.staged_bytes(), 0);
        }
    }
    check_partial(body);
}

fn ok<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

/// A core with an expression on the code `net`.
fn core() -> Core {
    let core = ok(Core::new(1, BATCH_MAX, None));
    let computation = ("gb", "round(event.properties.mb / 3, 5)");
    ok(core.metrics.put(ORG, "net", Some(computation)));
    core
}

/// Whoever we call JSON is JSON to others, and the other way round but for what is stricter here on purpose.
fn check_json(bytes: &[u8]) {
    let other = serde_json::from_slice::<serde_json::Value>(bytes);
    if is_json(bytes) {
        assert!(other.is_ok(), "only we take it for JSON: {other:?}");
    } else if other.is_ok() {
        assert!(deepest(bytes) > DEPTH_MAX, "only others take it for JSON");
    }
}

fn is_json(bytes: &[u8]) -> bool {
    json::document(bytes, Scanner::value).is_ok()
}

fn deepest(bytes: &[u8]) -> u32 {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_u32, 0, false, false);
    for &byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn check_accepted(core: &Core, body: &[u8], single: bool, answer: &Answer) {
    let segment = stored(core);
    let (texts, attributed) = read_back(&segment);
    assert_eq!(texts.len(), answer.count);
    let again = ok(self::core().ingest(ORG, &encode(&texts, single), single, NOW_US));
    assert_eq!(again.status, 200);
    assert_eq!(events_of(&again), events_of(answer));

    let recovered = self::core();
    ok(recovered.apply_segment(&segment));
    for fed in [core, &recovered] {
        let repeated = ok(fed.ingest(ORG, body, single, NOW_US));
        let expected = if attributed == 0 { 200 } else { 422 };
        assert_eq!(repeated.status, expected);
    }
}

/// The events of an answer, sorted: a segment keeps the order within a stream only.
fn events_of(answer: &Answer) -> Vec<String> {
    let parsed: serde_json::Value =
        serde_json::from_slice(&answer.body).expect("the answer is JSON");
    let single = std::slice::from_ref(&parsed["event"]);
    let events = parsed["events"].as_array().map_or(single, Vec::as_slice);
    let mut texts: Vec<String> = events.iter().map(ToString::to_string).collect();
    texts.sort_unstable();
    texts
}

/// The segment of everything staged.
fn stored(core: &Core) -> Vec<u8> {
    let sealed = ok(core.seal(NOW_US, &[]));
    ok(core.confirm());
    sealed.segment.expect("events were staged")
}

/// The events as sent, in the order of their acceptance in a stream, and how many of them name a subscription.
fn read_back(segment: &[u8]) -> (Vec<Vec<u8>>, usize) {
    let segment = ok(Segment::open(segment));
    let mut records = ok(segment.records());
    let (mut texts, mut attributed) = (Vec::new(), 0);
    for entry in &segment.entries {
        let record = ok(records.record(entry));
        for event in record.events() {
            ok(event.event());
            attributed += usize::from(record.attributed);
            texts.push(event.raw.to_vec());
        }
    }
    (texts, attributed)
}

fn encode(texts: &[Vec<u8>], single: bool) -> Vec<u8> {
    if single {
        return [&b"{\"event\":"[..], &texts[0], b"}"].concat();
    }
    [&b"{\"events\":["[..], &texts.join(&b','), b"]}"].concat()
}

fn check_partial(body: &[u8]) {
    let (core, whole) = (core(), self::core());
    let answer = ok(core.ingest_partial(ORG, body, NOW_US));
    let all_or_nothing = ok(whole.ingest(ORG, body, false, NOW_US));
    assert!(is_json(&answer.body));
    if answer.status != 200 {
        assert_eq!(
            answer.body, all_or_nothing.body,
            "a body is none in both modes"
        );
        return;
    }
    let parsed: serde_json::Value =
        serde_json::from_slice(&answer.body).expect("the answer is JSON");
    let results = parsed["events"].as_array().expect("a result per event");
    let accepted = results.iter().filter(|each| each["status"] == "accepted");
    assert_eq!(accepted.count(), answer.count);
    assert_eq!(all_or_nothing.status == 200, answer.count == results.len());
    if answer.count > 0 {
        assert_eq!(read_back(&stored(&core)).0.len(), answer.count);
    }
}
