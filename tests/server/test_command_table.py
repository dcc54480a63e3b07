"""Commands on a gallery in PostgreSQL that a server owns: they come by a table of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import insert, select
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.cli.people.group import login
from reidstream.client import Client
from reidstream.config.gallery import GalleryConfig
from reidstream.errors import ConfigError, GalleryError, IdentityChanged, PersonNotFound
from reidstream.gallery import Gallery
from reidstream.server.access.schema import commands
from reidstream.server.app import create_app
from reidstream.server.command_table import CommandTable, TableTransport, answers_commands
from reidstream.server.desk import Desk
from tests.identities.conftest import SPACE
from tests.server.conftest import IDS, VISITS, stored


@pytest.fixture
def desk(postgres: str) -> Iterator[Desk]:
    config = GalleryConfig(index="exact")
    with Gallery.open(postgres, write=True, create=True, space=SPACE, config=config) as opened:
        stored(opened, VISITS)
        made = Desk(opened)
        made.settle()
        yield made
        made.close()


@pytest.fixture
def served(desk: Desk, postgres: str) -> Iterator[str]:
    """The address of a gallery whose server answers."""
    with CommandTable(desk.gallery, create_app(desk)):
        yield postgres


def command(gallery: str, *words: str) -> Any:
    done = CliRunner().invoke(app, [*words, "--gallery", gallery, "--json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def rows(desk: Desk) -> list[Any]:
    with desk.gallery.read() as connection:
        return list(connection.execute(select(commands)).all())


def test_commands_that_write_go_by_the_table(served: str, desk: Desk) -> None:
    assert command(served, "people", "label", "1", "--name", "Ann")["summary"] == "labelled person 1 'Ann'"
    command(served, "people", "merge", "2", "3")
    command(served, "people", "undo")
    command(served, "people", "reject", IDS[4], "2")
    operations = command(served, "people", "history")["operations"]
    assert {"label", "merge", "undo", "reject"} <= {operation["kind"] for operation in operations}
    assert {operation["author"] for operation in operations} == {login()}
    assert command(served, "people", "resolve", "--yes")["applied"] is True
    assert command(served, "gallery", "erase", IDS[3], "--yes")["tracklets"] == 1
    assert command(served, "people", "erase", "Ann", "--yes")["tracklets"] == 3
    # Whoever has an answer takes the row out.
    assert rows(desk) == []
    with pytest.raises(PersonNotFound):
        command(served, "people", "label", "Ann", "--name", "Bea")
    with pytest.raises(ConfigError, match="page Sources"):
        command(served, "run", "a.mp4")


def test_a_decision_that_is_out_of_date_is_refused_with_the_newer_state(served: str, desk: Desk) -> None:
    with Client("http://localhost", transport=TableTransport(served, "grace")) as client:
        one = client.person("1")
        seen = {IDS[0]: "somebody else", IDS[2]: one["id"]}
        with pytest.raises(IdentityChanged) as refused:
            client.decide("confirm", person=one["id"], tracklets=[IDS[0]], seen=seen)
        assert refused.value.now == {IDS[0]: one["id"]}
        client.label("1", name="Ann")
        with pytest.raises(GalleryError, match="no files and no streams"):
            client.get("/events/stream")
    assert desk.operation(1)["author"] == "grace"


def test_without_a_server_nobody_waits_for_an_answer(desk: Desk, postgres: str) -> None:
    assert not answers_commands(postgres)
    with CommandTable(desk.gallery, create_app(desk)):
        assert answers_commands(postgres)
    assert not answers_commands(postgres)
    with (
        Client("http://localhost", transport=TableTransport(postgres, "grace")) as client,
        pytest.raises(GalleryError, match="has ended"),
    ):
        client.label("1", name="Ann")
    assert rows(desk) == []


def test_what_waits_in_the_table_is_part_of_erasing_a_person(desk: Desk) -> None:
    person = next(iter(desk.catalogue.entries())).person
    asked = json.dumps({"method": "GET", "path": f"/api/v1/people/{person.id}", "type": "", "body": ""})
    with desk.gallery.write() as connection:
        values = [
            {"wall": time.time(), "who": "grace", "request": asked, "response": None},
            {"wall": time.time(), "who": "grace", "request": "", "response": json.dumps({"text": person.id})},
        ]
        connection.execute(insert(commands), values)
    desk.gallery.erase(person.tracklets, people=[person.id])
    assert person.id not in str(rows(desk))
    # Those who wait are told so.
    with CommandTable(desk.gallery, create_app(desk)):
        assert rows(desk) == []
