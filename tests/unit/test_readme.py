"""The README's example works; what it says of routes and settings is in other documents."""

from __future__ import annotations

import re
from pathlib import Path

from agents import Agent

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_agent_of_the_readme_can_be_built() -> None:
    (code,) = re.findall(
        r"```python\n(from agents import Agent, function_tool.*?)```", README, re.S
    )
    module: dict[str, object] = {"__name__": "parley.agents.weather"}

    exec(code, module)

    agent = module["build"]()  # type: ignore[operator]
    assert isinstance(agent, Agent)
    assert [tool.name for tool in agent.tools] == ["forecast"]
