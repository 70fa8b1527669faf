"""The Agents SDK is imported without what no run needs, and nothing of it is another object."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from parley.lean_imports import defined_functions, evaluated_names, imported_names
from parley_testing.run.at_length import times

NAMES = """# Generated.

from __future__ import annotations

from .batch import Batch as Batch
from .shared import (
    Metadata as Metadata,
    AllModels as Models,
)
__all__ = ["Batch"]
"""


def said(code: str) -> Any:
    """Run a program in a process of its own, and return what it prints last, as JSON."""
    # As functions do: a tenth of what importing takes.
    code = f"import gc\ngc.disable()\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


Lean = Callable[[str], Any]
# A process that has imported the SDK, and becomes each program that a line holds.
FORKS = """
import gc
gc.disable()
import json, os, sys
import parley.runner
import agents
for line in sys.stdin:
    child = os.fork()
    if not child:
        try:
            exec(json.loads(line), {"json": json, "sys": sys, "agents": agents})
            sys.stdout.flush()
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    print(json.dumps({"ended": os.waitpid(child, 0)[1]}), flush=True)
"""


@pytest.fixture(scope="module")
def lean() -> Iterator[Lean]:
    """Runs a program where the SDK is imported as we do it, and nothing else was done."""

    def run(code: str) -> Any:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(code) + "\n")
        process.stdin.flush()
        printed: list[Any] = []
        while not printed or "ended" not in printed[-1]:
            printed.append(json.loads(process.stdout.readline()))
        assert printed[-1] == {"ended": 0}  # or it has said why on stderr
        return printed[-2]

    with subprocess.Popen(
        [sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield run


def test_a_file_that_only_imports_names_is_read() -> None:
    assert imported_names(NAMES) == {
        "Batch": (".batch", "Batch"),
        "Metadata": (".shared", "Metadata"),
        "Models": (".shared", "AllModels"),
    }


@pytest.mark.parametrize(
    "added",
    [
        "print('loaded')\n",
        "from .old import *\n",
        "from . import batch\n",
        "import os\n",
        "x: int = 1\n",
        "from .batch import Batch as batch\n",
        "if True:\n    from .late import Late\n",
        "from .late import Late  # noqa\n",
    ],
)
def test_a_file_that_does_more_is_left_as_it_stands(added: str) -> None:
    assert imported_names(NAMES + added) is None


def test_a_package_may_name_its_modules_in_full_and_say_what_it_is() -> None:
    source = '"""Events."""\n\nfrom aws.events.s3 import S3\nfrom .sns import sns\n'

    assert imported_names(source, "aws.events") == {"S3": (".s3", "S3"), "sns": (".sns", "sns")}
    assert imported_names(source, "gcp.events") is None


def test_a_file_that_only_defines_functions_is_read() -> None:
    source = (
        "from __future__ import annotations\nimport json\nfrom typing import (\n    Any,\n)\n"
        "if TYPE_CHECKING:\n    from .late import Late\n\n"
        "def parse(a: Any = (1, 2)) -> Any:\n    return a\n\n"
        "async def sent(\n    a: Any,\n) -> None:\n    pass\n\ndef _own() -> None:\n    pass\n"
    )

    assert defined_functions(source) == ["parse", "sent"]
    for added in (
        "X = 1\n",
        "class Late:\n    pass\n",
        "print()\n",
        "@cache\ndef kept():\n    pass\n",
    ):
        assert defined_functions(source + added) is None, added


@pytest.mark.parametrize(
    ("written", "looked_up"),
    [
        ("class Raised(Exception):\n    data: Data\n", False),
        ("def raised(data: Data) -> Data:\n    return Data(data)\n", False),
        ("made = lambda: Data()\n", False),
        ("class Late(Data):\n    pass\n", True),
        ("KINDS = [Data]\n", True),
        ("kind: Any = Data\n", True),
        ("class Raised(Exception):\n    kind = Data\n", True),
        ("def raised(data=Data()):\n    pass\n", True),
        ("def raised(*, data=Data()):\n    pass\n", True),
        ("@Data\ndef raised():\n    pass\n", True),
        ("if Data:\n    pass\n", True),
    ],
)
def test_a_type_that_a_file_only_names_is_told_from_one_that_it_needs(
    written: str, looked_up: bool
) -> None:
    assert ("Data" in evaluated_names(written)) is looked_up


def test_exceptions_that_need_their_types_are_imported_with_them(tmp_path: Path) -> None:
    # As a later version of the package may; those of this one are imported without.
    added = "\nKINDS = [ErrorData]\nclass Late(ErrorData):\n    pass\n"
    found = importlib.util.find_spec("mcp")
    assert found is not None
    assert found.submodule_search_locations is not None
    shutil.copytree(found.submodule_search_locations[0], tmp_path / "mcp")
    with (tmp_path / "mcp" / "shared" / "exceptions.py").open("a") as file:
        file.write(added)

    with_types, same = said(
        f"import json, sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport parley.runner\n"
        "import agents, mcp.shared.exceptions as raised\n"
        f"assert raised.__file__.startswith({str(tmp_path)!r})\n"
        "with_types = 'mcp.types' in sys.modules\n"
        "import mcp.types\n"
        "print(json.dumps([with_types, raised.KINDS == [mcp.types.ErrorData]]))"
    )

    assert (with_types, same) == (True, True)


@pytest.mark.parametrize("added", ["", "from .late import Late\n"])
def test_a_file_that_is_empty_or_has_one_more_name_is_no_exception(added: str) -> None:
    assert imported_names("") is None
    assert imported_names(NAMES + added) is not None


def test_what_no_run_needs_is_not_imported(lean: Lean) -> None:
    # A new version of the SDK, or of a package that it needs, may import in another way. Then it is
    # imported as it stands, which is right and slow: this test is where one hears of it.
    found = lean(
        "from agents import run_state\n"
        "print(json.dumps([sorted(sys.modules), vars(run_state._HANDOFF_OUTPUT_ADAPTER).keys()"
        " == {'_built_when_used'}]))"
    )

    modules, not_built = found
    assert {"agents", "openai.types.responses.response", "mcp.shared.exceptions"} <= set(modules)
    needless = [
        name
        for name in (
            *("mcp.types", "mcp.server", "mcp.client", "openai.types.batch", "starlette"),
            *("click", "pygments", "rich"),  # which are installed here
        )
        if name in modules
    ]
    assert needless == []
    assert not_built


def test_everything_is_there_when_it_is_asked_for(lean: Lean) -> None:
    """Each name of each package, and each module of it as an attribute, as without us."""
    names = (
        "import importlib, pkgutil\n"
        "import openai.types, mcp, mcp.types\n"
        "names = {}\n"
        "packages = [openai.types, mcp, *(\n"
        "    importlib.import_module(found.name)\n"
        "    for found in pkgutil.walk_packages(openai.types.__path__, 'openai.types.')\n"
        f"    if found.ispkg)][::{times(enough=6, full=1)}]\n"
        "for package in packages:\n"
        "    exported = {}\n"
        "    exec(f'from {package.__name__} import *', exported)\n"
        "    for name in sorted({*dir(package), *exported}):\n"
        "        if name.startswith('__') or name == 'annotations': continue\n"
        "        value = getattr(package, name)\n"
        "        names[f'{package.__name__}.{name}'] = [\n"
        "            getattr(value, '__module__', None), getattr(value, '__qualname__', None)]\n"
        "print(json.dumps(names))"
    )

    as_it_stands = said(f"import json\nimport agents\n{names}")
    ours = lean(names)

    assert len(ours) > times(enough=150, full=1000)
    missing = {name: value for name, value in as_it_stands.items() if ours.get(name) != value}
    assert missing == {}


def test_an_exception_of_mcp_is_the_one_that_its_sessions_raise(lean: Lean) -> None:
    found = lean(
        "from agents.mcp import _compat\n"
        "from mcp.shared.exceptions import McpError, UrlElicitationRequiredError\n"
        "import mcp, mcp.client.session, mcp.types\n"
        "raised = McpError(mcp.types.ErrorData(code=1, message='gone'))\n"
        "asked = UrlElicitationRequiredError([mcp.types.ElicitRequestURLParams(\n"
        "    message='sign in', url='https://example.com', elicitationId='1')])\n"
        "print(json.dumps([_compat.MCPError is McpError is mcp.McpError, raised.error.message,"
        " asked.elicitations[0].url]))"
    )

    assert found == [True, "gone", "https://example.com"]


def test_a_validator_that_two_threads_use_first_is_whole_for_both(lean: Lean) -> None:
    found = lean(
        "import threading\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from agents import run_state\n"
        "from pydantic import TypeAdapter, ValidationError\n"
        "adapter = run_state._FUNCTION_OUTPUT_ADAPTER\n"
        "item = {'type': 'function_call_output', 'call_id': 'c', 'output': 'done'}\n"
        "start = threading.Barrier(8)\n"
        "def use(number):\n"
        "    start.wait()\n"
        "    return adapter.validate_python(dict(item))\n"
        "with ThreadPoolExecutor(8) as pool: told = list(pool.map(use, range(8)))\n"
        "try: adapter.validate_python({'type': 'no'})\n"
        "except ValidationError: refused = True\n"
        "print(json.dumps([told == [item] * 8, refused, isinstance(adapter, TypeAdapter)]))"
    )

    assert found == [True, True, True]


def test_what_was_made_after_it_was_imported_is_pydantics_own(lean: Lean) -> None:
    # Theirs is built at once, as an agent's output type must be: what it cannot be is said there.
    found = lean(
        "import pydantic\n"
        "from agents import agent_output, AgentOutputSchema\n"
        "class Unknown: pass\n"
        "try: agent_output.TypeAdapter(Unknown)\n"
        "except pydantic.PydanticSchemaGenerationError: refused = True\n"
        "print(json.dumps([pydantic.TypeAdapter.__module__, refused,"
        " AgentOutputSchema(list[int]).validate_json('{\"response\": [1]}')]))"
    )

    assert found == ["pydantic.type_adapter", True, [1]]


def test_an_agent_without_an_mcp_server_does_not_import_their_client(lean: Lean) -> None:
    modules = lean(
        "from parley.runner import execute, prepare\n"
        "prepare.prepare(agents.Agent(name='one'))\n"
        "print(json.dumps(sorted(sys.modules)))"
    )

    sharing = "parley.runner.mcp_servers.sharing"
    needless = {"agents.mcp.server", "mcp.client.session", "mcp.types", sharing}
    assert needless.isdisjoint(modules)


def test_an_agent_with_one_has_the_client_as_it_stands(lean: Lean) -> None:
    same = lean(
        "from agents.mcp import MCPServer, MCPServerStdio, util\n"
        "from parley.runner import prepare\n"
        "server = MCPServerStdio({'command': 'none'})\n"
        "prepare.prepare(agents.Agent(name='one', mcp_servers=[server]))\n"
        "import mcp, mcp.types, mcp.shared.exceptions as raised\n"
        "print(json.dumps([isinstance(server, MCPServer), mcp.McpError is raised.McpError,"
        " util.MCPError is mcp.McpError, raised.ErrorData is mcp.types.ErrorData]))"
    )

    assert same == [True] * 4


def test_an_answer_that_is_parsed_and_one_that_is_streamed_are_as_they_stand(lean: Lean) -> None:
    # What parses is imported by the first call, in the place of what was imported first.
    found = lean(
        "import asyncio, httpx2, openai\n"
        "from typing import get_type_hints\n"
        "from openai.resources.responses import responses\n"
        "from pydantic import BaseModel\n"
        "class Told(BaseModel):\n    n: int\n"
        "text = {'type': 'output_text', 'text': '{\"n\": 3}', 'annotations': []}\n"
        "said = {'id': 'm', 'type': 'message', 'role': 'assistant', 'status': 'completed',"
        " 'content': [text]}\n"
        "answer = {'id': 'r', 'object': 'response', 'created_at': 0, 'model': 'm',"
        " 'output': [said], 'parallel_tool_calls': True, 'tool_choice': 'auto', 'tools': []}\n"
        "answered = lambda request: httpx2.Response(200, json=answer)\n"
        "transport = httpx2.MockTransport(answered)\n"
        "client = openai.OpenAI(api_key='k', http_client=httpx2.Client(transport=transport))\n"
        "other = openai.AsyncOpenAI(\n"
        "    api_key='k', http_client=httpx2.AsyncClient(transport=transport))\n"
        "before = 'openai.lib.streaming.responses' in sys.modules\n"
        "asked = {'model': 'm', 'input': 'hi', 'text_format': Told}\n"
        "told = [client.responses.parse(**asked), asyncio.run(other.responses.parse(**asked))]\n"
        "from openai.lib.streaming.responses import ResponseStreamManager\n"
        "stream = client.responses.stream(model='m', input='hi')\n"
        "print(json.dumps([before, [each.output_parsed.n for each in told],"
        " responses.ResponseStreamManager is ResponseStreamManager,"
        " isinstance(stream, ResponseStreamManager)]))"
    )

    assert found == [False, [3, 3], True, True]


def test_the_program_of_the_http_client_is_imported_when_it_is_run(lean: Lean) -> None:
    said_by_it = lean(
        "import click, contextlib, httpx, io\n"
        "before = hasattr(httpx._main, 'rich')\n"
        "told = io.StringIO()\n"
        "with contextlib.redirect_stdout(told): httpx.main(['--help'], standalone_mode=False)\n"
        "print(json.dumps([before, httpx.main.__module__, type(httpx._main.main).__name__,"
        " 'Usage' in told.getvalue()]))"
    )

    assert said_by_it == [False, "httpx", "Command", True]


def test_each_name_of_powertools_is_there_when_it_is_asked_for() -> None:
    names = (
        "import aws_lambda_powertools.event_handler as handler\n"
        "import aws_lambda_powertools.utilities.data_classes as events\n"
        "from aws_lambda_powertools.utilities.data_classes import event_source\n"
        "import aws_lambda_powertools.utilities.data_classes.event_source\n"
        "told = {f'{package.__name__}.{name}': str(getattr(package, name))\n"
        "    for package in (handler, events) for name in package.__all__}\n"
        "print(json.dumps([told, events.event_source is event_source and callable(event_source)]))"
    )

    as_it_stands, _ = said(f"import json\n{names}".replace(" at 0x", ""))
    ours, function = said(f"import json\nfrom parley import starting\nstarting.begin()\n{names}")

    assert {name: each.split(" at ")[0] for name, each in ours.items()} == {
        name: each.split(" at ")[0] for name, each in as_it_stands.items()
    }
    assert function


def test_nothing_of_ours_imports_the_orm() -> None:
    # A third of what importing SQLAlchemy takes, in every function.
    ours = "parley.composition, parley.cleanup.cleaner, parley.http.sessions, parley.http.admin"

    assert not said(f"import json, sys, {ours}\nprint(json.dumps('sqlalchemy.orm' in sys.modules))")
