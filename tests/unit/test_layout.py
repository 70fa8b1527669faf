"""A module's test is found by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
PARLEY = ROOT / "layers" / "shared" / "python" / "parley"

WITHOUT_RULES = {"turns/context": "two frozen values, which hold what they are given"}
"""Modules without a test of their name. `runner/mcp_servers` is tested by what it does with real
servers: `integration/turns/brought/mcp_servers`."""


def modules(package: str) -> list[str]:
    return sorted(
        f"{package}/{path.stem}"
        for path in (PARLEY / package).glob("*.py")
        if path.stem != "__init__"
    )


MODULES = [*modules("turns"), *modules("runner")]


@pytest.mark.parametrize("module", [each for each in MODULES if each not in WITHOUT_RULES])
def test_a_module_of_a_turn_has_a_test_of_its_name(module: str) -> None:
    name = module.partition("/")[2]

    assert list(TESTS.rglob(f"test_{name}.py")), f"no test_{name}.py below tests/"


@pytest.mark.parametrize("package", ["turns", "runner"])
def test_a_unit_test_of_a_turn_is_of_a_module_that_is_there(package: str) -> None:
    tested = {
        f"{package}/{path.stem.removeprefix('test_')}"
        for path in (TESTS / "unit" / package).glob("test_*.py")
    }

    assert tested <= set(MODULES)


def test_what_needs_no_test_is_there() -> None:
    assert set(WITHOUT_RULES) <= set(MODULES)
