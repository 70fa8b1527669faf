"""What is private of the Agents SDK and OpenAI's client: all in one place, and all still there."""

from __future__ import annotations

import ast
import tomllib
from collections import OrderedDict
from collections.abc import Iterator
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from agents import Agent, function_tool, handoff
from agents.util import _json as sdk_json
from openai import AsyncOpenAI
from packaging.requirements import Requirement

from parley.runner import sdk_private

ROOT = Path(__file__).parents[3]
PARLEY = ROOT / "layers" / "shared" / "python" / "parley"
THE_PLACE = PARLEY / "runner" / "sdk_private.py"
FILES = sorted({*PARLEY.glob("agents/*.py"), *PARLEY.glob("runner/*.py")} - {THE_PLACE})
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


class Status(StrEnum):
    DONE = "done"


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def touched(tree: ast.Module) -> Iterator[str]:
    """What a module touches that is private to another."""
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    own |= {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("self", "cls")
    }
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=module, names=names):
                parts = [*(module or "").split("."), *(alias.name for alias in names)]
                yield from (part for part in parts if private(part))
            case ast.Attribute(attr=name) if private(name) and name not in own:
                yield name
            case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str(name)), *_]):
                if private(name):
                    yield name


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PARLEY)))
def test_nothing_private_is_touched_anywhere_else(file: Path) -> None:
    assert list(touched(ast.parse(file.read_text()))) == []


def test_what_is_touched_is_found() -> None:
    text = "from openai._streaming import X\ngetattr(tool, '_agent_instance')\ntool._hook = 1\n"

    assert list(touched(ast.parse(text))) == ["_streaming", "_agent_instance", "_hook"]


def test_all_of_it_is_there() -> None:
    assert sdk_private.vanished() == []


def test_what_has_vanished_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    (base,) = (each for each in AsyncOpenAI.__mro__ if "_make_sse_decoder" in vars(each))
    monkeypatch.delattr(base, "_make_sse_decoder")

    assert sdk_private.vanished() == ["openai.AsyncOpenAI._make_sse_decoder"]


@pytest.mark.parametrize("name", sdk_private.READ_IN)
def test_it_was_read_in_the_version_that_is_locked(name: str) -> None:
    assert version(name) == sdk_private.READ_IN[name]


@pytest.mark.parametrize(("name", "next_one"), [("openai-agents", "0.25.0"), ("openai", "4.0.0")])
def test_the_requirements_end_before_the_next_version(name: str, next_one: str) -> None:
    required = map(Requirement, PYPROJECT["dependency-groups"]["agents"])
    (specifier,) = (each.specifier for each in required if each.name == name)

    assert not specifier.contains(next_one)
    assert specifier.contains(sdk_private.READ_IN[name])


def test_the_agents_behind_tools_and_handoffs_are_found() -> None:
    agent = Agent(name="found")

    assert sdk_private.agent_of_tool(agent.as_tool(None, None)) is agent
    assert sdk_private.agent_of_handoff(handoff(agent)) is agent
    assert sdk_private.agent_of_handoff(agent) is agent


def test_an_ordinary_tool_has_no_agent() -> None:
    @function_tool
    async def ordinary() -> str:
        return ""

    assert sdk_private.agent_of_tool(ordinary) is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        b"bytes",
        {"a": [1, 2.5, True, None, {"b": ("c", ["d"])}]},
        [{"deep": {"deeper": [[], {}, ""]}}],
        ({"x": range(3)}, {"y": {"z"}}),
        OrderedDict(a=MappingProxyType({"b": 1})),
        [Status.DONE],
        {"of": Path("x")},
    ],
    ids=repr,
)
def test_what_is_sent_is_copied_as_the_sdk_does(value: object) -> None:
    copied = sdk_private.materialized(value)

    assert copied == sdk_private._materialized(value)
    assert sdk_json._to_dump_compatible(value) == copied


def test_generators_become_lists_and_what_is_copied_is_left_alone() -> None:
    given: dict[str, Any] = {"items": [{"parts": (part for part in "ab")}]}

    copied = sdk_json._to_dump_compatible(given)
    copied["items"][0]["parts"].append("c")

    assert copied == {"items": [{"parts": ["a", "b", "c"]}]}
    assert list(given["items"][0]) == ["parts"]
    assert given["items"][0]["parts"] != ["a", "b", "c"]
