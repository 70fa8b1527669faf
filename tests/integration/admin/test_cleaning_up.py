"""Cleanup on demand: for some sessions, over several calls, or only to see what would go."""

from __future__ import annotations

from typing import Any

import pytest

from parley.cleanup import expired_sessions
from parley.http import admin as admin_routes
from parley.ids import conversation_key, new_id
from parley.memory.store import TurnMemory
from parley_testing.api.handlers import Api
from parley_testing.stores.aged import Aged
from parley_testing.stores.turn_keys import numbered

KINDS = {
    "closed_sessions",
    "empty_sessions",
    "memory",
    "keys",
    "audit_records",
    "orphaned_memory",
}
NOTHING = {"found": 0, "rows": 0, "items": 0, "bytes": 0, "failures": 0}


def test_a_dry_run_shows_what_would_go(admin: Any, aged: Aged) -> None:
    session_id = aged.session(days=31, turns=2, status="ended", name="old")
    before = aged.rows(), aged.memory()

    answer = admin("POST", "/admin/cleanup", {"dry_run": True})

    assert answer.status == 200
    report = answer.json
    assert (report["dry_run"], report["done"], report["next_cursor"]) == (True, True, None)
    assert report["kinds"].keys() == KINDS
    counted = report["kinds"]["closed_sessions"]
    assert (counted["found"], counted["rows"], counted["items"]) == (1, 7, 2)
    assert report["kinds"]["memory"] == NOTHING
    (expired,) = report["sessions"]
    moment = expired.pop("last_activity_at")
    assert moment.endswith("Z")
    assert expired == {
        "kind": "closed_sessions",
        "session_id": str(session_id),
        "user_id": "alice",
        "name": "old",
        "rows": 7,
        "items": 2,
        "bytes": counted["bytes"],
    }
    assert (aged.rows(), aged.memory()) == before


def test_the_real_run_does_it(admin: Any, aged: Aged) -> None:
    kept = aged.session(days=1)
    aged.session(days=31, status="ended")
    would = admin("POST", "/admin/cleanup", {"dry_run": True}).json

    report = admin("POST", "/admin/cleanup", {}).json

    assert report["kinds"] == would["kinds"]
    assert (report["dry_run"], report["sessions"], report["failures"]) == (False, [], [])
    assert aged.sessions() == {kept}


@pytest.mark.parametrize("body", [{}, {"user_id": "alice"}, {"dry_run": True}])
def test_it_goes_on_over_several_calls(
    admin: Any, aged: Aged, monkeypatch: pytest.MonkeyPatch, body: dict[str, Any]
) -> None:
    """What each call reports is what it did itself, so that who calls can add them up."""
    monkeypatch.setattr(expired_sessions, "SESSIONS_A_PAGE", 2)
    for _ in range(5):
        aged.session(days=31, status="ended")
        aged.session(days=8, turns=0)
    reports: list[dict[str, Any]] = [{"done": False, "next_cursor": None}]

    while not reports[-1]["done"]:
        remaining = iter([60.0, 60.0, 0.0])
        monkeypatch.setattr(admin_routes, "PAGE_MARGIN_SECONDS", Countdown(remaining))
        asked = {**body, "cursor": reports[-1]["next_cursor"]}
        reports.append(admin("POST", "/admin/cleanup", asked).json)

    assert len(reports) > 3
    for kind in ("closed_sessions", "empty_sessions"):
        assert sum(report["kinds"][kind]["found"] for report in reports[1:]) == 5
    assert len(aged.sessions()) == (10 if body.get("dry_run") else 0)


class Countdown(float):
    """A margin that leaves the seconds given, one after the other."""

    def __new__(cls, remaining: Any) -> Countdown:
        made = super().__new__(cls)
        made.remaining = remaining  # type: ignore[attr-defined]
        return made

    def __rsub__(self, _: float) -> float:
        seconds: float = next(self.remaining)  # type: ignore[attr-defined]
        return seconds


def test_a_request_without_time_does_nothing_and_says_so(admin: Any, aged: Aged) -> None:
    aged.session(days=31, status="ended")

    report = admin("POST", "/admin/cleanup", {}, seconds=5).json

    assert (report["done"], report["kinds"]["closed_sessions"]) == (False, NOTHING)
    assert len(aged.sessions()) == 1
    goes_on = admin("POST", "/admin/cleanup", {"cursor": report["next_cursor"]}).json
    assert (goes_on["done"], goes_on["kinds"]["closed_sessions"]["found"]) == (True, 1)


def test_only_some_sessions(admin: Any, aged: Aged) -> None:
    kept = aged.session(days=31, status="ended", user="bob")
    aged.session(days=31, status="ended", user="alice")
    aged.memory()

    report = admin("POST", "/admin/cleanup", {"user_id": "alice"}).json

    assert report["kinds"].keys() == KINDS - {"memory", "keys", "audit_records", "orphaned_memory"}
    assert aged.sessions() == {kept}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": ""}, "cursor"),
        ({"cursor": "ü"}, "cursor"),
        ({"cursor": "WyJub25zZW5zZSIsbnVsbF0"}, "cursor"),
        ({"cursor": "WyJlbXB0eV9zZXNzaW9ucyIsIm5vbnNlbnNlIl0"}, "cursor"),
        ({"cursor": "WyJrZXlzIixudWxsXQ", "user_id": "alice"}, "cursor"),
        ({"older_than_seconds": -1}, "older_than_seconds"),
        ({"older_than_seconds": 10**12}, "older_than_seconds"),
        ({"name_prefix": ""}, "name_prefix"),
        ({"user_id": ""}, "user_id"),
        ({"everything": True}, "everything"),
    ],
)
def test_what_cannot_be_asked_for_is_named(
    admin: Any, aged: Aged, body: dict[str, Any], field: str
) -> None:
    aged.session(days=31, status="ended")
    before = aged.rows()

    answer = admin("POST", "/admin/cleanup", body)

    assert answer.status == 422, answer
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert aged.rows() == before


def test_who_looks_at_a_failure_is_shown_no_conversation_key(
    api: Api, admin: Any, aged: Aged, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = new_id()
    conversation = conversation_key("alice", gone)
    aged.store.finish(conversation, numbered(1), 1, TurnMemory([{"role": "user", "content": "hi"}]))

    def broken(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(type(aged.store), "forget", broken)

    answer = admin("POST", "/admin/cleanup", {})

    assert answer.json["failures"] == [
        {"kind": "orphaned_memory", "subject": str(gone), "reason": "RuntimeError"}
    ]
    assert conversation not in answer.body
