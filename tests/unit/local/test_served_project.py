"""A served project whose files change at exactly the worst moment: no change is lost."""

from __future__ import annotations

import asyncio
import logging
import os
import runpy
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from parley_local import served_project
from parley_local.prepared_project import Prepared, prepare
from parley_local.served_project import ServedProject
from parley_local.template import Template
from parley_local.watched_files import look_at
from parley_project.faults import ProjectFaults
from parley_project.project import Project
from parley_testing.waiting import HANG_SECONDS, until

PROJECT = """
[tool.parley.agents.shop]
target = "{}:build"
description = "Sells."
"""
Check = Callable[[Project, Any], Awaitable[Project]]


def sold_by(copy: Path) -> str:
    """What `SOLD` is in the copy of an agent's code; it may not be importable."""
    (file,) = copy.glob("agent.py*")
    return str(runpy.run_path(str(file))["SOLD"])


async def built(project: Project, variables: Mapping[str, str]) -> Project:
    """Build agents as another process does, which takes too long here."""
    code = Path(variables["PYTHONPATH"].split(os.pathsep)[1])
    for package in project.packages:
        try:
            sold_by(code / package.name)
        except Exception as error:
            raise ProjectFaults([repr(error)]) from error
    return project


class Desk:
    """Serves a project, and knows what has been served."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.sold: list[str] = []
        self.prices: list[str] = []
        self.serving: Callable[[], None] = lambda: None
        self._patch = monkeypatch
        monkeypatch.setattr(ServedProject, "serve", self._serve)
        self.checks(built)

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(exist_ok=True)
        (self.root / name).write_text(text)

    def checks(self, check: Check) -> None:
        """Have agents built so."""
        self._patch.setattr(served_project, "check_agents", check)

    async def _serve(self, prepared: Prepared, _: Template) -> None:
        (copy,) = (prepared.folder / "code").iterdir()
        self.sold.append(sold_by(copy))
        price = copy / "price.txt"
        self.prices.append(price.read_text() if price.exists() else "")
        serving, self.serving = self.serving, lambda: None
        serving()

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Start it, and follow its changes; what is done before `yield` is while it starts."""
        folder = self.root / ".parley/project"
        prepared = prepare(self.root, folder / "1")
        template = cast(Template, SimpleNamespace(schedules=(), queue=None))
        served = ServedProject(
            self.root, lambda _: template, template, lambda _: {}, folder, pages={}
        )
        await served.serve(prepared, template)
        following = asyncio.create_task(served.follow(prepared, migrated))
        try:
            yield
            assert not following.done()
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def migrated(_: Any) -> None:
    raise AssertionError("there are no migrations")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Desk:
    caplog.set_level(logging.INFO, served_project.__name__)
    desk = Desk(tmp_path / "own", monkeypatch)
    desk.root.mkdir()
    desk.write("pyproject.toml", PROJECT.format("shop.agent"))
    desk.write("shop/agent.py", "SOLD = 'before'\n")
    return desk


@pytest.fixture
def shown(caplog: pytest.LogCaptureFixture) -> Callable[[str], bool]:
    return lambda text: any(text in record.getMessage() for record in caplog.records)


async def test_what_changed_while_it_started_is_served(desk: Desk) -> None:
    desk.serving = lambda: desk.write("shop/agent.py", "SOLD = 'after'\n")

    async with desk.followed():
        await until(lambda: desk.sold == ["before", "after"])


async def test_what_changes_while_the_new_code_is_built_is_served(desk: Desk) -> None:
    async def and_priced(project: Project, _: Any) -> Project:
        desk.checks(built)
        desk.write("shop/price.txt", "4 EUR")
        return project

    async with desk.followed():
        desk.checks(and_priced)
        desk.write("shop/price.txt", "3 EUR")
        await until(lambda: desk.prices == ["", "3 EUR", "4 EUR"])


async def test_what_changes_while_the_new_code_is_about_to_serve_is_served(  # vercel/workflow#3529
    desk: Desk,
) -> None:
    async with desk.followed():
        desk.serving = lambda: desk.write("shop/agent.py", "SOLD = 'after'\n")
        desk.write("shop/agent.py", "SOLD = 'meanwhile'\n")
        await until(lambda: desk.sold == ["before", "meanwhile", "after"])


async def test_a_change_between_two_watches_is_served(desk: Desk) -> None:
    desk.write("store/agent.py", "SOLD = 'in the store'\n")

    async with desk.followed():
        desk.serving = lambda: desk.write("store/agent.py", "SOLD = 'after'\n")
        desk.write("pyproject.toml", PROJECT.format("store.agent"))
        await until(lambda: desk.sold == ["before", "in the store", "after"])
        desk.write("store/agent.py", "SOLD = 'in the end'\n")
        await until(lambda: desk.sold[3:] == ["in the end"])


async def test_code_that_is_mended_while_it_hangs_is_served(
    desk: Desk, shown: Callable[[str], bool]
) -> None:
    async def hangs(project: Project, _: Any) -> Project:
        desk.checks(built)
        desk.write("shop/agent.py", "SOLD = 'mended'\n")
        await asyncio.Event().wait()
        return project

    async with desk.followed():
        desk.checks(hangs)
        desk.write("shop/agent.py", "SOLD = 'while True'\n")
        await until(lambda: desk.sold == ["before", "mended"])

    assert shown("shop/agent.py changed, and again before it was built: once more.")
    # Of what was given up nothing is left.
    assert {each.name for each in (desk.root / ".parley/project").iterdir()} == {"1", "3"}


async def test_a_data_file_that_is_written_all_the_time_lets_code_be_built(desk: Desk) -> None:
    times = 0

    async def and_written(project: Project, _: Any) -> Project:
        nonlocal times
        for _ in range(30):
            desk.write("shop/log.txt", "more " * (times := times + 1))
            await asyncio.sleep(0.05)
        return project

    async with desk.followed():
        desk.checks(and_written)
        desk.write("shop/agent.py", "SOLD = 'after'\n")
        await until(lambda: "after" in desk.sold)


async def test_a_syntax_error_is_shown_and_mended(  # pallets/werkzeug#569
    desk: Desk, shown: Callable[[str], bool]
) -> None:
    async with desk.followed():
        desk.write("shop/agent.py", "SOLD = (\n")
        await until(lambda: shown("shop/agent.py changed; the code of before goes on serving."))
        assert shown("SyntaxError")
        desk.write("shop/agent.py", "SOLD = 'mended'\n")
        await until(lambda: desk.sold == ["before", "mended"])


async def test_a_file_that_is_read_while_it_is_empty_is_read_again(  # tailwindcss#5758
    desk: Desk, shown: Callable[[str], bool]
) -> None:
    async with desk.followed():
        with (desk.root / "shop/agent.py").open("w") as file:
            await until(lambda: shown("shop/agent.py changed; the code of before goes on serving."))
            file.write("SOLD = 'whole'\n")
        await until(lambda: desk.sold == ["before", "whole"])


async def test_code_of_a_new_package_that_did_not_serve_yet_is_mended(
    desk: Desk, shown: Callable[[str], bool]
) -> None:
    desk.write("store/agent.py", "SOLD = (\n")

    async with desk.followed():
        desk.write("pyproject.toml", PROJECT.format("store.agent"))
        await until(lambda: shown("pyproject.toml changed; the code of before goes on serving."))
        desk.write("store/agent.py", "SOLD = 'in the store'\n")
        await until(lambda: desk.sold == ["before", "in the store"])


async def test_a_package_that_is_named_before_it_is_there_is_served_once_it_is(
    desk: Desk, shown: Callable[[str], bool]
) -> None:
    async with desk.followed():
        desk.write("pyproject.toml", PROJECT.format("store.agent"))
        await until(lambda: shown("no such module"))
        desk.write("store/agent.py", "SOLD = 'in the store'\n")
        await until(lambda: desk.sold == ["before", "in the store"])


async def test_a_package_that_was_gone_for_a_while_is_served(  # foreversd/forever#1066
    desk: Desk, shown: Callable[[str], bool]
) -> None:
    async with desk.followed():
        shutil.rmtree(desk.root / "shop")
        await until(lambda: shown("no such module"))
        desk.write("shop/agent.py", "SOLD = 'of another branch'\n")
        await until(lambda: desk.sold == ["before", "of another branch"])
        desk.write("shop/agent.py", "SOLD = 'after'\n")
        await until(lambda: desk.sold[2:] == ["after"])


async def test_nothing_is_served_anew_where_nothing_changes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def count(*each: Any) -> Any:
        nonlocal looks
        looks += 1
        return look_at(*each)

    monkeypatch.setattr("parley_local.watching.look_at", count)
    async with asyncio.timeout(HANG_SECONDS), desk.followed():
        (desk.root / "other.txt").write_text("beside the project's files")
        (desk.root / ".parley/log").write_text("of the gateway")
        await until(lambda: looks >= 3)

    assert desk.sold == ["before"]
