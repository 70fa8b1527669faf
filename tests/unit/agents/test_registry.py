"""Which agents are offered."""

from __future__ import annotations

import subprocess
import sys

import pytest
from agents import Agent

from parley.agents import registry
from parley.errors import NotFound
from parley.manifest import manifest


def test_listing_does_not_import_the_sdk() -> None:
    listing = (
        "import sys; from parley.manifest import manifest; print(sorted(manifest().agents));"
        " print('agents' in sys.modules, 'openai' in sys.modules)"
    )

    printed = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, text=True, check=True
    ).stdout

    assert printed.splitlines() == ["['assistant', 'support', 'todo']", "False False"]


@pytest.mark.parametrize("name", ["assistant", "support", "todo"])
def test_every_agent_that_is_offered_can_be_built(name: str) -> None:
    agent = registry.load(name)

    assert isinstance(agent, Agent)
    assert agent.name == name
    assert registry.load(name) is agent
    assert manifest().agents[name].description


def test_the_default_is_offered() -> None:
    assert manifest().default in manifest().agents


def test_an_agent_that_is_not_offered_is_not_found() -> None:
    with pytest.raises(NotFound):
        registry.load("nobody")
