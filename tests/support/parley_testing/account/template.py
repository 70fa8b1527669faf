"""The two templates: as they are written, and as SAM translates the first for CloudFormation."""

from __future__ import annotations

import json
import logging
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from samtranslator.parser.parser import Parser  # type: ignore[import-untyped]
from samtranslator.translator.translator import Translator  # type: ignore[import-untyped]

from parley_local.cloudformation import load

ROOT = Path(__file__).resolve().parents[4]
TEMPLATE = load(ROOT / "template.yaml")
MONITORING = load(ROOT / "monitoring.yaml")
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
PARAMETERS: dict[str, Any] = TEMPLATE["Parameters"]
API: dict[str, Any] = RESOURCES["Api"]["Properties"]
FUNCTIONS: dict[str, Any] = {
    name: resource["Properties"]
    for name, resource in RESOURCES.items()
    if resource["Type"] == "AWS::Serverless::Function"
}
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
