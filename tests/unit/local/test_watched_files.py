"""Looks at a project's files: what differs from an earlier one, and what nobody looks at."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from parley_local import watched_files
from parley_local.watched_files import Watched, look_at, watched_of
from parley_project.project import read_project

PROJECT = """
[tool.parley]
default = "shop"
migrations = "migrations"
template = "template.yaml"
[tool.parley.agents.shop]
target = "shop.agent:build"
description = "Sells."
[tool.parley.agents.bank]
target = "bank:build"
description = "Pays."
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "own"
    for folder in ("shop/prices", "migrations"):
        (root / folder).mkdir(parents=True)
    for name, text in {
        "pyproject.toml": PROJECT,
        "shop/agent.py": "def build(): ...\n",
        "shop/prices/one.txt": "3 EUR",
        "bank.py": "def build(): ...\n",
        "migrations/0001.sql": "SELECT 1;",
        "template.yaml": "{}",
        "linked.txt": "5 EUR",
    }.items():
        (root / name).write_text(text)
    (root / "shop" / "link.txt").symlink_to(root / "linked.txt")
    return root


@pytest.fixture
def watched(root: Path) -> Watched:
    return watched_of(read_project(root / "pyproject.toml"))


def written(name: str) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        (root / name).write_text((root / name).read_text() + "\n")

    return write


def of_the_same_size_and_time(root: Path) -> None:
    file = root / "shop/prices/one.txt"
    found = file.stat()
    file.write_text("4 EUR")
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))


def put_in_its_place(root: Path) -> None:  # as editors save (pallets/flask#1355)
    file, new = root / "shop/prices/one.txt", root / "shop/prices/.new~"
    shutil.copy2(file, new)
    new.replace(file)


def named_anew(root: Path) -> None:  # pallets/flask#5193
    (root / "shop/prices/one.txt").rename(root / "shop/prices/two.txt")


def folder_made_again(root: Path) -> None:  # remy/nodemon#2192
    shutil.rmtree(root / "shop")
    (root / "shop").mkdir()
    (root / "shop/agent.py").write_text("def build(): ...\n")


def linked_elsewhere(root: Path) -> None:  # ByteInternet/nginx_config_reloader#75
    new = root / "shop/new~"
    new.symlink_to(root / "template.yaml")
    new.replace(root / "shop/link.txt")


def readable_again(root: Path) -> None:
    (root / "bank.py").chmod(0o600)


def added(root: Path) -> None:
    (root / ".env").write_text("A=1")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (written("pyproject.toml"), ["pyproject.toml"]),
        (written("shop/prices/one.txt"), ["shop/prices/one.txt"]),
        (written("bank.py"), ["bank.py"]),
        (written("migrations/0001.sql"), ["migrations/0001.sql"]),
        (written("template.yaml"), ["template.yaml"]),
        (written("linked.txt"), ["shop/link.txt"]),
        (of_the_same_size_and_time, ["shop/prices/one.txt"]),
        (put_in_its_place, ["shop/prices/one.txt"]),
        (named_anew, ["shop/prices/one.txt", "shop/prices/two.txt"]),
        (folder_made_again, ["shop/agent.py", "shop/link.txt", "shop/prices/one.txt"]),
        (linked_elsewhere, ["shop/link.txt"]),
        (readable_again, ["bank.py"]),
        (added, [".env"]),
    ],
)
def test_what_differs_from_an_earlier_look_is_named(
    root: Path, watched: Watched, change: Callable[[Path], None], names: list[str]
) -> None:
    before = look_at(watched)
    assert look_at(watched, before).changed(before) == []

    change(root)

    assert look_at(watched, before).changed(before) == [root / name for name in names]


def test_a_file_without_another_time_since_clocks_are_coarse_is_told_by_its_content(
    root: Path, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_the_system, now = os.stat, time.time_ns()

    def in_whole_seconds(name: str) -> Any:
        found = of_the_system(name)
        same = {each: getattr(found, each) for each in ("st_mode", "st_size", "st_ino", "st_dev")}
        return SimpleNamespace(**same, st_mtime_ns=now, st_ctime_ns=now)

    monkeypatch.setattr(os, "stat", in_whole_seconds)
    before = look_at(watched)
    (root / "shop/prices/one.txt").write_text("4 EUR")

    for seconds in (1, 60):  # it is no longer young when it is looked at again
        monkeypatch.setattr(time, "time_ns", lambda s=seconds: now + s * 10**9)
        assert look_at(watched, before).changed(before) == [root / "shop/prices/one.txt"]


def test_files_are_read_while_they_are_young_only(
    root: Path, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    content = watched_files._content

    def kept(name: str) -> bytes:
        read.append(name)
        return content(name)

    monkeypatch.setattr(watched_files, "_content", kept)
    made = (
        (root / "pyproject.toml").stat().st_ctime_ns
    )  # the first, however long ago that is by now
    monkeypatch.setattr(time, "time_ns", lambda: made)
    first = look_at(watched)
    assert len(read) == 7
    read.clear()
    grown = (root / "linked.txt").stat().st_ctime_ns + 10**10
    monkeypatch.setattr(time, "time_ns", lambda: grown)

    second = look_at(watched, first)  # what was young is read once more, to be compared
    assert (len(read), second.changed(first)) == (7, [])
    read.clear()

    third = look_at(watched, second)
    assert (read, third.changed(second)) == ([], [])


@pytest.mark.parametrize(
    "name",
    ["node_modules/a/b.js", ".venv/lib/c.py", "__pycache__/d.pyc", "e.py~", ".f.py.swp", ".git/g"],
)
def test_what_tools_and_editors_keep_there_is_not_looked_at(
    root: Path, watched: Watched, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = root / "shop" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    entered: list[str] = []
    scandir = os.scandir

    def kept(path: str) -> Any:
        entered.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", kept)
    before = look_at(watched)

    file.write_text("new")

    assert look_at(watched, before).changed(before) == []
    there = {root / "shop", root / "shop/prices", root / "migrations"}
    assert set(map(Path, entered)) == there


@pytest.mark.parametrize("above", [".venv/lib/site-packages", "node_modules", ".tox"])
def test_a_project_in_a_folder_of_a_tool_is_looked_at(  # samuelcolvin/watchfiles#234
    root: Path, tmp_path: Path, above: str
) -> None:
    moved = tmp_path / above / "own"
    moved.parent.mkdir(parents=True)
    shutil.copytree(root, moved)
    watched = watched_of(read_project(moved / "pyproject.toml"))
    before = look_at(watched)

    (moved / "shop/agent.py").write_text("new")

    assert look_at(watched, before).changed(before) == [moved / "shop/agent.py"]


def test_where_a_project_could_not_be_read_what_is_made_anywhere_in_it_counts(
    root: Path, tmp_path: Path
) -> None:
    data = root / "data"
    unread = Watched(root, frozenset(), frozenset({root / "bank.py"}), unread=True, left_out=data)
    (data / "postgres").mkdir(parents=True)
    (root / ".parley").mkdir()
    before = look_at(unread)

    (root / "store").mkdir()
    (root / "store/agent.py").write_text("new")
    (root / "linked.txt").write_text("written, and nobody knows that it matters")
    (data / "postgres/log").write_text("as always")
    (root / ".parley/log").write_text("as always")

    assert look_at(unread, before).changed(before) == [root / "store/agent.py"]


@pytest.mark.parametrize("above", [False, True])
def test_where_the_data_is_around_the_project_nothing_else_in_it_counts(
    root: Path, above: bool
) -> None:
    data = root.parent if above else root
    unread = Watched(root, frozenset(), frozenset({root / "bank.py"}), unread=True, left_out=data)
    before = look_at(unread)

    (root / "memory.db").write_text("as always")

    assert look_at(unread, before).changed(before) == []
