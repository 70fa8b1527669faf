"""What is in the zips."""

from __future__ import annotations

import stat
from collections import Counter
from functools import cache
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import pytest

from parley_packages.sizes import function_sizes, over_budget
from parley_testing.packaged.packages import LARGE, Packages
from parley_testing.run.at_length import AT_LENGTH

_UNCHECKED_HASH = (1).to_bytes(4, "little")


@cache
def names(package: Path) -> list[str]:
    """The files of a layer or a function."""
    files = (path for path in package.rglob("*") if path.is_file())
    return sorted(path.relative_to(package).as_posix() for path in files)


def modules(package: Path) -> set[str]:
    """The names that can be imported from a layer or a function."""
    inside = (PurePosixPath(name.removeprefix("python/")) for name in names(package))
    return {path.parts[0].split(".")[0] for path in inside if ".dist-info" not in path.parts[0]}


def test_all_packages_are_zipped_but_for_the_large_ones(packages: Packages) -> None:
    assert packages.zips.keys() == packages.built.folders.keys() - (() if AT_LENGTH else LARGE)
    for name, path in packages.zips.items():
        with ZipFile(path) as packed:
            assert sorted(packed.namelist()) == names(packages.built.folders[name])


def test_no_function_exceeds_its_budget(packages: Packages) -> None:
    assert over_budget(function_sizes(packages.built)) == []


def test_no_function_carries_a_module_twice(packages: Packages) -> None:
    for function, layers in packages.built.layers.items():
        found = Counter(
            module
            for name in (function, *layers)
            for module in modules(packages.built.folders[name])
        )
        del found["__pycache__"]
        assert [module for module, count in found.items() if count > 1] == []


def test_what_the_runtime_has_is_in_no_package(packages: Packages) -> None:
    for package in packages.built.folders.values():
        assert not modules(package) & {
            "boto3",
            "botocore",
            "s3transfer",
            "dateutil",
            "awslambdaric",
        }


@pytest.mark.parametrize(
    ("module", "where"),
    [
        ("cryptography", {"Authorizer"}),
        ("alembic", {"Migrate"}),
        ("agents", {"AgentsLayer"}),
        ("openai", {"AgentsLayer"}),
        ("starlette", {"AgentsLayer"}),
        ("uvicorn", {"AgentsLayer"}),
        ("sqlalchemy", {"SharedLayer"}),
        ("parley", {"SharedLayer"}),
    ],
)
def test_a_module_is_only_where_it_is_needed(
    module: str, where: set[str], packages: Packages
) -> None:
    folders = packages.built.folders
    assert {name for name, path in folders.items() if module in modules(path)} == where


def test_the_start_command_of_the_server_can_be_executed(packages: Packages) -> None:
    # SAM keeps the mode, and the adapter executes the file.
    handler = packages.functions["Stream"].handler
    with ZipFile(packages.zips["Stream"]) as packed:
        mode = packed.getinfo(handler).external_attr >> 16

    assert stat.S_IMODE(mode) == 0o755


def test_nothing_is_packed_that_no_function_reads(packages: Packages) -> None:
    for package in packages.built.folders.values():
        for path in map(PurePosixPath, names(package)):
            assert "tests" not in path.parts
            assert path.parts[0] != "bin"
            assert path.parts[:2] != ("python", "bin")
            assert path.suffix not in (".pyi", ".pyx", ".c", ".h")
            if ".dist-info" in str(path):
                assert path.name in ("METADATA", "entry_points.txt")


def test_every_file_is_dated_1980_and_readable_by_all(packages: Packages) -> None:
    for package in packages.zips.values():
        with ZipFile(package) as packed:
            for entry in packed.infolist():
                assert entry.date_time == (1980, 1, 1, 0, 0, 0)
                assert stat.S_IMODE(entry.external_attr >> 16) in (0o644, 0o755)


def test_every_module_comes_with_byte_code_that_is_never_checked(packages: Packages) -> None:
    for package in packages.built.folders.values():
        for name in names(package):
            if name.endswith(".py"):
                with (package / cache_from_source(name)).open("rb") as compiled:
                    assert compiled.read(8) == MAGIC_NUMBER + _UNCHECKED_HASH, name
