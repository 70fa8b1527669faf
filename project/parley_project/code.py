"""Where the code of a project is, and whether its names leave other packages alone."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
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

_HARMLESS = frozenset({"test", "this", "antigravity", "idlelib", "lib2to3", "turtledemo"})
"""Modules of Python's own that nothing imports."""


def find_code(
    root: Path, table: Table, named: Iterable[tuple[str, str]]
) -> tuple[Path, tuple[Path, ...]]:
    """Find the project's packages.

    Args:
        root: The project's folder.
        table: `[tool.parley]`.
        named: What names a module of the project, each with the key that does.

    Returns:
        The folder that they are imported from, the first where `source` lists several, and each
        package, or module that is a file.
    """
    named = [(target.split(":")[0].split(".")[0], key) for target, key in named]
    listed = table.texts("packages")
    wanted = {name: "packages" for name in listed} | dict(named)
    given = table.text_or_texts("source")
    for folder in given:
        if not (root / folder).is_dir():
            table.fault("source", f"there is no folder {folder}")
    in_src = not given and any(_find(root / "src", name) for name in wanted)
    sources = [(root / folder).resolve() for folder in given or ("src" if in_src else ".",)]
    packages = []
    for name, key in wanted.items():
        found = next((there for source in sources if (there := _find(source, name))), None)
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
                key, f"no such module: there is neither {name}/ nor {name}.py in"
                f" {' or '.join(map(str, sources))},"
                " and nothing of that name is installed"
            )  # fmt: skip
    for source in dict.fromkeys(package.parent for package in packages):
        for beside, owner in _in_the_way(source, frozenset(wanted)):
            fault = f"{beside.name} in {source} has the name of {owner}, and would hide it"
            table.fault("source", f"{fault}; rename it")
    return sources[0], tuple(packages)


def _in_the_way(source: Path, named: frozenset[str]) -> Iterator[tuple[Path, str]]:
    """Yield what lies beside the packages, and is imported too, instead of what has its name."""
    for beside in sorted(source.iterdir()):
        is_package = (beside / "__init__.py").is_file()
        name = beside.name if is_package else beside.stem
        if name in named or not (is_package or (beside.suffix == ".py" and beside.is_file())):
            continue
        if name in TAKEN and name != "app":  # a function's own comes first
            yield beside, TAKEN[name]
        elif name in sys.stdlib_module_names - _HARMLESS:
            yield beside, "a module of Python's own"


def _find(source: Path, name: str) -> Path | None:
    folder, file = source / name, source / f"{name}.py"
    if folder.is_dir() and any(folder.rglob("*.py")):
        return folder
    return file if file.is_file() else None
