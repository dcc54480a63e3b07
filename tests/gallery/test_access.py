"""Nobody but their owner can read a gallery's files and what is written out of them, whatever the umask says."""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.config import Config, GalleryConfig, load_config
from reidstream.doctor.report import Question, Status
from reidstream.doctor.software import gallery as doctor_gallery
from reidstream.engines.recording import Recorder
from reidstream.errors import ConfigError
from reidstream.files import whole_file, whole_folder
from reidstream.gallery import Gallery
from reidstream.gallery.exporting import export
from reidstream.gallery.sheet import write_gallery_sheet
from reidstream.identities.archive import export_gallery
from reidstream.identities.delivery import Position, follow, position_file
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.outbox import OutboxEvent
from tests.slow import first_quick

from .conftest import SETTINGS, SPACE, Filled, some_tracklets, started


@pytest.fixture(params=first_quick([0o000, 0o022]))
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """The widest umask, and the usual one."""
    before = os.umask(request.param)
    yield
    os.umask(before)


class Deaf:
    def deliver(self, events: list[OutboxEvent]) -> None:
        """Accept everything."""


def modes(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): stat.S_IMODE(p.stat().st_mode) for p in sorted(folder.rglob("*"))}


def everything(folder: Path, config: GalleryConfig) -> None:
    """A gallery while it is open, and all that is written out of it."""
    with Gallery.open(folder / "deep" / "shop", write=True, create=True, space=SPACE, config=config) as gallery:
        gallery.begin_source(started(), SETTINGS)
        gallery.add(some_tracklets(12))
        OnlineIdentities(gallery, Config().identities).catch_up()
        gallery.flush()
        gallery.rebuild()
        gallery.erase([some_tracklets(12)[0].id])
        follow(gallery, Deaf(), 0, position=Position(position_file(gallery, "http://somewhere"), gallery))
        for ending in ("parquet", "csv", "json", "npz"):
            export(gallery, folder / f"people.{ending}")
        export_gallery(gallery, folder / "export")
        write_gallery_sheet(gallery, folder / "sheet.html", limit=10)
        with Recorder(folder / "events.parquet", SPACE) as recorder:
            recorder.write(started())
            wide = {path: mode for path, mode in modes(folder).items() if mode & ~GALLERY_BITS.get(config.group, 0o700)}
    wide |= {path: mode for path, mode in modes(folder).items() if mode & ~GALLERY_BITS.get(config.group, 0o700)}
    # Folders that lead to a gallery are the user's own.
    wide.pop("deep", None)
    assert wide == {}


GROUP = grp.getgrgid(os.getgid()).gr_name
GALLERY_BITS: dict[str | None, int] = {GROUP: 0o2770}


@pytest.mark.usefixtures("umask")
def test_everything_is_made_for_the_owner_alone(tmp_path: Path) -> None:
    everything(tmp_path, GalleryConfig())
    with Gallery.open(tmp_path / "deep" / "shop") as reader:
        assert reader.check().warnings == ()
    assert doctor_gallery(Question(load_config(), gallery=tmp_path / "deep" / "shop")).status is Status.OK


@pytest.mark.slow
@pytest.mark.setting("gallery.group")
@pytest.mark.usefixtures("umask")
def test_a_gallery_is_shared_with_the_group_that_was_named_and_with_nobody_else(tmp_path: Path) -> None:
    everything(tmp_path, GalleryConfig(group=GROUP))
    shop = tmp_path / "deep" / "shop"
    found = modes(tmp_path)
    assert found["deep/shop"] == 0o2770
    files = {"deep/shop/gallery.db", "deep/shop/writer.lock", "people.csv", "export/people.json"}
    assert {found[name] for name in files} == {0o660}
    assert all(path.stat().st_gid == os.getgid() for path in shop.rglob("*"))
    assert [name for name in found if name.startswith("deep/shop/index/") and not found[name] & 0o060] == []
    with Gallery.open(shop) as reader:
        assert reader.check().warnings == ()
    with pytest.raises(ConfigError, match=r"no group of users called 'nobodys-group'.*gallery.group"):
        Gallery.open(
            tmp_path / "other", write=True, create=True, space=SPACE, config=GalleryConfig(group="nobodys-group")
        )
    assert not (tmp_path / "other").exists()


def test_an_existing_gallery_is_opened_to_a_group_on_purpose(indexed: Filled) -> None:
    path = indexed(some_tracklets(3))
    assert modes(path)["gallery.db"] == 0o600
    Gallery.open(path, write=True, config=GalleryConfig(group=GROUP)).close()
    assert modes(path)["gallery.db"] == 0o660
    Gallery.open(path, write=True).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o2770


def test_a_gallery_that_others_can_read_is_warned_of(filled: Filled) -> None:
    path = filled(some_tracklets(3))
    (path / "gallery.db").chmod(0o644)
    done = CliRunner().invoke(app, ["gallery", "check", "--gallery", str(path)])
    assert done.exit_code == 0
    assert f"warning: {path / 'gallery.db'}" in done.output
    assert f"can be read by others; `chmod -R go= {path}`" in done.output
    assert doctor_gallery(Question(load_config(), gallery=path)).status is Status.WARNING
    (path / "gallery.db").chmod(0o600)
    exported = path.with_name("gallery.events-1.json")
    exported.write_text("{}")
    exported.chmod(0o644)
    with Gallery.open(path) as reader:
        assert str(exported) in reader.check().warnings[0]


@pytest.mark.usefixtures("umask")
def test_files_are_narrow_before_anything_is_in_them_and_what_is_for_all_stays_wide(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a") as partial:
        assert stat.S_IMODE(partial.stat().st_mode) == 0o600
    with whole_folder(tmp_path / "b") as partial:
        assert stat.S_IMODE(partial.stat().st_mode) == 0o700
        (partial / "inner").mkdir()
        (partial / "inner" / "file").touch()
    assert modes(tmp_path) == {"a": 0o600, "b": 0o700, "b/inner": 0o700, "b/inner/file": 0o600}
    with whole_file(tmp_path / "model.onnx", access=None) as partial:
        partial.touch()
    assert modes(tmp_path)["model.onnx"] & 0o044


@pytest.mark.usefixtures("umask")
def test_an_export_that_is_fetched_from_a_server_is_for_the_owner_alone_and_whole(tmp_path: Path) -> None:
    import httpx

    from reidstream.client import Client
    from reidstream.errors import ReIDStreamError

    def serve(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/file") and not sound:
            return httpx.Response(404, json={"detail": "gone"})
        if request.url.path.endswith("/file"):
            return httpx.Response(200, content=b"id,source\n")
        return httpx.Response(202, json={"id": "1", "state": "done", "result": {"tracklets": 0}})

    sound = True
    with Client(transport=httpx.MockTransport(serve)) as client:
        client.export(tmp_path / "people.csv")
        sound = False
        with pytest.raises(ReIDStreamError):
            client.export(tmp_path / "late.csv")
    assert modes(tmp_path) == {"people.csv": 0o600}
    assert (tmp_path / "people.csv").read_bytes() == b"id,source\n"
