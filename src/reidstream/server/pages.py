"""The pages: a frame each, filled in the browser from the HTTP interface."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

import reidstream
from reidstream.server.access.accounts import Accounts
from reidstream.server.access.roles import Caller, Role
from reidstream.server.api.common import Operator, Reviewer, TheAccounts, TheDesk, Viewer
from reidstream.server.numbers_page import NumbersForm, numbers_page

router = APIRouter(include_in_schema=False)

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")), autoescape=True, undefined=StrictUndefined
)

# Path, title, the role that it is for.
_MENU = (
    ("/", "People", Role.VIEWER),
    ("/live", "Live", Role.VIEWER),
    ("/alerts", "Alerts", Role.VIEWER),
    ("/review", "Review", Role.REVIEWER),
    ("/search", "Search", Role.VIEWER),
    ("/numbers", "Numbers", Role.VIEWER),
    ("/sources", "Sources", Role.VIEWER),
    ("/jobs", "Jobs", Role.OPERATOR),
    ("/users", "Users", Role.VIEWER),
    ("/log", "Log", Role.VIEWER),
)


def page(name: str, caller: Caller | None, here: str, accounts: Accounts | None = None, **values: Any) -> Response:
    """A page of a template. here: the menu's path that is shown as current. accounts: where keys can be changed."""
    menu = [(path, title) for path, title, role in _MENU if caller is not None and caller.role.may(role)]
    common = {"caller": caller, "menu": menu, "here": here, "version": reidstream.__version__}
    own = name.removesuffix(".html")
    keys = accounts.keys(caller.user).get(own, {}) if accounts is not None and caller is not None else None
    changing = {"page": own, "keys": json.dumps(keys) if keys is not None else ""}
    return HTMLResponse(_TEMPLATES.get_template(name).render(**common, **changing, **values))


@router.get("/")
def people(caller: Viewer, accounts: TheAccounts) -> Response:
    return page("people.html", caller, "/", accounts)


@router.get("/live")
def live(caller: Viewer, accounts: TheAccounts) -> Response:
    return page("live.html", caller, "/live", accounts)


@router.get("/alerts")
def alerts(caller: Viewer, accounts: TheAccounts) -> Response:
    return page("alerts.html", caller, "/alerts", accounts)


@router.get("/people/{person}")
def person(person: str, caller: Viewer, accounts: TheAccounts) -> Response:
    return page("person.html", caller, "/", accounts, person=person)


@router.get("/review")
def review(caller: Reviewer, accounts: TheAccounts) -> Response:
    return page("review.html", caller, "/review", accounts)


@router.get("/search")
def search(caller: Viewer) -> Response:
    return page("search.html", caller, "/search")


@router.get("/numbers")
def numbers(desk: TheDesk, caller: Viewer, form: Annotated[NumbersForm, Query()]) -> Response:
    values = numbers_page(desk.gallery, None if caller.cameras is None else caller.sources, form)
    return page("numbers.html", caller, "/numbers", **values)


@router.get("/sources")
def sources(caller: Viewer) -> Response:
    return page("sources.html", caller, "/sources")


@router.get("/jobs")
def jobs(caller: Operator) -> Response:
    return page("jobs.html", caller, "/jobs")


@router.get("/users")
def users(caller: Viewer) -> Response:
    return page("users.html", caller, "/users")


@router.get("/log")
def log(caller: Viewer) -> Response:
    return page("log.html", caller, "/log")


@router.get("/login")
def log_in(request: Request, accounts: TheAccounts) -> Response:
    return door(accounts)


def door(accounts: Accounts, problem: str = "", status: int = 200) -> Response:
    """The page to come in by, with what went wrong."""
    by = accounts.provided
    name = by.config.name if by.config.is_set else ""
    response = page("login.html", None, "/login", provider=name, passwords=by.takes_passwords(), problem=problem)
    response.status_code = status
    return response


@router.get("/setup")
def set_up(request: Request) -> Response:
    return page("setup.html", None, "/setup")
