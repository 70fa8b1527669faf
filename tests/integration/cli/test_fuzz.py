"""Whatever is typed, and whatever the client is given: an answer or a sentence, no traceback.

PARLEY_FUZZ_EXAMPLES makes it longer; by default each test is a matter of seconds.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Any, get_type_hints
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parley_client import UNSET, ApiError, NotSendable, Parley
from parley_local.stack import LocalStack
from parley_testing.run.at_length import times
from tasks_desk.client import create_task

EXAMPLES = int(os.environ.get("PARLEY_FUZZ_EXAMPLES", "0"))


# A longer run takes what it takes.
pytestmark = pytest.mark.timeout(0 if EXAMPLES else 900)


def some(examples: int) -> settings:
    return settings(
        max_examples=EXAMPLES or times(enough=examples // 3, full=examples),
        deadline=None,
        # The stack is the same for all examples, on purpose.
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


# All that argv can hold: no NUL, but bytes that are no UTF-8, as Python carries them.
ANY_TEXT = st.text(st.characters(exclude_characters="\0"), max_size=40)
NASTY = st.sampled_from(
    ["", " ", ".", "..", "/", "a/b", "%2F", "%00", "a?b#c", "-", "--", "@", "\udcff", "\x1b[2J",
     "\u202e", "'; DROP TABLE sessions; --", "{}", "null", "0", "-1", "1e9", "9" * 30, "é" * 300,
     "00000000-0000-0000-0000-000000000000", "groceries", "todo", "auth0|anna/1", "a" * 70_000]
)  # fmt: skip
WORD = st.one_of(NASTY, ANY_TEXT)
DURATION = st.one_of(st.sampled_from(["12h", "0s", "7d", "999999999w"]), WORD)

COMMANDS: dict[str, list[st.SearchStrategy[list[str]]]] = {}


def command(name: str, *arguments: st.SearchStrategy[str], **options: Any) -> None:
    """Add a command with its arguments, and the options that it may get; None for a flag."""
    parts: list[st.SearchStrategy[list[str]]] = [st.just(name.split())]
    for option, value in options.items():
        flag = f"--{option.rstrip('_').replace('_', '-')}"
        given_: st.SearchStrategy[list[str]] = (
            st.just([flag]) if value is None else value.map(lambda v, flag=flag: [flag, v])
        )
        parts.append(st.one_of(st.just([]), given_))
    parts += [argument.map(lambda value: [value]) for argument in arguments]
    COMMANDS[name] = parts


command(
    "message", WORD, session=WORD, agent=WORD, user=WORD, background=None, enqueue=None, json=None
)
command("chat", session=WORD, agent=WORD, user=WORD)
command("sessions list", status=WORD, agent=WORD, platform=WORD, limit=WORD, all=None, json=None)
command("sessions show", WORD, messages=None, json=None)
command("sessions create", WORD, agent=WORD, json=None)
command("sessions end", WORD)
command("sessions reopen", WORD)
command("sessions delete", WORD, yes=None)
command("turns list", WORD, status=WORD, limit=WORD, json=None)
command("turns show", WORD, WORD, json=None)
command("turns follow", WORD, WORD, after=WORD, json=None)
command("turns cancel", WORD, WORD, json=None)
command("tasks list", text=WORD, due_before=WORD, done=None, all=None, json=None)
command("tasks done", WORD)
command("memory show", WORD, json=None)
command("memory clear", WORD, yes=None)
command("memory prune", WORD)
command("cleanup", dry_run=None, older_than=DURATION, platform=WORD, name_prefix=WORD, user=WORD)
command("stats", json=None)
command("export", WORD)
command("erase", WORD, yes=None, json=None)
command("users rename", WORD, WORD, yes=None, json=None)
command("escalations list", limit=WORD, json=None)
command("escalations show", WORD, json=None)
command("escalations resolve", WORD)
command("token", user=WORD, admin=None)
URL = st.sampled_from(["", "x", "postgresql://[", "postgresql://:x/"])
command("migrate", database_url=URL, runtime_url=URL)


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """Draw a command line: a command with what it takes, sometimes with something besides."""
    parts = COMMANDS[draw(st.sampled_from(sorted(COMMANDS)))]
    line = [word for part in parts for word in draw(part)]
    if draw(st.integers(0, 9)) == 0:
        line.insert(draw(st.integers(0, len(line))), draw(WORD))
    # An address that is none is found out before anything is sent; another one is not ours to ask.
    if draw(st.integers(0, 9)) == 0:
        line += ["--url", draw(st.sampled_from(["", "x", "http://", "http://[::1", "ftp://a/b"]))]
    return line


@some(150)
@given(
    line=command_lines(),
    stdin=st.one_of(WORD.map(lambda text: text.encode(errors="replace")), st.binary()),
)
def test_the_command_line(parley: Callable[..., Any], line: list[str], stdin: bytes) -> None:
    done = parley(*line, stdin=stdin)  # an exception that gets out fails this

    assert done.status in (0, 1, 2)
    assert "Traceback" not in done.err
    assert "\x1b" not in done.out + done.err
    if done.status == 1:
        assert done.err.strip()
    assert "Something went wrong on our side" not in done.err


TEXT = st.one_of(NASTY, st.text(st.characters(exclude_categories=()), max_size=40))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=5,
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "session_id": st.one_of(st.uuids(), TEXT),
    "turn_id": st.one_of(st.uuids(), TEXT),
    "task_id": st.one_of(st.uuids(), TEXT),
    "metadata": st.dictionaries(TEXT, JSON, max_size=3),
    "page_size": st.integers(-1, 200),
    "after": st.integers(),
    "older_than_seconds": st.integers(),
    "due_at": st.one_of(st.datetimes(), st.datetimes(timezones=st.just(UTC))),
    "due_before": st.one_of(st.datetimes(), st.datetimes(timezones=st.just(UTC))),
    "completed": st.booleans(),
    "dry_run": st.booleans(),
    # Of a project's own routes, which its developer writes.
    "method": st.sampled_from(["GET", "POST", "PATCH", "PUT", "DELETE"]),
    "path": st.sampled_from(["/tasks", "/sessions"]),
    "query": st.dictionaries(TEXT, TEXT, max_size=3),
    "body": st.dictionaries(TEXT, JSON, max_size=3),
}
METHODS = sorted(name for name, value in vars(Parley).items() if hasattr(value, "__wrapped__"))


@st.composite
def calls(draw: st.DrawFn, known: UUID) -> tuple[str, dict[str, Any]]:
    """Draw a method and arguments for it, some of them left out."""
    name = draw(st.sampled_from(METHODS))
    hints = get_type_hints(getattr(Parley, name).__wrapped__)
    arguments: dict[str, Any] = {}
    for argument, hint in hints.items():
        value = VALUES.get(argument, TEXT)
        if argument == "session_id":
            value = st.one_of(st.just(known), value)
        optional = type(None) in getattr(hint, "__args__", ()) or type(UNSET) in getattr(
            hint, "__args__", ()
        )
        if argument != "return" and not (optional and draw(st.booleans())):
            arguments[argument] = draw(value)
    return name, arguments


@pytest.fixture(scope="module")
def client(stack: LocalStack) -> Any:
    with Parley(stack.url, stack.token("fuzz", admin=True)) as client:
        yield client


@pytest.fixture(scope="module")
def known(client: Parley) -> UUID:
    """A session that is there, until it is deleted."""
    return client.create_session(name="known").id


@some(500)
@given(data=st.data())
def test_the_client(client: Parley, known: UUID, data: st.DataObject) -> None:
    name, arguments = data.draw(calls(known))
    if name in ("erase_user", "export_user"):
        arguments["user_id"] = data.draw(NASTY)

    refused = None
    try:
        result = getattr(client, name)(**arguments)
        if hasattr(result, "__next__"):
            list(islice(result, 5))
    except NotSendable:
        pass
    except ApiError as error:
        refused = error

    assert refused is None or refused.status < 500, refused


def test_a_time_without_a_zone_is_refused_by_its_field(client: Parley) -> None:
    with pytest.raises(ApiError) as caught:
        create_task(client, "x", due_at=datetime(2027, 1, 1))

    assert [fault.field for fault in caught.value.errors] == ["due_at"]
