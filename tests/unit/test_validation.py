from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from lago_engine.domain.validation import COUNTRIES, Checker, is_http_url
from lago_engine.errors import ValidationFailed

whole = partial(Checker.integer, at_least=0, at_most=100)
amount = partial(Checker.decimal, at_least=0)


@pytest.mark.parametrize(
    ("read", "given", "value"),
    [
        (Checker.text, "a\0b", "ab"),
        (Checker.text, 12, "12"),
        (Checker.text, Decimal("1.50"), "1.50"),
        (Checker.text, "", ""),
        (Checker.text, None, None),
        (Checker.text, {"a": 1}, None),
        (Checker.text, ["a"], None),
        (Checker.mandatory_text, " v1.2 ", " v1.2 "),
        (Checker.boolean, True, True),
        (Checker.boolean, "1", True),
        (Checker.boolean, "true", True),
        (Checker.boolean, 0, False),
        (Checker.boolean, "false", False),
        (Checker.boolean, None, None),
        (Checker.decimal, "-12.50", Decimal("-12.5")),
        (Checker.decimal, Decimal("20.0"), Decimal(20)),
        (Checker.decimal, 7, Decimal(7)),
        (whole, "100", 100),
        (whole, Decimal("5.0"), 5),
        (whole, 0, 0),
        (whole, "", None),
        (Checker.currency, "EUR", "EUR"),
        (Checker.country, "fr", "FR"),
        (Checker.country, "XK", "XK"),
        (Checker.country, " ", None),
        (Checker.timezone, "Europe/Paris", "Europe/Paris"),
        (Checker.timezone, None, None),
        (Checker.locale, "pt-BR", "pt-BR"),
        (Checker.email, " billing\u200b@acme\u2010cloud.com ", "billing@acme-cloud.com"),
        (Checker.email, "", None),
        (partial(Checker.email, several=True), "a@b.co, c@d.co", "a@b.co, c@d.co"),
        (Checker.url, "https://hooks.acme.com:8443/lago?x=1", "https://hooks.acme.com:8443/lago?x=1"),
    ],
)  # fmt: skip
def test_an_accepted_value_is_coerced(
    read: Callable[[Checker, str], Any], given: Any, value: Any
) -> None:
    checker = Checker({"field": given})
    assert read(checker, "field") == value
    checker.raise_failures()


@pytest.mark.parametrize(
    ("read", "given", "code"),
    [
        (Checker.mandatory_text, None, "value_is_mandatory"),
        (Checker.mandatory_text, " \t", "value_is_mandatory"),
        (Checker.mandatory_text, ["name"], "value_is_mandatory"),
        (Checker.text, True, "value_is_invalid"),
        (partial(Checker.text, max_length=3), "abcd", "value_is_too_long"),
        (Checker.boolean, "yes", "value_is_invalid"),
        (Checker.decimal, "twelve", "is not a number"),
        (Checker.decimal, True, "is not a number"),
        (Checker.decimal, "NaN", "is not a number"),
        (Checker.decimal, Decimal("1e5000"), "value_is_out_of_range"),
        (Checker.decimal, 10**80, "value_is_out_of_range"),
        (amount, "-0.01", "value_is_out_of_range"),
        (whole, "9.5", "value_is_invalid"),
        (whole, -1, "value_is_out_of_range"),
        (whole, 101, "value_is_out_of_range"),
        (Checker.integer, 2**63, "value_is_out_of_range"),
        (Checker.currency, "eur", "value_is_invalid"),
        (Checker.currency, 978, "value_is_invalid"),
        (Checker.country, "ZZ", "not_a_valid_country_code"),
        (Checker.timezone, "Mars/Olympus", "invalid_timezone"),
        (Checker.locale, "xx", "not_a_valid_language_code"),
        (Checker.email, "acme.com", "invalid_email_format"),
        (Checker.email, "a@b.co,c@d.co", "invalid_email_format"),
        (partial(Checker.email, several=True), "a@b.co,,c@d.co", "invalid_email_format"),
        (Checker.url, "ftp://acme.com", "url_is_invalid"),
        (partial(Checker.choice, allowed=("a",)), "b", "value_is_invalid"),
        (partial(Checker.choice, allowed=("a",), later=("b",)), "b", "not_supported_yet"),
        (partial(Checker.choice, allowed=("a",), missing="value_is_invalid"), "", "value_is_invalid"),
    ],
)  # fmt: skip
def test_a_refused_value_has_its_code(
    read: Callable[[Checker, str], Any], given: Any, code: str
) -> None:
    checker = Checker({"field": given})
    assert not read(checker, "field")
    with pytest.raises(ValidationFailed) as refused:
        checker.raise_failures()
    assert refused.value.details == {"field": [code]}


def test_failures_keep_check_order_and_are_not_repeated() -> None:
    checker = Checker({})
    for field, code in [("b", "x"), ("a", "y"), ("b", "z"), ("b", "x")]:
        checker.fail(field, code)
    with pytest.raises(ValidationFailed) as refused:
        checker.raise_failures()
    assert list(refused.value.details.items()) == [("b", ["x", "z"]), ("a", ["y"])]


def test_a_nested_checker_reports_to_its_outer_one() -> None:
    checker = Checker({"configuration": {"days": -1}, "other": "text"})
    assert checker.nested("configuration").integer("days", at_least=0) is None
    assert checker.nested("other").values == {}
    with pytest.raises(ValidationFailed) as refused:
        checker.raise_failures()
    assert refused.value.details == {"days": ["value_is_out_of_range"]}


def test_an_update_reads_only_scalars_that_are_present() -> None:
    readers = {"name": Checker.text, "city": Checker.text, "zip": Checker.text}
    checker = Checker({"name": None, "city": {"not": "a scalar"}, "unknown": 1})
    assert checker.read_present(readers) == {"name": None}
    assert checker.read(readers) == {"name": None, "city": None, "zip": None}


@pytest.mark.parametrize("empty", [None, False, 0, Decimal("0.0"), "", " ", "false", [], {}])
def test_what_asks_for_nothing_is_not_refused_as_unbuilt(empty: Any) -> None:
    checker = Checker({"feature": empty})
    checker.refuse_unbuilt("feature", "absent")
    checker.raise_failures()


@pytest.mark.parametrize("wanted", [True, 1, "yes", ["x"], {"a": None}])
def test_what_is_not_built_is_refused(wanted: Any) -> None:
    checker = Checker({"feature": wanted})
    checker.refuse_unbuilt("feature")
    with pytest.raises(ValidationFailed, match="feature: not_supported_yet"):
        checker.raise_failures()


@pytest.mark.parametrize(
    ("entries", "codes"),
    [
        ({f"key{n}": "v" for n in range(51)}, ["too_many_keys"]),
        ({"k" * 101: "v"}, ["key_too_long"]),
        ({"k": "v" * 256}, ["value_too_long"]),
        ({"k": {"nested": "v"}}, ["nested_structure_not_allowed"]),
        ({"k": 5}, ["invalid_type"]),
        ({"k": ["v"], "l" * 101: "v"}, ["nested_structure_not_allowed", "key_too_long"]),
    ],
)
def test_object_metadata_limits(entries: dict[str, Any], codes: list[str]) -> None:
    checker = Checker({"metadata": entries})
    checker.object_metadata("metadata")
    with pytest.raises(ValidationFailed) as refused:
        checker.raise_failures()
    assert refused.value.details == {"value": codes}


def test_object_metadata_at_its_limits() -> None:
    entries = {f"{n:0100d}": "v" * 255 for n in range(49)} | {"none\0": None}
    checker = Checker({"metadata": entries})
    stored = checker.object_metadata("metadata")
    checker.raise_failures()
    assert stored is not None
    assert len(stored) == 50
    assert stored["none"] is None


@pytest.mark.parametrize(
    "text",
    ["acme.com", "http://", "https:///path", "http://[::1", "http://a.b:99999", "http://a b.com"],
)
def test_addresses_without_a_usable_host_are_no_urls(text: str) -> None:
    assert not is_http_url(text)


def test_countries_are_iso_and_kosovo() -> None:
    assert len(COUNTRIES) == 250
    assert {"XK", "DE", "US"} <= COUNTRIES
