"""Signing in to `make dev` from a page: as anybody, but from nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from parley_local import sign_in
from parley_local.gateway import LocalPage

Serve = Callable[..., httpx.Client]


@pytest.fixture
def client(project: Any, serve: Serve, tmp_path: Path) -> httpx.Client:
    project.function("Name", "def handler(event, context): ...", "get /name")
    pages: dict[tuple[str, str], LocalPage] = {
        ("POST", sign_in.PATH): sign_in.sign_in_page(tmp_path / "data")
    }
    return serve(pages=pages)


def asked(client: httpx.Client, **headers: str) -> httpx.Response:
    return client.post(sign_in.PATH, json={"user": "alice"}, headers=headers)


def test_a_page_from_here_is_given_a_token_of_the_user(client: httpx.Client) -> None:
    origin = str(client.base_url).rstrip("/")

    answer = asked(client, Origin=origin)

    claims = jwt.decode(answer.json()["token"], options={"verify_signature": False})
    assert (claims["sub"], claims["scope"]) == ("alice", "")
    assert claims["exp"] - claims["iat"] == answer.json()["expires_in"]
    assert answer.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(("admin", "scope"), [(True, "parley:admin"), (False, "")])
def test_the_token_is_an_administrators_where_a_page_from_here_asks_for_that(
    client: httpx.Client, admin: bool, scope: str
) -> None:
    origin, body = str(client.base_url).rstrip("/"), {"user": "alice", "admin": admin}

    given = client.post(sign_in.PATH, json=body, headers={"Origin": origin})
    refused = client.post(sign_in.PATH, json=body, headers={"Origin": "https://evil.example"})

    claims = jwt.decode(given.json()["token"], options={"verify_signature": False})
    assert (claims["sub"], claims["scope"]) == ("alice", scope)
    assert refused.status_code == 403


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://localhost:1",
        "http://127.0.0.1",
        "http://evil.localhost",
        "http://[",
        "null",
        "",
    ],
)
def test_a_page_from_elsewhere_is_given_none(client: httpx.Client, origin: str) -> None:
    answer = asked(client, Origin=origin)

    assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")


def test_who_names_no_page_is_given_none(client: httpx.Client) -> None:
    assert asked(client).status_code == 403


def test_an_origin_that_fits_another_name_of_the_machine_is_given_none(
    client: httpx.Client,
) -> None:
    """Its name may lead here (DNS rebinding), and Host says so."""
    answer = asked(client, Origin="http://evil.example:3000", Host="evil.example:3000")

    assert answer.status_code in (403, 421)


def test_https_to_the_same_name_is_another_origin(client: httpx.Client) -> None:
    origin = str(client.base_url).rstrip("/").replace("http:", "https:")

    assert asked(client, Origin=origin).status_code == 403


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/plain", b'{"user": "alice"}'),
        ("application/x-www-form-urlencoded", b"user=alice"),
        ("application/json", b"{"),
        ("application/json", b"[]"),
        ("application/json", b'{"user": 1}'),
        ("application/json", b'{"user": "two words"}'),
        ("application/json", b'{"user": ""}'),
        ("application/json", b'{"user": "alice", "admin": "yes"}'),
        ("application/json", b'{"admin": true}'),
        ("application/json", b"[" * 1000),
        ("application/json", b'{"user": "' + b"x" * 2000 + b'"}'),
    ],
)
def test_what_names_no_user_is_refused(client: httpx.Client, kind: str, body: bytes) -> None:
    headers = {"Origin": str(client.base_url).rstrip("/"), "Content-Type": kind}

    answer = client.post(sign_in.PATH, content=body, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_another_method_gets_no_token(client: httpx.Client) -> None:
    headers = {"Origin": str(client.base_url).rstrip("/")}

    assert "token" not in client.get(sign_in.PATH, headers=headers).text
