"""Routes of a project that cannot be imported: Parley's own are served all the same."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aws_lambda_powertools.event_handler.api_gateway import Router as PowertoolsRouter

from parley import project_variables
from parley.errors import StoreUnavailable
from parley.http import Router, open, project_routes
from parley.http.api import Api
from parley.http.paths import document
from parley.http.project_routes import ProjectRoutes
from parley.manifest import Manifest, Offer, Variable
from parley.secrets import Secret
from parley_testing.api.handlers import Context, rest_event

router = Router()


@router.get("/notes")
def list_notes() -> list[str]:
    return ["one"]


@router.get("/key")
def read_key() -> str:
    return os.environ["SHOP_KEY"]


class Faulty:
    """What finds a router, and cannot as long as it is told to."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def __call__(self, target: str) -> PowertoolsRouter:
        if self.error is not None:
            raise self.error
        return router


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Faulty:
    found = Faulty()
    monkeypatch.setattr(project_routes, "locate", found)
    monkeypatch.setattr(project_routes, "fill_environment", lambda: None)
    monkeypatch.setattr(open, "manifest", lambda: Manifest({"a": Offer("A.", "a:a")}, "a"))
    return found


def made() -> Api:
    return Api([open.router], SimpleNamespace(), project=ProjectRoutes(["shop.routes"]))


def asked(api: Api, path: str, method: str = "GET", **who: Any) -> Mapping[str, Any]:
    return api(rest_event(method, path, **who), Context())  # type: ignore[arg-type]


def test_they_are_served_beside_parley_s(faulty: Faulty) -> None:
    api = made()

    assert asked(api, "/notes")["body"] == '["one"]'
    assert asked(api, "/agents")["statusCode"] == 200
    assert asked(api, "/notes", user=None)["statusCode"] == 401


@pytest.mark.parametrize(
    ("error", "status"), [(ImportError("no"), 500), (StoreUnavailable("secrets", "x"), 503)]
)
def test_while_they_cannot_be_had_only_they_are_missing(
    faulty: Faulty, error: Exception, status: int
) -> None:
    faulty.error = error
    api = made()

    assert asked(api, "/notes")["statusCode"] == status
    assert asked(api, "/notes", user=None)["statusCode"] == 401
    assert asked(api, "/agents")["statusCode"] == 200
    assert asked(api, "/health", user=None)["statusCode"] == 200
    faulty.error = None
    assert asked(api, "/notes")["body"] == '["one"]'


@pytest.mark.parametrize(("age", "read"), [(3_600, "before"), (0, "after")])
def test_a_rotated_secret_is_had_once_the_one_that_it_has_is_old(
    faulty: Faulty, monkeypatch: pytest.MonkeyPatch, age: int, read: str
) -> None:
    variables = (Variable("SHOP_KEY", secret=True),)
    manifest = Manifest({"a": Offer("A.", "a:a")}, "a", environment=variables)
    monkeypatch.setattr(project_variables, "manifest", lambda: manifest)
    monkeypatch.setattr(project_variables, "MAX_AGE_SECONDS", age)
    monkeypatch.setattr(project_variables, "_fetched", {"SHOP_KEY": time.time()})
    monkeypatch.setattr(Secret, "value", "after")
    monkeypatch.setenv("SHOP_KEY_SECRET_ARN", "arn:aws:ssm:eu-west-1:123456789012:parameter/key")
    monkeypatch.setenv("SHOP_KEY", "before")

    assert asked(made(), "/key")["body"] == read


def test_a_method_that_they_have_not_is_told_with_those_that_they_have(faulty: Faulty) -> None:
    answer = asked(made(), "/notes", "PUT")

    assert answer["statusCode"] == 405
    assert answer["multiValueHeaders"]["Allow"] == ["GET"]
    assert json.loads(answer["body"])["code"] == "method_not_allowed"


def test_without_any_the_document_is_the_committed_one() -> None:
    api = Api([open.router], SimpleNamespace())

    assert asked(api, "/openapi.json", user=None)["body"] == document()
