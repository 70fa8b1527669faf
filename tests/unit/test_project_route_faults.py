"""What is said of a project's routes before anything of it is served or deployed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from parley.http.declared import declared
from parley.manifest import locate
from parley_project.routes import PATHS_MAX, faults_between, faults_of_router, found_in

Faults = Callable[..., list[str]]
HEAD = """
from parley.http import Caller, Database, Router
from aws_lambda_powertools.event_handler import exceptions
router = Router()
class Own(Exception): ...
"""


@pytest.fixture(autouse=True)
def _forgets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("shop"):
            del sys.modules[name]


@pytest.fixture
def faults(tmp_path: Path) -> Faults:
    """Return what is wrong with a module of routes, whose text begins with `HEAD`."""

    def of(code: str, more: str | None = None) -> list[str]:
        (tmp_path / "shop_one.py").write_text(HEAD + code)
        (tmp_path / "shop_two.py").write_text(HEAD + (more or ""))
        names = ["shop_one"] if more is None else ["shop_one", "shop_two:router"]
        found = [fault for named in names for fault in faults_of_router(named)]
        return found or [fault for _, fault in faults_between(found_in(names))]

    return of


def route(path: str, *, name: str = "answer", takes: str = "", decorator: str = "get") -> str:
    return f'\n@router.{decorator}("{path}")\ndef {name}({takes}) -> dict[str, str]: return {{}}\n'


@pytest.mark.parametrize(
    "code",
    [
        route("/notes") + route("/notes", name="add", decorator="post"),
        route("/notes/<note_id>/parts/<part_id>", takes="note_id: str, part_id: int"),
        route("/notes", takes="user: Caller, database: Database, limit: int = 3"),
        route("/notes") + "\n@router.exception_handler(Own)\ndef own(error): ...\n",
        route("/sessions-of-mine/v1.0/~x_y"),
    ],
)
def test_nothing_is_wrong_with(faults: Faults, code: str) -> None:
    assert faults(code) == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("", "shop_one:router has no route"),
        ("router = 3", "shop_one:router is an int, not a Router of parley.http"),
        (route("notes"), "shop_one.py:7 answer: GET notes: a path begins with /"),
        (route("/"), "'' is no part of a path"),
        (route("/notes/"), "'' is no part of a path"),
        (route("/notes//x"), "'' is no part of a path"),
        (route("/notes/v<x>", takes="x: str"), "'v<x>' is no part of a path"),
        (route("/notes/{x}", takes="x: str"), "'{x}' is no part of a path"),
        (route("/notes/a b"), "'a b' is no part of a path"),
        (route("/" + "x" * 100), "a path has 80 characters at most"),
        (route("/sessions"), "what is below /sessions is Parley's"),
        (route("/sessions/<session_id>/notes", takes="session_id: str"), "below /sessions is"),
        (route("/docs"), "below /docs is Parley's"),
        (route("/openapi.json"), "below /openapi.json is Parley's"),
        (route("/admin/notes"), "below /admin is Parley's"),
        (route("/<anything>", takes="anything: str"), "in the way of Parley's own"),
        (route("/notes/<note_id>"), "the function no parameter note_id"),
        (route("/notes", takes="what: object()"), "its types cannot be read"),
        (
            "\n@router.get('/notes')\nasync def answer() -> None: ...\n",
            "GET /notes: an async function",
        ),
        (
            "\n@router.route('/notes', 'OPTIONS')\ndef answer() -> None: ...\n",
            "is one of GET, POST",
        ),
        (route("/notes") + "\nrouter.use([print])\n", "middlewares that would run for Parley's"),
        (
            route("/notes") + "\n@router.exception_handler(Exception)\ndef every(error): ...\n",
            "has a handler of Exception, which Parley answers",
        ),
        (
            route("/notes") + "\n@router.exception_handler(exceptions.NotFoundError)\n"
            "def every(error): ...\n",
            "has a handler of NotFoundError",
        ),
        (
            route("/notes") + route("/notes", name="again"),
            "shop_one.py:7 answer: GET /notes is declared again below it",
        ),
    ],
)
def test_one_thing_is_wrong_with_a_router(faults: Faults, code: str, said: str) -> None:
    (fault,) = faults(code)

    assert said in fault


def test_two_modules_do_not_answer_the_same(faults: Faults) -> None:
    (fault,) = faults(route("/notes"), route("/notes", name="other"))

    assert "shop_two.py:7 other: GET /notes is there already: " in fault
    assert fault.endswith("shop_one.py:7 answer: GET /notes")


def test_a_place_in_paths_has_one_name(faults: Faults) -> None:
    one = route("/notes/<note_id>", takes="note_id: str")
    two = route("/notes/<id>/parts", takes="id: str", name="other")

    (fault,) = faults(one, two)

    assert "has {id} where /notes/{note_id} has {note_id}; API Gateway takes one name" in fault


def test_there_is_room_for_so_many_paths_and_no_more(faults: Faults) -> None:
    many = "".join(route(f"/notes{number}", name=f"a{number}") for number in range(PATHS_MAX))

    assert faults(many) == []
    (fault,) = faults(many, route("/more"))
    assert f"there are {PATHS_MAX + 1} paths, and a project may have {PATHS_MAX}" in fault


def test_an_ordinary_router_of_powertools_does_as_well(faults: Faults, tmp_path: Path) -> None:
    code = "from aws_lambda_powertools.event_handler.api_gateway import Router\nrouter = Router()\n"

    assert faults(code + route("/notes")) == []
    assert [each.path for each in declared(locate("shop_one:router"))] == ["/notes"]
