"""`parley migrations new`, and what is said of migrations that are not one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from parley_cli.main import app
from parley_project.faults import ProjectFaults
from parley_project.migrations import new_migration, newest_migration

PROJECT = """
[tool.parley]
migrations = "migrations"
[tool.parley.agents]
desk = { target = "shop:desk", description = "Helps." }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder of migrations, which is not there yet."""
    (tmp_path / "shop.py").write_text("def desk(): ...\n")
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "migrations"


def new(message: str) -> Result:
    return CliRunner().invoke(app, ["migrations", "new", message])


def test_each_follows_the_one_before(folder: Path) -> None:
    first, second = new("Bookings of tables"), new("A 100% more of them")

    files = [Path(each.stdout.strip()) for each in (first, second)]
    revisions = [file.name.split("_")[3] for file in files]
    assert files[0].name.endswith("_bookings_of_tables.py")
    assert files[0].parent == Path("migrations")
    assert "down_revision = None" in files[0].read_text()
    assert f"down_revision = {revisions[0]!r}" in files[1].read_text()
    assert newest_migration(folder) == revisions[1]


def test_a_project_that_names_no_folder_is_told_how(folder: Path) -> None:
    file = folder.parent / "pyproject.toml"
    file.write_text(PROJECT.replace('migrations = "migrations"', ""))

    refused = new("Bookings")

    assert refused.exit_code == 1
    assert '[tool.parley] migrations: is missing; such as migrations = "migrations"' in (
        refused.stderr
    )
    assert not folder.exists()


def test_a_folder_outside_of_the_project_is_refused(folder: Path) -> None:
    (folder.parent / "pyproject.toml").write_text(PROJECT.replace('"migrations"', '"../m"'))

    assert "../m is outside of the project" in new("Bookings").stderr


def test_two_newest_and_two_of_one_revision_are_faults(folder: Path) -> None:
    first = new_migration(folder, "one")
    for name in ("a", "b"):
        text = first.read_text().replace("down_revision = None", "down_revision = 'x'")
        (folder / f"{name}.py").write_text(text)

    with pytest.raises(ProjectFaults, match="present more than once"):
        new_migration(folder, "two")

    for name in ("a", "b"):
        (folder / f"{name}.py").write_text(
            f"revision = {name!r}\ndown_revision = {first.name.split('_')[3]!r}\n"
        )
    with pytest.raises(ProjectFaults, match="multiple heads"):
        new_migration(folder, "two")


@pytest.mark.parametrize("text", ["import no_such_module\n", "revision = (\n"])
def test_one_that_cannot_be_imported_is_named(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "broken.py").write_text(text)

    with pytest.raises(ProjectFaults, match=r"broken\.py"):
        newest_migration(folder)
