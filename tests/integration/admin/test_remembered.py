"""What the agent remembers of anybody's turn."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from parley.turns import remembered
from parley_testing.api.handlers import Api


def test_what_the_model_was_told_and_answered_is_shown_as_it_is_remembered(
    admin: Any, turn: str
) -> None:
    path = f"/admin/turns/{turn}/memory"
    whole = admin("GET", path).json

    items = [each["item"] for each in whole["items"]]
    assert items[0]["content"] == "add milk"
    assert {"function_call", "function_call_output"} <= {item.get("type") for item in items}
    assert [each["place"] for each in whole["items"]] == list(range(len(items)))
    assert admin.one_by_one(path) == whole["items"]


def test_of_an_item_that_is_very_long_the_beginning_is_shown(
    admin: Any, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "ITEM_MAX_CHARS", 200)
    session_id = api.new_session()
    sent = api("POST", f"/sessions/{session_id}/messages", {"text": "x" * 300})

    shown = admin("GET", f"/admin/turns/{sent.json['turn']['id']}/memory").json["items"][0]

    assert shown["cut"] is True
    assert len(shown["item"]) == 200


def test_of_an_attempt_that_does_not_count_nothing_is_shown(
    admin: Any, turn: str, sql: psycopg.Connection
) -> None:
    sql.execute("UPDATE turns SET attempt = 2")

    assert admin("GET", f"/admin/turns/{turn}/memory").json["items"] == []
