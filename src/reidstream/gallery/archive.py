"""A gallery in a folder of plain files: facts and tracklets with vectors, paths and crops, for taking them elsewhere.

gallery.json        format, embedding space, recordings, and the checksums of the other files
tracklets.parquet   as ``gallery export people.parquet`` writes them
people.json         what other packages keep beside the tracklets (people and decisions)
pictures.parquet    further pictures, where a gallery keeps more than the best of a tracklet (format version 2)
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from reidstream.errors import GalleryCorrupt, GalleryError, GalleryMismatch, GalleryNotFound
from reidstream.expected_looks import ANY
from reidstream.files import whole_folder
from reidstream.foreign_documents import parsed_json
from reidstream.gallery.archive_checks import (
    MOST_FACTS,
    MOST_PEOPLE,
    ArchiveFacts,
    demand_checksum,
    plain_file,
    row_groups,
)
from reidstream.gallery.archive_examiner import Examiner
from reidstream.gallery.archive_pictures import Pictures, PicturesWriter
from reidstream.gallery.batch import Batch
from reidstream.gallery.exporting import write_parquet
from reidstream.gallery.gallery import Gallery
from reidstream.gallery.recordings import Recording, State
from reidstream.gallery.rows import Filter
from reidstream.types import EmbeddingSpace, EndReason, SourceEnded, SourceStarted, Tracklet

FACTS, TRACKLETS, PEOPLE, PICTURES = "gallery.json", "tracklets.parquet", "people.json", "pictures.parquet"
FORMAT, VERSION = "reidstream gallery", 2
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive that was found to be whole. gallery: uuid of the gallery it was made from. space, model: its vectors.

    recordings: what the tracklets were read from. people: the document of PEOPLE. calibration: see ``expected_looks``.
    pictures: whether there is a file of further pictures.
    """

    folder: Path
    gallery: str
    space: EmbeddingSpace
    model: str
    recordings: tuple[Recording, ...]
    people: dict[str, Any]
    calibration: str = ANY.name
    pictures: bool = False

    def contents(self) -> Iterator[tuple[str, str]]:
        """The id of each tracklet, and the recording that it is from."""
        for group in row_groups(self.folder / TRACKLETS, self.space.size, ["id", "content"]):
            yield from zip(group["id"].to_pylist(), group["content"].to_pylist(), strict=True)

    def tracklets(self) -> Iterator[list[Tracklet]]:
        """All tracklets in the order in which they were stored, some hundreds at once."""
        pictures = Pictures(self.folder / PICTURES if self.pictures else None)
        for group in row_groups(self.folder / TRACKLETS, self.space.size):
            for batch in group.combine_chunks().to_batches(_AT_ONCE):
                yield _tracklets(batch, self.space.size, pictures)


def write_archive(
    gallery: Gallery, folder: Path, where: Filter, people: Callable[[list[str]], Mapping[str, Any]]
) -> int:
    """Write the tracklets that a filter leaves to a new folder; how many. It is there completely, or not at all.

    people: makes the document of PEOPLE for these tracklets. Raises GalleryError when there is something already.
    """
    import pyarrow.parquet as pq

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise GalleryError(f"{folder} is there already; an export needs a new or empty folder")
    with whole_folder(folder, GalleryError, access=gallery.access) as partial:
        with PicturesWriter(partial / PICTURES) as pictures:
            count = write_parquet(gallery, partial / TRACKLETS, where, beside=pictures.add)
        table = pq.read_table(partial / TRACKLETS, columns=["id", "content"])
        text = json.dumps(people(table["id"].to_pylist()), ensure_ascii=False)
        (partial / PEOPLE).write_text(text + "\n", encoding="utf-8")
        left = Counter(table["content"].to_pylist())
        facts = gallery.facts()
        document = {
            "format": FORMAT,
            # What earlier versions read needs no later one.
            "version": VERSION if pictures.any else 1,
            "gallery": facts.uuid,
            "exported_wall": time.time(),
            "space": {"fingerprint": facts.space.fingerprint, "model": facts.space.model, "size": facts.space.size},
            "model": facts.model,
            "tracklets": count,
            "recordings": [
                _plain(recording, left[recording.content])
                for recording in gallery.sources()
                if not where or recording.content in left
            ],
            **({} if facts.calibration == ANY.name else {"calibration": facts.calibration}),
            "sha256": {name: _sha256(partial / name) for name in (TRACKLETS, PEOPLE, *[PICTURES] * pictures.any)},
        }
        text = json.dumps(document, indent=1, ensure_ascii=False)
        (partial / FACTS).write_text(text + "\n", encoding="utf-8")
    return count


def read_archive(folder: Path, examiner: Examiner | None = None) -> Archive:
    """An archive, every file and every value of which was looked at.

    examiner: the process that looks through the tracklets, for whoever reads many archives; without one, a process is
    started for this one. Raises GalleryNotFound when there is none, GalleryMismatch for a newer format, GalleryCorrupt
    when it is damaged, or holds what no gallery could have written.
    """
    if not (folder / FACTS).is_file():
        raise GalleryNotFound(
            f"no exported gallery at {folder}: expected a folder with {FACTS}, {TRACKLETS} and {PEOPLE}, as "
            "`reidstream gallery export FOLDER` writes it"
        )
    try:
        document = parsed_json(plain_file(folder / FACTS, MOST_FACTS).read_text(encoding="utf-8"))
        if document["format"] != FORMAT or int(document["version"]) > VERSION:
            raise GalleryMismatch(
                f"{folder / FACTS} has format {document['format']!r} version {document['version']}; this program reads "
                f"{FORMAT!r} up to version {VERSION}: install a newer reidstream"
            )
        facts = ArchiveFacts.model_validate(document)
        demand_checksum(plain_file(folder / TRACKLETS), facts.sha256.tracklets)
        demand_checksum(plain_file(folder / PEOPLE, MOST_PEOPLE), facts.sha256.people)
        pictures = None
        if facts.sha256.pictures is not None:
            pictures = plain_file(folder / PICTURES)
            demand_checksum(pictures, facts.sha256.pictures)
        known = set(Recording.__slots__)
        recordings = tuple(Recording(**values.model_dump(include=known)) for values in facts.recordings)
        sources = {recording.content: recording.source for recording in recordings}
        if len(sources) != len(recordings):
            raise GalleryCorrupt(f"{folder / FACTS} describes a recording twice; export the gallery again")
        with nullcontext(examiner) if examiner is not None else Examiner() as looking:
            looking.demand_tracklets(folder / TRACKLETS, facts.space.size, facts.tracklets, sources, pictures)
        people = parsed_json((folder / PEOPLE).read_text(encoding="utf-8"))
        space = EmbeddingSpace(facts.space.fingerprint, facts.space.model, facts.space.size)
        found = pictures is not None
        return Archive(folder, facts.gallery, space, facts.model, recordings, people, facts.calibration, found)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise GalleryCorrupt(f"{folder / FACTS}: {where}: {first['msg']}; export the gallery again") from None
    except RecursionError:
        raise GalleryCorrupt(f"the exported gallery in {folder} has lists in lists without end") from None
    except _arrow_errors() as error:
        raise GalleryCorrupt(
            f"the exported gallery in {folder} cannot be read: {type(error).__name__}: {error}; export it again"
        ) from None


def _arrow_errors() -> tuple[type[Exception], ...]:
    import pyarrow as pa

    return (OSError, KeyError, TypeError, ValueError, pa.ArrowException)


def refuse_other_contents(gallery: Gallery, archive: Archive) -> None:
    """Raise GalleryMismatch unless every recording of the archive may be added to the gallery."""
    here = {recording.content: recording for recording in gallery.sources()}
    for recording in archive.recordings:
        known = here.get(recording.content)
        if known is not None and known.source != recording.source:
            raise GalleryMismatch(
                f"what {archive.folder} calls {recording.source!r} is in gallery {gallery.place} as {known.source!r}; "
                "one recording cannot have two names: import into another gallery"
            )
        if known is not None and known.settings != recording.settings:
            raise GalleryMismatch(
                f"{recording.source!r} was read into gallery {gallery.place} with other settings than the exported "
                "one; import into another gallery"
            )


def add_archived(batch: Batch, archive: Archive, here: Mapping[str, Recording], stored: Collection[str]) -> int:
    """Add the tracklets of recordings that are not complete here; how many were new.

    here: the gallery's recordings by content. stored: ids of its tracklets.
    """
    lacking = {content for tracklet, content in archive.contents() if tracklet not in stored}
    begun: list[Recording] = []
    for recording in archive.recordings:
        known = here.get(recording.content)
        if known is not None:
            more = recording.content in lacking or recording.state is State.COMPLETE or known.state is State.RUNNING
            if known.state is State.COMPLETE or not more:
                continue
        started = SourceStarted(
            recording.source,
            recording.uri,
            recording.content,
            recording.size,
            recording.fps,
            recording.started_wall,
            live=recording.live,
            beginning=recording.beginning,
            length=recording.length,
        )
        batch.begin_source(started, recording.settings)
        begun.append(recording)
    wanted = {recording.content for recording in begun}
    new = sum(batch.add([t for t in some if t.content in wanted]) for some in archive.tracklets())
    for recording in begun:
        # As they ended when they were read.
        ended = SourceEnded(
            recording.source,
            recording.frames or 0,
            recording.ended_wall or recording.started_wall,
            error=recording.error if recording.state is State.FAILED else None,
            stopped=recording.state is State.STOPPED,
            dropped=recording.dropped,
        )
        batch.end_source(ended, recording.content)
    return new


def _plain(recording: Recording, tracklets: int) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(recording, name) for name in Recording.__slots__}
    state = recording.state
    if state is State.RUNNING or tracklets < recording.tracklets:
        # Not all of it is in the archive: reading it again should add the rest.
        state = State.STOPPED
    return {**values, "state": state.value, "size": list(recording.size), "tracklets": tracklets}


def _tracklets(batch: Any, size: int, pictures: Pictures) -> list[Tracklet]:
    """Rows of the Parquet file; ragged columns are cut out of flat arrays, never built number by number."""
    import pyarrow.compute as pc

    n = len(batch)
    columns = {name: batch.column(name) for name in batch.schema.names}

    def flat(name: str, width: int | None, dtype: npt.DTypeLike) -> list[npt.NDArray[Any]]:
        column = columns[name]
        values = column.flatten() if width is None else column.flatten().flatten()
        array = values.to_numpy(zero_copy_only=False).astype(dtype)
        ends = np.cumsum(pc.list_value_length(column).to_numpy())[:-1]
        return np.split(array if width is None else array.reshape(-1, width), ends)

    vectors = columns["embedding"].flatten().to_numpy(zero_copy_only=False).astype(np.float32).reshape(n, size)
    ragged = {
        "prototypes": flat("prototypes", size, np.float32),
        "prototype_weights": flat("prototype_weights", None, np.float32),
        "frames": flat("frames", None, np.int64),
        "boxes": flat("boxes", 4, np.float32),
    }
    arrays = {"embedding", *ragged}
    plain = {name: column.to_pylist() for name, column in columns.items() if name not in arrays}
    tracklets = []
    for row in range(n):
        values: dict[str, Any] = {name: column[row] for name, column in plain.items()}
        values["reason"] = EndReason(values["reason"])
        values["crop_box"] = None if values["crop_box"] is None else tuple(values["crop_box"])
        values |= {name: np.ascontiguousarray(column[row]) for name, column in ragged.items()}
        more = pictures.of(values["id"])
        tracklets.append(Tracklet(embedding=vectors[row].copy(), more_crops=more, **values))
    return tracklets


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
