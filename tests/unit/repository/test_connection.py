"""What is private of psycopg: all still there, in the versions that the requirements let in."""

from __future__ import annotations

import ast
import tomllib
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement
from psycopg import Connection, Cursor
from psycopg.pq import PGconn

from parley.repository import connection

ROOT = Path(__file__).parents[3]
NAMES = {
    node.attr
    for node in ast.walk(ast.parse(Path(connection.__file__).read_text()))
    if isinstance(node, ast.Attribute)
    and node.attr.startswith("_")
    and not node.attr.startswith("__")
}
OF_CURSORS = {"_execmany_returning", "_last_query", "_rowcount", "_tx"}
"""What each cursor has of its own."""


def test_what_is_called_is_there() -> None:
    own = {"_Connection", "_Cursor", "_first_gen"}
    missing = {
        name
        for name in NAMES - OF_CURSORS - own
        if not any(hasattr(each, name) for each in (Cursor, Connection, PGconn))
    }

    assert missing == set()
    assert {"_convert_query", "_execute_send", "_get_tx_start_command"} <= NAMES


def test_what_each_cursor_has_is_there() -> None:
    slots = {slot for kind in Cursor.__mro__ for slot in getattr(kind, "__slots__", ())}

    assert slots >= OF_CURSORS


def test_the_requirements_end_before_the_next_version() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    required = map(Requirement, pyproject["project"]["dependencies"])
    (specifier,) = (each.specifier for each in required if each.name == "psycopg")

    assert not specifier.contains("3.4.0")
    assert specifier.contains(version("psycopg"))
