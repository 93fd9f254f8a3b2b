"""Questions about usage: what an open window tells equals what the log tells, for every charge and grouping."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest
from engine_kit import Home, Shop, sandbox

from lago_engine.actors.asked_usage import AskedFolds
from lago_engine.domain import ids
from lago_engine.domain.commands import CreatePlan
from lago_engine.domain.rating.usage_question import (
    AskedUsage,
    UsageQuestion,
    Used,
    ask_usage,
    narrowed,
)

REGIONS, CLOUDS = ("eu", "us"), ("aws", "gcp", None)
METRICS: dict[str, dict[str, Any]] = {
    "count_agg": {},
    "sum_agg": {},
    "max_agg": {},
    "latest_agg": {},
    "unique_count_agg": {"recurring": True},
    "weighted_sum_agg": {"weighted_interval": "seconds"},
}


async def every_metric(shop: Shop, grouping: dict[str, Any]) -> None:
    """A charge on every kind of metric, and the same random events for each."""
    for code, fields in METRICS.items():
        name = None if code == "count_agg" else "gb"
        values = [{"key": "region", "values": list(REGIONS)}]
        given = {"aggregation_type": code, "field_name": name, "filters": values, **fields}
        await shop.metric(code, **given)
    metrics = shop.engine.organization(shop.id).metrics
    properties = {"amount": "1", **grouping}
    charges = [
        {
            "billable_metric_id": str(metrics[code].id),
            "charge_model": "standard",
            "properties": properties,
            "filters": [{"values": {"region": ["eu"]}, "properties": properties}],
        }
        for code in METRICS
    ]
    plan = {"code": "basic", "name": "Basic", "interval": "monthly", "amount_cents": 0,
            "amount_currency": "EUR", "pay_in_advance": False, "charges": charges}  # fmt: skip
    await shop.organization(CreatePlan, input=plan)
    await shop.customer("anna")
    await shop.subscribe("anna", "basic")
    await shop.at("2024-01-20")
    chance = random.Random(7)
    for day in range(1, 19):
        for code in METRICS:
            region, cloud = chance.choice(REGIONS), chance.choice(CLOUDS)
            at = f"2024-01-{day:02}T0{chance.randrange(9)}:00:00Z"
            gb = chance.randrange(1, 9)
            await shop.use("anna", code, at=at, gb=gb, region=region, cloud=cloud)


def asked(shop: Shop, question: UsageQuestion) -> AskedUsage:
    engine = shop.engine
    state = engine.partition.residents.get(ids.customer_id(shop.id, "anna")).state
    assert state is not None
    (subscription,) = state.subscriptions.values()
    return ask_usage(
        state, engine.organization(shop.id), subscription, question, now=engine.now(shop.id)
    )


def both(shop: Shop, question: UsageQuestion) -> tuple[Used | None, Used]:
    """(What the open window tells, what the log tells.)"""
    wanted, partition = asked(shop, question), shop.engine.partition
    window = partition.usage.read(
        wanted.subscription.id,
        wanted.start,
        wanted.end,
        days=wanted.days,
        timezone=wanted.timezone,
    )
    return narrowed(wanted, window), AskedFolds(partition.meter, shop.engine.store).read(wanted)


@pytest.mark.parametrize(
    "presented", [[], [{"value": "cloud"}, {"value": "tier"}]], ids=["plain", "presented"]
)
async def test_the_window_and_the_log_agree(tmp_path: Path, presented: list[Any]) -> None:
    home = Home(tmp_path)
    grouping: dict[str, Any] = {"pricing_group_keys": ["region", "cloud"]}
    if presented:
        grouping["presentation_group_keys"] = presented
    async with sandbox(home) as shop:
        await every_metric(shop, grouping)
        for region, cloud in itertools.product((None, "us"), (None, "aws")):
            only = {"region": region, "cloud": cloud}
            question = UsageQuestion(only={key: (text,) for key, text in only.items() if text})
            told, folded = both(shop, question)
            # Of the filter on `eu` no event is from elsewhere; then only the log knows what to show.
            if region is None:
                assert told == folded
            else:
                assert told is None
        charge = UsageQuestion(charge_filter={"billable_metric_code": "sum_agg"})
        assert both(shop, charge)[0] == both(shop, charge)[1]
        for question in (
            UsageQuestion(skip_grouping=True),
            UsageQuestion(only={"region": ("eu", "us")}),
            UsageQuestion(only={"tier": ("gold",)}),
            UsageQuestion(only={"cloud": ("",)}),
        ):
            assert both(shop, question)[0] is None
        narrowed_to = both(shop, UsageQuestion(presentation=("cloud",)))[0]
        assert (narrowed_to is None) == bool(presented)
    home.assert_sound()
