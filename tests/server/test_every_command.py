"""Every command, and what it does with a gallery that a server owns: none is refused for the lock without saying what
to do instead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from reidstream.alerts import Alerts, Watch, WatchLists
from reidstream.alerts.lists import rule_settings
from reidstream.cli.app import app
from reidstream.config import Config
from reidstream.errors import ConfigError, GalleryLocked
from reidstream.gallery import Gallery
from reidstream.identities.archive import export_gallery
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.outbox import events_after
from tests.alerts.conftest import sighting
from tests.cli.test_options import every_command
from tests.server.conftest import IDS, VISITS
from tests.server.process import Served, made_gallery
from tests.server.test_runs import recorded

# These change a gallery: the words that follow, and whether somebody hears of it by an event.
WRITING: dict[str, tuple[list[str], bool]] = {
    "run": (["--replay", "{events}", "--no-resolve"], True),
    "people label": (["1", "--name", "Ann"], True),
    "people merge": (["2", "3"], True),
    "people undo": ([], True),
    "people split": (["Ann", IDS[2]], True),
    "people move": ([IDS[2], "Ann"], True),
    "people reject": ([IDS[4], "2"], True),
    "people duplicates": ([IDS[0], IDS[1]], True),
    "people resolve": (["--yes"], True),
    "gallery rebuild": ([], False),
    "gallery import": (["{exported}"], True),
    "gallery erase": ([IDS[3], "--yes"], False),
    "watch make": (["barred", "--purpose", "banned by a court"], False),
    "watch add": (["barred", "1"], False),
    "watch rule": (["seen", "--purpose", "banned by a court", "--who", "listed", "--list", "barred"], False),
    "watch switch": (["seen", "--off"], False),
    "watch remove": (["barred", "{entry}"], False),
    "watch drop-rule": (["seen"], False),
    "watch drop": (["barred"], False),
    "alerts acknowledge": (["{alert}"], False),
    "people erase": (["Ann", "--yes"], True),
    # Whose rules erase nobody who was seen a moment ago, by the clock of the visits.
    "retention run": (["--yes"], False),
}
# These would, and say what to do instead.
SAYING: dict[str, list[str]] = {"people review": [], "serve": [], "gallery reembed": ["person-reid"]}
# These are for galleries on PostgreSQL, which many processes fill.
OF_DATABASES: dict[str, list[str]] = {
    "worker": [],
    "decide": [],
    "index": [],
    "worker drain": ["gpu-3"],
    "workers status": [],
    "workers add": ["door.mp4"],
    "workers pause": ["door"],
    "workers resume": ["door"],
    "workers remove": ["door"],
    "cluster run": ["door.mp4"],
    "cluster status": [],
    "cluster stop": [],
}
# These look only.
LOOKING = {
    *("search", "render", "events", "doctor"),
    *("gallery info", "gallery list", "gallery show", "gallery check", "gallery export", "gallery sheet"),
    *("watch lists", "watch rules", "alerts list", "alerts picture"),
    *("gallery zones", "eval gallery", "numbers", "retention plan", "retention log", "privacy report"),
    *("people list", "people show", "people export", "people sheet", "people history", "people clocks"),
}


def of_galleries() -> set[str]:
    """The commands that are given a gallery."""
    every = every_command(typer.main.get_command(app))
    return {
        name.removeprefix("reidstream ")
        for name, command in every
        if any("--gallery" in p.opts for p in command.params)
    }


def test_what_every_command_does_with_a_served_gallery_is_known() -> None:
    assert of_galleries() == {*WRITING, *SAYING, *OF_DATABASES, *LOOKING}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, dict[str, str]]]:
    folder = tmp_path_factory.mktemp("commands")
    exported = folder / "exported"
    with Gallery.open(made_gallery(folder / "other", [(7, "d", 0, 5)])) as other:
        export_gallery(other, exported)
    places = {"events": str(recorded(folder / "events.parquet")), "exported": str(exported)}
    shop = made_gallery(folder / "shop", VISITS)
    with Gallery.open(shop, write=True) as gallery:
        raised(gallery)
    with Served(shop, "--set", "retention.cameras.c=9") as running:
        yield running, places


def raised(gallery: Gallery) -> None:
    """An alert of a rule about anybody, of somebody who is in view."""
    identities = OnlineIdentities(gallery, Config().identities)
    watch = Watch(gallery, lambda: identities)
    watch.lists.add_rule(rule_settings({"name": "anybody", "purpose": "to be greeted", "who": "anybody"}), "test")
    watch.reload()
    assert watch.saw([sighting(1, 100.0, 2.0)])


def watched(folder: Path, words: list[str]) -> dict[str, str]:
    """The entry of the first watch list and an alert, where the words ask for one."""
    if not {"{entry}", "{alert}"} & set(words):
        return {}
    with Gallery.open(folder) as gallery:
        entries = [entry.id for one in WatchLists(gallery).all() for entry in one.entries]
        alerts = [alert["id"] for alert in Alerts(gallery).page()]
    return {"entry": entries[0] if entries else "", "alert": alerts[0] if alerts else ""}


def told(folder: Path) -> list[Any]:
    with Gallery.open(folder) as gallery:
        return [event.seq for event in events_after(gallery, 0)]


@pytest.mark.usefixtures("unproven")
def test_every_command_that_writes_goes_through_the_server(served: tuple[Served, dict[str, str]]) -> None:
    running, places = served
    for name, (words, is_told) in WRITING.items():
        before = told(running.gallery)
        given = [word.format(**{**places, **watched(running.gallery, words)}) for word in words]
        done = CliRunner().invoke(app, [*name.split(), *given, "--gallery", str(running.gallery), "--json"])
        assert done.exit_code == 0, (name, done.output, done.exception)
        assert not is_told or set(told(running.gallery)) - set(before), name


@pytest.mark.parametrize("name", SAYING)
def test_a_command_that_cannot_go_through_it_says_what_to_do(served: tuple[Served, dict[str, str]], name: str) -> None:
    done = CliRunner().invoke(app, [*name.split(), *SAYING[name], "--gallery", str(served[0].gallery)])
    assert isinstance(done.exception, ConfigError | GalleryLocked), done.output
    words = str(done.exception)
    assert "server" in words or "written by process" in words
    assert "Review" in words or "stop it" in words or "Sources" in words


@pytest.mark.parametrize("name", OF_DATABASES)
def test_what_workers_do_with_a_folder_is_to_say_what_it_is_for(
    served: tuple[Served, dict[str, str]], name: str
) -> None:
    done = CliRunner().invoke(app, [*name.split(), *OF_DATABASES[name], "--gallery", str(served[0].gallery)])
    assert isinstance(done.exception, ConfigError), done.output
    assert "workers need a gallery on PostgreSQL" in str(done.exception)
