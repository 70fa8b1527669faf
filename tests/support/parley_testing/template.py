"""template.yaml: as it is written, and as SAM translates it for CloudFormation."""

from __future__ import annotations

import copy
import json
import logging
from pathlib import Path
from typing import Any

import boto3
from samtranslator.parser.parser import Parser  # type: ignore[import-untyped]
from samtranslator.translator.translator import Translator  # type: ignore[import-untyped]

from parley_local.cloudformation import load

ROOT = Path(__file__).resolve().parents[3]
TEMPLATE = load(ROOT / "template.yaml")
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


def translated(source: dict[str, Any] | None = None, /, **parameters: str) -> dict[str, Any]:
    """Translate a template as CloudFormation's SAM transform does.

    Args:
        source: The template; the project's own by default. It is left as it is.
        parameters: Parameters over their defaults and over two made-up secrets.
    """
    document = copy.deepcopy(TEMPLATE if source is None else source)
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


def of_type(template: dict[str, Any], kind: str) -> dict[str, Any]:
    """Give a template's resources of one type, by their names."""
    return {n: r for n, r in template["Resources"].items() if r["Type"] == kind}
