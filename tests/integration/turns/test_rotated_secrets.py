"""A secret of the project's own that was rotated while a process lives."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from agents import Agent

from parley import project_variables
from parley.manifest import Manifest, Offer, Variable
from parley.project_variables import fill_environment
from parley.runner.tools import read_tool
from parley.secrets import Secret
from parley.turns.context import Effect
from parley_testing import projects
from parley_testing.models.scripted import call, in_order, say
from parley_testing.workbench import Workbench

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:bistro"


@read_tool
def key(effect: Effect) -> str:
    """Tell what the tool would call somebody with."""
    return os.environ["BISTRO_KEY"]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """What Secrets Manager keeps."""
    kept = {ARN: "before"}
    monkeypatch.setattr(Secret, "value", property(lambda self: kept[self._arn]))
    monkeypatch.setattr(project_variables, "_fetched", {})
    monkeypatch.setenv("BISTRO_KEY", "")  # and so it is put back in the end
    monkeypatch.setenv("BISTRO_KEY_SECRET_ARN", ARN)
    variables = (Variable("BISTRO_KEY", secret=True),)
    with pytest.MonkeyPatch.context() as patch:
        manifest = Manifest({"todo": Offer("x", "a:b")}, "todo", environment=variables)
        projects.offer(patch, manifest)
        fill_environment()
        yield kept
    projects.forget()


@pytest.mark.parametrize(("age", "read"), [(3_600, "before"), (0, "after")])
async def test_a_turn_reads_it_as_it_is_once_the_one_it_has_is_old(
    new_bench: Callable[..., Workbench],
    kept: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    age: int,
    read: str,
) -> None:
    monkeypatch.setattr(project_variables, "MAX_AGE_SECONDS", age)
    bench = new_bench(in_order(call("key"), say("ok")), agent=Agent("host", tools=[key]))
    kept[ARN] = "after"

    await bench.send(bench.new_session())

    (told,) = [each for each in bench.model.asked[-1].input if "output" in each]
    assert read in told["output"]
