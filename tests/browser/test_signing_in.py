"""Signing in as on AWS: at an OpenID Connect issuer, by an authorization code with PKCE.

The page and its configuration are those of a deployment with such an issuer; the API behind them is
that of `make dev`, so the issuer gives tokens of its local issuer's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import cast
from urllib.parse import urlsplit

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from playwright.sync_api import Page, Route, expect

from parley.config import Settings
from parley.http.api import Api
from parley.http.web import SignIn, router
from parley_backend import backend
from parley_local.stack import LocalStack
from parley_testing.api.handlers import Answer, Context, rest_event
from parley_testing.api.oidc_issuer import OidcIssuer
from parley_testing.models.told_model import ToldModel
from parley_testing.pages.browser import Visit, say, turn

Enter = Callable[..., Visit]


@pytest.fixture
def issuer(stack: LocalStack) -> Iterator[OidcIssuer]:
    with OidcIssuer(lambda: stack.token("dora")) as issuer:
        yield issuer


@pytest.fixture
def page(visit: Enter, issuer: OidcIssuer) -> Page:
    """A tab at the deployment's page."""
    settings = Settings(
        oidc_issuer=issuer.url, oidc_audience="the-api", page_client_id=issuer.client_id
    )
    served = Api([router(backend("web"), SignIn.of(settings))], None)

    def answer(route: Route) -> None:
        path = urlsplit(route.request.url).path
        said = Answer(served(rest_event("GET", path, user=None), cast(LambdaContext, Context())))
        route.fulfill(status=said.status, headers=said.headers, body=said.body)

    # Of a page that the test itself answers, the browser does not know that it is this machine's.
    page = visit(issuer.url, permissions=["local-network-access"]).tab()
    page.route(re.compile(r"^[^?]*/(chat|console)(\?|$)"), answer)
    page.route("**/web/config.json", answer)
    return page


def enter(page: Page) -> None:
    page.goto("/chat")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Signed in as dora@example.com")).to_be_attached()


def test_one_signs_in_at_the_issuer_and_talks(
    page: Page, issuer: OidcIssuer, model: ToldModel
) -> None:
    enter(page)

    say(page, "hello from the issuer")
    expect(turn(page, "hello from the issuer")).to_contain_text("You said:")
    (asked,) = issuer.asked
    assert asked["code_challenge_method"] == "S256"
    assert asked["response_type"] == "code"
    assert asked["audience"] == "the-api"
    assert urlsplit(asked["redirect_uri"]).path == "/chat"
    assert "code=" not in page.url
    assert "state=" not in page.url


def test_tokens_are_in_memory_alone_and_a_reload_signs_in_without_a_question(
    page: Page, issuer: OidcIssuer, model: ToldModel
) -> None:
    enter(page)
    say(page, "remember this place")
    expect(turn(page, "remember this place")).to_contain_text("You said:")
    before = page.url

    page.reload()

    expect(turn(page, "remember this place")).to_contain_text("You said:")
    assert page.url == before
    assert len(issuer.asked) == 2
    kept = page.evaluate("[{...localStorage}, {...sessionStorage}, document.cookie]")
    assert kept == [{}, {"parley.entered": "yes"}, ""]


def test_a_token_that_runs_out_is_renewed_without_leaving_the_page(
    page: Page, issuer: OidcIssuer, model: ToldModel
) -> None:
    issuer.lives = 1
    enter(page)

    say(page, "still here")

    expect(turn(page, "still here")).to_contain_text("You said:")
    assert issuer.refreshed > 0
    assert len(issuer.asked) == 1


def test_a_token_that_the_api_refuses_is_not_asked_for_for_ever(
    page: Page, issuer: OidcIssuer
) -> None:
    issuer.gives = lambda: "a.b.c"
    page.goto("/chat")
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("alert")).to_contain_text("no bearer token, or it is not good")
    assert len(issuer.asked) == 1


def test_an_answer_to_another_question_is_not_taken(page: Page, issuer: OidcIssuer) -> None:
    enter(page)
    page.evaluate(
        "sessionStorage.setItem('parley.asked',"
        " JSON.stringify({verifier: 'v'.repeat(43), state: 'ours', nonce: 'n', hash: ''}))"
    )

    page.goto(f"/chat?code=stolen&state=theirs&iss={issuer.url}")

    expect(page.get_by_role("alert")).to_contain_text("state")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert page.evaluate("sessionStorage.getItem('parley.asked')") is None


def test_an_administrator_signs_in_for_the_operations_page_by_the_scope_that_it_asks_for(
    page: Page, issuer: OidcIssuer, stack: LocalStack
) -> None:
    issuer.gives = lambda: stack.token("dora", admin=True)
    page.goto("/console#sessions")
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Sessions")
    (asked,) = issuer.asked
    assert asked["scope"] == "openid parley:admin"
    assert urlsplit(asked["redirect_uri"]).path == "/console"
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sessions")
    kept = page.evaluate("[{...localStorage}, {...sessionStorage}, document.cookie]")
    assert kept == [{}, {"parley.entered.admin": "yes"}, ""]


def test_who_is_no_administrator_is_told_so_and_shown_nothing(
    page: Page, issuer: OidcIssuer
) -> None:
    page.goto("/console")
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("alert")).to_have_text("This page is for administrators.")
    expect(page.get_by_text("dora@example.com")).to_be_visible()
    expect(page.get_by_text("parley:admin")).to_be_visible()
    expect(page.get_by_role("navigation")).to_have_count(0)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
