"""A mistake in a project's rules for the offline model ends the turn at once, with a sentence."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO
from types import ModuleType
from typing import Any

import pytest
from agents import Agent, function_tool

from parley.manifest import Manifest, Offer
from parley.stand_in import Asked, ToolCall
from parley_testing import projects
from parley_testing.api.handlers import Api
from parley_testing.api.problems import problem


@function_tool
def price(what: str) -> str:
    """Tell a price."""
    return "3 EUR"


clerk: Agent[Any] = Agent(name="clerk", tools=[price])
desk: Agent[Any] = Agent(name="desk", tools=[clerk.as_tool("ask_clerk", "Knows prices.")])


@pytest.fixture
def answers(environment: pytest.MonkeyPatch) -> Iterator[Callable[[Any], None]]:
    """Have a rule answer for the agents `clerk` and `desk`, who asks the other."""
    shop = ModuleType("shop_of_rules")
    shop.__dict__.update(clerk=clerk, desk=desk)
    environment.setitem(sys.modules, shop.__name__, shop)
    offer = Offer("x", f"{shop.__name__}:clerk")
    agents = {"clerk": offer, "desk": replace(offer, target=f"{shop.__name__}:desk")}
    with pytest.MonkeyPatch.context() as patch:
        rule = f"{shop.__name__}:answer"
        projects.offer(patch, Manifest(agents, "clerk", offline=(rule,)))
        yield lambda answer: setattr(shop, "answer", answer)
    projects.forget()


def misspelt(asked: Asked) -> ToolCall:
    if "ask_clerk" in asked.tools:
        return ToolCall("ask_clerk", {"input": asked.text})
    return ToolCall("prize", {"what": asked.text})


def raises(asked: Asked) -> str:
    prices: dict[str, str] = {}
    return prices["gone"]


@pytest.mark.parametrize("agent", ["clerk", "desk"])
@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (misspelt, "calls the tool prize, which the agent has not; it has price."),
        (raises, f"raised KeyError at {__file__}:"),
    ],
)
def test_the_turn_says_which_rule_and_what_is_wrong(
    api: Api,
    answers: Callable[[Any], None],
    log_lines: StringIO,
    agent: str,
    rule: Any,
    told: str,
) -> None:
    answers(rule)

    refused = api("POST", "/messages", {"text": "milk", "agent": agent})

    problem(refused, 502, "model_failed")
    said = refused.json["detail"]
    assert said.startswith("The rule shop_of_rules:answer for the offline model ")
    assert told in said
    assert log_lines.getvalue().count("StandInFault") == 1
