"""A project's rules for the offline model: what is wrong with one ends the turn, in a sentence."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

import pytest

from parley.agents.own_rules import ruled
from parley.errors import StandInFault
from parley.faults import traced
from parley.manifest import Manifest
from parley.runner.agent_run import _failure
from parley.stand_in import Asked, ToolCall
from parley_testing import projects

ASKED = Asked("add milk", frozenset({"add_task"}))
TOOLS = frozenset({"add_task", "transfer_to_billing"})
Follow = Callable[..., str | ToolCall | None]


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Follow]:
    """Ask rules, by the names that they have in the module `desk`."""
    desk = ModuleType("desk")
    monkeypatch.setitem(sys.modules, "desk", desk)

    def follow(*rules: Any, called: Sequence[ToolCall] = ()) -> str | ToolCall | None:
        named = tuple(f"desk:rule_{number}" for number, _ in enumerate(rules))
        for number, rule in enumerate(rules):
            setattr(desk, f"rule_{number}", rule)
        projects.offer(monkeypatch, Manifest({}, "", offline=named))
        return ruled(ASKED, TOOLS, called)

    yield follow
    projects.forget()


async def later(asked: Asked) -> str:
    return "hello"


def raises(asked: Asked) -> str:
    raise KeyError(asked.text)


RAISES = raises.__code__.co_firstlineno + 1


def ends(asked: Asked) -> str:
    sys.exit(3)


def test_the_first_that_has_something_to_say_is_followed(follow: Follow) -> None:
    assert follow(lambda _: None, lambda _: "hello", raises) == "hello"
    assert follow(lambda _: None) is None
    assert follow() is None


@pytest.mark.parametrize("name", sorted(TOOLS))
def test_it_calls_a_tool_or_hands_over(follow: Follow, name: str) -> None:
    assert follow(lambda _: ToolCall(name)) == ToolCall(name)


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        (lambda _: ToolCall("ad_task"), "calls the tool ad_task, which the agent has not; it has"
                                        " add_task, transfer_to_billing."),
        (lambda _: ToolCall("add_task", {"title": object()}), "with what is no JSON"),
        (lambda _: {"add_task": {}}, "gave dict; it must give a text, a ToolCall or None."),
        (lambda _: [], "gave list; it must give"),
        (lambda: "hello", "raised TypeError"),
        (later, "is an async function"),
        (raises, f"raised KeyError at {__file__}:"),
        (ends, f"raised SystemExit at {__file__}:"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_the_rule(follow: Follow, rule: Any, fault: str) -> None:
    with pytest.raises(StandInFault) as raised:
        follow(lambda _: None, rule)

    assert str(raised.value).startswith("The rule desk:rule_1 for the offline model ")
    assert fault in str(raised.value)
    assert "milk" not in str(raised.value)


def test_it_is_what_the_turn_fails_with() -> None:
    wrong = StandInFault("The rule desk:answer for the offline model gave dict.")

    failed = _failure(wrong, wrong)

    assert (failed.code, failed.detail) == ("model_failed", str(wrong))


def as_in_a_turn(error: StandInFault) -> StandInFault:
    """Leave out the frames of the test's own, by which its traceback begins."""
    below = error.__traceback__
    while below is not None and below.tb_frame.f_code.co_filename == __file__:
        below = below.tb_next
    assert below is not None
    return error.with_traceback(below)


def test_a_terminal_shows_the_rule_s_own_traceback(
    follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_FORMAT", "text")
    with pytest.raises(StandInFault) as raised:
        follow(raises)

    told = traced(as_in_a_turn(raised.value))

    assert told["at"].startswith(f"{__file__}:")
    frames = [line for line in told["traceback"].splitlines() if line.startswith("  File ")]
    assert frames == [f'  File "{__file__}", line {RAISES}, in raises']


def test_what_no_rule_raised_has_no_traceback(
    follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_FORMAT", "text")
    with pytest.raises(StandInFault) as raised:
        follow(lambda _: ToolCall("ad_task"))

    told = traced(as_in_a_turn(raised.value))

    assert "at" not in told
    assert "  File " not in told["traceback"]
    assert "the tool ad_task" in told["traceback"]


def test_one_that_calls_the_same_again_and_again_is_told_where_the_output_is(
    follow: Follow,
) -> None:
    milk, eggs = (ToolCall("add_task", {"title": title, "tags": []}) for title in ("milk", "eggs"))
    again = ToolCall("add_task", {"title": "milk", "tags": ()})

    assert follow(lambda _: again, called=[milk, milk]) == again
    assert follow(lambda _: again, called=[milk, milk, eggs]) == again
    with pytest.raises(StandInFault, match=r"calls add_task again after 3 times .*asked\.done"):
        follow(lambda _: again, called=[eggs, milk, milk, milk])
