"""Query strings, pages and their meta (api_conventions §3.1, §3.2)."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from multidict import MultiDict

from lago_engine.api.params import Meta, Page, Params, meta
from lago_engine.errors import ValidationFailed


def params(*pairs: tuple[str, str]) -> Params:
    return Params(MultiDict(pairs))


@pytest.mark.parametrize(
    ("page", "per_page", "expected"),
    [
        (None, None, Page(1, 100)),
        ("3", "20", Page(3, 20)),
        ("0", "0", Page(1, 1)),
        ("-2", "-5", Page(1, 25)),
        ("two", "many", Page(1, 25)),
        ("", "", Page(1, 25)),
        ("1", "1000", Page(1, 1000)),
        ("1", "1001", Page(1, 1000)),
        ("1", "9" * 5000, Page(1, 1000)),
        ("9" * 5000, "1000", Page(10**12, 1000)),
        ("²", "٣", Page(1, 25)),
    ],
)
def test_page(page: str | None, per_page: str | None, expected: Page) -> None:
    given = [(n, v) for n, v in (("page", page), ("per_page", per_page)) if v is not None]
    asked = params(*given).page
    assert asked == expected
    assert asked.offset < 2**63


@pytest.mark.parametrize(
    ("page", "total", "expected"),
    [
        (Page(2, 100), 370, (2, 3, 1, 4, 370)),
        (Page(1, 100), 0, (0, None, None, 0, 0)),
        (Page(5, 100), 0, (0, None, None, 0, 0)),
        (Page(1, 10), 10, (1, None, None, 1, 10)),
        (Page(1, 10), 11, (1, 2, None, 2, 11)),
        (Page(2, 10), 11, (2, None, 1, 2, 11)),
        (Page(9, 10), 11, (9, None, 8, 2, 11)),
    ],
)
def test_meta(page: Page, total: int, expected: tuple[int | None, ...]) -> None:
    current, following, previous, pages, count = expected
    assert current is not None
    assert pages is not None
    assert count is not None
    assert meta(page, total) == Meta(
        current_page=current,
        next_page=following,
        prev_page=previous,
        total_pages=pages,
        total_count=count,
    )


def test_texts_takes_a_name_once_or_as_an_array_and_skips_blanks() -> None:
    given = params(("status[]", "active"), ("status", "pending"), ("status[]", " "))
    assert given.texts("status") == ["pending", "active"]
    assert given.text("status") == "pending"
    assert given.text("other") is None


def test_a_value_with_a_nul_selects_nothing_to_compare_with() -> None:
    given = params(("external_id", "a\0b"), ("metadata[k]", "\0"))
    assert given.text("external_id") is None
    assert given.members("metadata") == {}


def test_text_takes_the_first_name_that_is_given() -> None:
    assert (
        params(("customer_external_id", "c")).text("external_customer_id", "customer_external_id")
        == "c"
    )


def test_choices_refuse_what_is_not_in_the_enumeration() -> None:
    given = params(("statuses[]", "draft"), ("statuses[]", "lost"))
    with pytest.raises(ValidationFailed) as refused:
        given.choices("status", "statuses", among=("draft", "finalized"))
    assert refused.value.details == {"status": ["value_is_invalid"]}
    assert params(("status", "draft")).choice("status", among=("draft",)) == "draft"
    assert params().choice("status", among=("draft",)) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", True), ("1", True), ("TRUE", True), ("false", False), ("0", False), ("maybe", None)],
)
def test_flag(text: str, expected: bool | None) -> None:
    assert params(("flag", text)).flag("flag") is expected


def test_integer_refuses_what_does_not_fit() -> None:
    assert params(("amount_from", "-12")).integer("amount_from") == -12
    assert params().integer("amount_from") is None
    for text in ("1.5", "abc", "9" * 19, "--1", "1e3"):
        with pytest.raises(ValidationFailed):
            params(("amount_from", text)).integer("amount_from")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-06-15", datetime(2025, 6, 15, tzinfo=UTC)),
        ("2025-06-15T15:06:40Z", datetime(2025, 6, 15, 15, 6, 40, tzinfo=UTC)),
        ("2025-06-15T15:06:40+02:00", datetime(2025, 6, 15, 13, 6, 40, tzinfo=UTC)),
        ("2025-06-15T15:06:40.5", datetime(2025, 6, 15, 15, 6, 40, 500_000, tzinfo=UTC)),
    ],
)
def test_instant(text: str, expected: datetime) -> None:
    assert params(("timestamp_from", text)).instant("timestamp_from") == expected


def test_an_instant_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValidationFailed) as refused:
        params(("timestamp_from", "yesterday")).instant("timestamp_from")
    assert refused.value.details == {"timestamp_from": ["invalid_date"]}


def test_a_day_that_cannot_be_read_counts_as_absent() -> None:
    assert params(("issuing_date_from", "2025-06-15")).day("issuing_date_from") == date(2025, 6, 15)
    assert params(("issuing_date_from", "soon")).day("issuing_date_from") is None
    assert params().day("issuing_date_from") is None


def test_members_of_a_hash() -> None:
    given = params(("metadata[a.b]", "1"), ("metadata[c]", ""), ("metadata[]", "x"), ("meta", "y"))
    assert given.members("metadata") == {"a.b": "1", "c": ""}
