"""A person's own visits, pictures and clips as a folder or a .zip file, for handing it to them."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reidstream.disclosure.covering import Shown
from reidstream.disclosure.filming import Filmed, film_recordings
from reidstream.errors import GalleryError, IdentityError
from reidstream.files import whole_file, whole_folder
from reidstream.gallery import Gallery
from reidstream.identities.catalogue import Catalogue, Entry, Visit
from reidstream.pages import page_of
from reidstream.wording import counted

if TYPE_CHECKING:
    from reidstream.inference.protocols import Detector

SURE = 0.95
"""Visits that are less surely of this person are not handed out: they may show somebody else."""

_ABOUT = {
    Shown.PERSON: "Everything around the person is a coarse mosaic, and whoever else stands before them is drawn over.",
    Shown.SCENE: "Whoever else is known or was found is drawn over. Where somebody was seen whose place is not known, "
    "everything around the person is a coarse mosaic.",
}

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Disclosed:
    """What was written.

    visits: how many. left_out: how many visits were not surely enough this person. frames, clips: how many of them have
    a frame of the camera, and a clip. unseen, unsure: see ``showing.Counts``.
    """

    visits: int
    left_out: int
    frames: int
    clips: int
    unseen: int
    unsure: int

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def disclose(
    gallery: Gallery,
    person: str,
    target: Path,
    detector: Detector,
    *,
    shown: Shown = Shown.PERSON,
    sure: float = SURE,
    clips: bool = True,
    cameras: Collection[str] | None = None,
    progress: Progress | None = None,
) -> Disclosed:
    """Write what is known of a person, so that nobody else can be recognised in it.

    target: a .zip file, or a folder that is not there yet. sure: how probably a visit is theirs to be in it; somebody
    with one visit is whom it shows. cameras: of these only. Nothing is written when it fails.
    Raises PersonNotFound, IdentityError when no visit is sure enough, GalleryError when it cannot be written,
    EngineError for a film.
    """
    entry = Catalogue(gallery).find(person, cameras)
    # A single visit is whom it shows; how sure several are says how surely they were rightly joined.
    single = len(entry.person.tracklets) == 1
    visits = [visit for visit in entry.visits if single or visit.probability >= sure]
    if not visits:
        raise IdentityError(
            f"none of {counted(len(entry.visits), 'visit')} is so surely of this person ({sure:.2f}) that it may be "
            "handed out; confirm those that are theirs (the page of the person, or `people review`), or ask for less "
            "sure ones (--sure)"
        )
    with _place(target, gallery) as folder:
        ids, far = [visit.tracklet for visit in visits], progress or _silent
        filmed = film_recordings(gallery, ids, folder, detector, shown, clips, far)
        _describe(folder, entry, visits, filmed, shown)
    found = [filmed[visit.tracklet] for visit in visits]
    return Disclosed(
        len(visits),
        len(entry.visits) - len(visits),
        sum(one.frame is not None for one in found),
        sum(one.clip is not None for one in found),
        sum(one.counts.unseen for one in found),
        sum(one.counts.unsure for one in found),
    )


def _silent(_done: int, _total: int) -> None:
    """Nobody wants to know how far it is."""


@contextmanager
def _place(target: Path, gallery: Gallery) -> Iterator[Path]:
    """A folder to write to, which becomes the target, or what is in it."""
    if target.suffix.lower() != ".zip":
        with whole_folder(target, GalleryError, access=gallery.access) as folder:
            yield folder
        return
    with whole_file(target, GalleryError, access=gallery.access) as partial:
        folder = partial.with_name(f"{partial.name}.d")
        try:
            folder.mkdir(mode=0o700)
            yield folder
            with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
                for path in sorted(folder.iterdir()):
                    archive.write(path, path.name)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _describe(folder: Path, entry: Entry, visits: list[Visit], filmed: dict[str, Filmed], shown: Shown) -> None:
    """What was seen when and where, as JSON and as a page. Nobody else is named in it, by no id or number."""
    document = {
        "person": entry.person.title,
        "made": _time(datetime.now(UTC).timestamp()),
        "shown": shown.value,
        "about": _ABOUT[shown],
        "visits": [_visit(visit, filmed[visit.tracklet]) for visit in visits],
    }
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    (folder / "visits.json").write_text(text, encoding="utf-8")
    (folder / "index.html").write_text(_page(document), encoding="utf-8")


def _visit(visit: Visit, filmed: Filmed) -> dict[str, Any]:
    return {
        "camera": visit.source,
        "start": _time(visit.start),
        "end": _time(visit.end),
        "seconds": round(visit.end - visit.start, 2),
        "probability": round(visit.probability, 4),
        "picture": filmed.picture,
        "frame": filmed.frame,
        "clip": filmed.clip,
        "missing": filmed.why,
        "frames": filmed.counts.frames,
        "frames_without_the_person": filmed.counts.unseen,
        "frames_with_somebody_who_cannot_be_placed": filmed.counts.unsure,
    }


def _page(document: dict[str, Any]) -> str:
    return page_of("reidstream.disclosure", "person.html.j2", **document)


def _time(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
