"""The parameters of template.yaml, and its outputs."""

from __future__ import annotations

import json
import re

import pytest

from parley_testing.account.template import PARAMETERS, ROOT, TEMPLATE

USED = json.dumps({key: TEMPLATE[key] for key in ("Globals", "Resources", "Conditions")})
ACCOUNT = "eu-west-1:123456789012"
LIMITED = ("Authorizer", "Sessions", "Messages", "Stream", "Cleanup")


def test_only_the_two_secrets_have_to_be_given() -> None:
    needed = {name for name, entry in PARAMETERS.items() if "Default" not in entry}

    assert needed == {"DatabaseSecretArn", "OpenAiSecretArn"}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_is_described_used_and_in_a_group(name: str) -> None:
    groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]

    assert PARAMETERS[name]["Description"]
    assert f'"Ref": "{name}"' in USED or f"${{{name}}}" in USED
    assert sum(group["Parameters"].count(name) for group in groups) == 1


TAKEN: dict[str, tuple[list[str], list[str]]] = {
    "DatabaseSecretArn": (
        [
            f"arn:aws:secretsmanager:{ACCOUNT}:secret:parley/database-AbCdEf",
            f"arn:aws:ssm:{ACCOUNT}:parameter/parley/database",
            f"arn:aws-us-gov:ssm:{ACCOUNT}:parameter/database",
        ],
        # CloudFormation shows parameters to everybody who may look at the stack.
        ["", "sk-abc", "postgresql://u:p@host/db", "/parley/database"],
    ),
    "SubnetIds": (
        ["", "subnet-0a1b", "subnet-0a1b,subnet-2c3d"],
        ["a", "subnet-0a1b, subnet-2c3d", "subnet-0a1b,"],
    ),
    "PageUrl": (
        ["", "https://a1.execute-api.eu-west-1.amazonaws.com/v1/chat", "https://talk.example/chat"],
        ["http://talk.example/chat", "https://talk.example/", "https://talk.example/chat#a"],
    ),
    "ConsolePageUrl": (
        ["", "https://a1.execute-api.eu-west-1.amazonaws.com/v1/console"],
        ["https://talk.example/chat", "http://talk.example/console"],
    ),
    "PageScope": (["openid", "openid email", "api://x/y openid"], ["", "email", "openidx"]),
    "PageSignInOrigins": (
        ["", "https://a.example", "https://a.example https://b.example:8443"],
        # It becomes part of a policy: nothing may end what it is part of.
        ["a.example", "https://a.example; script-src *", "https://a.example/", "'unsafe-eval'"],
    ),
    "SessionsConcurrency": (["", "1", "250"], ["0", "-1", "many", "1.5"]),
    "RecoveryRate": (
        ["rate(1 hour)", "rate(15 minutes)", "rate(1 day)", "cron(0 * * * ? *)"],
        ["", "hourly", "1 hour", "rate(0 hours)", "rate(1 second)"],
    ),
}
"""Texts that a parameter takes, and others that it does not; further ones by the same pattern."""


@pytest.mark.parametrize("name", TAKEN)
def test_a_parameter_takes_what_is_of_its_form_and_nothing_else(name: str) -> None:
    pattern, (taken, refused) = PARAMETERS[name]["AllowedPattern"], TAKEN[name]

    assert [text for text in taken + refused if re.fullmatch(pattern, text)] == taken


def test_both_secrets_and_all_limits_are_of_one_form() -> None:
    for like, others in {
        "DatabaseSecretArn": ["OpenAiSecretArn"],
        "SessionsConcurrency": [f"{name}Concurrency" for name in LIMITED],
    }.items():
        assert {PARAMETERS[name]["AllowedPattern"] for name in [like, *others]} == {
            PARAMETERS[like]["AllowedPattern"]
        }


@pytest.mark.parametrize(
    ("given", "needed"), [("OidcIssuer", "OidcAudience"), ("SubnetIds", "SecurityGroupIds")]
)
def test_what_is_no_use_alone_is_asked_for_together(given: str, needed: str) -> None:
    def is_there(name: str) -> dict[str, object]:
        return {"Fn::Not": [{"Fn::Equals": [{"Ref": name}, ""]}]}

    assert any(
        rule["RuleCondition"] == is_there(given)
        and rule["Assertions"][0]["Assert"] == is_there(needed)
        for rule in TEMPLATE["Rules"].values()
    )


@pytest.mark.parametrize("output", TEMPLATE["Outputs"])
def test_an_output_is_described_and_used_by_the_next_commands(output: str) -> None:
    assert TEMPLATE["Outputs"][output]["Description"]
    assert re.search(rf"\b{output}\b", (ROOT / "docs" / "deploy.md").read_text())


def test_no_value_in_it_belongs_to_an_account() -> None:
    # But for the one of AWS's that publishes the adapter.
    assert set(re.findall(r"\b[0-9]{12}\b", (ROOT / "template.yaml").read_text())) == {
        "753240598075"
    }
    assert not re.search(r"\b[0-9]{12}\b", (ROOT / "samconfig.toml").read_text())
