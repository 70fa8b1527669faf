"""`parley chat` asks in place about what a turn of its own waits for; others decide elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from parley_local.issuer import issue_token
from parley_local.stack import LocalStack
from parley_testing.api.terminal import CTRL_C, CTRL_D, Terminal
from parley_testing.waiting import HANG_SECONDS

Open = Callable[..., Terminal]

PROJECT = """
[tool.parley]
offline = "till:answer"
[tool.parley.agents.till]
target = "till:build"
description = "Pays."
"""
TILL = '''
from pathlib import Path

from agents import Agent, function_tool

from parley import approval
from parley.stand_in import Asked, ToolCall


@function_tool(needs_approval=True)
def pay(title: str) -> str:
    """Pay for something."""
    with Path({paid!r}).open("a") as paid:
        print(title, file=paid)
    return f"paid {{title}}"


@function_tool(needs_approval=approval(by="admin"))
def refund(title: str) -> str:
    """Refund something."""
    return f"refunded {{title}}"


def answer(asked: Asked) -> str | ToolCall | None:
    if asked.done:
        return str(asked.done[-1][1])
    tool, _, title = asked.text.partition(" ")
    return ToolCall(tool, {{"title": title}}) if tool in asked.tools else None


def build():
    return Agent(name="till", tools=[pay, refund])
'''


@pytest.fixture(scope="module")
def paid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file in which each call that is made leaves a line: what was paid for."""
    file = tmp_path_factory.mktemp("made") / "paid"
    file.touch()
    return file


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, paid: Path) -> Iterator[LocalStack]:
    """A stack with an agent that asks."""
    own = tmp_path_factory.mktemp("till")
    (own / "pyproject.toml").write_text(PROJECT)
    (own / "till.py").write_text(TILL.format(paid=str(paid)))
    data = tmp_path_factory.mktemp("cli") / "data"
    with LocalStack(data, project=own, ready_within=HANG_SECONDS) as stack:
        yield stack


def test_a_call_is_asked_about_in_place_and_made(terminal: Open) -> None:
    talk = terminal("chat", "--session", "yes", "--user", "anna")
    talk.wait_for("yes>")
    talk.say("pay milk")
    talk.wait_for('May it call pay {"title": "milk"}?')
    talk.say("y")
    talk.wait_for("paid milk")
    talk.wait_for("yes>")
    talk.say("/quit")

    assert talk.ended() == 0
    assert "Traceback" not in talk.shown


def test_who_says_no_has_the_agent_told_so(terminal: Open, paid: Path) -> None:
    talk = terminal("chat", "--session", "no", "--user", "anna")
    talk.wait_for("no>")
    talk.say("pay rent")
    talk.wait_for("May it call pay")
    talk.say("n")
    talk.wait_for("This call was not made: it was rejected.")
    talk.wait_for("no>")
    assert "rent" not in paid.read_text().splitlines()


@pytest.mark.parametrize("key", [CTRL_C, CTRL_D])
def test_who_says_neither_decides_nothing_and_the_conversation_goes_on(
    terminal: Open, parley: Callable[..., Any], key: str
) -> None:
    name = f"neither-{ord(key)}"
    talk = terminal("chat", "--session", name, "--user", "anna")
    talk.wait_for(f"{name}>")
    talk.say("pay milk")
    talk.wait_for("May it call pay")
    talk.wait_for("[y/N]: ")  # the space comes when a line is read
    if key == CTRL_C:
        talk.interrupt()
    else:
        talk.press(key)  # once: a second would leave
    talk.wait_for("Nothing was decided; the turn waits.")
    talk.wait_for(f"{name}>")
    talk.say("/quit")

    assert talk.ended() == 0
    listed = parley("approvals", "list", "--json", "--user", "anna").out.splitlines()
    assert json.loads(listed[0])["status"] == "open"


@pytest.mark.parametrize(
    ("elsewhere", "here", "told"),
    [
        ("approve", "y", ""),
        ("approve", "n", "is approved already"),
        ("reject", "y", "is rejected already"),
    ],
)
def test_what_was_decided_elsewhere_while_it_is_asked_about_here_stands(
    terminal: Open, parley: Callable[..., Any], paid: Path, elsewhere: str, here: str, told: str
) -> None:
    name = f"{elsewhere}-{here}"
    rejected = elsewhere == "reject"
    becomes = "This call was not made: it was rejected." if rejected else f"paid {name}"
    talk = terminal("chat", "--session", name, "--user", "anna")
    talk.wait_for(f"{name}>")
    talk.say(f"pay {name}")
    talk.wait_for("May it call pay")
    listed = parley("approvals", "list", "--status", "open", "--json", "--user", "anna").out
    asked = json.loads(listed.splitlines()[0])["id"]  # the newest

    decided = parley("approvals", elsewhere, asked, "--user", "anna")
    assert decided.status == 0, decided.err
    talk.say(here)
    talk.wait_for(becomes)
    talk.wait_for(f"{name}>")
    talk.say("/quit")

    assert talk.ended() == 0
    assert told in talk.shown
    stands = json.loads(parley("approvals", "show", asked, "--json", "--user", "anna").out)
    assert stands["status"] == ("rejected" if rejected else "approved")
    said = parley("sessions", "show", name, "--messages", "--json", "--user", "anna").out
    contents = [json.loads(line)["content"] for line in said.splitlines()]
    assert contents == [f"pay {name}", f"[offline model] {becomes}"]
    assert paid.read_text().splitlines().count(name) == (0 if rejected else 1)


def test_what_somebody_else_decides_is_left_to_them(
    terminal: Open, stack: LocalStack, parley: Callable[..., Any]
) -> None:
    talk = terminal("chat", "--session", "left", "--user", "anna")
    talk.wait_for("left>")
    talk.say("refund milk")
    talk.wait_for("refund waits for admin to decide.")
    talk.wait_for("left>")
    listed = parley("approvals", "list", "--status", "open", "--user", "anna").out.splitlines()
    asked = next(each for each in listed if "refund" in each)

    headers = {"Authorization": f"Bearer {issue_token(stack.data_dir, 'root', admin=True)}"}
    decided = httpx.post(
        f"{stack.url}/admin/approvals/{asked.split()[0]}",
        json={"decision": "approve"},
        headers=headers,
        trust_env=False,
        timeout=HANG_SECONDS,
    )

    assert decided.status_code == 200, decided.text
    assert (
        parley("turns", "follow", "left", "--user", "anna").out.strip()
        == "[offline model] refunded milk"
    )
