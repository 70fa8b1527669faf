"""The runbook's statements, on the schema as it is."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

RUNBOOK = (Path(__file__).parents[3] / "docs" / "runbook.md").read_text(encoding="utf-8")
STATEMENTS: list[str] = re.findall(r"```sql\n(.*?)```", RUNBOOK, re.DOTALL)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_runs_and_changes_nothing(sql: psycopg.Connection, statement: str) -> None:
    sql.read_only = True

    assert sql.execute(statement.encode()).description
