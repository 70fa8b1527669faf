"""The gateway reads template.yaml as SAM would deploy it."""

from __future__ import annotations

from pathlib import Path

import pytest

from parley_local.cloudformation import load
from parley_local.template import Authorizer, GatewayResponse, Queue, Template
from parley_local.template_file import read_template
from parley_testing.account.template import ROOT, read

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {Type: String, Default: v1}
  Level: {Type: String, Default: INFO}
  Secret: {Type: String}
  Readers: {Type: Number, Default: 7}
  Strict: {Type: String, Default: "no"}
Conditions:
  IsStrict: !Equals [!Ref Strict, "yes"]
  IsLoose: !Not [!Condition IsStrict]
Globals:
  Function:
    Handler: app.handler
    Timeout: 5
    Environment:
      Variables: {LEVEL: !Ref Level, SHARED: global}
Resources:
  Guard:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: functions/guard/}
  GuardTwo:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: functions/guard2/}
  Table: {Type: AWS::DynamoDB::Table}
  Work:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/work/
      Timeout: 120
      MemorySize: 1024
      Environment:
        Variables:
          SHARED: own
          SECRET: !Ref Secret
          TABLE: !Ref Table
          WHERE: !Sub "${AWS::Region}/${Stage}"
          MODE: !If [IsLoose, loose, strict]
          GONE: !If [IsStrict, x, !Ref AWS::NoValue]
          NUMBER: 7
          SWITCH: true
          EMPTY: ""
      Events:
        List:
          Type: Api
          Properties: {Path: /works, Method: get, RestApiId: !Ref Api}
        Any:
          Type: Api
          Properties:
            Path: /works/{id}/
            Method: any
            RestApiId: !Ref Api
            TimeoutInMillis: 5000
            Auth: {Authorizer: NONE}
        Nightly:
          Type: ScheduleV2
          Properties: {ScheduleExpression: rate(1 day)}
  Stream:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/stream/
      Handler: run.sh
      Environment: {Variables: {AWS_LAMBDA_EXEC_WRAPPER: /opt/bootstrap}}
      Events:
        Follow:
          Type: Api
          Properties:
            Path: /works/stream
            Method: get
            RestApiId: !Ref Api
            ResponseTransferMode: RESPONSE_STREAM
            TimeoutInMillis: 900000
  Reader:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/reader/
      Events:
        Wakeups:
          Type: SQS
          Properties:
            Queue: !GetAtt Wakeups.Arn
            BatchSize: 1
            ScalingConfig: {MaximumConcurrency: !Ref Readers}
  Wakeups:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 5400
      DelaySeconds: 3
      RedrivePolicy: {deadLetterTargetArn: !GetAtt Failures.Arn, maxReceiveCount: 5}
  Failures: {Type: AWS::SQS::Queue}
  Api:
    Type: AWS::Serverless::Api
    Properties:
      StageName: !Ref Stage
      BinaryMediaTypes: [image~1png]
      Cors: {AllowOrigin: "'*'", AllowHeaders: "'Authorization'", AllowCredentials: true}
      Auth:
        DefaultAuthorizer: Token
        AddDefaultAuthorizerToCorsPreflight: false
        Authorizers:
          Token:
            FunctionArn: !GetAtt GuardTwo.Arn
            Identity: {Header: X-Token, ValidationExpression: ^a, ReauthorizeEvery: 60}
      GatewayResponses:
        UNAUTHORIZED:
          StatusCode: 401
          ResponseParameters: {Headers: {Content-Type: "'application/problem+json'"}}
          ResponseTemplates: {application/json: '{"status": 401}'}
"""


@pytest.fixture
def template(tmp_path: Path) -> Template:
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE)
    return read_template(path)


def test_functions_have_their_own_values_over_the_global_ones(
    template: Template, tmp_path: Path
) -> None:
    guard, work = template.functions["Guard"], template.functions["Work"]

    assert (guard.timeout, guard.memory, guard.handler) == (5, 128, "app.handler")
    assert (work.timeout, work.memory) == (120, 1024)
    assert work.folder == tmp_path / "functions/work"


def test_variables_that_need_a_deployed_stack_are_left_out(template: Template) -> None:
    assert template.functions["Work"].variables == {
        "LEVEL": "INFO",
        "SHARED": "own",
        "WHERE": "us-east-1/v1",
        "MODE": "loose",
        "NUMBER": "7",
        "SWITCH": "true",
    }


def test_routes_know_their_authorizer_and_their_limit(template: Template) -> None:
    found = {
        (route.method, route.path): (route.function, route.authorizer, route.timeout)
        for route in template.routes
    }

    assert found == {
        ("GET", "/works"): ("Work", "Token", None),
        ("ANY", "/works/{id}"): ("Work", None, 5.0),
        ("GET", "/works/stream"): ("Stream", "Token", 900.0),
    }
    assert [route.path for route in template.routes if route.streams] == ["/works/stream"]


def test_a_function_behind_the_adapter_is_a_web_server(template: Template) -> None:
    assert [name for name, each in template.functions.items() if each.is_web_server] == ["Stream"]


def test_the_queue_has_its_reader_and_its_limits(template: Template) -> None:
    assert template.queue == Queue(
        "Wakeups",
        "Reader",
        visibility=5400,
        delay=3,
        receives=5,
        dead_letters="Failures",
        concurrency=7,
    )


def test_a_queue_that_says_nothing_has_the_defaults_of_sqs(tmp_path: Path) -> None:
    start = TEMPLATE.index("      VisibilityTimeout: 5400")
    text = TEMPLATE[:start] + TEMPLATE[TEMPLATE.index("  Failures: {Type") :]
    text = text.replace("    Properties:\n  Failures", "  Failures")
    text = text.replace("            ScalingConfig: {MaximumConcurrency: !Ref Readers}\n", "")
    (tmp_path / "template.yaml").write_text(text)

    template = read_template(tmp_path / "template.yaml")

    assert template.queue == Queue("Wakeups", "Reader", visibility=30, delay=0)


def test_the_api_has_its_authorizer_its_responses_and_its_cors(template: Template) -> None:
    assert template.authorizers == {
        "Token": Authorizer("Token", "GuardTwo", headers=("X-Token",), pattern="^a", ttl=60)
    }
    assert template.gateway_responses == {
        "UNAUTHORIZED": GatewayResponse(
            401,
            {"Content-Type": "'application/problem+json'"},
            {"application/json": '{"status": 401}'},
        )
    }
    assert template.cors is not None
    assert (template.cors.origin, template.cors.headers) == ("*", "Authorization")
    assert (template.cors.credentials, template.cors.authorizer) == (True, None)
    assert (template.stage, template.binary_types) == ("v1", ("image/png",))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "is not YAML"),
        ("just text", "is not a CloudFormation template"),
        (TEMPLATE.replace("DefaultAuthorizer: Token", "DefaultAuthorizer: Other"), "Other"),
        (TEMPLATE.replace("!GetAtt GuardTwo.Arn", "!GetAtt Stranger.Arn"), "names no function"),
        (TEMPLATE.replace("CodeUri: functions/work/", "CodeUri: !Ref Secret"), "CodeUri"),
        (TEMPLATE.replace("/opt/bootstrap", "/opt/other"), "GET /works/stream: RESPONSE_STREAM"),
        (TEMPLATE.replace("!GetAtt Wakeups.Arn", "!GetAtt Table.Arn"), "SQS event of Reader"),
        (TEMPLATE.replace("!GetAtt Failures.Arn", "!Ref Secret"), "RedrivePolicy of Wakeups"),
        (
            TEMPLATE.replace("        Nightly:", "        More: {Type: SQS}\n        Nightly:"),
            "several SQS events",
        ),
    ],
)
def test_a_template_that_cannot_be_served_says_why(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "template.yaml").write_text(text)

    with pytest.raises(ValueError, match=reason):
        read_template(tmp_path / "template.yaml")


def test_the_projects_own_template_is_understood() -> None:
    root = Path(__file__).parents[3]

    template = read_template(root / "template.yaml")

    assert {"authorizer", "messages", "migrate", "sessions"} <= {
        function.folder.name for function in template.functions.values()
    }
    open_routes = {route.path for route in template.routes if route.authorizer is None}
    assert open_routes == {"/health", "/openapi.json", "/docs", "/chat", "/console", "/web/{path+}"}
    assert {route.path for route in template.routes if route.streams} == {
        "/messages/stream",
        "/sessions/{session_id}/messages/stream",
        "/sessions/{session_id}/turns/{turn_id}/events",
        "/ag-ui/{agent}",
        "/ai-sdk/chat",
        "/ai-sdk/chat/{chat_id}/stream",
    }
    assert template.queue is not None
    assert template.functions[template.queue.function].folder.name == "worker"
    assert template.queue.visibility > template.functions[template.queue.function].timeout


@pytest.mark.parametrize(
    "name", ["template.yaml", "monitoring.yaml", "packaging/parley_backend/template.yaml"]
)
def test_short_tags_are_read_as_sam_reads_them(name: str) -> None:
    # The command is installed without SAM, whose reader therefore only the tests have.
    assert load(ROOT / name) == read(name)
