"""A new project: what is written, under which names, and what is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from parley_backend import backend
from parley_project.faults import ProjectFaults
from parley_project.project import read_project
from parley_project.starting import EXAMPLES, start_project


@pytest.mark.parametrize("example", EXAMPLES)
def test_it_is_a_project_under_its_own_name(tmp_path: Path, example: str) -> None:
    root = tmp_path / "my-desk"

    written = start_project(root, example)

    project = read_project(root / "pyproject.toml")
    (offer,) = project.manifest.agents.values()
    assert offer.target == "my_desk.agent:build"
    assert project.packages == (root / "my_desk",)
    assert {Path("README.md"), Path(".env.example"), Path(".gitignore")} <= set(written)
    assert Path("tests/test_agent.py") in written
    for file in written:
        text = (root / file).read_text(encoding="utf-8")
        assert f"{example}-desk" not in text, file
        assert f"{example}_desk" not in text, file
    on_disk = {each.relative_to(root) for each in root.rglob("*") if each.is_file()}
    assert set(written) == {each for each in on_disk if each.parts[0] != ".git"}


def test_every_example_can_be_chosen() -> None:
    assert {each.name for each in backend("examples").iterdir() if each.is_dir()} == set(EXAMPLES)


def test_an_empty_repository_is_taken_and_no_other_is_made_in_one(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path / "desk"], check=True)

    start_project(tmp_path / "desk", "blank")
    start_project(tmp_path / "desk" / "inner", "blank")

    assert (tmp_path / "desk" / "pyproject.toml").is_file()
    assert not (tmp_path / "desk" / "inner" / ".git").exists()


def test_a_folder_that_is_not_empty_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "desk").mkdir()
    (tmp_path / "desk" / "README.md").write_text("mine")

    with pytest.raises(ProjectFaults, match="is not empty"):
        start_project(tmp_path / "desk", "todo")

    assert [each.name for each in (tmp_path / "desk").iterdir()] == ["README.md"]
    assert (tmp_path / "desk" / "README.md").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("9lives", "begins with a letter"),
        ("my desk", "cannot be a project's name"),
        ("a--b", "cannot be a project's name"),
        ("d" * 41, "up to 40"),
        ("json", "like a module of Python's own"),
        ("Class", "like a keyword of Python"),
        ("agents", "like the Agents SDK"),
        ("Parley", "like Parley"),
        ("tests", "like a folder that each project has"),
    ],
)
def test_a_name_that_no_package_can_have_is_refused(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(ProjectFaults, match=why):
        start_project(tmp_path / name, "todo")

    assert list(tmp_path.iterdir()) == []
