"""A project as it is served: its code from any folder, its variables from the caller."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parley_local import prepared_project
from parley_local.code_copy import copied
from parley_local.prepared_project import prepare
from parley_local.watched_files import look_at
from parley_project.environment import local_values
from parley_project.faults import ProjectFaults
from parley_project.project import Project, read_project

PROJECT = """
[tool.parley.agents.shop]
target = "shop:build"
description = "Sells."
[tool.parley.environment]
SHOP_URL = {}
SHOP_SIZE = { default = "small" }
"""


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("SHOP_URL", "SHOP_SIZE", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "shop.py").write_text("def build(): ...\n")
    (tmp_path / ".env").write_text("SHOP_URL=http://written\nOPENAI_API_KEY=sk-written\n")
    return tmp_path


def test_its_code_is_found_from_any_folder(root: Path) -> None:
    prepared = prepare(Path(), Path(".parley/project/1"))

    path = prepared.own["PYTHONPATH"].split(os.pathsep)
    assert path[:2] == [str(root / ".parley/project/1"), str(root / ".parley/project/1/code")]
    assert [each.name for each in Path(path[1]).iterdir()] == ["shop.pyc"]
    prepared.forget()
    assert list((root / ".parley/project").iterdir()) == []


def test_what_the_shell_has_goes_before_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URL", "http://shell")

    prepared = prepare(Path(), Path("copy"))

    assert prepared.own["SHOP_URL"] == "http://shell"
    assert prepared.own["SHOP_SIZE"] == "small"
    # Parley's own settings may be written there too.
    variables = prepared.variables(lambda caller: {"KEY": caller["OPENAI_API_KEY"]})
    assert variables == {**prepared.own, "KEY": "sk-written"}


def test_what_is_required_and_set_nowhere_is_named(root: Path) -> None:
    (root / ".env").unlink()

    with pytest.raises(ProjectFaults, match="SHOP_URL is not set"):
        prepare(Path(), Path("copy"))


@pytest.mark.parametrize("name", ["shop.py", ".env", "pyproject.toml"])
@pytest.mark.parametrize("read", [read_project, local_values, copied])
def test_what_is_changed_while_it_is_read_differs_from_what_was_seen(
    root: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[..., Any], name: str
) -> None:
    def and_changed(*args: Any) -> Any:
        done = read(*args)
        (root / name).write_text((root / name).read_text() + "\n")
        return done

    monkeypatch.setattr(prepared_project, read.__name__, and_changed)

    seen = prepare(Path(), Path("copy")).seen

    assert look_at(seen.watched, seen).changed(seen) == [root / name]


def test_files_that_it_names_while_it_is_read_are_seen_before(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "store.py").write_text("def build(): ...\n")
    times = 0

    def and_changed(file: Path) -> Project:
        nonlocal times
        times += 1
        if times == 2:
            file.write_text(PROJECT.replace("shop:build", "store:build"))
        if times == 3:
            (root / "store.py").write_text("def build(): return 1\n")
        return read_project(file)

    monkeypatch.setattr(prepared_project, "read_project", and_changed)

    prepared = prepare(Path(), Path("copy"))

    assert prepared.project.packages == (root / "store.py",)
    seen = prepared.seen
    assert look_at(seen.watched, seen).changed(seen) == [root / "store.py"]
