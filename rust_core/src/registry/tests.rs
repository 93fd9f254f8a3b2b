use super::*;
use crate::advance::Arrival;
use crate::bucket::empty_buckets;
use crate::fold::Aggregation;
use crate::property::{Moment, Sample};
use crate::reading::Period;

const ORG: Id = 1;
const KEY: Id = 2;
const ARRIVAL: Arrival<'_> = Arrival {
    segment: 1,
    event: 0,
    raw: b"{}",
};
const WINDOW: (i64, i64) = (10_000, 20_000);

fn charge(id: Id) -> Charge {
    Charge::new(id, "calls", Aggregation::Count, None, false).unwrap()
}

fn spec(
    id: Id,
    plan_key: Id,
    started_at_us: i64,
    terminated_at_us: Option<i64>,
) -> SubscriptionSpec {
    SubscriptionSpec {
        id,
        org: ORG,
        external_key: KEY,
        stream: 100 + id,
        plan_key,
        started_at_us,
        terminated_at_us,
    }
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.put_plan(1, vec![charge(11)]).unwrap();
    registry.put_plan(2, vec![charge(11), charge(12)]).unwrap();
    registry.put_subscription(spec(5, 1, 0, None), 0).unwrap();
    registry
}

fn event(registry: &mut Registry, timestamp_us: i64) {
    let sample = Sample {
        raw: b"{}",
        moment: Moment {
            timestamp_us,
            received_at_us: 0,
        },
        properties: b"{}",
        computed: None,
    };
    fold(registry, sample);
}

fn fold(registry: &mut Registry, sample: Sample<'_>) {
    let event = Committed {
        external_key: KEY,
        stream: 0,
        code: b"calls".into(),
        sample,
        arrival: ARRIVAL,
    };
    registry.fold_all([event].into_iter()).unwrap();
}

fn counts(registry: &Registry) -> Option<Vec<u64>> {
    let totals = registry
        .read_window(5, WINDOW, Period::default())
        .unwrap()?;
    Some(totals.iter().map(|usage| usage.events_count).collect())
}

#[test]
fn a_window_is_complete_unless_a_stored_event_may_belong_to_it() {
    let mut registry = registry();
    event(&mut registry, 9_999);
    event(&mut registry, 20_000);
    assert!(registry.open_window(5, WINDOW, 1).unwrap());
    event(&mut registry, 10_000);
    assert_eq!(counts(&registry), Some(vec![1]));
    assert!(!registry.open_window(5, (5_000, 10_000), 1).unwrap());
    assert!(!registry.open_window(5, (10_000, 11_000), 1).unwrap());
    assert!(registry.open_window(5, (11_000, 20_000), 1).unwrap());
    registry.close_window(5, WINDOW).unwrap();
    assert!(!registry.open_window(5, WINDOW, 1).unwrap());
}

#[test]
fn changes_that_no_stored_event_can_feel_leave_windows_complete() {
    let mut registry = registry();
    assert!(registry.open_window(5, WINDOW, 0).unwrap());
    event(&mut registry, 12_000);
    registry
        .put_subscription(spec(5, 1, 0, Some(15_000)), 1)
        .unwrap();
    assert_eq!(counts(&registry), Some(vec![1]));
    registry
        .put_subscription(spec(5, 1, 0, Some(12_000)), 1)
        .unwrap();
    assert_eq!(counts(&registry), None);
}

#[test]
fn another_plan_starts_the_totals_anew() {
    let mut registry = registry();
    assert!(registry.open_window(5, WINDOW, 0).unwrap());
    registry.put_subscription(spec(5, 2, 0, None), 0).unwrap();
    assert_eq!(counts(&registry), Some(vec![0, 0]));
    event(&mut registry, 12_000);
    registry.put_subscription(spec(5, 1, 0, None), 1).unwrap();
    assert_eq!(counts(&registry), None);
}

#[test]
fn a_fold_that_a_change_overtook_is_dropped() {
    let mut registry = registry();
    event(&mut registry, 12_000);
    assert!(!registry.open_window(5, WINDOW, 1).unwrap());
    let begun = registry.refold(5, WINDOW).unwrap().unwrap();
    registry.put_subscription(spec(5, 2, 0, None), 1).unwrap();
    let older = empty_buckets(&begun.plan);
    assert!(!registry.finish_refold(5, WINDOW, &begun, older).unwrap());
    let again = registry.refold(5, WINDOW).unwrap().unwrap();
    let older = empty_buckets(&again.plan);
    assert!(registry.finish_refold(5, WINDOW, &again, older).unwrap());
    assert_eq!(counts(&registry), Some(vec![0, 0]));
}

#[test]
fn events_go_to_the_stream_of_the_subscription_of_their_time() {
    let mut registry = registry();
    assert_eq!(registry.route(9, 0), None);
    registry
        .put_subscription(spec(5, 1, 0, Some(10_000)), 0)
        .unwrap();
    registry
        .put_subscription(spec(6, 1, 10_500, Some(20_000)), 0)
        .unwrap();
    let streams = [9_999, 10_000, 20_000, -1].map(|at| registry.route(KEY, at));
    assert_eq!(streams, [105, 106, 106, 106].map(Some));
}

#[test]
fn what_a_registry_refuses() {
    let mut registry = registry();
    assert!(registry.put_plan(1, vec![charge(11)]).is_ok());
    assert!(registry.put_plan(1, vec![charge(12)]).is_err());
    assert!(registry.put_subscription(spec(7, 9, 0, None), 0).is_err());
    assert!(registry.open_window(9, WINDOW, 0).is_err());
    assert!(registry.open_window(5, (2, 1), 0).is_err());
    let mut moved = spec(5, 1, 0, None);
    moved.stream = 999;
    assert!(registry.put_subscription(moved, 0).is_err());
    let mut foreign = spec(8, 1, 0, None);
    (foreign.org, foreign.stream) = (2, 105);
    assert!(registry.put_subscription(foreign, 0).is_err());
}

#[test]
fn recurring_metrics_carry_over_into_the_next_window() {
    let mut registry = registry();
    let sum = Charge::new(13, "calls", Aggregation::Sum, Some("n"), true).unwrap();
    registry.put_plan(3, vec![charge(11), sum]).unwrap();
    registry.put_subscription(spec(5, 3, 0, None), 0).unwrap();
    assert!(registry.open_window(5, WINDOW, 0).unwrap());
    for at in [9_000, 12_000] {
        let sample = Sample {
            raw: b"{}",
            moment: Moment {
                timestamp_us: at,
                received_at_us: 0,
            },
            properties: br#"{"n":1.5}"#,
            computed: None,
        };
        fold(&mut registry, sample);
    }
    let units = |registry: &Registry, window| {
        let totals = registry.read_window(5, window, Period::default()).unwrap();
        totals.map(|totals| totals.into_iter().map(|usage| usage.units).collect())
    };
    let expected = |units: [&str; 2]| Some(units.map(str::to_owned).to_vec());
    assert_eq!(units(&registry, WINDOW), expected(["1", "3"]));
    let next = (20_000, 30_000);
    assert!(registry.open_window(5, next, 1).unwrap());
    assert_eq!(units(&registry, next), expected(["0", "3"]));
    event(&mut registry, 35_000);
    assert!(!registry.open_window(5, (30_000, 40_000), 1).unwrap());
}
