"""The README says what is so."""

from __future__ import annotations

import re
from pathlib import Path

from agents import Agent

from parley.config import Settings
from parley.http.document import document

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def _first_column(heading: str) -> set[str]:
    section = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE))


def test_every_route_is_in_the_api_table() -> None:
    routes = {
        f"{method.upper()} {path}"
        for path, operations in document()["paths"].items()
        for method in operations
    }

    assert _first_column("API") == routes | {"GET /openapi.json", "GET /docs"}


def test_every_setting_is_in_the_configuration_table() -> None:
    settings = {name.upper() for name in Settings.model_fields}

    assert _first_column("Configuration") == settings | {"LOG_LEVEL"}


def test_the_defaults_in_the_configuration_table_are_the_code_s() -> None:
    told = dict(re.findall(r"^\| `([A-Z_]+)` \| `?([\w-]+)`? \|", README, re.MULTILINE))
    fields = {name.upper(): field.default for name, field in Settings.model_fields.items()}
    numbers = {name: default for name, default in told.items() if default.isdigit()}

    assert numbers
    for name, default in numbers.items():
        assert float(default) == fields[name], name


def test_the_agent_of_the_readme_can_be_built() -> None:
    (code,) = re.findall(
        r"```python\n(from agents import Agent, function_tool.*?)```", README, re.S
    )
    module: dict[str, object] = {"__name__": "parley.agents.weather"}

    exec(code, module)

    agent = module["build"]()  # type: ignore[operator]
    assert isinstance(agent, Agent)
    assert [tool.name for tool in agent.tools] == ["forecast"]
