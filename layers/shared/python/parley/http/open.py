"""The routes about the deployment itself: its agents, its health, its documentation."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from importlib import resources

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from parley.http.documented import answers
from parley.http.parts import Caller, Routes
from parley.http.project_routes import ProjectRoutes
from parley.http.schemas import AgentList, Health, OfferedAgent
from parley.manifest import manifest

router = Router()


@router.get(
    "/agents",
    operation_id="listAgents",
    tags=["agents"],
    summary="List the agents that this deployment offers",
    responses=answers({200: "All agents."}),
)
def list_agents(user: Caller) -> AgentList:
    offered = manifest()
    return AgentList(
        items=[
            OfferedAgent(name=name, description=offer.description, default=name == offered.default)
            for name, offer in offered.agents.items()
        ]
    )


@router.get(
    "/health",
    operation_id="checkHealth",
    tags=["deployment"],
    summary="Tell that the function runs; touches no store",
    responses={200: {"description": "It runs."}},
    openapi_extensions={"security": []},
)
def check_health() -> Health:
    return Health(status="ok")


@router.get("/openapi.json", include_in_schema=False)
def openapi(routes: Routes) -> Response[str]:
    return Response(status_code=200, content_type="application/json", body=_document(routes))


@router.get("/docs", include_in_schema=False, compress=True)
def docs(routes: Routes) -> Response[str]:
    # Only this page needs it, and importing it costs every cold start.
    from aws_lambda_powertools.event_handler.openapi import swagger_ui

    files = resources.files(swagger_ui)
    page = swagger_ui.generate_swagger_html(
        spec=_document(routes).replace("</", "<\\/"),
        swagger_js=(files / "swagger-ui-bundle.min.js").read_text("utf-8"),
        swagger_css=(files / "swagger-ui.min.css").read_text("utf-8"),
        swagger_base_url="",
        oauth2_config=None,
        persist_authorization=False,
    )
    return Response(
        status_code=200,
        content_type="text/html; charset=utf-8",
        body=page,
        headers={"Content-Security-Policy": _policy_of(page)},
    )


def _document(routes: ProjectRoutes) -> str:
    # Seldom asked for, as above.
    from parley.http.project_document import with_routes

    return with_routes(routes.routers)


def _policy_of(page: str) -> str:
    """Let a page run the scripts that it was made with, and talk to this API alone."""
    scripts = re.findall("<script>(.*?)</script>", page, re.DOTALL)
    hashes = (b64encode(sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    return (
        f"default-src 'none'; script-src {allowed};"
        " style-src 'unsafe-inline'; img-src 'self' data:; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
