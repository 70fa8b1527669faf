"""Where processes are killed in `make test`: at each kind of point, and who adds one is told."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from parley.testing.processes import Point
from parley_testing.scenarios import where_to_kill
from parley_testing.scenarios.where_to_kill import KILLED, STOPPED, Scene, kills, stops

FAULTS = Path(__file__).parents[2] / "faults"
TABLES = pytest.mark.parametrize("table", [KILLED, STOPPED], ids=["killed", "stopped"])


@pytest.fixture(autouse=True)
def in_make_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(where_to_kill, "AT_LENGTH", False)


def passed(scene: Scene, store: str = "Sqlite", *, often: int = 2) -> list[Point]:
    """What a scene has to pass, each so often."""
    other = {"Sqlite": " DynamoDb", "DynamoDb": " Sqlite"}[store]
    names = [name for name, scenes in KILLED.items() if scene in scenes and other not in name]
    return [(name, passing + 1) for passing in range(often) for name in names]


@TABLES
def test_each_kind_has_a_scene(table: dict[str, tuple[Scene, ...]]) -> None:
    assert [name for name, scenes in table.items() if not scenes] == []


def test_each_scene_is_some_tests() -> None:
    tests = "".join(each.read_text() for each in FAULTS.glob("test_*.py"))

    assert [scene for scene in get_args(Scene) if f'"{scene}"' not in tests] == []


def test_each_scene_takes_something_in_either_store() -> None:
    for scene in get_args(Scene):
        for store in ("Sqlite", "DynamoDb"):
            assert kills(scene, passed(scene, store))


def test_what_is_to_be_done_has_stops_wherever_it_is_killed_in_the_same_scenes() -> None:
    """A kind that only other tests' scenes pass needs none."""
    scenes: set[Scene] = {"tools", "agents", "asking"}
    here = {name for name, killed in KILLED.items() if scenes & {*killed}}

    assert {name for name in here if not name.startswith("after ")} <= STOPPED.keys()


def test_in_a_scene_one_passing_of_each_of_its_kinds_is_taken() -> None:
    points = [*passed("tools", often=3), ("before the tool note", 1)]

    taken = kills("tools", points)

    assert sorted(name for name, _ in taken) == sorted({name for name, _ in passed("tools")})
    assert taken == [point for point in points if point in taken]
    assert len({passing for _, passing in taken}) > 1, "always the same passing"
    assert kills("tools", points) == taken


def test_in_dynamodb_only_its_own_are_taken() -> None:
    points = [*passed("tools", "DynamoDb"), ("before TurnRepository.begin", 1)]

    assert {name for name, _ in kills("tools", points)} == {
        "after DynamoDbStore.record",
        "before DynamoDbStore.finish",
    }


def test_a_kind_without_a_row_is_told_of() -> None:
    new = ("before the tool new_one", 1)

    with pytest.raises(
        AssertionError, match=r"passes \['before the tool new_one'\].*row in KILLED"
    ):
        kills("tools", [*passed("tools"), new])
    with pytest.raises(AssertionError, match=r"passes \['before the tool new_one'\].*in STOPPED"):
        stops("tools", [new])


def test_what_is_done_needs_no_stop() -> None:
    points = [(name, 1) for name, scenes in STOPPED.items() if "tools" in scenes]

    assert stops(
        "tools", [each for each in points if "DynamoDb" not in each[0]] + [("after it", 1)]
    )


def test_a_lease_may_be_renewed_where_the_machine_is_slow() -> None:
    renewed = [("before TurnRepository.renew", 1), ("after TurnRepository.renew", 1)]
    undone = [(name, 1) for name, scenes in STOPPED.items() if "asking" in scenes]
    undone = [each for each in undone if "DynamoDb" not in each[0]]

    assert kills("tools", [*passed("tools"), *renewed]) == kills("tools", passed("tools"))
    assert stops("asking", [*undone, *renewed]) == stops("asking", undone)


def test_a_kind_that_its_scene_passes_no_more_is_told_of() -> None:
    points = [each for each in passed("tools") if each[0] != "before a model call"]

    with pytest.raises(AssertionError, match=r"passes \['before a model call'\] no more: give"):
        kills("tools", points)


def test_at_length_all_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(where_to_kill, "AT_LENGTH", True)
    points = passed("tools", often=3)

    assert kills("tools", points) == points
    assert kills("tools", points, one_in=3) == points[::3]
