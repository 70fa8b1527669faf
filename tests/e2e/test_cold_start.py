"""What a cold start imports, from where, and how long it takes."""

from __future__ import annotations

import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parley_testing.packaged.deployment import Deploy, Deployment
from parley_testing.packaged.packages import Packages
from parley_testing.packaged.probe import probe as start_of

FUNCTIONS = ["Authorizer", "Cleanup", "Messages", "Migrate", "Sessions", "Stream", "Worker"]
HANDLERS = [name for name in FUNCTIONS if name != "Stream"]
RUN_AGENTS = {"Messages", "Stream", "Worker"}
LOOKED_AT = [
    each
    if each in ("Messages", "Sessions")
    else pytest.param(
        each,
        marks=pytest.mark.at_length(
            "where nothing is but the packages it is started in test_events.py; one that runs"
            " agents and one that runs none are looked at here, and the layers of all"
        ),
    )
    for each in FUNCTIONS
]
Probe = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def seen() -> dict[str, dict[str, Any]]:
    """What the probe has seen in each function's place."""
    return {}


@pytest.fixture(name="probe")
def probed(
    packages: Packages,
    deployment: Deployment,
    tmp_path: Path,
    seen: dict[str, dict[str, Any]],
) -> Probe:
    """Gives what the probe sees in a function's place, and where its runtime lies."""

    def run(name: str) -> dict[str, Any]:
        if name not in seen:
            variables = {**packages.functions[name].variables, **deployment.variables}
            found = start_of(packages.unpacked[name], variables, tmp_path)
            seen[name] = {**found, "runtime": tmp_path / "runtime"}
        return seen[name]

    return run


def test_the_functions_of_the_template_are_those_tested_here(packages: Packages) -> None:
    assert sorted(packages.unpacked) == FUNCTIONS


@pytest.mark.at_length("each function is started so in e2e/test_events.py")
@pytest.mark.parametrize("name", HANDLERS)
def test_a_cold_start_is_timed(
    name: str, deploy: Deploy, capsys: pytest.CaptureFixture[str]
) -> None:
    function = deploy()[name]

    function.invoke({})

    milliseconds = function.init_milliseconds
    with capsys.disabled():
        print(f"\n{name}: init took {milliseconds:.0f} ms under the emulator", end=" ")
    assert milliseconds > 0


@pytest.mark.parametrize("name", LOOKED_AT)
def test_a_function_imports_only_from_its_packages_and_the_runtime(
    name: str, packages: Packages, probe: Probe
) -> None:
    seen = probe(name)

    package = packages.unpacked[name]
    ours = [package.task, package.opt, seen["runtime"]]
    standard = [Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("platstdlib"))]
    assert not [path for path in seen["path"] if "-packages" in path]
    assert not {
        module: file
        for module, file in seen["files"].items()
        if not any(Path(file).is_relative_to(folder) for folder in [*ours, *standard])
        or "-packages" in file
    }
    assert Path(seen["files"]["app"]).is_relative_to(package.task)
    assert Path(seen["files"]["parley"]).is_relative_to(package.opt)


def test_only_functions_that_run_agents_carry_their_layer(packages: Packages) -> None:
    carry = {name for name, layers in packages.built.layers.items() if "AgentsLayer" in layers}

    assert carry == RUN_AGENTS


@pytest.mark.parametrize("name", LOOKED_AT)
def test_only_functions_that_run_agents_have_their_sdk(name: str, probe: Probe) -> None:
    seen = probe(name)

    runs_agents = name in RUN_AGENTS
    assert ("agents" in seen["files"]) == runs_agents
    # Its version too, which the SDK tells the model's server, is read from its distribution.
    assert ("openai-agents" in seen["versions"]) == runs_agents
