"""Deciding from the terminal."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

ID = str(UUID(int=5))
APPROVAL = {
    "id": ID,
    "call_id": "call_1",
    "tool": "refund",
    "arguments": '{"cents": 900}',
    "decider": "user",
    "editable": True,
    "status": "open",
    "reason": None,
    "edited_arguments": None,
    "created_at": "2026-11-01T00:00:00Z",
    "decided_at": None,
    "expires_at": "2026-11-08T00:00:00Z",
    "session_id": str(UUID(int=6)),
    "turn_id": str(UUID(int=7)),
}
ANYBODY_S = APPROVAL | {"user_id": "anna", "agent": "todo", "decided_by": None}


def test_they_are_listed_with_what_would_be_done(api: Any, parley: Any) -> None:
    api.answers("GET /approvals", {"items": [APPROVAL], "next_cursor": None})

    result = parley("approvals", "list", "--status", "open")

    assert result.exit_code == 0
    assert result.stdout.startswith(f'{ID}\topen\trefund\t{{"cents": 900}}\t')
    assert api.requests[0].url.params["status"] == "open"


def test_one_is_shown_with_who_decides(api: Any, parley: Any) -> None:
    api.answers(f"GET /approvals/{ID}", APPROVAL)

    result = parley("approvals", "show", ID)

    assert "who decides\tuser\n" in result.stdout
    assert 'arguments\t{"cents": 900}\n' in result.stdout


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (("approve", ID), {"decision": "approve"}),
        (
            ("approve", ID, "--arguments", '{"cents": 5}'),
            {"decision": "approve", "arguments": {"cents": 5}},
        ),
        (("reject", ID, "--reason", "no"), {"decision": "reject", "reason": "no"}),
    ],
)
def test_a_decision_is_sent(
    api: Any, parley: Any, arguments: tuple[str, ...], body: dict[str, Any]
) -> None:
    api.answers(f"POST /approvals/{ID}", APPROVAL | {"status": "approved"})

    result = parley("approvals", *arguments)

    assert result.exit_code == 0
    assert api.bodies() == [body]
    assert "refund is approved." in result.stderr


def test_an_administrator_decides_among_those_of_all(api: Any, parley: Any) -> None:
    api.answers(f"POST /admin/approvals/{ID}", ANYBODY_S | {"status": "rejected"})

    assert parley("approvals", "reject", ID, "--all").exit_code == 0


@pytest.mark.parametrize("given", ["[1]", "{"])
def test_arguments_that_are_no_object_are_refused(api: Any, parley: Any, given: str) -> None:
    result = parley("approvals", "approve", ID, "--arguments", given)

    assert result.exit_code == 1
    assert "--arguments is not" in result.stderr
    assert api.requests == []
