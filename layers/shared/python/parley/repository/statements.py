"""The statements of a turn's life, which stand whole in `sql/`, to be pasted into psql."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import TextClause, text

_FOLDER = Path(__file__).with_name("sql")


def statement(name: str) -> TextClause:
    """Return the statement of a file in `sql/`, without its comments.

    Args:
        name: The file's, without its ending.
    """
    lines = (_FOLDER / f"{name}.sql").read_text(encoding="utf-8").splitlines()
    return text("\n".join(line for line in lines if not line.startswith("--")))
