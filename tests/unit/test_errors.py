"""Every error of ours has one root, so that one clause catches what Parley raises on purpose."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

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


def is_builtin_error(name: str) -> bool:
    found = getattr(builtins, name, None)
    return isinstance(found, type) and issubclass(found, BaseException)


def test_an_error_that_is_pythons_is_ours_too() -> None:
    bare = [
        name
        for name, bases in classes()
        if any(is_builtin_error(base) for base in bases)
        and not any(base.endswith("ParleyError") for base in bases)
    ]

    assert bare == ["layers/shared/python/parley/errors.py: ParleyError"]
