"""Waiting for a change of files, with and without a system that tells of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import pytest

from parley_local import watching as module
from parley_local.watched_files import Watched, look_at
from parley_local.watching import watching
from parley_testing.waiting import HANG_SECONDS, until

AtEachLook = Callable[[Callable[[int], object]], None]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "agent.py").write_text("before")
    return Watched(tmp_path, frozenset({folder}), frozenset({tmp_path / ".env"}))


@pytest.fixture
def at_each_look(monkeypatch: pytest.MonkeyPatch) -> AtEachLook:
    """Has something done before each look at the files, which is given the look's number."""

    def at_each_look(do: Callable[[int], object]) -> None:
        numbers = count(1)

        def look(*each: Any) -> Any:
            do(next(numbers))
            return look_at(*each)

        monkeypatch.setattr(module, "look_at", look)

    return at_each_look


@pytest.mark.parametrize("name", ["shop/agent.py", "shop/new.py", ".env"])
async def test_the_system_tells_when_looking_is_worth_while(
    watched: Watched, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def counted(*each: Any) -> Any:
        nonlocal looks
        look = look_at(*each)
        looks += 1
        return look

    monkeypatch.setattr(module, "look_at", counted)
    seen = look_at(watched)
    async with asyncio.timeout(HANG_SECONDS), watching(watched, 2 * HANG_SECONDS) as watch:
        change = asyncio.create_task(watch.change(seen))
        await until(lambda: looks)  # which found nothing
        times = 0
        while not change.done():  # the first may come before the system is asked to tell
            (tmp_path / name).write_text("again " * (times := times + 1))
            await asyncio.wait({change}, timeout=0.5)

    assert change.result() == [tmp_path / name]


async def test_a_change_of_before_the_watch_is_found_at_once(
    watched: Watched, tmp_path: Path
) -> None:
    seen = look_at(watched)
    (tmp_path / "shop/agent.py").write_text("after")

    async with asyncio.timeout(HANG_SECONDS), watching(watched, 2 * HANG_SECONDS) as watch:
        assert await watch.change(seen) == [tmp_path / "shop/agent.py"]


async def test_where_nobody_tells_of_changes_they_are_looked_for(  # CodeGraphContext#1134
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_each_look: AtEachLook
) -> None:
    def none_left(*_: Any, **__: Any) -> NoReturn:
        raise OSError("no watches left")

    monkeypatch.setattr(module, "awatch", none_left)

    def write(looks: int) -> None:
        if looks == 2:
            (tmp_path / "shop/agent.py").write_text("after")

    at_each_look(write)
    seen = look_at(watched)

    async with asyncio.timeout(HANG_SECONDS), watching(watched, 0.01) as watch:
        assert await watch.change(seen) == [tmp_path / "shop/agent.py"]


async def test_who_writes_several_files_is_waited_for(
    watched: Watched, tmp_path: Path, at_each_look: AtEachLook
) -> None:
    def write(looks: int) -> None:
        if looks < 4:
            (tmp_path / f"shop/{looks}.py").write_text("one more")

    at_each_look(write)
    seen = look_at(watched)

    async with asyncio.timeout(HANG_SECONDS), watching(watched) as watch:
        assert await watch.change(seen) == [tmp_path / f"shop/{n}.py" for n in (1, 2, 3)]


async def test_what_is_written_all_the_time_is_not_waited_for(
    watched: Watched, tmp_path: Path, at_each_look: AtEachLook
) -> None:
    at_each_look(lambda looks: (tmp_path / "shop/log").write_text("more " * looks))
    seen = look_at(watched)

    async with asyncio.timeout(HANG_SECONDS), watching(watched) as watch:
        assert await watch.change(seen) == [tmp_path / "shop/log"]


async def test_what_was_made_and_is_gone_again_is_no_change(
    watched: Watched, tmp_path: Path, at_each_look: AtEachLook
) -> None:
    def write(looks: int) -> None:
        passing = tmp_path / "shop/lock"
        if looks == 1:
            passing.touch()
        elif passing.exists():
            passing.unlink()
        elif looks == 6:
            (tmp_path / "shop/agent.py").write_text("after")

    at_each_look(write)
    seen = look_at(watched)

    async with asyncio.timeout(HANG_SECONDS), watching(watched, 0.01) as watch:
        assert await watch.change(seen) == [tmp_path / "shop/agent.py"]


async def test_only_what_counts_is_waited_for(watched: Watched, tmp_path: Path) -> None:
    seen = look_at(watched)
    (tmp_path / "shop/price.txt").write_text("3 EUR")

    async with asyncio.timeout(HANG_SECONDS), watching(watched, 0.01) as watch:
        change = asyncio.create_task(watch.change(seen, lambda file: file.suffix == ".py"))
        await asyncio.wait({change}, timeout=0.2)
        assert not change.done()
        (tmp_path / "shop/agent.py").write_text("after")
        assert await change == [tmp_path / "shop/agent.py", tmp_path / "shop/price.txt"]
