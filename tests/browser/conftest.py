"""One `make dev`, one model and one browser for all tests of the pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from parley_local.stack import LocalStack
from parley_testing.models.told_model import ToldModel
from parley_testing.pages.browser import HANG_MILLISECONDS, Visit, sign_in, sign_in_here, started
from parley_testing.refunds_project import refunds_project
from parley_testing.waiting import HANG_SECONDS
from parley_testing.warm.starting import Starts, forked_starts

expect.set_options(timeout=HANG_MILLISECONDS)


@pytest.fixture(scope="session")
def model() -> Iterator[ToldModel]:
    with ToldModel() as model:
        yield model


@pytest.fixture(scope="session", autouse=True)
def forks() -> Iterator[Starts | None]:
    """Forks `make dev` and its processes from one that has imported them; None at length."""
    with forked_starts() as starts:
        yield starts


@pytest.fixture(scope="session")
def stack(model: ToldModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    env = {
        "OPENAI_API_KEY": "test",
        "OPENAI_BASE_URL": model.base_url,
        "OPENAI_MODEL": "told",
        "OFFLINE_MODEL": "",
    }
    folder = tmp_path_factory.mktemp("stack")
    project = refunds_project(folder / "own")
    with LocalStack(folder / "data", env=env, project=project, ready_within=HANG_SECONDS) as stack:
        yield stack


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with started() as browser:
        yield browser


Enter = Callable[..., Visit]
USUAL: ViewportSize = {"width": 1280, "height": 720}


@pytest.fixture
def visit(stack: LocalStack, browser: Browser) -> Iterator[Enter]:
    """Makes visits, as of people at browsers of their own; what they did wrong fails the test."""
    visits: list[Visit] = []

    def enter(*allowed: str, **settings: Any) -> Visit:
        visits.append(Visit(browser, stack.url, *allowed, **settings))
        return visits[-1]

    yield enter
    for each in visits:
        each.close()


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    """A user of the test's own."""
    name: str = request.node.name
    return name[:100].replace(" ", "_")


@pytest.fixture(scope="session")
def chat_visit(stack: LocalStack, browser: Browser) -> Iterator[Visit]:
    """The browser behind `page`."""
    visit = Visit(browser, stack.url, viewport=USUAL)
    visit.tab().goto("/chat")
    yield visit
    visit.close()


@pytest.fixture
def page(chat_visit: Visit, user: str) -> Iterator[Page]:
    """The chat page, with the test's user signed in.

    It is one tab for all tests, in which one user signs in after the other: a tab of its own is a
    process. Who looks at what the browser keeps, or changes its clock, makes a visit.
    """
    (page,) = chat_visit.context.pages
    sign_in_here(page, user)
    yield page
    try:
        chat_visit.check()
    finally:
        page.unroute_all()
        page.set_viewport_size(USUAL)
        page.evaluate("[sessionStorage, localStorage].forEach((each) => each.clear())")
        page.goto("/chat")


@pytest.fixture(scope="session")
def console_visit(stack: LocalStack, browser: Browser) -> Iterator[Visit]:
    """The browser behind `console`."""
    visit = Visit(browser, stack.url)
    sign_in(visit.tab(), "root", "/console")
    yield visit
    visit.close()


@pytest.fixture
def console(console_visit: Visit) -> Iterator[Page]:
    """The operations page, with an administrator signed in: one tab for all tests."""
    (page,) = console_visit.context.pages
    page.goto("/console#turns/nothing")  # where the last test ended is not looked at again
    expect(page.get_by_role("alert")).to_contain_text("There is no such turn")
    page.goto("/console#now")
    # The status says "Now is shown." since before; who comes early has the focus taken from them.
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator(".body")).not_to_have_attribute("aria-busy", "true")
    yield page
    try:
        console_visit.check()
    finally:
        page.unroute_all()
