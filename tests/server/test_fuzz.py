"""The interface asked with anything that its own description allows, and some that it does not: never a 500."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.conftest import IDS, Asking

_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=40), st.sampled_from(IDS)
)
_ANYTHING = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=12), inner, max_size=4)),
    max_leaves=8,
)
# These wait for something, or end the test's own means.
_LEFT_OUT = {"/api/v1/events/stream", "/api/v1/sources", "/api/v1/sources/trial", "/api/v1/check"}


def fitting(schema: dict[str, Any], document: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a schema describes, roughly: enough to come past its types and bounds."""
    if "$ref" in schema:
        return fitting(document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], document)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return st.one_of(*(fitting(one, document) for one in schema[several]))
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    match schema.get("type"):
        case "integer":
            return st.integers(schema.get("minimum", -(2**63)), schema.get("maximum", 2**63))
        case "number":
            return st.floats(schema.get("minimum"), schema.get("maximum"), allow_nan=False, allow_infinity=False)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "array":
            least = schema.get("minItems", 0)
            return st.lists(fitting(schema.get("items", {}), document), min_size=least, max_size=max(3, least))
        case "object":
            if "properties" not in schema:
                inner = fitting(schema.get("additionalProperties") or {}, document)
                return st.dictionaries(st.sampled_from(IDS), inner, min_size=1, max_size=3)
            required = set(schema.get("required", ()))
            known = {name: fitting(one, document) for name, one in schema["properties"].items()}
            return st.fixed_dictionaries(
                {name: one for name, one in known.items() if name in required},
                optional={name: one for name, one in known.items() if name not in required},
            )
        case "string":
            return st.one_of(st.sampled_from(IDS), st.text(max_size=30))
    return _ANYTHING


@pytest.fixture
def document(owner: Asking) -> dict[str, Any]:
    """What the interface says of itself."""
    described: dict[str, Any] = owner.client.get("/api/v1/openapi.json").json()
    return described


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_nothing_that_is_asked_is_answered_with_an_error_of_ours(
    owner: Asking, document: dict[str, Any], data: st.DataObject
) -> None:
    operations = sorted(
        (path, method) for path, methods in document["paths"].items() if path not in _LEFT_OUT for method in methods
    )
    path, method = data.draw(st.sampled_from(operations))
    described = document["paths"][path][method]
    params: dict[str, Any] = {}
    url = path
    for parameter in described.get("parameters", ()):
        strategy = st.one_of(fitting(parameter["schema"], document), _SCALARS)
        value = data.draw(strategy)
        if parameter["in"] == "path":
            url = url.replace(f"{{{parameter['name']}}}", quote(str(value), safe="") or "x")
        elif value is not None:
            params[parameter["name"]] = value if isinstance(value, list) else str(value)
    sent: dict[str, Any] = {}
    body = described.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body is not None:
        value = data.draw(st.one_of(fitting(body, document), _ANYTHING))
        sent = {"content": json.dumps(value), "headers": {"Content-Type": "application/json"}}
    try:
        answered = owner.client.request(method, url, params=params, **sent)
    except UnicodeEncodeError:
        # Such an address cannot be written down at all.
        return
    assert answered.status_code < 500 or answered.status_code in {501, 503}, (method, url, params, sent, answered.text)
    if answered.status_code >= 400:
        assert answered.headers["content-type"] == "application/problem+json"
        assert answered.json()["detail"]


def test_the_description_has_examples_and_no_path_without_words(owner: Asking) -> None:
    document = owner.client.get("/api/v1/openapi.json").json()
    assert len(document["paths"]) > 35
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            assert described.get("description"), f"{method} {path} is not described"
    decisions = document["paths"]["/api/v1/decisions"]["post"]["requestBody"]["content"]["application/json"]
    assert {"merge", "label", "undo"} <= set(decisions["examples"])


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '"x"', "null", '{"kind": "merge", "people": ["a", "b"], "seen": {"\\ud800": "a"}}']
)
def test_bodies_that_are_no_decision_are_refused_in_words(owner: Asking, text: str) -> None:
    answered = owner.client.post("/api/v1/decisions", content=text, headers={"Content-Type": "application/json"})
    assert answered.status_code == 422
    assert answered.json()["detail"]
