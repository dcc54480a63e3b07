"""Every table and every kind of file says whether it holds anything about people, and what erases it if so."""

from __future__ import annotations

import ast
import importlib
import time
from pathlib import Path

import pytest
from sqlalchemy import Connection, MetaData, Table

from reidstream.alerts import Watch
from reidstream.alerts.lists import rule_settings
from reidstream.clips import Clip, ClipShelf
from reidstream.config import Config, RetentionConfig
from reidstream.engines.recording import Recorder
from reidstream.gallery import Gallery
from reidstream.gallery.database import table_names
from reidstream.gallery.personal import Store, Subject, component_stores, stores_of
from reidstream.identities.delivery import Position, follow, position_file
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.outbox import OutboxEvent
from reidstream.identities.people import prepare
from reidstream.retention import retain
from reidstream.types import EmbeddingSpace, LeftOut, LeftOutReason, SourceStarted

from .alerts.conftest import sighting
from .identities.conftest import SPACE, made_tracklet

SOURCE = Path(__file__).parents[1] / "src" / "reidstream"

COPY = "a copy that its owner asked for; docs/gallery.md says that no erasure reaches it"
NOBODY = "holds nothing about anybody"
MEMORY = "writes to memory only"
# Modules that write files, and what these files are: the name of a declared store, or one of the above.
WRITERS = {
    "cli.deepstream_selftest": NOBODY,
    "cli.demo": COPY,
    "cli.engine_plan": NOBODY,
    "cli.gallery": COPY,
    "cli.privacy": NOBODY,
    "cli.sources": COPY,
    "client": COPY,
    "cli.alerts": COPY,
    "disclosure.filming": COPY,
    "disclosure.package": COPY,
    "disclosure.showing": COPY,
    "clips.cutting": "clips of visits",
    # Settings that were sent along with a command.
    "cluster.keeping": NOBODY,
    "doctor.inference": NOBODY,
    "doctor.nvidia": NOBODY,
    "doctor.software": NOBODY,
    "engines.deepstream.checking.fixing": NOBODY,
    "engines.deepstream.files.model_places": NOBODY,
    "engines.deepstream.files.nvinfer_config": NOBODY,
    "engines.deepstream.running.alive": NOBODY,
    "engines.deepstream.running.engine": NOBODY,
    "engines.deepstream.selftest.clip": COPY,
    "engines.deepstream.selftest.plan": NOBODY,
    "engines.deepstream.selftest.running": COPY,
    "engines.recording": COPY,
    "evaluation.motchallenge": NOBODY,
    "evaluation.report": COPY,
    "files": "files that are being written",
    "gallery.archive": COPY,
    "gallery.archive_pictures": COPY,
    "gallery.exporting": COPY,
    "gallery.ownership": "the gallery's description, and who may write",
    "gallery.sheet": COPY,
    "identities.delivery": "how far a follower of the events has come",
    "models.engine_build": NOBODY,
    "models.exporting": NOBODY,
    "models.onnx_file": NOBODY,
    "models.preparing": NOBODY,
    "numbers.writing": COPY,
    "rendering.film": COPY,
    "runtime.setting_up": NOBODY,
    "search.photos": COPY,
    "server.shown_clip": "clips that are cut out of recordings to be shown",
    "server.live.fragments": MEMORY,
    "server.photos": "photos that somebody searches with",
    "sources.packet_ring": MEMORY,
    "synthetic.scene": NOBODY,
    "synthetic.truth": NOBODY,
}
WRITING = {"whole_file", "whole_folder", "write_whole", "write_text", "write_bytes", "imwrite", "mkdtemp", "mkstemp"}
WRITING |= {"NamedTemporaryFile", "TemporaryDirectory", "ParquetWriter"}


def modules() -> dict[str, Path]:
    return {".".join(path.relative_to(SOURCE).with_suffix("").parts): path for path in sorted(SOURCE.rglob("*.py"))}


def writes_files(path: Path) -> bool:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        modes = [a.value for a in (*node.args, *(k.value for k in node.keywords)) if isinstance(a, ast.Constant)]
        if name in WRITING or (name == "open" and any(str(mode)[:1] in {"w", "a", "x"} for mode in modes)):
            return True
    return False


def components() -> dict[str, list[Table]]:
    """The tables of each component, found by what its modules define."""
    found: dict[str, list[Table]] = {}
    for name, path in modules().items():
        if "MetaData()" in path.read_text(encoding="utf-8"):
            module = importlib.import_module(f"reidstream.{name}")
            for value in vars(module).values():
                if isinstance(value, MetaData):
                    found.setdefault(name.split(".")[0], []).extend(value.tables.values())
    return found


def test_every_table_of_the_program_has_one_store() -> None:
    assert {"gallery", "identities"} <= set(components())
    for component, tables in components().items():
        declared = [table for store in component_stores(component) for table in store.tables]
        assert sorted(declared) == sorted({table.name for table in tables})


def test_every_module_that_writes_files_says_what_they_hold() -> None:
    writing = {name for name, path in modules().items() if writes_files(path)}
    assert writing == set(WRITERS), "say here, and in docs/gallery.md, what the new kind of file holds about people"
    stores = {store.name for component in components() for store in component_stores(component)}
    assert set(WRITERS.values()) - {COPY, NOBODY, MEMORY} <= stores


@pytest.mark.parametrize("place", ["folder", "postgres"])
def test_every_table_and_file_that_a_gallery_comes_to_have_is_declared(
    tmp_path: Path, place: str, request: pytest.FixtureRequest
) -> None:
    where = tmp_path / "shop" if place == "folder" else request.getfixturevalue("postgres")
    with Gallery.open(where, write=True, create=True, space=SPACE) as gallery:
        gallery.begin_source(SourceStarted("door", "door.mp4", "content of door", (640, 480), 10, 0.0), "settings")
        gallery.add([made_tracklet(1, "door", 0.0, 5.0), made_tracklet(2, "door", 10.0, 15.0)])
        OnlineIdentities(gallery, Config().identities).catch_up()
        watched(gallery)
        retain(gallery, RetentionConfig(days=1), "somebody", now=lambda: 0.0)
        if place == "folder":
            shelf = ClipShelf(gallery)
            for name in ("a.mp4", ".b.77.partial.mkv"):
                (shelf.folder / name).write_bytes(b"somebody")
        gallery.flush()
        with gallery.read() as connection:
            stores = stores_of(connection)
            tables = [table for store in stores for table in store.tables]
            assert sorted(tables) == sorted(table_names(connection))
        if place == "folder":
            follow(gallery, Deaf(), 0, position=Position(position_file(gallery, "http://somewhere"), gallery))
            strangers = [p for p in files_of(tmp_path) if not any(s.holds_file(p, "shop") for s in stores)]
            assert strangers == []
            assert any(path.startswith("../shop.events-") for path in files_of(tmp_path))


def watched(gallery: Gallery) -> None:
    """Somebody on a watch list, and an alert about them."""
    identities = OnlineIdentities(gallery, Config().identities)
    watch = Watch(gallery, lambda: identities)
    made = watch.lists.make("greeted", "to be greeted", time.time() + 3600, "test")
    watch.lists.add_person(made.id, made_tracklet(1, "door", 0.0, 5.0).id, "test")
    watch.lists.add_photo(made.id, made_tracklet(1, "door", 0.0, 5.0).embedding, b"somebody", "test")
    rule = {"name": "seen", "purpose": "Greta Garbo is to be greeted", "who": "anybody"}
    watch.lists.add_rule(rule_settings(rule), "test")
    watch.reload()
    assert watch.saw([sighting(1, 0.0, 2.0, source="door")])


class Deaf:
    def deliver(self, events: list[OutboxEvent]) -> None:
        """Accept everything."""


def files_of(folder: Path) -> list[str]:
    """Paths as stores name them: inside the gallery's folder, or beside it."""
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return [str(Path(*p.parts[1:])) if p.parts[0] == "shop" else f"../{p}" for p in paths]


def test_a_store_says_what_erases_and_what_traces_it_or_why_nothing_does() -> None:
    def erase(_connection: Connection, _subject: Subject) -> None:
        """Take them out."""

    for half in ({"erase": erase}, {"trace": lambda _c, _s: ()}, {"erase": erase, "trace": print, "beyond": "why"}, {}):
        with pytest.raises(ValueError, match="must say what erases it and what traces it"):
            Store("alerts", tables=("alerts",), **half)


def test_every_store_leaves_no_trace_of_who_is_erased(tmp_path: Path) -> None:
    """The stores' own traces see what is there, so that an erasure that forgets something is noticed."""
    with Gallery.open(tmp_path / "shop", write=True, create=True, space=SPACE) as gallery:
        gallery.begin_source(SourceStarted("door", "door.mp4", "content of door", (640, 480), 10, 0.0), "settings")
        gallery.add([made_tracklet(1, "door", 0.0, 5.0)])
        short = LeftOutReason.TOO_SHORT
        beside = ("door", "content of door", 2, 0, short, 0, 1, 0.0, 0.1, 0.0, 0.1, 2, 0.5, None, (0.0, 0.0, 9.0, 9.0))
        gallery.leave_out([LeftOut("0a", *beside)])
        prepare(gallery)
        shelf, visit = ClipShelf(gallery), made_tracklet(1, "door", 0.0, 5.0)
        clip = Clip(visit.id, visit.content, f"{visit.id}.mp4", 0.0, 5.0, 0.0)
        assert shelf.begin(clip)
        (shelf.folder / "written").write_bytes(b"somebody")
        assert shelf.finish(clip, shelf.folder / "written")
        OnlineIdentities(gallery, Config().identities).catch_up()
        watched(gallery)
        retain(gallery, RetentionConfig(days=1), "somebody", now=lambda: 0.0)
        with gallery.write() as connection:
            person = connection.exec_driver_sql("SELECT id FROM people").scalar_one()
            visits, named = (made_tracklet(1, "door", 0.0, 5.0).id,), ("Greta Garbo",)
            subject = Subject(visits, ("content of door",), people=(person,), texts=named)
            stores = stores_of(connection)
            seen = {store.name: list(store.trace(connection, subject)) for store in stores if store.trace is not None}
            assert all(seen.values()), seen
            for store in stores:
                if store.erase is not None:
                    store.erase(connection, subject)
            for store in stores:
                assert store.trace is None or list(store.trace(connection, subject)) == []


def test_recordings_lie_where_their_owner_wants_them(tmp_path: Path) -> None:
    """Recorded events are copies: while they are written, too, they are nowhere but at the place that was named."""
    with Recorder(tmp_path / "events.parquet", EmbeddingSpace("a", "a", 4)) as recorder:
        recorder.write(SourceStarted("door", "door.mp4", "content", (640, 480), 10, 0.0))
        assert {path.name for path in tmp_path.iterdir()} == {"events.parquet.partial"}
    assert {path.name for path in tmp_path.iterdir()} == {"events.parquet"}
