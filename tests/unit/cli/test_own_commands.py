"""Commands that a project adds: listed without an import, run in its folder, and checked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parley_cli.errors import CommandFailed
from parley_cli.group import COMMANDS
from parley_cli.main import app
from parley_cli.own_commands import own_commands
from parley_cli.project import refuse_commands_of_parleys
from parley_project.faults import ProjectFaults
from parley_project.project import read_project

PROJECT = """
[tool.parley.agents.desk]
target = "note_desk:agent"
description = "Helps."

[tool.parley.commands.notes]
target = "note_desk:app"
description = "Your notes."

[tool.parley.commands.hello]
target = "note_desk:hello"
description = "Says hello."
"""
CODE = """
import typer
from parley_cli import CommandFailed

app = typer.Typer(no_args_is_help=True)

@app.command("list")
def list_():
    print("buy milk")

@app.command()
def lose(what: str):
    raise CommandFailed(f"There is no {what}.")

def hello(name: str):
    print(f"hello {name}")

neither = 3
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project, in a folder below which the command is called."""
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "note_desk.py").write_text(CODE)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("note_desk", None)


def parley(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_they_are_listed_without_being_imported(root: Path) -> None:
    status, shown, _ = parley("--help")

    assert status == 0
    assert "Your notes." in shown
    assert "Send a message and print the reply." in shown
    assert "note_desk" not in sys.modules


def test_a_group_and_a_function_are_commands(root: Path) -> None:
    assert parley("notes", "list")[:2] == (0, "buy milk\n")
    assert parley("hello", "Ada")[:2] == (0, "hello Ada\n")
    assert parley("hello")[0] == 2


def test_what_fails_is_a_sentence_and_status_1(root: Path) -> None:
    assert parley("notes", "lose", "milk") == (1, "", "parley: There is no milk.\n")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import nothing_there", "ModuleNotFoundError: No module named 'nothing_there'"),
        ("", "note_desk has no app"),
        ("app = 3; 1 / 0", "note_desk.py:1 <module>: ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "note_desk.py:1 <module>: SystemExit: 3; it must not end"),
        ("import typer; app = typer.Typer()", "is a typer.Typer without commands"),
        ("app = 3", "is of type int, not a typer.Typer or a function"),
    ],
)
def test_one_that_cannot_be_imported_is_told_of_and_the_others_work(
    root: Path, code: str, why: str
) -> None:
    (root / "note_desk.py").write_text(code)

    status, _, said = parley("notes", "list")

    assert status == 1
    assert why in said
    assert parley("--version")[0] == 0


def test_elsewhere_there_are_none(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert own_commands(tmp_path_factory.mktemp("elsewhere"), COMMANDS) == {}


def test_a_file_that_is_no_toml_hides_no_command_of_parley_s(root: Path) -> None:
    (root / "pyproject.toml").write_text("[tool.parley")

    assert parley("--version")[0] == 0
    status, _, said = parley("notes", "list")
    assert status == 2
    assert "No such command 'notes' of Parley's" in said
    assert "pyproject.toml: it is no TOML: " in said


def test_commands_that_are_no_table_are_told_of_when_one_is_called(root: Path) -> None:
    (root / "pyproject.toml").write_text("[tool.parley]\ncommands = 3\n")

    assert "[tool.parley] commands: must be a table" in parley("notes")[2]


def test_one_that_is_said_wrongly_says_so_when_it_is_called(root: Path) -> None:
    (root / "pyproject.toml").write_text(PROJECT.replace('target = "note_desk:app"', ""))

    assert "[tool.parley.commands.notes] target: is missing" in parley("notes")[2]


def test_one_that_is_interrupted_while_it_is_imported_says_where(root: Path) -> None:
    (root / "note_desk.py").write_text("raise KeyboardInterrupt")

    status, _, said = parley("notes", "list")

    assert status == 130
    assert "note_desk.py:1 <module>: KeyboardInterrupt" in said


def test_one_of_parley_s_stays_what_it_is(root: Path) -> None:
    taking = PROJECT.replace("commands.notes", "commands.message")
    (root / "pyproject.toml").write_text(taking)

    assert "message" not in own_commands(root, COMMANDS)
    with pytest.raises(CommandFailed, match=r"commands\.message\]: message is a command of Parley"):
        refuse_commands_of_parleys(read_project(root / "pyproject.toml"))


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("commands.notes]", 'commands."My notes"]', "a command has 1 to 40 small letters"),
        ('"note_desk:app"', '"note_desk"', "must be package.module:object, not 'note_desk'"),
        ('"note_desk:app"', '"nobody:app"', "commands.notes: no such module"),
        ('description = "Your notes."', "", "[tool.parley.commands.notes] description: is missing"),
        ('description = "Your notes."', 'help = "x"\ndescription = "x"', "help: is not a key"),
    ],
)
def test_what_is_said_wrongly_has_a_sentence_with_its_place(
    root: Path, before: str, after: str, fault: str
) -> None:
    (root / "pyproject.toml").write_text(PROJECT.replace(before, after))

    with pytest.raises(ProjectFaults) as raised:
        read_project(root / "pyproject.toml")

    assert any(fault in sentence for sentence in raised.value.sentences), raised.value.sentences
