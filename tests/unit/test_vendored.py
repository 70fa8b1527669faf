"""The libraries of the pages and of their tests are those of the npm registry, unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from parley_backend import backend
from parley_packages.vendored import LIST, sha256, taken

FOLDERS = [backend("web", "vendor"), backend("tests", "browser", "vendor")]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_a_folder_holds_what_its_list_names_and_nothing_else(folder: Path) -> None:
    files = {path.name for path in folder.iterdir()} - {LIST}

    assert files == {file["as"] for _, file in taken(folder)}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_each_file_has_the_hash_that_it_was_taken_with(folder: Path) -> None:
    for _, file in taken(folder):
        assert sha256((folder / file["as"]).read_bytes()) == file["sha256"], file["as"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_each_package_comes_with_its_version_and_its_licence(folder: Path) -> None:
    for package, _ in taken(folder):
        assert package["version"]
        assert package["license"]
        assert any("LICENSE" in file["as"] for file in package["files"]), package["name"]
