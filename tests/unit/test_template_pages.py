"""How pages sign in on AWS, as the template says it."""

from __future__ import annotations

from typing import Any

from parley_testing.account.template import FUNCTIONS, TEMPLATE, of_type, translated


def test_the_pages_sign_in_as_the_client_whose_tokens_the_authorizer_takes() -> None:
    sessions, authorizer = (
        FUNCTIONS[name]["Environment"]["Variables"] for name in ("Sessions", "Authorizer")
    )

    for name in ("OIDC_ISSUER", "OIDC_AUDIENCE"):
        assert sessions[name] == authorizer[name]
    pool, own = sessions["PAGE_CLIENT_ID"]["Fn::If"][1:]
    assert pool == {"Ref": "UserPoolClient"}
    assert own == {"Fn::If": ["MakesUserPool", "", {"Ref": "PageClientId"}]}


def test_the_stacks_own_pool_sends_people_back_to_the_pages_and_nowhere_else() -> None:
    client: dict[str, Any] = TEMPLATE["Resources"]["UserPoolClient"]["Properties"]

    def when_pages_sign_in(name: str) -> Any:
        condition, then, otherwise = client[name]["Fn::If"]
        assert condition == "PoolSignsInPages"
        assert otherwise in (False, {"Ref": "AWS::NoValue"})
        return then

    chat, console = when_pages_sign_in("CallbackURLs")
    assert chat == {"Ref": "PageUrl"}
    assert console["Fn::If"][:2] == ["PoolSignsInConsole", {"Ref": "ConsolePageUrl"}]
    # The implicit flow would put tokens into addresses.
    assert when_pages_sign_in("AllowedOAuthFlows") == ["code"]
    assert client["GenerateSecret"] is False
    (domain,) = of_type(translated(), "AWS::Cognito::UserPoolDomain").values()
    assert domain["Condition"] == "PoolSignsInPages"


def test_the_page_may_ask_the_pool_for_its_tokens() -> None:
    origins = FUNCTIONS["Sessions"]["Environment"]["Variables"]["PAGE_SIGN_IN_ORIGINS"]

    assert origins["Fn::If"] == [
        "PoolSignsInPages",
        {"Fn::Sub": "https://${UserPoolDomain}.auth.${AWS::Region}.amazoncognito.com"},
        {"Ref": "PageSignInOrigins"},
    ]


def test_the_operations_page_asks_an_issuer_of_ones_own_for_its_scope_and_the_pool_for_none() -> (
    None
):
    asked = FUNCTIONS["Sessions"]["Environment"]["Variables"]["PAGE_ADMIN_SCOPE"]

    # The pool knows no such scope and would refuse; its group of administrators counts.
    assert asked == {"Fn::If": ["MakesUserPool", "", {"Ref": "PageAdminScope"}]}
