"""An archive that others made is looked through before anything of it is believed, and is added whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import UserDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Connection
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.config import Config, GalleryConfig
from reidstream.errors import GalleryCorrupt, GalleryError
from reidstream.gallery import Gallery, State
from reidstream.gallery.archive import read_archive
from reidstream.gallery.archive_examiner import Examiner
from reidstream.gallery.interchange import parquet_schema
from reidstream.identities import archive as archives
from reidstream.identities.archive import export_gallery, import_gallery, open_archive
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.people import list_people
from reidstream.types import SourceEnded
from tests.slow import first_quick

from .conftest import SPACE, Fill, filled

Spoil = Callable[[Path], None]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export as it should be, to be copied and not to be written to."""
    folder = tmp_path_factory.mktemp("exported")
    with filled(
        folder / "gallery", [(person, "door", 20.0 * person, 20.0 * person + 8) for person in range(6)]
    ) as made:
        OnlineIdentities(made, Config().identities).catch_up()
        made.end_source(SourceEnded("door", 200, 200.0), "content of door")
        export_gallery(made, folder / "export")
    return folder / "export"


@pytest.fixture
def exported(export: Path, tmp_path: Path) -> Path:
    shutil.copytree(export, tmp_path / "export")
    return tmp_path / "export"


def document(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    facts = json.loads((folder / "gallery.json").read_text())
    change(facts)
    (folder / "gallery.json").write_text(json.dumps(facts))


def signed(folder: Path) -> None:
    """Make the checksums right again, as whoever means harm would."""
    for name in ("tracklets.parquet", "people.json"):
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        document(folder, lambda facts, name=name, digest=digest: facts["sha256"].update({name: digest}))


def column(name: str, change: Callable[[list[Any]], object]) -> Spoil:
    """Change the values of one column of the tracklets."""

    def spoil(folder: Path) -> None:
        table = pq.read_table(folder / "tracklets.parquet")
        values = table.column(name).to_pylist()
        change(values)
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(name), pa.array(values, table.schema.field(name).type))
        pq.write_table(table, folder / "tracklets.parquet")
        signed(folder)

    return spoil


def people(change: Callable[[dict[str, Any]], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        held = json.loads((folder / "people.json").read_text())
        change(held)
        (folder / "people.json").write_text(json.dumps(held))
        signed(folder)

    return spoil


def facts(change: Callable[[dict[str, Any]], object]) -> Spoil:
    return lambda folder: document(folder, change)


def put(key: int, value: Any) -> Callable[[list[Any]], object]:
    return lambda values: values.__setitem__(key, value)


def fifo(name: str) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return spoil


def link(folder: Path) -> None:
    (folder / "people.json").rename(folder.parent / "elsewhere.json")
    (folder / "people.json").symlink_to(folder.parent / "elsewhere.json")


def nested(folder: Path) -> None:
    (folder / "people.json").write_text("[" * 200_000)
    signed(folder)


HOSTILE: dict[str, Spoil] = {
    "a checksum of another file": facts(lambda f: f["sha256"].update({"/etc/passwd": "0" * 64})),
    "a checksum left out": facts(lambda f: f["sha256"].pop("people.json")),
    "a fifo instead of people": fifo("people.json"),
    "a fifo instead of tracklets": fifo("tracklets.parquet"),
    "a link": link,
    "lists without end": nested,
    "a file that is not Parquet": lambda f: ((f / "tracklets.parquet").write_bytes(b"PAR1" * 50), signed(f)),
    "a recording of the year 1e300": facts(lambda f: f["recordings"][0].update(started_wall=1e300)),
    "a recording that is endless": facts(lambda f: f["recordings"][0].update(fps=float("inf"))),
    "a recording twice": facts(lambda f: f["recordings"].append(f["recordings"][0])),
    "a recording of no size": facts(lambda f: f["recordings"][0].update(size=[0, 0])),
    "a size without bound": facts(lambda f: f["space"].update(size=10**9)),
    "another number of tracklets": facts(lambda f: f.update(tracklets=7)),
    "a tracklet of the year 1e300": column("end_wall", put(3, 1e300)),
    "a tracklet of no time": column("start_wall", put(3, float("nan"))),
    "a media time without end": column("end_media", put(3, float("inf"))),
    "a frame before the first": column("start_frame", put(2, -5)),
    "an id that is none": column("id", put(1, "../../etc/passwd")),
    "an id twice": column("id", lambda ids: ids.__setitem__(1, ids[0])),
    "a source of another recording": column("source", put(1, "yard")),
    "a recording that is not described": column("content", put(1, "nowhere")),
    "an unknown reason": column("reason", put(1, "boredom")),
    "a vector of no length": column("embedding", put(1, [0.0] * SPACE.size)),
    "a vector that is no number": column("embedding", put(1, [float("nan")] * SPACE.size)),
    "no prototypes": column("prototypes", put(1, [])),
    "a path without frames": column("frames", put(1, [])),
    "a box that is no number": column("boxes", put(1, [[float("nan")] * 4] * 2)),
    "a crop that is no picture": column("crop", put(1, b"<script>")),
    "a missing time": column("end_wall", put(1, None)),
    "a person with a number for a name": people(lambda p: p["people"][0].update(name=5)),
    "a person of the year 1e300": people(lambda p: p["people"][0].update(created_wall=1e300)),
    "a person twice": people(lambda p: p["people"].append(p["people"][0])),
    "a probability of two": people(lambda p: p["members"][0].update(probability=2.0)),
    "rows that are no list": people(lambda p: p.update(members={"a": 1})),
    "a row that is a word": people(lambda p: p["links"].append("word")),
}


@pytest.fixture(scope="module")
def examiner() -> Iterator[Examiner]:
    with Examiner() as started:
        yield started


@pytest.mark.parametrize("name", HOSTILE)
def test_what_no_gallery_could_have_written_is_refused(exported: Path, examiner: Examiner, name: str) -> None:
    HOSTILE[name](exported)
    with pytest.raises(GalleryCorrupt) as refused:
        open_archive(exported, examiner)
    assert "root:" not in str(refused.value)


@pytest.mark.parametrize("name", [*HOSTILE][::12])
def test_a_refused_archive_leaves_no_gallery_behind(exported: Path, tmp_path: Path, name: str) -> None:
    HOSTILE[name](exported)
    done = CliRunner().invoke(app, ["gallery", "import", str(exported), "--gallery", str(tmp_path / "new")])
    assert done.exit_code == 1
    assert isinstance(done.exception, GalleryCorrupt)
    assert not (tmp_path / "new").exists()


def small_file_with_much_in_it(folder: Path, name: str) -> None:
    """Twenty kilobytes that are gigabytes when they are read: a value that is repeated without end."""
    schema = parquet_schema(SPACE.size).with_metadata(pq.read_schema(folder / "tracklets.parquet").metadata)
    row = pq.read_table(folder / "tracklets.parquet").slice(0, 1)
    rows = 800
    columns = {field.name: pa.concat_arrays([row.column(field.name).combine_chunks()] * rows) for field in schema}
    columns["id"] = pa.array([f"{n:032x}" for n in range(rows)])
    if name == "crop":
        big = b"\xff\xd8" + bytes(2**20)
        columns["crop"] = pa.DictionaryArray.from_arrays(pa.array([0] * rows), pa.array([big])).dictionary_decode()
    else:
        ends = np.arange(rows + 1) * 60_000
        columns[name] = pa.ListArray.from_arrays(ends, pa.array(np.zeros(ends[-1], np.int64)))
    pq.write_table(pa.table(columns, schema=schema), folder / "tracklets.parquet", compression="zstd")
    document(folder, lambda facts: facts.update(tracklets=rows))
    signed(folder)


@pytest.mark.parametrize("name", first_quick(["frames", "crop"]))
def test_a_small_file_with_much_in_it_takes_little_memory(exported: Path, name: str) -> None:
    small_file_with_much_in_it(exported, name)
    assert (exported / "tracklets.parquet").stat().st_size < 2**20
    code = """
import re, resource, sys
from pathlib import Path
from reidstream.errors import GalleryCorrupt
from reidstream.identities.archive import open_archive
try:
    open_archive(Path(sys.argv[1]))
except GalleryCorrupt as error:
    # Not getrusage for itself: that counts what the parent had before it became this program.
    status = Path("/proc/self/status").read_text()
    itself = int(re.search(r"VmHWM:\\s+(\\d+)", status)[1])
    print(max(itself, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) // 1024, error)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(exported)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    megabytes, _, message = done.stdout.partition(" ")
    assert f"{name} has" in message or f"values of {name}" in message
    # The libraries alone take two hundred; what the file says of itself would take one or two thousand.
    assert int(megabytes) < 600


class LastWords(UserDict[str, str]):
    """Sources of recordings; whoever reads them finds the other process ended by the system, as Arrow ends it."""

    def __init__(self, child: psutil.Process) -> None:
        super().__init__()
        self._child = child

    def __iter__(self) -> Iterator[str]:
        self._child.send_signal(signal.SIGABRT)
        return super().__iter__()


def test_a_file_that_ends_the_process_that_reads_it_is_refused_and_the_next_one_is_read(exported: Path) -> None:
    before = set(psutil.Process().children())
    with Examiner() as examiner:
        (child,) = set(psutil.Process().children()) - before
        with pytest.raises(GalleryCorrupt, match=r"was ended by SIGABRT; export the gallery again"):
            examiner.demand_tracklets(exported / "tracklets.parquet", SPACE.size, 6, LastWords(child))
        assert read_archive(exported, examiner).gallery


@pytest.mark.parametrize("moment", ["take_over", "append_events", "without_erased"])
def test_an_import_that_fails_has_added_nothing(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    def fail(connection: Connection, *_: object) -> None:
        raise GalleryError("no space left")

    archive = open_archive(exported)
    config = GalleryConfig(index="exact")
    with Gallery.open(tmp_path / "other", write=True, create=True, space=SPACE, config=config) as gallery:
        with monkeypatch.context() as patched:
            patched.setattr(archives, moment, fail)
            with pytest.raises(GalleryError, match="no space left"):
                import_gallery(gallery, archive)
        assert (len(gallery), gallery.sources(), list_people(gallery)) == (0, [], [])
        done = import_gallery(gallery, archive)
        assert done.tracklets == 6
        assert [recording.state for recording in gallery.sources()] == [State.COMPLETE]
        assert len(list_people(gallery)) > 0
        assert gallery.check().problems == []


def test_times_that_are_none_are_listed_as_numbers_and_not_stored(tmp_path: Path, fill: Fill) -> None:
    from dataclasses import replace

    from reidstream.gallery.sheet import wall_clock

    from .conftest import made_tracklet

    assert wall_clock(1e300) == "1e+300 s"
    assert wall_clock(0) == "1970-01-01 00:00:00"
    gallery = fill([(1, "door", 0.0, 5.0)])
    with pytest.raises(ValueError, match="no time between the years 1 and 9999"):
        gallery.add([replace(made_tracklet(2, "door", 10.0, 15.0), end_wall=1e300)])
