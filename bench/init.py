"""What a project adds to the init of each packaged function: the same with and without it.

    make bench-init

Both are built and unpacked as on Lambda: Parley alone, and the starter of `parley init`, whose code
is in a layer of its own. For each function: what the emulator reports as the time of its init, the
processor's time for its imports, and how many modules those are. Each figure is the least of all
rounds, since whatever else the machine does only adds to it; the two take turns in each round. The
last column compares the imports, without a project, with a bare `import agents` from the same
package, which is not imported as `parley.lean_imports` has it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from parley_packages.project_layer import LAYER
from parley_project.starting import start_project
from parley_testing.packaged.emulator import Emulator, architecture
from parley_testing.packaged.packages import Packages, make_packages, unpack

_IMPORTS = """
import json, resource, sys
import {imported}
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([1000 * (used.ru_utime + used.ru_stime), len(sys.modules)]), file=sys.stderr)
"""

# Enough to start with; nothing is asked of any of them while a function starts.
_SURROUNDINGS = {
    "AWS_REGION": "eu-west-1",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "DATABASE_URL": "postgresql://none@127.0.0.1/none",
    "DATABASE_RUNTIME_URL": "postgresql://none@127.0.0.1/none",
    "OPENAI_API_KEY": "none",
    "AGENT_SESSION_TABLE": "none",
    "WAKE_QUEUE_URL": "http://127.0.0.1/none",
    "OIDC_ISSUER": "http://127.0.0.1",
    "OIDC_AUDIENCE": "none",
}
_SIDES = ("alone", "project")
# Carries the SDK.
_SDK_IN = "Messages"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with TemporaryDirectory(prefix="parley-init-") as directory:
        folder = Path(directory)
        for side in _SIDES:
            (folder / side).mkdir()
        sides = {"alone": make_packages(folder / "alone"), "project": _of_project(folder)}
        assert LAYER in sides["project"].zips
        figures: dict[tuple[str, str], list[tuple[float, float, int]]] = defaultdict(list)
        bare = []
        for number in range(rounds):
            for function in sides["alone"].unpacked:
                for side in _SIDES:
                    log = folder / f"{number}-{side}-{function}.log"
                    figures[function, side].append(_start(sides[side], function, log))
            bare.append(_imports(sides["alone"], _SDK_IN, "agents")[0])
    _tell(figures, min(bare))


def _of_project(folder: Path) -> Packages:
    """Build the starter, with the Parley of this checkout."""
    root, build, zips = folder / "my-desk", folder / "build", folder / "zips"
    start_project(root, "todo")
    commands = (
        ["parley_cli.start", "build", "--project", root, "--build-dir", build],
        ["parley_packages.zips", build, zips],
    )
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-P", "-m", *map(str, command)],
            env={
                **os.environ,
                "ARCH": architecture(),
                "PARLEY_PYTHON": "{}.{}".format(*sys.version_info),
            },
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return unpack(build, zips, folder / "project")


def _start(packages: Packages, name: str, log: Path) -> tuple[float, float, int]:
    """Return the milliseconds of an init, those of the processor for its imports, the modules."""
    function, unpacked = packages.functions[name], packages.unpacked[name]
    variables = {**function.variables, **_SURROUNDINGS}
    milliseconds = 0.0
    if not function.is_web_server:
        with Emulator(unpacked, variables, log) as emulator:
            emulator.invoke({})
            milliseconds = emulator.init_milliseconds
    return milliseconds, *_imports(packages, name, "app")


def _imports(packages: Packages, name: str, imported: str) -> tuple[float, int]:
    """Return the processor's milliseconds for an import in a function, and the modules then."""
    function, unpacked = packages.functions[name], packages.unpacked[name]
    variables = {**function.variables, **_SURROUNDINGS}
    done = subprocess.run(
        # The runtime's Python, without any site-packages.
        [Path(sys.executable).resolve(), "-S", "-c", _IMPORTS.format(imported=imported)],
        cwd=unpacked.task,
        env={**variables, "PYTHONPATH": f"{unpacked.opt / 'python'}:{unpacked.runtime}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    used, modules = json.loads(done.stderr.splitlines()[-1])
    return used, modules


def _tell(figures: dict[tuple[str, str], list[tuple[float, float, int]]], bare: float) -> None:
    print(f"{'':<12}{'init, ms':^18}{'imports, CPU ms':^18}{'modules':^18}{'of the SDK':>11}")
    print(f"{'':<12}" + f"{'alone':>9}{'project':>9}" * 3)
    for function in dict.fromkeys(name for name, _ in figures):
        least = [
            [min(each) for each in zip(*figures[function, side], strict=True)] for side in _SIDES
        ]
        line = f"{function:<12}"
        for alone, project in zip(*least, strict=True):
            line += f"{_shown(alone):>9}{_shown(project):>9}"
        print(f"{line}{least[0][1] / bare:11.2f}")
    print(f"{'import agents':<30}{_shown(bare):>9}")


def _shown(figure: float) -> str:
    return f"{figure:.0f}" if figure else "-"


if __name__ == "__main__":
    main()
