"""A module beside a project's packages is imported too, and must not hide what has its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from parley_project.faults import ProjectFaults
from parley_project.project import find_project, read_project

PROJECT = """
[tool.parley.agents]
desk = { target = "shop.agents:desk", description = "Helps." }
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "agents.py").write_text("def desk(): ...\n")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("agents.py", "the Agents SDK"),
        ("parley.py", "Parley"),
        ("openai/__init__.py", "OpenAI's client"),
        ("logging.py", "a module of Python's own"),
        ("email/__init__.py", "a module of Python's own"),
    ],
)
def test_one_that_would_hide_another_is_refused(root: Path, name: str, owner: str) -> None:
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text("")

    with pytest.raises(ProjectFaults) as raised:
        read_project(root / "pyproject.toml")

    (said,) = raised.value.sentences
    assert "[tool.parley] source: " in said
    assert f"{name.split('/')[0]} in {root} has the name of {owner}, and would hide it" in said


@pytest.mark.parametrize(
    "name",
    [
        "app.py",  # a function's own comes first
        "shop/logging.py",
        "email/letter.py",  # no package, and so behind Python's
        "test/__init__.py",
        "desk.py",
        "logging.txt",
    ],
)
def test_others_may_be_there(root: Path, name: str) -> None:
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text("")

    assert read_project(root / "pyproject.toml").packages == (root / "shop",)


@pytest.mark.parametrize(("table", "meant"), [("parlay", True), ("poetry", False)])
def test_a_table_that_is_misspelt_is_found(root: Path, table: str, meant: bool) -> None:
    (root / "pyproject.toml").write_text(PROJECT.replace("tool.parley", f"tool.{table}"))

    with pytest.raises(ProjectFaults, match=r"\[tool\.parley\] is missing") as raised:
        find_project(root)

    assert (f"is [tool.{table}] meant to be it?" in str(raised.value)) is meant


def test_where_there_is_none_it_is_said_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ProjectFaults, match="parley init NAME makes a project"):
        find_project(tmp_path)
