"""A project: what `[tool.parley]` of its `pyproject.toml` says, and where its code is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from parley.manifest import DEPLOYMENTS_KEY, Manifest, ModelApi, Offer, OnOff
from parley_project.code import find_code
from parley_project.environment import read_environment
from parley_project.faults import ProjectFaults
from parley_project.file import FILE as FILE
from parley_project.file import find_project as find_project
from parley_project.file import section_of, shown
from parley_project.table import Faults, Table

_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*)?")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_AGENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_COMMAND_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_COMMAND = '{ target = "package.module:app", description = "What it does." }'
_OFFER = '{ target = "package.module:object", description = "What it is for." }'


@dataclass(frozen=True, slots=True)
class Project:
    """Somebody's project.

    Attributes:
        file: Its `pyproject.toml`.
        manifest: What its functions know of it.
        source: The folder that its modules are imported from; the first where it lists several.
        packages: Its packages and modules, which are deployed; each in one of those folders.
        template: Its own template, instead of Parley's.
        policies: What its functions may do beyond what Parley's need.
        commands: What it adds to the command `parley`, as `package.module:object` by name.
        paths: Those of its routes, as API Gateway writes them, such as `/notes/{note_id}`. Reading
            a project finds none: they are known when its code was imported, to check it.
        mcp_servers: Those of its agents, a sentence each by the offered agent's name; known then.
        warnings: What is allowed and hardly meant, a sentence each; what its agents make useless of
            what it says is known then.
    """

    file: Path
    manifest: Manifest
    source: Path
    packages: tuple[Path, ...] = ()
    template: Path | None = None
    policies: Path | None = None
    commands: Mapping[str, str] = field(default_factory=dict)
    paths: tuple[str, ...] = ()
    mcp_servers: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def root(self) -> Path:
        """The folder that it is in."""
        return self.file.parent

    @property
    def migrations(self) -> Path | None:
        """The folder of its migrations; None where it has none."""
        folder = self.manifest.migrations
        return None if folder is None else (self.root / folder).resolve()


def read_project(file: Path) -> Project:
    """Read a project. Nothing of its code is imported.

    Args:
        file: Its `pyproject.toml`.

    Raises:
        ProjectFaults: All that is wrong with it.
    """
    section = section_of(file)
    if section is None:
        raise ProjectFaults([f"{shown(file)}: [tool.parley] is missing."])
    faults = Faults(shown(file))
    table = Table(section, "tool.parley", faults)
    root = file.parent
    agents = {name: _offer(each) for name, each in _agents(table.table("agents"))}
    if not agents:
        table.fault("agents", f"names no agent; one is desk = {_OFFER}")
    default = _default(table, list(agents))
    routes = tuple(each for each in table.texts("routes") if _names(table, "routes", each, _MODULE))
    user_data = table.text("user_data")
    if user_data is not None and not _names(table, "user_data", user_data, _TARGET):
        user_data = None
    offline = tuple(
        each for each in table.text_or_texts("offline") if _names(table, "offline", each, _TARGET)
    )
    commands = dict(_commands(table.table("commands")))
    environment = read_environment(table.table("environment"))
    migrations = table.text("migrations")
    if migrations is not None:
        _inside(table, "migrations", root, migrations, folder=True)
    template = _file(table, "template", root)
    policies = _file(table, "policies", root)
    named = [
        *((each, f"agents.{name}") for name, offer in agents.items() for each in _code_of(offer)),
        *((each, "routes") for each in routes),
        *(((user_data, "user_data"),) if user_data else ()),
        *((each, "offline") for each in offline),
        *((target, f"commands.{name}") for name, target in commands.items()),
    ]
    source, packages = find_code(root, table, named)
    table.end()
    for name, offer in agents.items():
        _check_key(table, name, offer, [variable.name for variable in environment])
    if faults.sentences:
        raise ProjectFaults(faults.sentences)
    manifest = Manifest(agents, default, routes, user_data, migrations, environment, offline)
    return Project(
        file.resolve(),
        manifest,
        source,
        packages,
        template,
        policies,
        commands,
        warnings=tuple(
            f"{shown(file)}: [tool.parley.agents.{name}] base_url: has a password or a query in it,"
            " which whoever reads the file sees; a key belongs into a variable, which key names"
            for name, offer in agents.items()
            if offer.base_url is not None and _may_be_secret(offer.base_url)
        ),
    )


def _agents(table: Table) -> Iterator[tuple[str, Table]]:
    for name, each in table.tables(_OFFER):
        if not _AGENT_NAME.fullmatch(name):
            table.fault(
                name, "a name has 1 to 100 letters, digits, -, _ and ., and begins with one of"
                " the first two"
            )  # fmt: skip
        yield name, each


def _commands(table: Table) -> Iterator[tuple[str, str]]:
    for name, each in table.tables(_COMMAND):
        target = each.required_text("target", '"package.module:app"')
        each.required_text("description", '"What it does."')
        each.end()
        if not _COMMAND_NAME.fullmatch(name):
            table.fault(name, "a command has 1 to 40 small letters, digits and -, and begins with a"
                        " letter")  # fmt: skip
        elif target is not None and _names(each, "target", target, _TARGET):
            yield name, target


def _offer(table: Table) -> Offer:
    target = table.required_text("target", '"package.module:object"')
    description = table.required_text("description", '"What it is for."')
    context = table.text("context")
    for key, value in (("target", target), ("context", context)):
        if value is not None:
            _names(table, key, value, _TARGET)
    offer = Offer(
        description=description or "",
        target=target or "",
        context=context,
        model=table.text("model"),
        base_url=_url(table, "base_url"),
        api=cast("ModelApi | None", table.choice("api", ["responses", "chat_completions"])),
        key=table.text("key"),
        memory_summary=cast("OnOff | None", table.choice("memory_summary", ["off", "on"])),
        memory_summary_model=table.text("memory_summary_model"),
    )
    table.end()
    return offer


def _default(table: Table, names: Sequence[str]) -> str:
    default = table.text("default")
    if default is None and len(names) == 1:
        return names[0]
    if default is None and names:
        table.fault("default", f"is missing: name the agent of a session that names none: one of"
                    f" {', '.join(names)}")  # fmt: skip
    elif default is not None and default not in names:
        table.fault("default", f"{default!r} is not one of the agents: {', '.join(names)}")
    return default or ""


def _names(table: Table, key: str, value: str, pattern: re.Pattern[str]) -> bool:
    if pattern.fullmatch(value):
        return True
    form = "package.module:object" if pattern is _TARGET else "package.module"
    table.fault(key, f"must be {form}, not {value!r}")
    return False


def _url(table: Table, key: str) -> str | None:
    value = table.text(key)
    if value is not None and not re.match(r"https?://[^/\s]+", value):
        table.fault(key, f"must begin with http:// or https:// and name a server, not {value!r}")
    return value


def _may_be_secret(url: str) -> bool:
    address = urlsplit(url)
    return bool(address.password or address.query)


def _check_key(table: Table, name: str, offer: Offer, variables: Sequence[str]) -> None:
    if offer.key is None or offer.key in (*variables, DEPLOYMENTS_KEY):
        return
    if not _VARIABLE.fullmatch(offer.key):  # perhaps the key itself, which is not to be repeated
        table.fault(
            f"agents.{name}.key", "must be the name of a variable, such as GROQ_KEY, that is in"
            " [tool.parley.environment]; its value goes into .env, or into the shell"
        )  # fmt: skip
        return
    table.fault(
        f"agents.{name}.key", f"{offer.key} is not one of [tool.parley.environment]; add"
        f" {offer.key} = {{ secret = true }} there"
    )  # fmt: skip


def _code_of(offer: Offer) -> list[str]:
    return [each for each in (offer.target, offer.context) if each and _TARGET.fullmatch(each)]


def _file(table: Table, key: str, root: Path) -> Path | None:
    value = table.text(key)
    return None if value is None else _inside(table, key, root, value, folder=False)


def _inside(table: Table, key: str, root: Path, value: str, *, folder: bool) -> Path:
    path = (root / value).resolve()
    if not path.is_relative_to(root.resolve()):
        table.fault(key, f"{value} is outside of the project")
    elif not (path.is_dir() if folder else path.is_file()):
        table.fault(key, f"there is no {'folder' if folder else 'file'} {value} in {root}")
    return path
