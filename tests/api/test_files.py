"""Names of downloadable files cannot be guessed or altered."""

from __future__ import annotations

from uuid import uuid4

from lago_engine.api.files import file_name, read_file_name

SECRET = b"s" * 32


def test_a_name_leads_back_to_its_invoice() -> None:
    organization_id, invoice_id = uuid4(), uuid4()
    name = file_name(SECRET, "invoice", organization_id, invoice_id)
    assert name.endswith(".pdf")
    assert read_file_name(SECRET, "invoice", name) == (organization_id, invoice_id)


def test_a_name_is_good_for_its_kind_only() -> None:
    name = file_name(SECRET, "invoice", uuid4(), uuid4())
    assert read_file_name(SECRET, "credit_note", name) is None


def test_another_secret_gives_another_name() -> None:
    name = file_name(SECRET, "invoice", uuid4(), uuid4())
    assert read_file_name(b"t" * 32, "invoice", name) is None


def test_every_altered_character_is_noticed() -> None:
    name = file_name(SECRET, "invoice", uuid4(), uuid4())
    for place, character in enumerate(name):
        other = "A" if character != "A" else "B"
        assert read_file_name(SECRET, "invoice", name[:place] + other + name[place + 1 :]) is None


def test_other_names_are_nobodys() -> None:
    name = file_name(SECRET, "invoice", uuid4(), uuid4())
    for other in ("", ".pdf", "x.pdf", name[:-4], name + ".pdf", name.replace(".pdf", ".png"), "é"):
        assert read_file_name(SECRET, "invoice", other) is None
