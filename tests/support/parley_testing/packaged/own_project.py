"""A project that has all that one can have, made of the starter that `parley init` writes."""

from __future__ import annotations

from pathlib import Path

from parley_testing.packaged.wheels import source_tree, wheel

_TOOLS = '''
"""An agent that sells, with what it needs: a package of PyPI's, a folder, a secret, a data file."""

import json
import os
from pathlib import Path

from agents import Agent
from shop import PRICE
from sortedcontainers import SortedList
from sqlalchemy import text

from parley import Effect, effect_tool

PLACES = SortedList(json.loads((Path(__file__).parent / "places.json").read_text()))


@effect_tool
def sell(effect: Effect, title: str) -> str:
    """Sell something."""
    effect.db.execute(
        text("INSERT INTO my_desk_tasks (user_id, title) VALUES (:user_id, :title)"),
        {"user_id": effect.user_id, "title": f"sold {title}"},
    )
    return f"{title} for {PRICE} in {PLACES[0]} to {os.environ['SHOP_KEY']}"


agent = Agent(name="seller", instructions="Sell.", tools=[sell])
'''

_ROUTE = '''
"""What is for sale, over HTTP."""

from pydantic import BaseModel
from shop import PRICE

from parley.http import Caller, Router

router = Router()


class Offer(BaseModel):
    """What something costs, and who asks."""

    price: int
    asked_by: str


@router.get("/offer", summary="Read the offer")
def offer(caller: Caller) -> Offer:
    return Offer(price=PRICE, asked_by=caller.user_id)
'''

_AGENTS = """
base_url = "{todo}"

[tool.parley.agents.seller]
target = "my_desk.seller:agent"
description = "Sells."
base_url = "{seller}"
api = "chat_completions"
model = "small"
key = "SHOP_KEY"

[tool.parley.environment]
SHOP_KEY = {{ secret = true }}

[tool.uv.sources]
shop = {{ path = "shop", editable = true }}

[tool.pytest"""


_ROUTES = """\
[tool.parley]
default = "todo"
routes = ["my_desk.offer"]
"""


def outgrow(root: Path, wheels: Path, *, todo: str, seller: str) -> None:
    """Add to the starter all that a project can have, with a second agent on another model server.

    Args:
        root: The project, as `parley init my-desk` has made it.
        wheels: Where wheels of no index are, which its folder `shop` depends on.
        todo: The model server of its first agent.
        seller: That of its second, which speaks Chat Completions.
    """
    wheel(wheels, "shop_prices", "1.0", {"shop_prices.py": "PRICE = 3\n"})
    init = {"__init__.py": "from shop_prices import PRICE as PRICE\n"}
    source_tree(root / "shop", "shop", init, "shop-prices")
    file, package = root / "pyproject.toml", root / "my_desk"
    text = file.read_text()
    listed = '["parley-serverless", "shop", "sortedcontainers"]'
    text = text.replace('["parley-serverless"]', listed, 1)
    text = text.replace("\n[tool.pytest", _AGENTS.format(todo=todo, seller=seller), 1)
    text = text.replace("[tool.parley]\n", _ROUTES, 1)
    file.write_text(text)
    (package / "seller.py").write_text(_TOOLS.lstrip())
    (package / "offer.py").write_text(_ROUTE.lstrip())
    (package / "places.json").write_text('["Oslo", "Bergen"]')
    tables = package / "tables.py"
    # What erases and exports has what the project depends on, too.
    tables.write_text(tables.read_text().replace("\n\n", "\n\nimport sortedcontainers\n\n", 1))


def add_agent(root: Path, name: str, source: Path) -> Path:
    """Add the agent of another project to one, with the tests of it; return its module.

    Both are as `parley init my-desk` has made them, with the same table.

    Args:
        root: The project.
        name: What the agent is called there.
        source: The other project.
    """
    module, tests = root / "my_desk" / f"{name}.py", root / "tests" / f"test_{name}.py"
    module.write_text((source / "my_desk" / "agent.py").read_text())
    text = (source / "tests" / "test_agent.py").read_text()
    imported = text.replace("from my_desk import agent\n", f"from my_desk import {name} as agent\n")
    tests.write_text(imported.replace('"todo"', f'"{name}"'))
    file = root / "pyproject.toml"
    entry = f'[tool.parley.agents.{name}]\ntarget = "my_desk.{name}:build"\n'
    entry += 'description = "Keeps your tasks too."\n\n[tool.pytest'
    listed = file.read_text().replace("[tool.pytest", entry, 1)
    if "default = " not in listed:
        listed = listed.replace("[tool.parley]\n", '[tool.parley]\ndefault = "todo"\n', 1)
    file.write_text(listed)
    return module
