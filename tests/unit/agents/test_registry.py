"""Which agents are offered."""

from __future__ import annotations

import subprocess
import sys

import pytest
from agents import Agent

from parley.agents import registry
from parley.errors import NotFound


def test_listing_does_not_import_the_sdk() -> None:
    listing = (
        "import sys; from parley.agents import registry; print(sorted(registry.OFFERED));"
        " print('agents' in sys.modules, 'openai' in sys.modules)"
    )

    printed = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, text=True, check=True
    ).stdout

    assert printed.splitlines() == ["['assistant', 'support', 'todo']", "False False"]


@pytest.mark.parametrize("name", registry.OFFERED)
def test_every_agent_that_is_offered_can_be_built(name: str) -> None:
    agent = registry.load(name)

    assert isinstance(agent, Agent)
    assert agent.name == name
    assert registry.load(name) is agent
    assert registry.OFFERED[name].description


def test_the_default_is_offered() -> None:
    assert registry.DEFAULT in registry.OFFERED


def test_an_agent_that_is_not_offered_is_not_found() -> None:
    with pytest.raises(NotFound):
        registry.load("nobody")
