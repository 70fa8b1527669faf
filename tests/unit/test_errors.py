"""Every error of ours has one root, so that one clause catches what Parley raises on purpose."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Collection, Iterator

from parley_backend import backend

ROOT = backend()

ALONE = {"cli/parley_client", "functions/authorizer", "functions/migrate/app.py"}
"""What stands by itself: the last answers too where the package that has the root is missing."""


def classes() -> Iterator[tuple[str, list[str]]]:
    """Every class of ours with the names of those that it is made of."""
    for folder in ("layers/shared/python", "functions", "local", "cli", "project", "packaging"):
        for path in (ROOT / folder).rglob("*.py"):
            place = path.relative_to(ROOT).as_posix()
            if any(place.startswith(alone) for alone in ALONE) or ".aws-sam" in place:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    yield f"{place}: {node.name}", [ast.unparse(base) for base in node.bases]


def is_anothers_error(name: str, ours: Collection[str]) -> bool:
    found = getattr(builtins, name, None)
    if isinstance(found, type) and issubclass(found, BaseException):
        return True
    last = name.rpartition(".")[2]
    return last.endswith(("Error", "Exception")) and last not in ours


def test_an_error_that_is_anothers_is_ours_too() -> None:
    found = list(classes())
    ours = {name.rpartition(": ")[2] for name, _ in found}
    bare = [
        name
        for name, bases in found
        if any(is_anothers_error(base, ours) for base in bases)
        and not any(base.endswith("ParleyError") for base in bases)
    ]

    assert bare == ["layers/shared/python/parley/errors.py: ParleyError"]
