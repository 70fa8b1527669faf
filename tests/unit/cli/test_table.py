"""Tables on a terminal: whole words, times and ids, however wide it is."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from parley_cli.table import show_rows, told

TIME = datetime(2026, 11, 21, 16, 29, tzinfo=UTC)
IDS = (UUID(int=2**127 + 1), UUID(int=2**127 + 2))
HEADINGS = ("name", "agent", "status", "last activity", "id")
ROWS = [
    ("trip to Oslo with Anna and everybody else", "todo", "active", TIME, IDS[0]),
    (None, "support", "escalated", TIME, IDS[1]),
]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Print the rows on a terminal of so many columns; gives the lines."""

    def show(columns: int, headings: tuple[str, ...] = HEADINGS, rows: object = ROWS) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(columns))
        show_rows(headings, rows)  # type: ignore[arg-type]
        return capsys.readouterr().out.splitlines()

    return show


@pytest.mark.parametrize("columns", [200, 120, 100, 80, 60, 50, 40, 36])
def test_no_word_time_or_id_is_broken_and_no_line_is_too_long(shown, columns: int) -> None:  # type: ignore[no-untyped-def]
    lines = shown(columns)

    for whole in (*map(str, IDS), told(TIME), "escalated", "support", "everybody", "Anna"):
        assert any(whole in line for line in lines), (whole, lines)
    assert max(map(len, lines)) <= max(columns, len("id ") + 36)


def test_with_room_a_row_is_a_line(shown) -> None:  # type: ignore[no-untyped-def]
    assert [line.split("  ")[0] for line in shown(140)] == ["name", ROWS[0][0], "–"]  # noqa: RUF001


def test_without_room_for_the_ids_they_stand_below(shown) -> None:  # type: ignore[no-untyped-def]
    lines = shown(80)

    assert lines[0].split() == ["name", "agent", "status", "last", "activity"]
    assert [line for line in lines if line.startswith("  ")] == [f"  {id}" for id in IDS]


def test_without_room_for_a_line_each_cell_has_one(shown) -> None:  # type: ignore[no-untyped-def]
    lines = shown(40)

    assert "agent todo" in lines
    assert f"last activity {told(TIME)}" in lines
    assert f"id {IDS[0]}" in lines or f"{IDS[0]}" in lines
    assert "" in lines  # between rows


def test_fields_stand_below_their_names_where_it_is_narrow(shown) -> None:  # type: ignore[no-untyped-def]
    fields = [("turn.usage.output_tokens", 7), ("turn.id", IDS[0])]

    assert shown(100, ("", ""), fields) == [
        "turn.usage.output_tokens  7",
        f"turn.id                   {IDS[0]}",
    ]
    assert shown(40, ("", ""), fields) == [
        "turn.usage.output_tokens",
        "  7",
        "turn.id",
        f"  {IDS[0]}",
    ]


def test_no_rows_are_headings_alone(shown) -> None:  # type: ignore[no-untyped-def]
    assert len(shown(120, HEADINGS, [])) == 1
