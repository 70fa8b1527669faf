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


def test_the_stacks_own_pool_sends_people_back_to_the_page_and_nowhere_else() -> None:
    client: dict[str, Any] = TEMPLATE["Resources"]["UserPoolClient"]["Properties"]

    def when_pages_sign_in(name: str) -> Any:
        condition, then, otherwise = client[name]["Fn::If"]
        assert condition == "PoolSignsInPages"
        assert otherwise in (False, {"Ref": "AWS::NoValue"})
        return then

    assert when_pages_sign_in("CallbackURLs") == [{"Ref": "PageUrl"}]
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
