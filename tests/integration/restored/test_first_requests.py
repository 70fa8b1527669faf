"""What a first request after a restore has still to do: nothing that a second one has not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from parley.priming.rows import NOBODY
from parley_testing.account.moto import Account
from parley_testing.restored import Copies, copies

SAID = {"text": "Hello"}
TRACE = f"Root=1-{8 * '0'}-{24 * '0'};Parent={16 * '0'};Sampled=1"
TYPED = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}
RUN = {
    **{"threadId": "t", "runId": "r", "messages": [{"id": "1", "role": "user", "content": "Hi"}]},
    **{"state": {}, "tools": [], "context": [], "forwardedProps": {}},
}
NAMED = {"name": "Groceries", "metadata": {"list": "long"}}
FIRST: dict[str, list[tuple[str, str, Any]]] = {
    "sessions": [
        ("GET", "/agents", None),
        ("GET", "/sessions", None),
        ("POST", "/sessions", {}),
        ("POST", "/sessions", NAMED),
        ("GET", "/approvals", None),
        ("GET", "/usage", None),
    ],
    "messages": [("POST", "/messages", SAID)],
    "stream": [
        ("POST", "/messages/stream", SAID),
        ("POST", "/ag-ui/todo", RUN),
        ("POST", "/ai-sdk/chat", {"id": "c", "messages": [TYPED]}),
    ],
}
"""What is asked first of each function that SnapStart is for."""
LIMITS = {
    **dict.fromkeys(("USER_TOKENS_PER_DAY", "USER_TOKENS_PER_MONTH"), "1"),
    **dict.fromkeys(("USER_USD_PER_DAY", "USER_USD_PER_MONTH", "TURN_MAX_USD"), "0.000000001"),
    **dict.fromkeys(("DEPLOYMENT_TOKENS_PER_DAY", "DEPLOYMENT_TOKENS_PER_MONTH"), "1"),
    **dict.fromkeys(("DEPLOYMENT_USD_PER_DAY", "DEPLOYMENT_USD_PER_MONTH"), "0.000000001"),
    **dict.fromkeys(("TURN_MAX_MODEL_CALLS", "TURN_MAX_TOKENS", "TOOL_CALLS_MAX_PER_STEP"), "1"),
    **dict.fromkeys(("USER_MAX_OPEN_TURNS", "USER_TURNS_PER_MINUTE", "USER_MAX_STREAMS"), "1"),
    **dict.fromkeys(("USER_MAX_SESSIONS", "USER_MAX_METADATA_BYTES", "MESSAGE_MAX_CHARS"), "1"),
    **{"MEMORY_SUMMARY": "on", "AGENT_SESSION_MAX_MESSAGES": "2", "TURN_TIMEOUT_SECONDS": "0.001"},
}
"""As little as a deployment may allow."""


def seen_in(found: Copies) -> list[tuple[int, list[str], dict[str, int]]]:
    """Return of each copy what it answered, imported and built."""
    return [(each["status"], each["imported"], each["made"]) for each in found.each]


# What a fork has is imported, and a little of it built, by whoever it is forked from.
@pytest.mark.usefixtures("nothing_forked")
@pytest.mark.parametrize("name", FIRST)
def test_a_first_request_imports_and_builds_nothing_and_shares_no_random_numbers(
    name: str, surroundings: pytest.MonkeyPatch, account: Account
) -> None:
    asked = [*FIRST[name], FIRST[name][-1]]

    found = copies(name, *asked)

    posted = name != "stream"
    status = [201 if posted and method == "POST" else 200 for method, _, _ in asked]
    assert seen_in(found) == [(each, [], {}) for each in status]
    assert len({each["random"] for each in found.each}) == len(asked)
    assert "priming failed" not in found.log
    assert not [each["body"] for each in found.each if NOBODY in each["body"]]
    if name != "sessions":  # the stand-ins are gone, and what is written is there
        assert account.items(os.environ["AGENT_SESSION_TABLE"])


@pytest.mark.parametrize("name", ["messages", "stream"])
def test_so_it_is_with_chat_completions(name: str, surroundings: pytest.MonkeyPatch) -> None:
    surroundings.setenv("OPENAI_API", "chat_completions")
    surroundings.setenv("OPENAI_MODEL", "any")

    (found,) = copies(name, FIRST[name][0]).each

    assert (found["imported"], found["made"]) == ([], {})


@pytest.mark.parametrize(
    "name",
    [
        "sessions",
        pytest.param("messages", marks=pytest.mark.at_length("all are counted as sessions is")),
        pytest.param("stream", marks=pytest.mark.at_length("all are counted as sessions is")),
    ],
)
def test_without_a_snapshot_it_does_so_that_this_would_be_seen(
    name: str, surroundings: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if name == "sessions":  # of which a fork has all built
        request.getfixturevalue("nothing_forked")

    (found,) = copies(name, FIRST[name][-1], snapshot=False).each

    assert found["imported"]
    assert found["made"]["validators"] > 10
    assert found["made"]["statements"] >= 1


@pytest.mark.parametrize("name", FIRST)
def test_priming_connects_to_nothing_leaves_nothing_behind_and_has_no_limit_in_its_way(
    name: str, surroundings: pytest.MonkeyPatch, account: Account, sql: Any, model: Any
) -> None:
    queue, table = (os.environ[each] for each in ("WAKE_QUEUE_URL", "AGENT_SESSION_TABLE"))
    surroundings.setenv("AWS_XRAY_DAEMON_ADDRESS", "127.0.0.1:2000")
    surroundings.setenv("_X_AMZN_TRACE_ID", TRACE)
    for limit, least in LIMITS.items():
        surroundings.setenv(limit, least)

    found = copies(name)

    assert found.frozen["connected"] == []  # nor is a span sent
    assert found.frozen["held"] == []
    assert found.frozen["threads"] == []
    assert found.log == ""  # neither lines nor metrics
    assert sql.execute("SELECT count(*) FROM sessions").fetchone() == (0,)
    assert account.items(table) == []
    assert account.messages(queue) == []
    assert model.asked == []


@pytest.mark.parametrize(
    "kept",
    [
        "secret",
        pytest.param("parameter", marks=pytest.mark.at_length("a project's in test_projects.py")),
    ],
)
def test_a_secret_is_fetched_with_what_was_there(
    kept: str, surroundings: pytest.MonkeyPatch, account: Account
) -> None:
    surroundings.setenv(
        "DATABASE_RUNTIME_SECRET_ARN",
        getattr(account, kept)(os.environ["DATABASE_RUNTIME_URL"]),
    )
    surroundings.delenv("DATABASE_RUNTIME_URL")

    found = copies("sessions", ("GET", "/sessions", None))

    assert found.frozen["connected"] == []  # it is in no snapshot
    assert seen_in(found) == [(200, [], {})]


def test_without_clients_that_can_be_answered_nothing_is_asked_for(
    surroundings: pytest.MonkeyPatch,
) -> None:
    surroundings.delenv("AWS_DEFAULT_REGION")  # none can be made

    (line,) = copies("sessions").log.splitlines()

    assert '"step":"requests"' in line


def test_memory_in_a_file_is_not_written_to(
    surroundings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    surroundings.setenv("AGENT_SESSION_STORE", "sqlite")
    surroundings.setenv("AGENT_SESSION_DB_PATH", str(tmp_path / "memory.db"))

    found = copies("messages")

    assert "memory that is no table" in found.log
    assert not (tmp_path / "memory.db").exists()
