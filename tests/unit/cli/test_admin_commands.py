"""Cleanup, export and erase: long work in steps, added up, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

DOWN = httpx.Response(403, json={"code": "forbidden", "detail": "This needs a scope."})


def report(found: int, cursor: str | None, **more: Any) -> dict[str, Any]:
    count = {"found": found, "rows": 2 * found, "items": 1, "bytes": 10, "failures": 0}
    return {
        "dry_run": False,
        "done": cursor is None,
        "next_cursor": cursor,
        "seconds": 1.5,
        "kinds": {"memory": count, "keys": count | {"failures": len(more.get("failures", []))}},
        "failures": [],
        "sessions": [],
        **more,
    }


FAILURE = {"kind": "keys", "subject": "k-1", "reason": "locked\x1b"}
SESSION = {
    "kind": "memory",
    "session_id": "01a1f952-e641-72ab-a720-0ba8c04dfa93",
    "user_id": "anna",
    "name": None,
    "last_activity_at": "2026-11-01T00:00:00Z",
    "rows": 1,
    "items": 2,
    "bytes": 3,
}


def test_cleanup_goes_on_until_all_is_done_and_adds_up(api: Any, parley: Any) -> None:
    api.answers("POST /admin/cleanup", report(3, "c1"), report(4, None))

    result = parley("cleanup", "--older-than", "12h", "--platform", "cli", "--user", "anna")

    assert result.exit_code == 0
    assert result.stdout == "total\tmemory\t7\t14\t2\t20\t0\ntotal\tkeys\t7\t14\t2\t20\t0\n"
    asked = {
        "dry_run": False,
        "older_than_seconds": 43200,
        "platform": "cli",
        "user_id": "anna",
    }
    assert api.bodies() == [asked, {**asked, "cursor": "c1"}]


def test_what_could_not_be_cleaned_up_is_named_with_status_1(api: Any, parley: Any) -> None:
    api.answers("POST /admin/cleanup", report(1, "c1", failures=[FAILURE]), report(1, None))

    result = parley("cleanup")

    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "failure\tkeys\tk-1\tlocked\ufffd"


def test_a_dry_run_lists_the_sessions_of_each_step(api: Any, parley: Any) -> None:
    steps = [report(1, "c1", sessions=[SESSION]), report(1, None, sessions=[SESSION])]
    api.answers("POST /admin/cleanup", *steps)

    result = parley("cleanup", "--dry-run", "--name-prefix", "Session-")

    line = f"session\tmemory\t{SESSION['session_id']}\tanna\t\t2026-11-01T00:00:00Z\t1\t2\t3"
    assert result.stdout.splitlines()[:2] == [line, line]
    assert api.bodies()[0] == {"dry_run": True, "name_prefix": "Session-"}


def test_the_json_report_is_the_sum_with_all_sessions(api: Any, parley: Any) -> None:
    steps = [report(1, "c1", sessions=[SESSION]), report(2, None, sessions=[SESSION])]
    api.answers("POST /admin/cleanup", *steps)

    told = json.loads(parley("cleanup", "--dry-run", "--json").stdout)

    assert (told["seconds"], told["kinds"]["memory"]["found"]) == (3.0, 3)
    assert (len(told["sessions"]), told["done"]) == (2, True)


def test_what_was_done_before_something_failed_is_told(api: Any, parley: Any) -> None:
    api.answers("POST /admin/cleanup", report(3, "c1"))
    api.routes["POST /admin/cleanup"].append(DOWN)

    result = parley("cleanup")

    assert result.exit_code == 1
    assert result.stdout.startswith("total\tmemory\t3\t")
    assert result.stderr == "parley: This needs a scope.\n"


def exported(api: Any, *pages: tuple[str, str | None]) -> None:
    api.routes["GET /admin/users/anna/export"] = [
        httpx.Response(200, text=text, headers={"Next-Cursor": cursor} if cursor else {})
        for text, cursor in pages
    ]


def test_an_export_is_json_lines(api: Any, parley: Any) -> None:
    exported(api, ('{"type": "session", "name": "ä\x9b"}\n', "c1"), ('{"type": "task"}\n', None))

    result = parley("export", "anna")

    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"type": "session", "name": "ä\x9b"},
        {"type": "task"},
    ]
    assert result.stdout.isascii()
    assert result.stderr == "1 session, 1 task.\n"


def test_an_export_to_a_file_is_whole_or_not_there(api: Any, parley: Any, tmp_path: Path) -> None:
    file = tmp_path / "anna.jsonl"
    exported(api, ('{"type": "task"}\n', "c1"))
    api.routes["GET /admin/users/anna/export"].append(DOWN)

    failed = parley("export", "anna", "--output", str(file))
    left = {path.name for path in tmp_path.iterdir() if "anna" in path.name}
    exported(api, ('{"type": "task"}\n', None))
    done = parley("export", "anna", "--output", str(file))

    assert (failed.exit_code, left) == (1, set())
    assert (done.exit_code, file.read_text()) == (0, '{"type": "task"}\n')


@pytest.mark.parametrize("place", ["nowhere/file", "."])
def test_an_export_to_where_nobody_can_write_is_a_sentence(
    api: Any, parley: Any, tmp_path: Path, place: str
) -> None:
    exported(api, ('{"type": "task"}\n', None))

    result = parley("export", "anna", "--output", str(tmp_path / place))

    assert result.exit_code == 1
    assert "cannot be written: " in result.stderr


ERASED = {"sessions": 1, "rows": 9, "items": 3, "bytes": 70, "waiting": 0, "project": {"tasks": 2}}


def test_erasing_goes_on_until_all_is_gone_and_adds_up(api: Any, parley: Any) -> None:
    steps = [{**ERASED, "done": False}, {**ERASED, "done": True}]
    api.answers("DELETE /admin/users/anna", *steps)

    result = parley("erase", "anna", "--yes")

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "sessions\t2",
        "rows\t18",
        "items\t6",
        "bytes\t140",
        'project\t{"tasks": 4}',
        "waiting\t0",
        "done\ttrue",
    ]


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("n\n", 1), ("", 1)])
def test_erasing_asks_first(
    api: Any, parley: Any, monkeypatch: pytest.MonkeyPatch, answer: str, status: int
) -> None:
    api.answers("DELETE /admin/users/anna", {**ERASED, "done": True})
    monkeypatch.setattr("parley_cli.consent.can_ask", lambda: True)

    result = parley("erase", "anna", stdin=answer)

    assert result.exit_code == status
    assert bool(api.requests) == (status == 0)


RENAMED = {"sessions": 1, "items": 3, "waiting": 1, "project": {"tasks": 2}}


def test_renaming_goes_on_until_all_is_done_and_says_what_waits(api: Any, parley: Any) -> None:
    steps = [{**RENAMED, "done": False}, {**RENAMED, "done": True}]
    api.answers("POST /admin/users/anna/rename", *steps)

    result = parley("users", "rename", "anna", "anna-2", "--yes")

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "sessions\t2",
        "items\t6",
        'project\t{"tasks": 4}',
        "waiting\t1",
        "done\ttrue",
    ]
    assert "1 sessions have an open turn" in result.stderr
    assert api.bodies() == [{"new_user_id": "anna-2"}] * 2


def test_renaming_ends_where_only_turns_that_are_open_are_left(api: Any, parley: Any) -> None:
    steps = [{**RENAMED, "sessions": left, "done": False} for left in (1, 0)]
    api.answers("POST /admin/users/anna/rename", *steps)

    result = parley("users", "rename", "anna", "anna-2", "--yes")

    assert result.exit_code == 1
    assert "done\tfalse" in result.stdout
    assert "1 sessions have a turn that is open, or waits for a decision" in result.stderr
    assert len(api.bodies()) == 2


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("n\n", 1), ("", 1)])
def test_renaming_asks_first(
    api: Any, parley: Any, monkeypatch: pytest.MonkeyPatch, answer: str, status: int
) -> None:
    api.answers("POST /admin/users/anna/rename", {**RENAMED, "done": True})
    monkeypatch.setattr("parley_cli.consent.can_ask", lambda: True)

    result = parley("users", "rename", "anna", "anna-2", stdin=answer)

    assert result.exit_code == status
    assert bool(api.requests) == (status == 0)


def test_a_users_sessions_are_listed(api: Any, parley: Any, session: dict[str, Any]) -> None:
    owned = session | {"user_id": "auth0|anna"}
    api.answers("GET /admin/sessions", {"items": [owned], "next_cursor": None})

    result = parley("users", "sessions", "auth0|anna")

    assert result.stdout == (
        f"groceries\ttodo\tactive\t{session['last_activity_at']}\t{session['id']}\n"
    )
    assert api.sent() == ["GET /admin/sessions?user_id=auth0%7Canna&limit=21"]
