"""Random histories of one core against the oracle: ingestion, commits, windows, restarts and replays in any order."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from reference.aggregation_oracle import ChargeSpec, UsageRow
from reference.keeping_oracle import Keep
from reference.metering_oracle import Oracle, Subscription, parse_json

from lago_engine._core import ChainVerifier, Core, EventScan, Sealed

SECRET = b"s" * 16
ORGANIZATIONS = [b"o" * 16, b"p" * 16]
EXTERNAL_IDS = ["s1", "s2"]
START = 1_750_000_000_000_000
HOUR = 3_600_000_000

# Few bounds, so that windows, subscriptions and events meet often; half of them lie inside a millisecond.
BOUNDS = [START + hour * HOUR + extra for hour in range(3) for extra in (0, 1_000_500)]
INSTANTS = sorted({bound + d for bound in BOUNDS for d in (-1, 0, 1, 499, 1_800_000_000)})
WINDOWS = [
    (BOUNDS[0], BOUNDS[5]),
    (BOUNDS[1], BOUNDS[3]),
    (BOUNDS[3], BOUNDS[5]),
    (BOUNDS[2], BOUNDS[2]),
]
FAR_INSTANTS = [-5_000_000, START * 1000]

EU_GOLD = (b"f" * 16, [("region", ["eu", "us"]), ("n", ["1"])], ["n"])
EU = (b"g" * 16, [("region", ["eu"])], [])
PLANS: list[list[ChargeSpec]] = [
    [
        (b"a" * 16, "storage", "count_agg", None, False, [], []),
        (b"b" * 16, "storage", "sum_agg", "gb", False, [], []),
    ],
    [
        (b"c" * 16, "calls", "sum_agg", "gb", False, ["region"], []),
        (b"d" * 16, "calls", "sum_agg", "n", False, [], [EU_GOLD, EU]),
        (b"e" * 16, "storage", "count_agg", None, False, ["n", "region"], [EU]),
        (b"h" * 16, "storage", "max_agg", "gb", False, [], []),
        (b"i" * 16, "storage", "latest_agg", "gb", False, [], []),
    ],
    [
        (b"j" * 16, "storage", "sum_agg", "gb", True, ["region"], [EU]),
        (b"k" * 16, "storage", "unique_count_agg", "gb", True, [], []),
        (b"l" * 16, "calls", "unique_count_agg", "n", False, ["region"], []),
        (b"m" * 16, "storage", "weighted_sum_agg", "gb", True, ["region"], []),
        (b"n" * 16, "storage", "weighted_sum_agg", "gb", False, [], []),
    ],
    [],
]
# What some of the charges keep beside totals.
KEEPING = {
    b"b" * 16: Keep(values=True, amounts=True),
    b"c" * 16: Keep(presentation_keys=["n", "region"]),
    b"h" * 16: Keep(values=True, presentation_keys=["region"]),
    b"i" * 16: Keep(presentation_keys=["region"]),
    b"j" * 16: Keep(values=True, changes=True),
    b"k" * 16: Keep(changes=True, amounts=True),
    b"m" * 16: Keep(presentation_keys=["gb"]),
}
EXTRAS = [
    "",
    "",
    ',"region":"eu"',
    ',"region":"us"',
    ',"operation_type":"remove"',
    ',"operation_type":1',
]
CODES = ["storage"] * 20 + ["calls"] * 6 + ["other"] * 3 + [""]
GB = [
    '"12.5"',
    "7",
    '"abc"',
    '"-3"',
    "1e3",
    '"1e3"',
    "-0.5",
    '" 5"',
    "1e-30",
    "9" * 40,
    "null",
    "[]",
]


def plan_key(index: int) -> bytes:
    return bytes([index]) * 16


class Span(NamedTuple):
    subscription: int
    from_us: int
    to_us: int

    def args(self) -> tuple[bytes, int, int]:
        return subscription_id(self.subscription), self.from_us, self.to_us

    def period(self) -> tuple[int, int]:
        return self.to_us - 1, 30

    def day_starts(self) -> list[int]:
        """Days of half an hour, so that events share some."""
        return list(range(self.from_us + HOUR // 2, self.to_us, HOUR // 2))


def read(core: Core, span: Span) -> list[UsageRow] | None:
    return core.read_window(*span.args(), span.period(), span.day_starts())


class StoredFact(NamedTuple):
    stream: bytes
    topic: str
    body: bytes


class StoredCommit(NamedTuple):
    recorded_at_us: int
    facts: list[StoredFact]
    sealed: Sealed


def subscription_id(index: int) -> bytes:
    return index.to_bytes(16, "big")


class Item(NamedTuple):
    """An event to send. transaction: fresh if None, else one that may have been sent before."""

    transaction: int | None
    external_id: str | None
    code: str
    gb: str
    extra: str
    at: int | None
    amount: str | None

    def json(self, fresh: int) -> str:
        transaction = f"n{fresh}" if self.transaction is None else f"t{self.transaction}"
        members = {
            "transaction_id": json.dumps(transaction),
            "external_subscription_id": json.dumps(self.external_id),
            "code": json.dumps(self.code),
            "properties": f'{{"gb":{self.gb},"n":1{self.extra}}}',
        }
        if self.amount is not None:
            members["precise_total_amount_cents"] = self.amount
        if self.at is not None:
            sign, magnitude = ("-" if self.at < 0 else ""), abs(self.at)
            members["timestamp"] = f'"{sign}{magnitude // 10**6}.{magnitude % 10**6:06d}"'
        return "{" + ",".join(f'"{key}":{value}' for key, value in members.items()) + "}"


near = st.sampled_from(INSTANTS)
items = st.builds(
    Item,
    transaction=st.one_of(st.none(), st.none(), st.none(), st.integers(0, 5)),
    external_id=st.sampled_from(["s1", "s1", "s1", "s2", "s2", "unknown", None]),
    code=st.sampled_from(CODES),
    gb=st.sampled_from(GB),
    extra=st.sampled_from(EXTRAS),
    at=st.one_of(near, near, near, near, st.sampled_from(FAR_INSTANTS), st.none()),
    amount=st.sampled_from([None, None, "10.25", '"-3.5"']),
)
organizations = st.sampled_from([*ORGANIZATIONS[:1] * 4, *ORGANIZATIONS[1:]])


def without_ids(body: bytes) -> Any:
    parsed = parse_json(body)
    found = parsed.get("events", []) if isinstance(parsed, dict) else parsed
    if isinstance(parsed, dict) and "meta" in parsed:
        found = [result["event"] for result in found if result["status"] == "accepted"]
    for event in found:
        event.pop("lago_id")
    return parsed


class CoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.index = Path(self.folder.name) / "index"
        self.core = self.new_core(self.index)
        self.oracle = Oracle()
        self.subscriptions: dict[int, tuple[Subscription, int, int]] = {}
        self.windows: set[Span] = set()
        self.refolds: list[tuple[Span, list[int]]] = []
        self.log: list[StoredCommit] = []
        self.sealed: StoredCommit | None = None
        self.now_us = START
        self.fresh = 0

    def teardown(self) -> None:
        self.folder.cleanup()

    def new_core(self, index: Path | None = None) -> Core:
        core = Core(SECRET, 100, index)
        for index, charges in enumerate(PLANS):
            kept = [(id_, *KEEPING[id_]) for id_, *_ in charges if id_ in KEEPING]
            core.put_plan(plan_key(index), charges, [], kept)
        return core

    def segments(self, numbers: list[int]) -> list[bytes]:
        stored = [commit.sealed.segment for commit in self.log if commit.sealed.segment]
        return [stored[number - 1] for number in numbers]

    # Usage and commits.

    @rule(
        organization=organizations,
        batch=st.lists(items, min_size=1, max_size=4),
        partial=st.booleans(),
    )
    def ingest(self, organization: bytes, batch: list[Item], partial: bool = False) -> None:
        self.fresh += len(batch)
        texts = [item.json(self.fresh + index) for index, item in enumerate(batch)]
        body = ('{"events":[' + ",".join(texts) + "]}").encode()
        self.now_us += 1_000_777
        answer = self.core.ingest(organization, body, False, self.now_us, partial)
        if partial:
            expected = self.oracle.ingest_partial(organization, body, self.now_us)
        else:
            expected = self.oracle.ingest(organization, body, False, self.now_us)
        assert (answer.status, answer.wait_for) == (expected.status, expected.wait_for)
        assert answer.batch == max(expected.wait_for, default=0)
        if answer.status == 200:
            assert without_ids(answer.body) == expected.body

    @precondition(lambda self: self.sealed is None)
    @rule(streams=st.lists(st.integers(100, 104), max_size=3))
    def seal(self, streams: list[int]) -> None:
        facts = [
            StoredFact(subscription_id(stream), "fact.v1", b"%d" % index)
            for index, stream in enumerate(streams)
        ]
        staged = len(self.oracle.open)
        batch = self.oracle.batch
        sealed = self.core.seal(self.now_us, facts)
        self.oracle.seal()
        assert (sealed.batch, sealed.usage_events) == (batch, staged)
        assert (sealed.segment is not None) == (staged > 0)
        assert sealed.segment_no == (self.oracle.segments + 1 if staged else 0)
        assert sealed.commit_seq == len(self.log) + 1
        self.sealed = StoredCommit(self.now_us, facts, sealed)

    @precondition(lambda self: self.sealed is not None)
    @rule()
    def confirm(self) -> None:
        assert self.sealed is not None
        self.core.confirm()
        self.oracle.confirm()
        self.log.append(self.sealed)
        self.sealed = None

    @precondition(lambda self: self.sealed is not None)
    @rule()
    def rollback(self) -> None:
        self.core.rollback()
        self.oracle.rollback()
        self.sealed = None

    @precondition(lambda self: self.sealed is None)
    @rule(organization=organizations, batch=st.lists(items, min_size=1, max_size=4))
    def ingest_and_commit(self, organization: bytes, batch: list[Item]) -> None:
        self.ingest(organization, batch)
        self.seal([])
        self.confirm()

    # Subscriptions and windows.

    @initialize()
    def start_with_two_subscriptions(self) -> None:
        """The second takes over the external id of the first."""
        self.put_subscription(0, 2, (BOUNDS[1], BOUNDS[3]))
        self.put_subscription(2, 2, (BOUNDS[3], None))

    @rule(
        index=st.integers(0, 4),
        plan=st.sampled_from([0, 1, 1, 2, 2, 3]),
        bounds=st.tuples(st.sampled_from(BOUNDS), st.one_of(st.none(), st.sampled_from(BOUNDS))),
    )
    def put_subscription(self, index: int, plan: int, bounds: tuple[int, int | None]) -> None:
        started, terminated = bounds
        organization, external_id = ORGANIZATIONS[index // 4], EXTERNAL_IDS[index % 2]
        subscription = Subscription(organization, external_id, PLANS[plan], started, terminated)
        self.subscriptions[index] = (subscription, plan, 50 + index % 2 + 10 * (index // 4))
        self.register(self.core, index)

    def register(self, core: Core, index: int) -> None:
        subscription, plan, stream = self.subscriptions[index]
        core.put_subscription(
            subscription_id(index),
            subscription.organization,
            subscription.external_id,
            subscription_id(stream),
            plan_key(plan),
            subscription.started_at_us,
            subscription.terminated_at_us,
        )

    @rule(data=st.data())
    def open_window(self, data: st.DataObject) -> None:
        index = data.draw(st.sampled_from(sorted(self.subscriptions)))
        span = Span(index, *data.draw(st.sampled_from(WINDOWS)))
        complete = self.core.open_window(*span.args())
        self.windows.add(span)
        subscription = self.subscriptions[index][0]
        if not self.oracle.segments_with(subscription.organization, subscription.external_id):
            assert complete

    @precondition(lambda self: self.windows)
    @rule(data=st.data())
    def close_window(self, data: st.DataObject) -> None:
        span = data.draw(st.sampled_from(sorted(self.windows)))
        self.core.close_window(*span.args())
        self.windows.remove(span)
        assert read(self.core, span) is None

    @precondition(lambda self: self.windows)
    @rule(data=st.data())
    def start_refold(self, data: st.DataObject) -> None:
        """Reading segments takes time; commits and changes may come between."""
        incomplete = [span for span in self.windows if read(self.core, span) is None]
        span = data.draw(st.sampled_from(sorted(incomplete or self.windows)))
        needed = self.core.needed_segments(subscription_id(span.subscription))
        subscription = self.subscriptions[span.subscription][0]
        holding = self.oracle.segments_with(subscription.organization, subscription.external_id)
        assert holding <= set(needed) <= set(range(1, self.oracle.segments + 1))
        assert needed == sorted(set(needed))
        self.refolds.append((span, needed))

    @precondition(lambda self: self.refolds)
    @rule()
    def finish_refold(self) -> None:
        span, needed = self.refolds.pop(0)
        try:
            done = self.core.fold_window(*span.args(), self.segments(needed))
        except ValueError:
            # The window started anew after the segments were listed, and needs one more by now.
            assert set(self.core.needed_segments(subscription_id(span.subscription))) > set(needed)
            return
        assert done == (span in self.windows)
        if done:
            assert read(self.core, span) is not None

    @invariant()
    def complete_windows_equal_the_oracle(self) -> None:
        self.check_windows(self.core)

    def check_windows(self, core: Core) -> int:
        complete = 0
        for span in self.windows:
            totals = read(core, span)
            if totals is not None:
                subscription = self.subscriptions[span.subscription][0]
                expected = self.oracle.usage(
                    subscription,
                    span.from_us,
                    span.to_us,
                    span.period(),
                    KEEPING,
                    span.day_starts(),
                )
                assert totals == expected, span
                complete += 1
        return complete

    # The index of fingerprints.

    @rule(at_least=st.sampled_from([1, 1, 3]))
    def spill(self, at_least: int) -> None:
        before = self.core.stats()
        spilled = self.core.spill(at_least)
        assert spilled == (before["fingerprints_in_memory"] >= at_least)
        after = self.core.stats()
        assert after["fingerprints"] == before["fingerprints"] == len(self.oracle.fingerprints())
        assert after["fingerprint_runs"] == before["fingerprint_runs"] + spilled

    @rule()
    def merge(self) -> None:
        before = self.core.stats()
        merged = self.core.merge()
        assert merged == (before["fingerprint_runs"] >= 4)
        after = self.core.stats()
        assert after["fingerprints"] == before["fingerprints"]
        assert after["fingerprint_runs"] == before["fingerprint_runs"] - 3 * merged

    # Restarts and audits.

    @rule(keep_index=st.booleans())
    def restart_from_a_snapshot(self, keep_index: bool) -> None:
        before = {span: read(self.core, span) for span in self.windows}
        snapshot = self.core.snapshot()
        if not keep_index:
            Core.remove_index(self.index)
        self.core = Core.restore(SECRET, snapshot, 100, self.index)
        self.catch_up(self.core)
        self.oracle.restart()
        self.sealed = None
        self.refolds = []
        assert before == {span: read(self.core, span) for span in self.windows}

    def catch_up(self, core: Core) -> None:
        """Give the index what it misses of the log that the core stands for."""
        seq, commit_hash = core.index_head
        if seq > 0:
            assert self.log[seq - 1].sealed.commit_hash == commit_hash
        for commit in self.log[seq : core.commit_seq]:
            sealed = commit.sealed
            core.catch_up(sealed.commit_seq, sealed.commit_hash, sealed.segment)

    @rule(at=st.floats(0, 1), spills=st.tuples(st.booleans(), st.booleans()))
    def replay_from_a_snapshot_in_the_middle(self, at: float, spills: tuple[bool, bool]) -> None:
        """Feed part of the log, snapshot, restore, feed the rest: as the core that saw it live.

        The index may stand for less of the log than the snapshot, and for more.
        """
        folder = self.index.with_name("replayed")
        Core.remove_index(folder)
        core = self.new_core(folder)
        for index in self.subscriptions:
            self.register(core, index)
        for span in self.windows:
            assert core.open_window(*span.args())
        split = int(at * len(self.log))
        self.feed(core, self.log[: split // 2])
        core.spill(1 if spills[0] else 10**6)
        self.feed(core, self.log[split // 2 : split])
        snapshot = core.snapshot()
        if spills[1]:
            self.feed(core, self.log[split:])
            core.spill(1)
        core = Core.restore(SECRET, snapshot, 100, folder)
        self.catch_up(core)
        self.feed(core, self.log[split:])
        assert self.check_windows(core) == len(self.windows)
        assert (core.commit_seq, core.commit_hash) == (self.core.commit_seq, self.core.commit_hash)
        ours, theirs = core.stats(), self.core.stats()
        for figure in ("events", "fingerprints", "streams", "subscriptions", "windows"):
            assert ours[figure] == theirs[figure], figure
        for organization in ORGANIZATIONS:
            for external_id in [*EXTERNAL_IDS, "unknown"]:
                expected = self.core.segments_of(organization, external_id)
                assert core.segments_of(organization, external_id) == expected
            indexed = core.segments_of_org(organization)
            assert indexed == self.core.segments_of_org(organization)
            assert indexed == self.oracle.segments_of(organization)

    def feed(self, core: Core, commits: list[StoredCommit]) -> None:
        usage: list[tuple[bytes, int, bytes]] = []
        for commit in commits:
            sealed = commit.sealed
            if sealed.segment is not None and not commit.facts:
                usage.append((sealed.segment, sealed.commit_seq, sealed.commit_hash))
                continue
            core.apply_usage(usage)
            usage = []
            streams = [fact.stream for fact in commit.facts]
            core.apply_facts(list(zip(streams, sealed.versions, sealed.hashes, strict=True)))
            if sealed.segment is not None:
                core.apply_segment(sealed.segment)
            core.apply_commit(sealed.commit_seq, sealed.commit_hash)
        core.apply_usage(usage)

    @rule()
    def verify_the_log(self) -> None:
        verifier = ChainVerifier()
        for commit in self.log:
            sealed = commit.sealed
            for fact, version, stored in zip(
                commit.facts, sealed.versions, sealed.hashes, strict=True
            ):
                verifier.feed_fact(fact.stream, version, fact.topic, fact.body, stored)
            if sealed.segment is not None:
                verifier.feed_segment(sealed.segment)
            verifier.feed_commit(commit.recorded_at_us, sealed.commit_hash)
        assert (verifier.commit_seq, verifier.commit_hash) == (
            self.core.commit_seq,
            self.core.commit_hash,
        )
        assert verifier.usage_events == len(self.oracle.committed)
        for stream in range(100, 105):
            head = self.core.head(subscription_id(stream))
            assert head == verifier.head(subscription_id(stream)) == self.fact_head(stream)

    def fact_head(self, stream: int) -> tuple[int, bytes]:
        """The chain of a stream that holds facts only, computed here."""
        version, head = 0, bytes(32)
        for fact in [fact for commit in self.log for fact in commit.facts]:
            if fact.stream == subscription_id(stream):
                version += 1
                prefix = head + fact.stream + version.to_bytes(8, "little")
                topic = fact.topic.encode()
                head = hashlib.sha256(
                    prefix + len(topic).to_bytes(2, "little") + topic + fact.body
                ).digest()
        return version, head

    @rule(data=st.data())
    def search(self, data: st.DataObject) -> None:
        def maybe(strategy: st.SearchStrategy[Any]) -> Any:
            return data.draw(st.one_of(st.none(), strategy))

        filters = {
            "code": maybe(st.sampled_from(["storage", "calls"])),
            "external_subscription_id": maybe(st.sampled_from([*EXTERNAL_IDS, "unknown"])),
            "transaction_id": maybe(st.sampled_from(["t1", "t2"])),
            "from_us": maybe(st.sampled_from(INSTANTS)),
            "to_us": maybe(st.sampled_from(INSTANTS)),
        }
        organization = data.draw(st.sampled_from(ORGANIZATIONS))
        offset, limit = data.draw(st.tuples(st.integers(0, 3), st.integers(0, 5)))
        scan = EventScan(organization, **filters, offset=offset, limit=limit)
        span = filters["from_us"], filters["to_us"]
        for segment in self.segments(self.core.segments_of_org(organization, *span)):
            scan.feed(segment)
        total, page = scan.finish()
        expected = self.oracle.search(organization, **filters)
        assert total == len(expected)
        # Events of one instant and transaction id may come in any order of their subscriptions.
        found = without_ids(page)
        order = [(event["timestamp"], event["transaction_id"]) for event in found]
        wanted = expected[offset : offset + limit]
        assert order == [(event["timestamp"], event["transaction_id"]) for event in wanted]
        assert all(event in expected for event in found)


CoreMachine.TestCase.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)
TestCoreMachine = CoreMachine.TestCase
