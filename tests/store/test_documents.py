"""Documents: written with commits, found again byte for byte."""

from __future__ import annotations

from uuid import UUID

import pytest

from lago_engine.store import DocumentChange, Filter, Query, Store

A = UUID(int=1)
B = UUID(int=2)


def put(key: str, body: bytes | None = b"{}", **members) -> DocumentChange:
    members = {"organization_id": A, "kind": "invoice", **members}
    return DocumentChange(key=key, body=body, **members)


def test_bodies_come_back_byte_for_byte(store: Store, batch) -> None:
    bodies = {
        "spaced": b'{ "b" : 1,\n "a":2 }',
        "text": '{"name":"Zoë \u2028 \U0001f600","x":"%s ? $1 \'\\""}'.encode(),
        "nul": rb'{"name":"a\u0000b","path":"\\u0000"}',
        "numbers": b'{"a":1.10,"b":1e400,"c":123456789012345678901234567890,"d":-0}',
        "empty": b"{}",
        "long": b'{"x":"' + b"y" * 100_000 + b'"}',
    }
    store.commit(batch.of(1, documents=[put(key, body) for key, body in bodies.items()]))
    assert store.documents.get_many(A, "invoice", [*bodies, "absent"]) == bodies
    for key, body in bodies.items():
        assert store.documents.get(A, "invoice", key) == body


def test_organizations_and_kinds_do_not_mix(store: Store) -> None:
    store.write_documents(
        [put("k", b"1"), put("k", b"2", organization_id=B), put("k", b"3", kind="fee")]
    )
    assert store.documents.get(A, "invoice", "k") == b"1"
    assert store.documents.get(B, "invoice", "k") == b"2"
    assert store.documents.get(A, "fee", "k") == b"3"
    assert store.documents.get(B, "fee", "k") is None
    assert store.documents.list(B, "invoice", Query()) == ([b"2"], 1)
    assert store.documents.count(A, "invoice") == 1


def test_the_last_change_of_a_batch_wins(store: Store) -> None:
    store.write_documents([put("a", b"1"), put("b", b"1"), put("a", b"2"), put("b", None)])
    assert store.documents.get(A, "invoice", "a") == b"2"
    assert store.documents.get(A, "invoice", "b") is None
    store.write_documents([put("a", None), put("never there", None)])
    assert store.documents.count(A, "invoice") == 0


def test_position_is_the_order_of_first_insertion(store: Store) -> None:
    order = Query(order=(("position", "asc"),))
    store.write_documents([put("c", b"1"), put("a", b"2"), put("b", b"3")])
    store.write_documents([put("c", b"4", sort_key="z"), put("d", b"5")])
    assert store.documents.list(A, "invoice", order)[0] == [b"4", b"2", b"3", b"5"]
    store.write_documents([put("c", None)])
    store.write_documents([put("c", b"6")])
    assert store.documents.list(A, "invoice", order)[0] == [b"2", b"3", b"5", b"6"]


def test_lists_are_newest_first_and_paged_with_the_total(store: Store) -> None:
    store.write_documents([put(f"k{n}", b"%d" % n, sort_key=f"{n // 2}") for n in range(7)])
    documents = store.documents
    assert documents.list(A, "invoice", Query()) == (
        [b"6", b"4", b"5", b"2", b"3", b"0", b"1"],
        7,
    )
    assert documents.list(A, "invoice", Query(limit=2, offset=2)) == ([b"5", b"2"], 7)
    assert documents.list(A, "invoice", Query(limit=5, offset=5)) == ([b"0", b"1"], 7)
    assert documents.list(A, "invoice", Query(limit=5, offset=50)) == ([], 7)
    assert documents.list(A, "invoice", Query(limit=0)) == ([], 7)
    assert documents.list(B, "invoice", Query()) == ([], 0)


def test_counts_follow_inserts_updates_and_deletes(store: Store, batch) -> None:
    def counts() -> list[int]:
        return [
            store.documents.count(*scope) for scope in ((A, "invoice"), (B, "invoice"), (A, "fee"))
        ]

    mine = [put(f"k{n}") for n in range(5)]
    store.commit(batch.of(1, documents=[*mine, put("x", organization_id=B), put("x", kind="fee")]))
    assert counts() == [5, 1, 1]
    store.commit(
        batch.of(2, documents=[put("k0", b"1"), put("k1", None), put("new"), put("no", None)])
    )
    assert counts() == [5, 1, 1]
    assert store.documents.list(A, "invoice", Query(limit=1))[1] == 5
    store.write_documents([put("k1"), put("x", None, organization_id=B)], clear_kinds=["fee"])
    assert counts() == [6, 0, 0]


def test_children_are_listed_by_their_parent(store: Store) -> None:
    store.write_documents(
        [put(f"k{n}", b'{"n":%d}' % n, parent=f"p{n % 2}", sort_key=f"{n}") for n in range(6)]
        + [put("orphan", b'{"n":9}')]
    )
    mine = Query(parent="p1", filters=(Filter("n", "ge", 2),))
    assert store.documents.list(A, "invoice", mine) == ([b'{"n":5}', b'{"n":3}'], 2)
    store.write_documents([put("k5", b'{"n":5}', parent="p0", sort_key="5")])
    assert store.documents.list(A, "invoice", mine) == ([b'{"n":3}'], 1)


def test_a_kind_is_walked_across_organizations(store: Store) -> None:
    changes = [
        put(f"k{n:04}", b"%d" % n, organization_id=organization)
        for organization in (B, A)
        for n in range(1_100)
    ]
    store.write_documents([*changes, put("x", b"0", kind="fee")])
    walked = list(store.documents.iter_kind("invoice"))
    assert walked == sorted((c.organization_id, c.key, c.body) for c in changes)
    assert list(store.documents.iter_kind("plan")) == []


def test_a_rebuild_replaces_kinds_and_moves_its_cursor_at_once(store: Store) -> None:
    store.write_documents([put("a"), put("b"), put("c", kind="fee")], meta={"cursor": b"1"})
    store.write_documents([put("d", b"9")], meta={"cursor": b"2"}, clear_kinds=["invoice", "plan"])
    assert store.documents.list(A, "invoice", Query()) == ([b"9"], 1)
    assert store.documents.count(A, "fee") == 1
    assert store.meta_get("cursor") == b"2"


@pytest.mark.parametrize("members", [{"key": "a\0"}, {"parent": "\0"}, {"sort_key": "\0"}])
def test_an_address_cannot_hold_nul(members: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"U\+0000"):
        put(**{"key": "k", **members})
