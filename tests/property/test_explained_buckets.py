"""An explanation puts each event into the bucket that metering counted it in."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from reference.aggregation_oracle import assigned_filter

from lago_engine.audit.priced import bucket_of
from lago_engine.metering import MeteredCharge, MeteredFilter

KEYS = ("region", "tier", "cloud")
TEXTS = ("a", "b", "c", "1.5")
values = st.dictionaries(
    st.sampled_from(KEYS),
    st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3, unique=True).map(tuple),
    min_size=1,
)
properties = st.dictionaries(st.sampled_from(KEYS), st.sampled_from([*TEXTS, "", None]))


def charge(filters: list[dict[str, tuple[str, ...]]]) -> MeteredCharge:
    return MeteredCharge(
        charge_id=UUID(int=0),
        metric_code="m",
        aggregation_type="count_agg",
        pricing_group_keys=("cloud",),
        filters=tuple(
            MeteredFilter(filter_id=UUID(int=n), values=each, pricing_group_keys=("tier",))
            for n, each in enumerate(filters, 1)
        ),
    )


@given(filters=st.lists(values, max_size=6), used=properties)
def test_the_filter_is_the_one_of_the_oracle(
    filters: list[dict[str, tuple[str, ...]]], used: dict[str, Any]
) -> None:
    specs = [(bytes(16), list(each.items()), []) for each in filters]
    expected = assigned_filter(specs, used)
    filter_id, group = bucket_of(charge(filters), used)
    assert filter_id == (None if expected is None else UUID(int=expected + 1))
    assert group == (used.get("cloud" if expected is None else "tier") or None,)


def test_values_of_any_type_are_compared_as_text() -> None:
    for value, text in [
        (Decimal("1.50"), "1.50"),
        (Decimal("1E+3"), "1000"),
        (12, "12"),
        (True, "true"),
        (["a", Decimal("1.5")], '["a",1.5]'),
    ]:
        _, group = bucket_of(charge([]), {"cloud": value})
        assert group == (text,)
