"""Administration needs its scope, and each use of it is logged with who and what."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any
from uuid import UUID

import pytest

from parley.ids import new_id
from parley_testing.api.handlers import Api
from parley_testing.stores.aged import Aged

SECRET = "my secret diary"
SESSION = "018f0000-0000-7000-8000-000000000001"
USES: list[tuple[str, str, Any]] = [
    ("GET", "/admin/sessions", None),
    ("GET", f"/admin/sessions/{SESSION}", None),
    ("GET", f"/admin/sessions/{SESSION}/messages", None),
    ("GET", "/admin/turns", None),
    ("GET", f"/admin/turns/{SESSION}", None),
    ("GET", f"/admin/turns/{SESSION}/tool-calls", None),
    ("GET", f"/admin/turns/{SESSION}/events", None),
    ("GET", f"/admin/turns/{SESSION}/memory", None),
    ("GET", "/admin/stats/turns", None),
    ("PATCH", f"/admin/sessions/{SESSION}", {"status": "active"}),
    ("POST", "/admin/cleanup", {"older_than_seconds": 0}),
    ("DELETE", "/admin/users/alice", None),
    ("GET", "/admin/users/alice/export", None),
    ("GET", "/admin/users/alice/budget", None),
    ("PUT", "/admin/users/alice/budget", {"tokens_per_day": 1}),
    ("DELETE", "/admin/users/alice/budget", None),
]


def logged(log_lines: StringIO) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log_lines.getvalue().splitlines() if line.startswith("{")]
    return [line for line in lines if str(line.get("message", "")).startswith("administration")]


@pytest.mark.parametrize(("method", "path", "body"), USES)
def test_without_the_scope_nothing_is_shown_or_done(
    api: Api, aged: Aged, log_lines: StringIO, method: str, path: str, body: Any
) -> None:
    aged.session(days=400, status="ended")
    before = aged.rows(), aged.memory()

    answer = api(method, path, body, user="alice", scopes="openid parley")

    assert (answer.status, answer.json["code"]) == (403, "forbidden")
    assert "parley:admin" in answer.json["detail"]
    assert (aged.rows(), aged.memory()) == before
    (refused,) = logged(log_lines)
    assert (refused["level"], refused["administrator"]) == ("WARNING", "alice")
    assert (refused["method"], refused["path"]) == (method, path)


def test_the_scope_is_that_very_one(api: Api) -> None:
    for scopes in ("", "parley:administrator", "PARLEY:ADMIN", "parley: admin"):
        assert api("GET", "/admin/sessions", scopes=scopes).status == 403


@pytest.mark.parametrize(("method", "path", "body"), USES)
def test_each_use_is_logged_with_who_and_what(
    admin: Any, log_lines: StringIO, method: str, path: str, body: Any
) -> None:
    admin(method, path, body)

    use, *_ = logged(log_lines)
    assert (use["level"], use["administrator"]) == ("INFO", "root")
    assert (use["method"], use["path"]) == (method, path)
    assert use["request_id"]


def test_what_is_asked_for_is_logged_too(admin: Any, aged: Aged, log_lines: StringIO) -> None:
    session_id = aged.session(days=40, status="escalated")
    admin("GET", "/admin/sessions", query={"status": "escalated", "user_id": "alice"})
    admin("PATCH", f"/admin/sessions/{session_id}", {"status": "ended"})
    admin("POST", "/admin/cleanup", {"older_than_seconds": 9, "platform": "cli"})
    admin.erase("al/ice")

    uses = logged(log_lines)

    assert uses[0]["query"] == {"status": ["escalated"], "user_id": ["alice"]}
    noted = {use["asked"]: use for use in uses if "asked" in use}
    assert noted["change status"]["whom"] == str(session_id)
    assert noted["change status"]["user_id"] == "alice"
    assert noted["change status"]["status_asked"] == "ended"
    cleaned = noted["clean up"]
    assert (cleaned["older_than_seconds"], cleaned["platform"]) == (9, "cli")
    assert (noted["erase"]["user_id"], noted["erase"]["erased"]["sessions"]) == ("al/ice", 0)


def test_what_people_say_is_not_logged(admin: Any, aged: Aged, log_lines: StringIO) -> None:
    session_id = aged.session(days=40, turns=0)
    aged.say(session_id, SECRET)
    aged.sql.execute("UPDATE sessions SET name = %s, status_reason = %s", (SECRET, SECRET))

    for path in ("/admin/sessions", f"/admin/sessions/{session_id}/messages"):
        assert SECRET in admin("GET", path).body
    assert SECRET in admin.export("alice").body
    admin("PATCH", f"/admin/sessions/{session_id}", {"status": "ended"})
    assert (
        SECRET in admin("POST", "/admin/cleanup", {"dry_run": True, "older_than_seconds": 0}).body
    )
    admin("POST", "/admin/cleanup", {"older_than_seconds": 0})
    admin.erase("alice")

    assert len(logged(log_lines)) >= 7
    assert SECRET not in log_lines.getvalue()


def test_without_a_user_there_is_no_administrator(api: Api) -> None:
    assert api("GET", "/admin/sessions", user=None).status == 401


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/admin/sessions/{}/messages"), ("PATCH", "/admin/sessions/{}")]
)
def test_a_session_that_is_not_there_is_not_found(admin: Any, method: str, path: str) -> None:
    answer = admin(method, path.format(new_id()), {"status": "ended"} if method != "GET" else None)

    assert (answer.status, answer.json["code"]) == (404, "not_found")


def test_the_scope_gives_nothing_beyond_administration(api: Api, admin: Any, aged: Aged) -> None:
    session_id: UUID = aged.session(days=0)

    assert admin("GET", f"/sessions/{session_id}").status == 404
    assert admin("GET", "/sessions").json["items"] == []
