"""Where the code of a project is, and whether its names leave other packages alone."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.machinery import PathFinder
from pathlib import Path

from parley_project.table import Table

TAKEN = {
    "agents": "the Agents SDK",
    "openai": "OpenAI's client",
    "parley": "Parley",
    "parley_manifest": "Parley",
    "app": "each of Parley's functions",
}
"""Names that a package of a project would take away from others, and from whom."""


def find_code(
    root: Path, table: Table, named: Iterable[tuple[str, str]]
) -> tuple[Path, tuple[Path, ...]]:
    """Find the project's packages.

    Args:
        root: The project's folder.
        table: `[tool.parley]`.
        named: What names a module of the project, each with the key that does.

    Returns:
        The folder that they are imported from, and each package, or module that is a file.
    """
    named = [(target.split(":")[0].split(".")[0], key) for target, key in named]
    listed = table.texts("packages")
    wanted = {name: "packages" for name in listed} | dict(named)
    given = table.text("source")
    if given is not None and not (root / given).is_dir():
        table.fault("source", f"there is no folder {given}")
    in_src = given is None and any(_find(root / "src", name) for name in wanted)
    source = (root / (given or ("src" if in_src else "."))).resolve()
    packages = []
    for name, key in wanted.items():
        found = _find(source, name)
        if name in TAKEN and found is not None:
            table.fault(
                key, f"{found.name} has the name of {TAKEN[name]}, and would hide it; rename it"
            )
        elif name in sys.stdlib_module_names:
            table.fault(key, f"{name} is a module of Python's own; rename yours")
        elif found is not None:
            packages.append(found)
        elif name in listed or PathFinder.find_spec(name) is None:
            table.fault(
                key, f"no such module: there is neither {name}/ nor {name}.py in {source},"
                " and nothing of that name is installed"
            )  # fmt: skip
    return source, tuple(packages)


def _find(source: Path, name: str) -> Path | None:
    folder, file = source / name, source / f"{name}.py"
    if folder.is_dir() and any(folder.rglob("*.py")):
        return folder
    return file if file.is_file() else None
