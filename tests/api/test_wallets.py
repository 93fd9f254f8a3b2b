"""Wallets and their transactions over HTTP (coupons_wallets_credit_notes.md §4 - §7)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from api.client import Api


@pytest.fixture
def acme(api: Api) -> Api:
    api.create("customer", "/customers", external_id="acme", currency="EUR")
    return api


def wallet(api: Api, **fields: Any) -> Any:
    given = {"external_customer_id": "acme", "rate_amount": "1", "name": "Main", **fields}
    return api.create("wallet", "/wallets", **given)


def refused(api: Api, path: str, wrapper: str, **given: Any) -> Any:
    return api("POST", path, body={wrapper: given}, status=422)["error_details"]


def transact(api: Api, made: Any, **fields: Any) -> Any:
    body = {"wallet_transaction": {"wallet_id": made["lago_id"], **fields}}
    return api("POST", "/wallet_transactions", body=body)["wallet_transactions"]


def test_a_wallet_is_shown_as_it_was_made(acme: Api) -> None:
    made = wallet(
        acme, rate_amount="2.5", granted_credits="3.3333339", priority=7, metadata={"a": "b"}
    )
    assert (made["code"], made["status"], made["currency"]) == ("main", "active", "EUR")
    assert (made["rate_amount"], made["priority"]) == ("2.5", 7)
    # 3.33333 credits are 8.333325, of which there are 8.33, which are 3.332 credits.
    assert (made["balance_cents"], made["credits_balance"]) == (833, "3.332")
    assert made["ongoing_balance_cents"] == 833
    assert made["metadata"] == {"a": "b"}
    shown = acme("GET", "/wallets/{}", made["lago_id"])
    assert shown == {"wallet": made}
    assert acme("GET", "/customers/{}/wallets/{}", "acme", "main") == shown
    assert acme("GET", "/wallets", query={"external_customer_id": "acme"})["wallets"] == [made]
    assert acme("GET", "/customers/{}/wallets", "acme")["wallets"] == [made]


@pytest.mark.parametrize(
    ("given", "details"),
    [
        ({"external_customer_id": "nobody"}, {"customer": ["customer_not_found"]}),
        ({"rate_amount": None}, {"rate_amount": ["value_is_mandatory"]}),
        ({"rate_amount": "0"}, {"rate_amount": ["value_is_out_of_range"]}),
        ({"paid_credits": 3}, {"paid_credits": ["invalid_paid_credits", "invalid_amount"]}),
        ({"granted_credits": "-1"}, {"granted_credits": ["invalid_granted_credits", "invalid_amount"]}),
        ({"granted_credits": "0.0019", "rate_amount": "2.5"}, {"granted_credits": ["amount_rounds_to_zero"]}),
        ({"paid_credits": "1", "paid_top_up_min_amount_cents": 200}, {"paid_credits": ["amount_below_minimum"]}),
        ({"paid_credits": "3", "paid_top_up_max_amount_cents": 200}, {"paid_credits": ["amount_above_maximum"]}),
        (
            {"paid_top_up_min_amount_cents": 2, "paid_top_up_max_amount_cents": 1},
            {"paid_top_up_max_amount_cents": ["must_be_greater_than_or_equal_min"]},
        ),
        ({"expiration_at": "2020-01-01T00:00:00Z"}, {"expiration_at": ["invalid_date"]}),
        ({"applies_to": {"fee_types": ["beer"]}}, {"applies_to": ["invalid_limitations"]}),
        ({"applies_to": {"billable_metric_codes": ["x"]}}, {"applies_to": ["invalid_limitations"]}),
        (
            {"recurring_transaction_rules": [{"trigger": "interval"}]},
            {"recurring_transaction_rules": ["invalid_recurring_rule"]},
        ),
        (
            {"recurring_transaction_rules": [{"trigger": "threshold"}] * 2},
            {"recurring_transaction_rules": ["invalid_number_of_recurring_rules"]},
        ),
        (
            {"payment_method": {"payment_method_type": "card"}},
            {"payment_method": ["invalid_payment_method"]},
        ),
    ],
)  # fmt: skip
def test_what_a_wallet_cannot_be(acme: Api, given: Any, details: Any) -> None:
    base = {"external_customer_id": "acme", "rate_amount": "1"}
    assert refused(acme, "/wallets", "wallet", **(base | given)) == details
    assert acme("GET", "/wallets")["wallets"] == []


def test_six_wallets_are_enough_and_codes_are_unique(acme: Api) -> None:
    wallet(acme, code="a")
    base = {"external_customer_id": "acme", "rate_amount": "1"}
    taken = refused(acme, "/wallets", "wallet", **base, code="a")
    assert taken == {"code": ["value_already_exist"]}
    for code in "bcdef":
        wallet(acme, code=code)
    full = refused(acme, "/wallets", "wallet", **base)
    assert full == {"customer": ["wallet_limit_reached"]}


def test_transactions_come_paid_granted_voided(acme: Api) -> None:
    made = wallet(acme, code="w")
    transact(acme, made, granted_credits="1", priority=50)
    paid, granted, voided = transact(
        acme,
        made,
        paid_credits="10",
        granted_credits="5",
        voided_credits="1",
        priority=1,
        metadata=[{"key": "k", "value": "v"}],
        name="Spring",
    )
    assert [paid["transaction_status"], paid["status"]] == ["purchased", "pending"]
    assert paid["remaining_amount_cents"] is None
    assert [granted["transaction_status"], granted["amount"]] == ["granted", "5.0"]
    assert [voided["transaction_type"], voided["credit_amount"]] == ["outbound", "1.0"]
    assert granted["metadata"] == [{"key": "k", "value": "v"}]
    listed = acme("GET", "/wallets/{}/wallet_transactions", made["lago_id"])
    newest = [t["lago_id"] for t in listed["wallet_transactions"]]
    assert newest[:3] == [t["lago_id"] for t in (voided, granted, paid)]
    assert len(newest) == 4
    (taken,) = acme("GET", "/wallet_transactions/{}/consumptions", granted["lago_id"])[
        "wallet_transaction_consumptions"
    ]
    assert taken["amount_cents"] == 100
    assert taken["wallet_transaction"]["lago_id"] == voided["lago_id"]
    (source,) = acme("GET", "/wallet_transactions/{}/fundings", voided["lago_id"])[
        "wallet_transaction_fundings"
    ]
    assert source["wallet_transaction"]["remaining_amount_cents"] == 400
    wrong = acme("GET", "/wallet_transactions/{}/fundings", granted["lago_id"], status=422)
    assert wrong["error_details"] == {"transaction_type": ["invalid_transaction_type"]}
    # The public document shows the bare object here; the clients expect it under its name.
    found = acme.send("GET", "/wallet_transactions/{}", paid["lago_id"]).json()
    assert found["wallet_transaction"] == paid


def test_what_a_transaction_cannot_be(acme: Api) -> None:
    made = wallet(acme, granted_credits="5")
    other = wallet(acme, code="other", granted_credits="1")
    foreign = acme("GET", "/wallets/{}/wallet_transactions", other["lago_id"])
    foreign_id = foreign["wallet_transactions"][0]["lago_id"]
    for given, details in (
        ({"voided_credits": "5.01"}, {"voided_credits": ["insufficient_credits"]}),
        ({"voided_credits": "x"}, {"voided_credits": ["invalid_voided_credits", "invalid_amount"]}),
        (
            {"voided_transaction_id": foreign_id},
            {"voided_transaction_id": ["wallet_transaction_not_found"]},
        ),
        ({"name": ""}, {"name": ["invalid_value"]}),
        ({"name": "n" * 256}, {"name": ["too_long"]}),
    ):
        body = {"wallet_id": made["lago_id"], **given}
        assert refused(acme, "/wallet_transactions", "wallet_transaction", **body) == details
    acme("DELETE", "/wallets/{}", made["lago_id"])
    for wallet_id, code in ((made["lago_id"], "wallet_is_terminated"), ("x", "wallet_not_found")):
        body = {"wallet_id": wallet_id, "granted_credits": "1"}
        found = refused(acme, "/wallet_transactions", "wallet_transaction", **body)
        assert found == {"wallet_id": [code]}


def test_an_update_changes_what_it_names(acme: Api) -> None:
    acme.create(
        "billable_metric",
        "/billable_metrics",
        name="Calls",
        code="calls",
        aggregation_type="count_agg",
    )
    made = wallet(acme, applies_to={"billable_metric_codes": ["calls"]}, metadata={"a": "1"})
    path = "/wallets/{}"

    def put(**given: Any) -> Any:
        return acme("PUT", path, made["lago_id"], body={"wallet": given})["wallet"]

    changed = put(name="New", applies_to={"fee_types": ["charge"]})
    assert changed["name"] == "New"
    assert changed["applies_to"] == {"fee_types": ["charge"], "billable_metric_codes": ["calls"]}
    ruled = put(
        recurring_transaction_rules=[
            {"trigger": "interval", "interval": "monthly", "granted_credits": "5"}
        ]
    )
    (rule,) = ruled["recurring_transaction_rules"]
    assert (rule["interval"], rule["granted_credits"]) == ("monthly", "5.0")
    kept = put(recurring_transaction_rules=[{"lago_id": rule["lago_id"], "paid_credits": "2"}])
    assert kept["recurring_transaction_rules"] == [rule | {"paid_credits": "2.0"}]
    assert put(priority=3)["recurring_transaction_rules"] == kept["recurring_transaction_rules"]
    assert put(recurring_transaction_rules=[])["recurring_transaction_rules"] == []
    assert "metadata" not in put(metadata=None)


def test_metadata_has_its_own_paths(acme: Api) -> None:
    made = wallet(acme)
    key, path = made["lago_id"], "/wallets/{}/metadata"
    missing = acme("DELETE", f"{path}/{{}}", key, "a", status=404)
    assert missing["code"] == "metadata_not_found"
    assert acme("POST", path, key, body={"metadata": {"a": "1"}}) == {"metadata": {"a": "1"}}
    merged = acme("PATCH", path, key, body={"metadata": {"b": "2"}})
    assert merged == {"metadata": {"a": "1", "b": "2"}}
    assert acme("DELETE", f"{path}/{{}}", key, "a") == {"metadata": {"b": "2"}}
    assert acme("DELETE", path, key) == {"metadata": None}


def test_an_ended_wallet_keeps_its_balance_and_its_code(acme: Api) -> None:
    made = wallet(acme, granted_credits="5")
    for _ in range(2):
        ended = acme("DELETE", "/wallets/{}", made["lago_id"])["wallet"]
        assert (ended["status"], ended["balance_cents"]) == ("terminated", 500)
    again = wallet(acme)
    assert again["code"] == made["code"]
    found = acme("GET", "/customers/{}/wallets/{}", "acme", "main")["wallet"]
    assert found["lago_id"] == again["lago_id"]
    late = acme("PUT", "/wallets/{}", made["lago_id"], body={"wallet": {"name": "x"}}, status=422)
    assert late["error_details"] == {"wallet_id": ["wallet_is_terminated"]}


def test_an_open_invoice_is_not_there_but_can_be_paid(acme: Api) -> None:
    made = wallet(acme, invoice_requires_successful_payment=True)
    (paid,) = transact(acme, made, paid_credits="10")
    invoice_id = paid["lago_invoice_id"]
    acme("GET", "/invoices/{}", invoice_id, status=404)
    assert acme("GET", "/invoices")["invoices"] == []
    payment = {"invoice_id": invoice_id, "amount_cents": 1_000, "reference": "r"}
    acme("POST", "/payments", body={"payment": payment})
    invoice = acme("GET", "/invoices/{}", invoice_id)["invoice"]
    assert (invoice["status"], invoice["payment_status"]) == ("finalized", "succeeded")
    assert (invoice["total_paid_amount_cents"], invoice["total_due_amount_cents"]) == (1_000, 0)
    after = acme("GET", "/wallets/{}", made["lago_id"])["wallet"]
    assert after["balance_cents"] == 1_000


def test_a_repeated_request_books_once(acme: Api) -> None:
    made = wallet(acme)

    def send(credits: str, key: str) -> Any:
        body = {"wallet_transaction": {"wallet_id": made["lago_id"], "granted_credits": credits}}
        return acme.send(
            "POST",
            "/wallet_transactions",
            content=json.dumps(body).encode(),
            headers={"Idempotency-Key": key},
        )

    first = send("5", "k1")
    assert first.status_code == 200
    assert send("5", "k1").json() == first.json()
    other = send("6", "k1")
    assert other.status_code == 422
    assert other.json()["error_details"] == {"idempotency_key": ["idempotency_key_reused"]}
    assert send("5", "k2").json() != first.json()
    assert acme("GET", "/wallets/{}", made["lago_id"])["wallet"]["balance_cents"] == 1_000
    acme.set_clock("2124-01-01T00:00:00Z")
    assert send("5", "k1").json() != first.json()


def test_a_repeated_payment_pays_once(acme: Api) -> None:
    made = wallet(acme)
    (paid,) = transact(acme, made, paid_credits="10")
    payment = {"invoice_id": paid["lago_invoice_id"], "amount_cents": 400, "reference": "r"}
    answers = [
        acme.send(
            "POST",
            "/payments",
            content=json.dumps({"payment": payment}).encode(),
            headers={"Idempotency-Key": "p"},
        ).json()
        for _ in range(3)
    ]
    assert answers[0] == answers[1] == answers[2]
    invoice = acme("GET", "/invoices/{}", paid["lago_invoice_id"])["invoice"]
    assert invoice["total_paid_amount_cents"] == 400
