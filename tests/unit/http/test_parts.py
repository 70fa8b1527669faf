"""What routes ask for: the parts are the composition's, and each function gives its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

import parley.http
from parley.composition import Composition
from parley.http import Caller, Router, parts
from parley.http.api import Api
from parley.http.declared import declared
from parley.http.document import ROUTES
from parley.http.parts import Administrator, Database, Deadline
from parley.once import made_once
from parley_testing.api.handlers import Context, rest_event
from parley_testing.api.served import own_document

router = Router()


class Note(BaseModel):
    of: str
    kept_in: str


class Seconds(BaseModel):
    left: float


@router.get("/notes")
def read_note(user: Caller, database: Database) -> Note:
    return Note(of=user.user_id, kept_in=str(database))


@router.get("/secrets")
def read_secret(user: Administrator, database: Database) -> Note:
    return Note(of=user.user_id, kept_in=str(database))


@router.get("/seconds")
def read_seconds(deadline: Deadline) -> Seconds:
    return Seconds(left=deadline.left())


class Untouched:
    """Parts of which none may be asked for."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked for")


def asked(api: Api, path: str, seconds: float = 120, **who: Any) -> Mapping[str, Any]:
    return api(rest_event("GET", path, **who), Context(seconds))  # type: ignore[arg-type]


def parts_asked_for() -> Iterator[tuple[str, Any]]:
    """Return each alias that stands for a part, with its annotation."""
    besides = {"Caller", "Administrator", "Deadline", "Routes"}
    for name, alias in vars(parts).items():
        if get_args(alias) and hasattr(alias, "__metadata__") and name not in besides:
            yield name, alias


def types_written() -> dict[str, str]:
    """Return the type of each alias as it is written; where it runs, its module is not imported."""
    written = {}
    for line in ast.parse(Path(parts.__file__).read_text(encoding="utf-8")).body:
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Subscript):
            (name,), annotation = line.targets, line.value.slice
            assert isinstance(name, ast.Name)
            assert isinstance(annotation, ast.Tuple)
            written[name.id] = ast.unparse(annotation.elts[0]).rsplit(".", 1)[-1]
    return written


def test_each_part_is_of_the_type_that_the_composition_makes() -> None:
    class Names:
        """Tells by which name it was asked, and so what the composition says of that."""

        def __getattr__(self, name: str) -> Any:
            made = getattr(Composition, name)
            function = made.func if isinstance(made, made_once) else made.fget
            return function.__annotations__["return"]

    request: Any = SimpleNamespace(context=parts.context_of(Names(), None))
    wanted = {name: types_written()[name] for name, _ in parts_asked_for()}
    made = {name: alias.__metadata__[0].dependency(request) for name, alias in parts_asked_for()}

    assert len(wanted) >= 12
    assert made == wanted


def test_two_functions_with_the_same_routes_each_give_their_own_parts() -> None:
    first = Api([router], SimpleNamespace(database="one"))
    second = Api([router], SimpleNamespace(database="another"))

    answers = [asked(api, "/notes")["body"] for api in (first, second, first)]

    assert answers == [
        '{"of":"alice","kept_in":"one"}',
        '{"of":"alice","kept_in":"another"}',
        '{"of":"alice","kept_in":"one"}',
    ]


@pytest.mark.parametrize(
    ("path", "who", "status"),
    [("/notes", {"user": None}, 401), ("/secrets", {"user": "alice"}, 403)],
)
def test_who_may_not_call_is_refused_before_a_part_is_made(
    path: str, who: Mapping[str, Any], status: int
) -> None:
    assert asked(Api([router], Untouched()), path, **who)["statusCode"] == status


def test_a_part_that_cannot_be_made_is_answered_as_any_error() -> None:
    answer = asked(Api([router], SimpleNamespace()), "/notes")

    assert answer["statusCode"] == 500
    assert '"code":"internal_error"' in answer["body"]


def test_the_time_left_is_that_of_the_invocation_that_asks() -> None:
    api = Api([router], None)

    assert '"left":-' in asked(api, "/seconds", seconds=-1)["body"]
    assert '"left":-' not in asked(api, "/seconds", seconds=600)["body"]


def test_every_operation_is_a_function_that_bears_its_name() -> None:
    """So that a route is found from the document by searching for its name."""
    functions = {
        name.replace("_", "") for module in ROUTES for name in vars(module) if name.islower()
    }
    named = {
        operation["operationId"].lower()
        for path in own_document()["paths"].values()
        for operation in path.values()
    }

    assert named <= functions


def test_what_routes_are_made_of_is_public() -> None:
    for name in parley.http.__all__:
        assert getattr(parley.http, name) is not None
    assert get_origin(parley.http.Caller) is not None
    with pytest.raises(AttributeError, match="nobody"):
        parley.http.nobody  # noqa: B018


def test_nothing_is_compiled_anew_with_each_request() -> None:
    # Powertools reads the annotations of a route, and of what it asks for, whenever it is called.
    Api([router], SimpleNamespace(database="one"))
    asked_for = [alias.__metadata__[0].dependency for _, alias in parts_asked_for()]
    named = [parts.caller, parts.administrator, parts.deadline, parts.routes]
    routes = [route.function for route in declared(router)]

    for function in (*asked_for, *named, *routes):
        assert not [each for each in function.__annotations__.values() if isinstance(each, str)]
