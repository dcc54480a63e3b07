"""Errors as problem details (RFC 9457), in the words of the command line."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from reidstream.errors import (
    AccessDenied,
    ConfigError,
    EngineError,
    GalleryError,
    GalleryLocked,
    IdentityChanged,
    IdentityError,
    JobNotFound,
    MissingDependency,
    ModelError,
    NotAuthenticated,
    PersonNotFound,
    ReIDStreamError,
    SourceError,
    TooManyAttempts,
    TrackletNotFound,
    WatchNotFound,
)

MEDIA_TYPE = "application/problem+json"

# The first that fits.
_STATUS: tuple[tuple[type[ReIDStreamError], int], ...] = (
    (NotAuthenticated, 401),
    (AccessDenied, 403),
    (TooManyAttempts, 429),
    (PersonNotFound, 404),
    (TrackletNotFound, 404),
    (JobNotFound, 404),
    (WatchNotFound, 404),
    (IdentityError, 409),
    (ConfigError, 422),
    (SourceError, 422),
    (GalleryLocked, 409),
    (MissingDependency, 501),
    (GalleryError, 503),
    (ModelError, 503),
    (EngineError, 503),
)


def status_of(error: ReIDStreamError) -> int:
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 503)


def problem(status: int, title: str, detail: str, **more: Any) -> JSONResponse:
    """A problem document. detail: for people, what was expected, what was found, what to do."""
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return JSONResponse(content, status, media_type=MEDIA_TYPE)


def problem_of(error: ReIDStreamError) -> JSONResponse:
    """The document of one of our errors. ``error`` names its class, so that a client can raise it again."""
    more: dict[str, Any] = {"error": type(error).__name__}
    if isinstance(error, IdentityChanged):
        more["now"] = error.now
    response = problem(status := status_of(error), HTTPStatus(status).phrase, str(error), **more)
    if isinstance(error, TooManyAttempts):
        response.headers["Retry-After"] = str(max(1, round(error.seconds)))
    if isinstance(error, NotAuthenticated):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _ours(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ReIDStreamError)
    return problem_of(error)


def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [{"where": ".".join(map(str, e["loc"])), "what": e["msg"]} for e in error.errors()]
    detail = "; ".join(f"{one['where']}: {one['what']}" for one in found[:5])
    return problem(422, "Unprocessable Content", detail, error="ConfigError", problems=found[:50])


def _http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = problem(error.status_code, HTTPStatus(error.status_code).phrase, str(error.detail))
    response.headers.update(error.headers or {})
    return response


def _unexpected(_request: Request, _error: Exception) -> Response:
    # The server's log has the traceback; whoever asked learns nothing of our insides.
    return problem(500, "Internal Server Error", "a fault of the server; its log says more")


def add_problems(app: FastAPI) -> None:
    """Every error leaves the app as a problem document."""
    app.add_exception_handler(ReIDStreamError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)
