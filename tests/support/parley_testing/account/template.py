"""The two templates: as they are written, and as SAM translates the first for CloudFormation."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from samtranslator.parser.parser import Parser  # type: ignore[import-untyped]
from samtranslator.translator.translator import Translator  # type: ignore[import-untyped]
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parents[4]


def read(path: str) -> dict[str, Any]:
    """Return a template of the repository as SAM reads it, short tags in their long form."""
    template: dict[str, Any] = yaml_parse((ROOT / path).read_text(encoding="utf-8"))
    return template


TEMPLATE = read("template.yaml")
MONITORING = read("monitoring.yaml")
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
PARAMETERS: dict[str, Any] = TEMPLATE["Parameters"]
API: dict[str, Any] = RESOURCES["Api"]["Properties"]
FUNCTIONS: dict[str, Any] = {
    name: resource["Properties"]
    for name, resource in RESOURCES.items()
    if resource["Type"] == "AWS::Serverless::Function"
}
ROUTES: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
    (event["Properties"]["Method"], event["Properties"]["Path"]): (name, event["Properties"])
    for name, properties in FUNCTIONS.items()
    for event in properties.get("Events", {}).values()
    if event["Type"] == "Api"
}
"""Every route of the template by its method and path, with its function and its event."""


def gateway_path(path: str) -> str:
    """Return the path of the template by which a path of the API is served."""
    return "/admin/{path+}" if path.startswith("/admin/") else path


SECRETS = {
    "DatabaseSecretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:database-AbCdEf",
    "OpenAiSecretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:openai-AbCdEf",
}


@cache
def translated(**parameters: str) -> dict[str, Any]:
    """Translate template.yaml as CloudFormation's SAM transform does, once for all who ask.

    Args:
        parameters: Parameters over their defaults and over two made-up secrets.
    """
    return translate(TEMPLATE, **parameters)


def translate(source: dict[str, Any], **parameters: str) -> dict[str, Any]:
    """Translate any template, which is left as it is."""
    # Each resource by itself, as after `sam build`: what is aliased in the file is one object here.
    document = json.loads(json.dumps(source))
    for name, resource in document["Resources"].items():
        for key in ("CodeUri", "ContentUri"):
            # What `sam package` uploads; the transform takes no folders.
            folder = resource.get("Properties", {}).get(key)
            if isinstance(folder, str) and not folder.startswith("s3://"):
                resource["Properties"][key] = f"s3://bucket/{name}"
    logging.getLogger("samtranslator").setLevel(logging.CRITICAL)
    translator = Translator(
        managed_policy_map={},
        sam_parser=Parser(),
        boto_session=boto3.Session(region_name="eu-west-1"),
    )
    result: dict[str, Any] = translator.translate(document, {**SECRETS, **parameters})
    # Plain data, without the classes of the translator.
    plain: dict[str, Any] = json.loads(json.dumps(result))
    return plain


def monitoring() -> dict[str, Any]:
    """Return the resources of monitoring.yaml, with what template.yaml gives for its parameters."""
    text = json.dumps(MONITORING["Resources"])
    for name, given in RESOURCES["Monitor"]["Properties"]["Parameters"].items():
        ((_, source),) = given.items()
        path = source if isinstance(source, str) else ".".join(source)
        text = text.replace(json.dumps({"Ref": name}), json.dumps(given))
        text = text.replace(f"${{{name}}}", f"${{{path}}}")
    resources: dict[str, Any] = json.loads(text)
    return resources


def of_type(template: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return a template's resources of one type, by their names."""
    return {n: r for n, r in template["Resources"].items() if r["Type"] == kind}


def properties_of(resource: str) -> dict[str, Any]:
    """Return the properties that SAM gives a resource."""
    found: dict[str, Any] = translated()["Resources"][resource]["Properties"]
    return found


def definition() -> dict[str, Any]:
    """Return the OpenAPI document that SAM makes of the REST API."""
    (api,) = of_type(translated(), "AWS::ApiGateway::RestApi").values()
    body: dict[str, Any] = api["Properties"]["Body"]
    return body


def methods() -> dict[tuple[str, str], dict[str, Any]]:
    """Return what that says of each method, by method and path as in `ROUTES`."""
    return {
        ("any" if method == "x-amazon-apigateway-any-method" else method, path): entry
        for path, entries in definition()["paths"].items()
        for method, entry in entries.items()
    }


def integrations() -> dict[tuple[str, str], dict[str, Any]]:
    """Return what API Gateway is told to do for each method."""
    return {route: entry["x-amazon-apigateway-integration"] for route, entry in methods().items()}


def statements(policy: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a policy document's statements, whatever conditions stand around them."""
    for statement in policy["Statement"]:
        if "Fn::If" in statement:
            yield from (part for part in statement["Fn::If"][1:] if "Effect" in part)
        else:
            yield statement


def actions(statement: dict[str, Any]) -> set[str]:
    """Return a statement's actions, under either of its conditions."""
    named = statement["Action"]
    if isinstance(named, dict):
        named = named["Fn::If"][1:]
    return {named} if isinstance(named, str) else set(named)


def role_of(function: str) -> dict[str, Any]:
    """Return the properties of a function's role."""
    properties: dict[str, Any] = RESOURCES[properties_of(function)["Role"]["Fn::GetAtt"][0]][
        "Properties"
    ]
    return properties


def allowed(function: str) -> list[dict[str, Any]]:
    """Return the statements of a function's own policies."""
    return [
        statement
        for policy in role_of(function)["Policies"]
        for statement in statements(policy["PolicyDocument"])
    ]
