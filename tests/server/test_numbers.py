"""Numbers over HTTP and as a page: whose cameras count, and what cannot be meant."""

from __future__ import annotations

import re

import pytest

from reidstream.server.access.roles import Role
from tests.server.conftest import Asking, Client


def test_numbers_speak_of_the_cameras_that_somebody_may_see(owner: Asking, user: Client) -> None:
    whole = owner.get("/numbers", by="all")["rows"]
    assert {(row["camera"], round(row["people"])) for row in whole} == {("", 3), ("a", 3), ("b", 2)}
    part = user(Role.VIEWER, ["b"]).get("/numbers", by="all")["rows"]
    assert [(row["camera"], round(row["people"])) for row in part] == [("b", 2)]
    user(Role.VIEWER, ["a"]).get("/numbers", 422, camera="b")
    assert user(Role.REVIEWER, []).get("/numbers")["rows"] == []
    flows = user(Role.OPERATOR, ["b"]).get("/journeys")["flows"]
    assert {flow["origin"] for flow in flows} | {flow["target"] for flow in flows} == {"", "b"}


def test_journeys_are_those_of_the_people(owner: Asking) -> None:
    flows = {(flow["origin"], flow["target"]): flow["decided"] for flow in owner.get("/journeys")["flows"]}
    assert flows["a", "b"] == 2
    assert flows["b", "a"] == 1


@pytest.mark.parametrize("wrong", [{"time_zone": "Nowhere"}, {"since": "soon"}, {"camera": "c"}])
def test_what_cannot_be_meant_is_said(owner: Asking, wrong: dict[str, str]) -> None:
    owner.get("/numbers", 422, **wrong)
    page = owner.client.get("/numbers", params=wrong)
    assert page.status_code == 200
    assert 'role="alert"' in page.text


def test_the_page_draws_what_its_reader_may_see(owner: Asking, user: Client) -> None:
    text = owner.client.get("/numbers").text
    assert "all cameras" in text
    assert len(re.findall("<svg class=.chart.", text)) == 4
    assert " style=" not in text
    part = user(Role.VIEWER, ["b"]).client.get("/numbers").text
    assert len(re.findall("<svg class=.chart.", part)) == 2
    assert "<td>a</td>" not in part
    nobody = owner.client.get("/numbers", params={"until": "1960-01-01", "by": "day"}).text
    assert "Nobody was seen" in nobody


def test_names_of_cameras_are_text_on_the_page_and_never_markup() -> None:
    from reidstream.numbers.charts import flow_chart

    flow = {"origin": "<script>", "target": '"a', "people": 1.0, "people_low": 1, "people_high": 1}
    drawn = flow_chart([flow], 'a "title"')
    assert "<script>" not in drawn
    assert '"title"' not in drawn
