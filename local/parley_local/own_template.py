"""A template of a project's own, instead of Parley's: what it lacks that this version needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from parley_backend import backend
from parley_local.cloudformation import load
from parley_project.faults import ProjectFaults
from parley_project.file import shown
from parley_project.project import Project

SERVES_ROUTES: Final = "Sessions"
"""The function that a project's routes are added to."""

_FOR_READERS = frozenset({"Description", "Metadata"})
_SCHEMA = ("Resources", "Migration", "Properties", "Revision")
"""The literal that each version of Parley sets anew; with an old one nothing is migrated."""


def template_of(project: Project) -> tuple[Path, Path]:
    """Return the template of a project, and the folder that its paths begin in.

    An own template names Parley's functions and layers as Parley's does.
    """
    return project.template or backend("template.yaml"), backend()


def load_own(file: Path) -> dict[str, Any]:
    """Read a file of a project's that is written as CloudFormation writes.

    Raises:
        ProjectFaults: It cannot be read.
    """
    try:
        return load(file)
    except (OSError, ValueError) as error:
        raise ProjectFaults([f"{shown(file)}: cannot be read: {error}"]) from error


def check_template(project: Project) -> list[str]:
    """Return a sentence for each thing of Parley's template that a project's own does not have.

    What the project has left out on purpose is among them; other values are nobody's concern.

    Raises:
        ProjectFaults: It cannot be read.
    """
    if project.template is None:
        return []
    name, own = shown(project.template), load_own(project.template)
    ours = load(backend("template.yaml"))
    missing = [
        f"{name}: {'.'.join(path)} is missing, which Parley's template has"
        for section in ("Parameters", "Globals", "Conditions", "Resources", "Outputs")
        for path in _missing(ours.get(section, {}), own.get(section, {}), (section,))
    ]
    needed, found = _at(ours, _SCHEMA), _at(own, _SCHEMA)
    if found is not None and found != needed:
        missing.append(f"{name}: {'.'.join(_SCHEMA)} is {found!r}, and has to be {needed!r}")
    return missing


def _missing(ours: Any, own: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the path of each key that only the first has; what is below it goes without saying."""
    if not isinstance(ours, Mapping) or not isinstance(own, Mapping) or _computed(own):
        return
    for key, value in ours.items():
        if key in _FOR_READERS or _computed({key: value}):
            continue
        if key not in own:
            yield (*path, key)
        elif path[0] != "Parameters":
            yield from _missing(value, own[key], (*path, key))


def _computed(value: Mapping[str, Any]) -> bool:
    return any(key in ("Ref", "Condition") or key.startswith("Fn::") for key in map(str, value))


def _at(document: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document
