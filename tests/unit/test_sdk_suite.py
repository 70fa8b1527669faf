"""The SDK's tests that `make sdk-suite` runs are those of the SDK that is installed."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / "sdk_suite" / "requirements.txt"


def test_the_tests_are_of_the_installed_version() -> None:
    pinned = REQUIREMENTS.read_text(encoding="utf-8").split("openai-agents==")[1].split()[0]

    assert pinned == version("openai-agents")
