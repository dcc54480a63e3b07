"""Whatever goes wrong while rules are looked at or people are given: it is said, tried again, and nothing is lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from reidstream.errors import GalleryUnreachable
from reidstream.server import assigning, watching
from reidstream.server.desk import Desk
from tests.alerts.conftest import sighting
from tests.server.conftest import Asking, with_pictures

RULE = {"name": "seen", "purpose": "to be greeted", "who": "anybody", "cooldown": 0}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (watching, assigning):
        monkeypatch.setattr(module, "_FIRST_PAUSE", 0.001)
        monkeypatch.setattr(module, "_LONGEST_PAUSE", 0.001)


class Failing:
    """A call that fails so often before it does what it did."""

    def __init__(self, real: Callable[..., Any], *errors: Exception) -> None:
        self.real, self.errors = real, list(errors)

    def __call__(self, *arguments: Any) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        return self.real(*arguments)


ERRORS = [GalleryUnreachable("the database is away"), RuntimeError("a fault of ours")]


@pytest.mark.parametrize("error", ERRORS)
def test_a_sighting_that_could_not_be_looked_at_is_looked_at_again(
    owner: Asking, desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    owner.post("/watch/rules", RULE, 201)
    watch = desk.watching.watch
    monkeypatch.setattr(watch, "saw", Failing(watch.saw, error, error))
    settled = threading.Event()
    real = watch.settle

    def settle() -> None:
        real()
        settled.set()

    monkeypatch.setattr(watch, "settle", settle)
    with caplog.at_level(logging.WARNING):
        desk.watching.put([replace(sighting(7, 500.0, 2.0), ended=True)])
        desk.watching.settle()
        desk.watching.wait()
    # What failed before it took nothing else along.
    assert settled.is_set()
    assert len(owner.get("/alerts")["alerts"]) == 1
    assert "again" in caplog.text


@pytest.mark.parametrize("error", ERRORS)
def test_what_was_stored_is_settled_although_it_failed_first(
    owner: Asking, desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    owner.post("/watch/rules", RULE, 201)
    watch = desk.watching.watch
    monkeypatch.setattr(watch, "settle", Failing(watch.settle, error, error))
    desk.store(with_pictures([(5, "a", 600, 605)]))
    desk.settle()
    desk.watching.wait()
    (alert,) = owner.get("/alerts")["alerts"]
    assert alert["state"] == "confirmed"


@pytest.mark.parametrize("error", [*ERRORS, KeyError("a person")])
def test_people_are_given_after_it_failed(
    owner: Asking, desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    desk.settle()
    monkeypatch.setattr(desk.assigning, "_catch_up", Failing(desk.assigning._catch_up, error, error))
    with caplog.at_level(logging.WARNING):
        desk.store(with_pictures([(6, "b", 700, 705)]))
        desk.settle()
    (visit,) = with_pictures([(6, "b", 700, 705)])
    assert owner.get(f"/tracklets/{visit.id}/person")["person"] is not None
    assert caplog.text


def test_closing_does_not_wait_for_what_fails_for_ever(
    owner: Asking, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner.post("/watch/rules", RULE, 201)

    def never(*_: Any) -> None:
        raise RuntimeError("for ever")

    monkeypatch.setattr(desk.watching.watch, "saw", never)
    monkeypatch.setattr(desk.assigning, "_catch_up", never)
    desk.watching.put([sighting(7, 500.0, 2.0)])
    desk.wake()
    # It ends; the fixture closes it once more.
    desk.watching.close()
