"""What a project names is imported before it runs, and each fault is a sentence with its place."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from parley.manifest import Manifest, Offer
from parley_project.agents import look
from parley_testing import projects

Look = Callable[..., list[str]]
TYPER = "import typer\napp = typer.Typer()\n"


@pytest.fixture
def said_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Look]:
    """Look at a project whose module `desk_code` has this code, and return what is said of it."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def look_at(key: str, code: str) -> list[str]:
        (tmp_path / "desk_code.py").write_text(code)
        projects.offer(
            monkeypatch,
            Manifest(
                {"desk": Offer("", "desk_code:app")} if key == "agents" else {},
                "",
                routes=("desk_code:app",) if key == "routes" else (),
                offline=("desk_code:app",) if key == "offline" else (),
            ),
        )
        lines = io.StringIO()
        commands = {"notes": "desk_code:app"} if key == "commands" else {}
        look(lines, "pyproject.toml", commands)
        told = [json.loads(line) for line in lines.getvalue().splitlines()]
        assert told[-1] == {"running": None}
        return [line["sentence"] for line in told if "sentence" in line]

    yield look_at
    sys.modules.pop("desk_code", None)
    projects.forget()


PLACES = {
    "agents": "[tool.parley.agents.desk] target",
    "commands": "[tool.parley.commands.notes] target",
    "offline": "[tool.parley] offline",
    "routes": "[tool.parley] routes: desk_code:app",
}


@pytest.mark.parametrize("key", PLACES)
@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("\nimport sys; sys.exit(3)", "desk_code.py:2 <module>: SystemExit: 3; it must not end"),
        ("raise SystemExit", "desk_code.py:1 <module>: SystemExit; it must not end the process"),
        ("raise KeyboardInterrupt", "desk_code.py:1 <module>: KeyboardInterrupt"),
        ("assert False", "desk_code.py:1 <module>: AssertionError"),
        ("import nothing_there", "desk_code.py:1 <module>: ModuleNotFoundError: No module named"),
        ("from . import more", "desk_code.py:1 <module>: ImportError: attempted relative import"),
        ("if True:\n\tx = 1\n        y = 2\n", "desk_code.py:3: TabError: inconsistent use"),
        ("def app(:", "desk_code.py:1: SyntaxError: invalid syntax"),
        ("ap = 3", "desk_code has no app; did you mean ap?"),
    ],
)
def test_one_that_cannot_be_imported_is_told_with_its_place(
    said_of: Look, key: str, code: str, fault: str
) -> None:
    (said,) = said_of(key, code)

    assert said.startswith(f"pyproject.toml: {PLACES[key]}: ")
    assert fault in said
    assert ", line " not in said


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (TYPER, "desk_code:app is a typer.Typer without commands"),
        ("app = 3", "desk_code:app is of type int, not a typer.Typer or a function"),
        ("class app: ...", "desk_code:app is a class, not a typer.Typer or a function"),
        ("def app(what: int | str): ...", "doesn't support Union types"),
        (TYPER + "@app.callback()\ndef desk(): ...\n", None),
        (TYPER + "@app.command()\ndef desk(): ...\n", None),
        ("def app(): ...", None),
    ],
)
def test_commands(said_of: Look, code: str, fault: str | None) -> None:
    said = said_of("commands", code)

    assert len(said) == (1 if fault else 0), said
    assert all(fault in each for each in said if fault)


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("app = []", "desk_code:app is not a function"),
        ("class app: ...", "desk_code:app is a class, not a function"),
        ("async def app(asked): ...", "desk_code:app is an async function"),
        ("def app(asked): yield 'hello'", "desk_code:app is a generator"),
        ("async def app(asked): yield 'hello'", "desk_code:app is a generator"),
        ("def app(): ...", "too many positional arguments: it is called with one argument"),
        ("def app(asked, tools): ...", "missing a required argument: 'tools'"),
        ("def app(*, asked): ...", "it is called with one argument"),
        ("class Rule:\n    async def __call__(self, asked): ...\napp = Rule()", "is an async"),
        ("class Rule:\n    def __call__(self, asked): ...\napp = Rule()", None),
        ("def app(asked, tools=()): ...", None),
        ("app = lambda *asked: None", None),
    ],
)
def test_rules_for_the_offline_model(said_of: Look, code: str, fault: str | None) -> None:
    said = said_of("offline", code)

    assert len(said) == (1 if fault else 0), said
    assert all(fault in each for each in said if fault)
