"""CloudFormation's YAML: its short tags read, its intrinsic functions worked out where they can be.

Only what a laptop can know is resolved: parameters by their defaults, and conditions over them.
Whatever needs an account (a table's name, an ARN) is `Unresolved`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from parley.errors import ParleyError

try:  # libyaml reads our template in 0.02 s, what is written in Python in 0.13
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # a PyYAML that was built without it
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

_PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackName": "parley-local",
    "AWS::URLSuffix": "amazonaws.com",
}
_PLACEHOLDER = re.compile(r"\$\{([^!}][^}]*)\}")


class Unresolved(ParleyError):
    """The value is known only to a deployed stack (or is `AWS::NoValue`)."""


class _Loader(_SafeLoader):
    """YAML as CloudFormation reads it; a class of its own keeps the tags out of other readers."""


def _short_tag(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    else:
        raise yaml.constructor.ConstructorError(None, None, f"!{suffix} cannot be read here")
    if suffix in ("Ref", "Condition"):
        return {suffix: value}
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_tag)


def load(path: Path) -> dict[str, Any]:
    """Read a template file with the short tags in their long form (`!Ref X` is `{"Ref": "X"}`).

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not a YAML mapping.
    """
    try:
        # A subclass of SafeLoader: it makes plain data only.
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{path} is not a CloudFormation template.")
    return document


class Resolver:
    """Works out the values of one template from its parameters: those given, else defaults."""

    def __init__(self, document: Mapping[str, Any], given: Mapping[str, str] | None = None) -> None:
        self._parameters: Mapping[str, Any] = document.get("Parameters") or {}
        self._given = given or {}
        self._conditions: Mapping[str, Any] = document.get("Conditions") or {}

    def resolve(self, value: Any) -> Any:
        """Return the value with every intrinsic function worked out.

        Entries of a mapping or a list that cannot be worked out are left out of it.

        Raises:
            Unresolved: The value as a whole needs a deployed stack.
        """
        if isinstance(value, list):
            return [item for item in map(self._or_missing, value) if item is not _MISSING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (name, argument), *_ = value.items()
            if name == "Ref" or str(name).startswith("Fn::"):
                return self._intrinsic(name, argument)
        resolved = {name: self._or_missing(item) for name, item in value.items()}
        return {name: item for name, item in resolved.items() if item is not _MISSING}

    def get(self, value: Any, default: Any = None) -> Any:
        """Return the worked-out value, or the default where it is absent or unresolved."""
        found = default if value is None else self._or_missing(value)
        return default if found is _MISSING else found

    def _or_missing(self, value: Any) -> Any:
        try:
            return self.resolve(value)
        except Unresolved:
            return _MISSING

    def _intrinsic(self, name: str, argument: Any) -> Any:
        if name == "Ref":
            return self._reference(argument)
        if name == "Fn::Sub":
            text, extra = argument if isinstance(argument, list) else (argument, {})
            return _PLACEHOLDER.sub(
                lambda match: str(
                    self.resolve(extra[match[1]])
                    if match[1] in extra
                    else self._reference(match[1])
                ),
                text,
            )
        if name == "Fn::If":
            condition, then, otherwise = argument
            return self.resolve(then if self._holds({"Condition": condition}) else otherwise)
        if name == "Fn::Join":
            separator, parts = argument
            return str(separator).join(str(self.resolve(part)) for part in parts)
        raise Unresolved(name)

    def _reference(self, name: str) -> Any:
        if name in _PSEUDO:
            return _PSEUDO[name]
        parameter = self._parameters.get(name)
        if parameter and name in self._given:
            return self._given[name]
        if not parameter or "Default" not in parameter:
            raise Unresolved(name)
        if str(parameter.get("Type", "")).startswith("AWS::SSM::"):
            raise Unresolved(name)
        return parameter["Default"]

    def _holds(self, condition: Any) -> bool:
        (name, argument), *_ = condition.items()
        match name:
            case "Condition":
                return self._holds(self._conditions[argument])
            case "Fn::Equals":
                left, right = (self.resolve(side) for side in argument)
                return str(left) == str(right)
            case "Fn::Not":
                return not self._holds(argument[0])
            case "Fn::And":
                return all(self._holds(part) for part in argument)
            case "Fn::Or":
                return any(self._holds(part) for part in argument)
        raise Unresolved(str(name))


_MISSING = object()
