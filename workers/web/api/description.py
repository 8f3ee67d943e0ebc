"""The OpenAPI document of the API: what FastAPI derives from the routes, with our answers, errors and login.

Apart from the routes because it is about all of them. It is made once, when it is first asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from domain.errors import InvalidMessage
from workers.cli.schema import schema_of
from workers.web.api.answers import ANSWERS, Given, Problem
from workers.web.problems import MEDIA_TYPE

PROBLEMS = {
    "400": "The body cannot be read.",
    "401": "The token is missing, unknown, revoked, or its time is over.",
    "403": "The caller's role does not allow it.",
    "404": "It does not exist, or the caller may not see it.",
    "405": "There is no such method here.",
    "409": "It cannot be done as things stand.",
    "413": "The body is too large.",
    "422": "The request is not as described here.",
    "503": "It is not possible now; Retry-After says when to try again.",
}


class DocumentRoute(APIRoute):
    """A route that answers with a document as it was made; its type stands in the table of answers. It takes no query
    parameter that it does not know."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options["response_model"] = None
        super().__init__(*arguments, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As FastAPI's, but what is asked for in vain is refused: a misspelt filter would show everything."""
        handle = super().get_route_handler()
        known = {parameter.alias for parameter in self.dependant.query_params}

        async def refusing(request: Request) -> Response:
            if unknown := sorted(request.query_params.keys() - known):
                told = f"{unknown[0][:80]!r} is no parameter here; there are {', '.join(sorted(known)) or 'none'}"
                raise InvalidMessage(told, field=unknown[0][:80], code="unknown-parameter")
            return await handle(request)

        return refusing


class DescribedApp(FastAPI):
    """An application whose OpenAPI document is ours."""

    def openapi(self) -> dict[str, Any]:
        """The document."""
        if self.openapi_schema is None:
            self.openapi_schema = _made(self)
        return self.openapi_schema


def _made(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, summary=app.summary, description=app.description, routes=app.routes
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"token": []}]
    error = {MEDIA_TYPE: {"schema": _schema(Problem, schemas)}}
    for methods in document["paths"].values():
        for operation in methods.values():
            kind = ANSWERS.get(operation["operationId"], Given)
            success = next(status for status in operation["responses"] if status.startswith("2"))
            operation["responses"] = {
                success: _success(operation["responses"][success], _schema(kind, schemas), kind is Given),
                **{status: {"description": meaning, "content": error} for status, meaning in PROBLEMS.items()},
            }
    return document


def _success(response: dict[str, Any], schema: dict[str, Any], given: bool) -> dict[str, Any]:
    where = {"location": {"description": "Where the operation is followed.", "schema": {"type": "string"}}}
    found = {**response, "content": {"application/json": {"schema": schema}}}
    return {**found, "headers": where} if given else found


def _schema(kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """A reference to the type's schema, which is put among the others together with those that it needs."""
    whole = schema_of(kind)
    moved = json.loads(json.dumps(whole["$defs"]).replace("#/$defs/", "#/components/schemas/"))
    schemas.update(moved)
    return {"$ref": f"#/components/schemas/{kind.__name__}"}
