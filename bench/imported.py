"""What a function's imports consist of: the processor's time and the modules of each library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

# The time that a module takes by itself, without those that it imports.
_PROFILED = """
import importlib.machinery, json, sys, time
own, inner = {}, [0.0]
def timed(loader):
    execute = loader.exec_module
    def exec_module(self, module):
        begun = time.process_time()
        inner.append(0.0)
        try:
            execute(self, module)
        finally:
            taken = time.process_time() - begun
            own.setdefault(module.__name__.split(".")[0], []).append(taken - inner.pop())
            inner[-1] += taken
    loader.exec_module = exec_module
timed(importlib.machinery.SourceFileLoader)
timed(importlib.machinery.ExtensionFileLoader)
import app
print(json.dumps({name: [1000 * sum(each), len(each)] for name, each in own.items()}))
"""
STANDARD = "Python's own modules"
SHOWN = 14


@dataclass(frozen=True)
class Library:
    """A library's share of what starting a function takes.

    Attributes:
        name: Its top-level package, or `STANDARD`.
        cpu: The processor's milliseconds.
        modules: How many modules.
    """

    name: str
    cpu: float
    modules: int


def libraries(
    path: str, env: Mapping[str, str], rounds: int = 3, *, before: str = ""
) -> list[Library]:
    """Return what a function imports by library, what takes most first.

    Args:
        path: The function's folder.
        env: What it needs to start.
        rounds: The least of so many counts.
        before: What is done before anything is imported.
    """
    runs: list[dict[str, list[float]]] = []
    for _ in range(rounds):
        done = subprocess.run(
            [sys.executable, "-c", f"{before}\n{_PROFILED}"],
            env=os.environ | env | {"PYTHONPATH": os.pathsep.join([path, *sys.path])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    found: dict[str, list[float]] = {}
    for name, (_, modules) in runs[0].items():
        group = found.setdefault(STANDARD if name in sys.stdlib_module_names else name, [0.0, 0])
        group[0] += min(run[name][0] for run in runs)
        group[1] += modules
    parts = [Library(name, cpu, int(modules)) for name, (cpu, modules) in found.items()]
    return sorted(parts, key=lambda part: -part.cpu)
