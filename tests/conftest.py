"""Every model call of every test in this process: its input is one that a model would take."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parley_project.generated import serve_here
from parley_testing.models import input

pytest_plugins = [
    "parley_testing.run.at_length",
    "parley_testing.run.collected",
    "parley_testing.run.file_order",
    "parley_testing.postgres.new_connections",
    "parley_testing.run.read_once",
    "parley_testing.run.slowest_files",
    "parley_testing.run.temporary_root",
    "parley_testing.run.together",
    "parley_testing.run.unhurried_examples",
]


def pytest_configure(config: pytest.Config) -> None:
    """Run Parley's own project in this process, and in those that tests start.

    Tests send faster than any person; those of the limit set it themselves.
    """
    os.environ.setdefault("USER_TURNS_PER_MINUTE", "0")
    folder = tempfile.TemporaryDirectory(prefix="parley-manifest-")
    config.add_cleanup(folder.cleanup)
    serve_here(Path(__file__).parent, Path(folder.name))


@pytest.fixture(autouse=True, scope="session")
def asked_of_models() -> Iterator[list[str]]:
    """What recorded models were asked that a model would refuse, over the whole run so far."""
    from parley.runner.recording_model import RecordingModel

    refused: list[str] = []
    ask = RecordingModel.get_response

    async def checked(self: RecordingModel, *arguments: Any, **named: Any) -> Any:
        # An error raised here would only fail the turn, as some tests want of their turns.
        refused.extend(input.faults(arguments[1] if len(arguments) > 1 else named["input"]))
        return await ask(self, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RecordingModel, "get_response", checked)
        yield refused


@pytest.fixture(autouse=True)
def models_would_take_what_they_are_asked(asked_of_models: list[str]) -> Iterator[None]:
    """Fail the test in which a model was asked what it would refuse."""
    yield
    refused, asked_of_models[:] = list(asked_of_models), []
    assert not refused, f"a model would refuse its input: {'; '.join(refused)}"
