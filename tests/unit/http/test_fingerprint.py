"""What makes two requests of one Idempotency-Key the same."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any
from uuid import UUID

from parley.fingerprints import all_of, fingerprint

ID = "01939d5c-2c00-7000-8000-000000000001"


def test_the_order_of_fields_does_not_matter() -> None:
    assert fingerprint("message", text="a", session_id=1) == fingerprint(
        "message", session_id=1, text="a"
    )


def test_an_id_is_the_same_as_its_text() -> None:
    assert fingerprint("message", session_id=UUID(ID)) == fingerprint("message", session_id=ID)


def test_what_differs_is_told_apart() -> None:
    asked = [
        fingerprint("message", text="a"),
        fingerprint("session", text="a"),
        fingerprint("message", text="b"),
        fingerprint("message"),
        fingerprint("message", text="a", more="b"),
        fingerprint("message", text='a"],["more","b'),
        fingerprint("message", metadata={"a": 1}),
        fingerprint("message", metadata={"a": "1"}),
    ]

    assert len(set(asked)) == len(asked)


def test_the_order_of_an_objects_parts_does_not_matter() -> None:
    assert fingerprint("session", metadata={"a": 1, "b": {"c": 2, "d": 3}}) == fingerprint(
        "session", metadata={"b": {"d": 3, "c": 2}, "a": 1}
    )


def test_a_field_that_a_later_version_adds_makes_no_other_request_of_who_does_not_give_it() -> None:
    nothings: tuple[Any, ...] = (None, {}, [])
    for nothing in nothings:
        assert fingerprint("message", text="a", added=nothing) == fingerprint("message", text="a")


def test_it_carries_its_version_and_what_older_rules_made() -> None:
    fields = {"session_id": ID, "text": "milk"}
    first = sha256(json.dumps(["message", fields], sort_keys=True).encode()).digest()

    made = fingerprint("message", **fields, added="later")

    assert made[:1] == b"\x02"
    assert all_of(made) == (made, first)
    assert all_of(b"as it is") == (b"as it is",)


def test_of_a_project_s_kind_the_first_rule_knew_all_fields() -> None:
    fields = {"title": "milk", "notes": None, "due_at": None}
    first = sha256(json.dumps(["task", fields], sort_keys=True).encode()).digest()

    made = fingerprint("task", **fields)

    assert made.is_of(first)
    assert made.is_of(bytes(made))
    assert not made.is_of(fingerprint("task", title="eggs"))
