"""What the start of a packaged function imports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from parley_testing.packaged.emulator import Emulator, Unpacked

_PROBE = """
import importlib.metadata, sys
import app, parley.config

def handler(event, context):
    return {
        "path": sys.path,
        "modules": sorted(sys.modules),
        "files": {
            name: module.__file__
            for name, module in list(sys.modules.items())
            if getattr(module, "__file__", None)
        },
        "versions": {found.name: found.version for found in importlib.metadata.distributions()},
    }
"""
"""A handler that imports the function as Lambda would, and tells where everything came from."""


def probe(function: Unpacked, variables: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Return what a handler in a function's place sees of its start.

    Args:
        function: Which.
        variables: Its environment.
        folder: An empty one, where the probe's runtime (`runtime`) and log go.
    """
    runtime = folder / "runtime"
    runtime.mkdir()
    for path in function.runtime.iterdir():
        (runtime / path.name).symlink_to(path)
    (runtime / "probe.py").write_text(_PROBE)
    probed = replace(function, runtime=runtime)
    with Emulator(probed, variables, folder / "probe.log", handler="probe.handler") as emulator:
        seen: dict[str, Any] = emulator.invoke({}).json
    assert "errorType" not in seen, seen
    return seen
