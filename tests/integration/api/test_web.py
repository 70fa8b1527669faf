"""The pages for people and their files, as the sessions function serves them."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from typing import cast

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from parley.config import Settings
from parley.http.api import Api as HttpApi
from parley.http.web import SignIn, router
from parley_backend import backend
from parley_testing.api.handlers import Answer, Api, Context, rest_event
from parley_testing.api.problems import problem

PAGES = pytest.mark.parametrize("path", ["/chat", "/console"])


def files_of(page: str) -> list[str]:
    return re.findall(r'(?:src|href)="([^"#]+)"', page)


@PAGES
def test_the_page_runs_its_own_scripts_alone_and_asks_nobody_else(api: Api, path: str) -> None:
    page = api("GET", path, user=None)

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(
        each.split(" ", 1) for each in page.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == policy["base-uri"] == "'none'"
    assert policy["frame-ancestors"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "<script>" not in page.body
    assert " style=" not in page.body
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"


@PAGES
def test_what_the_page_names_is_there_and_kept_for_good(api: Api, path: str) -> None:
    named = files_of(api("GET", path, user=None).body)

    assert named
    for name in named:
        answer = api("GET", f"/{name}", user=None)
        assert answer.status == 200, name
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"


@PAGES
def test_a_page_that_is_known_is_not_sent_again(api: Api, path: str) -> None:
    page = api("GET", path, user=None)

    again = api("GET", path, user=None, headers={"If-None-Match": page.headers["etag"]})
    other = api("GET", path, user=None, headers={"If-None-Match": '"another"'})

    assert page.headers["cache-control"] == "no-cache"
    assert (again.status, again.body) == (304, "")
    assert again.headers["etag"] == page.headers["etag"]
    assert (other.status, other.body) == (200, page.body)


def test_a_file_of_another_version_is_given_and_not_kept(api: Api) -> None:
    (style,) = (name for name in files_of(api("GET", "/chat", user=None).body) if "base" in name)

    answer = api("GET", f"/web/another/{style.split('/', 2)[2]}", user=None)

    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")


@pytest.mark.parametrize(
    "path",
    [
        "/web",
        "/web/x",
        "/web/x/nothing.js",
        "/web/x/chat.html",
        "/web/x/vendor/vendored.json",
        "/web/x/../config.py",
        "/web/x/%2e%2e/pyproject.toml",
        "/web/x//chat/main.js",
        "/web/x/chat",
    ],
)
def test_what_is_no_file_of_a_page_is_not_there(api: Api, path: str) -> None:
    problem(api("GET", path), 404, "not_found")


@PAGES
def test_a_page_behind_a_slash_finds_its_files_one_level_higher(api: Api, path: str) -> None:
    named = files_of(api("GET", f"{path}/", user=None).body)

    assert all(name.startswith("../web/") for name in named)


def test_a_deployment_without_a_client_for_pages_says_so(api: Api) -> None:
    answer = api("GET", "/web/config.json", user=None)

    assert answer.json == {"sign_in": {"kind": "none"}}


def test_a_deployment_with_a_client_for_pages_tells_it_and_lets_them_ask_its_issuer() -> None:
    served = pages(
        oidc_issuer="https://issuer.example/tenant",
        oidc_audience="the-api",
        page_client_id="the-page",
        page_sign_in_origins="https://tokens.example",
    )

    said = served("/web/config.json").json["sign_in"]
    policy = served("/chat").headers["content-security-policy"]

    assert said == {
        "kind": "oidc",
        "issuer": "https://issuer.example/tenant",
        "client_id": "the-page",
        "scope": "openid",
        "admin_scope": "parley:admin",
        "audience": "the-api",
    }
    assert "; connect-src 'self' https://issuer.example https://tokens.example;" in policy
    assert served("/chat").headers["etag"] != pages()("/chat").headers["etag"]


def test_an_audience_that_is_the_client_itself_is_not_asked_for() -> None:
    served = pages(oidc_issuer="https://i.example", oidc_audience="one", page_client_id="one")

    assert served("/web/config.json").json["sign_in"]["audience"] is None


def pages(**settings: str) -> Callable[[str], Answer]:
    """The pages of a deployment with these settings."""
    sign_in = SignIn.of(Settings(**settings))
    served = HttpApi([router(backend("web"), sign_in)], None)
    return lambda path: Answer(
        served(rest_event("GET", path, user=None), cast(LambdaContext, Context()))
    )


def test_all_that_a_page_loads_is_small() -> None:
    web = backend("web")
    served = [path for path in web.rglob("*") if path.suffix in (".js", ".css", ".html", ".svg")]

    assert sum(len(gzip.compress(path.read_bytes())) for path in served) <= 150_000
