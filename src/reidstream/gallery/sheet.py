"""Contact sheets: one self-contained HTML page of people, to look at in any browser."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from reidstream.errors import GalleryError
from reidstream.files import write_whole
from reidstream.gallery.gallery import Gallery
from reidstream.gallery.interchange import EARLIEST, LATEST
from reidstream.gallery.rows import EVERYTHING, Filter
from reidstream.pages import page_of
from reidstream.types import Match, Tracklet
from reidstream.wording import counted


@dataclass(frozen=True, slots=True)
class Card:
    """One picture with what is to be said about it.

    picture: JPEG file or None. title, lines: shown under it. sort: values by which a reader may order cards, by name.
    search: further words by which the page's search finds it. details: lines that are shown when it is enlarged.
    clip: address of a video that is shown then as well, "" without one.
    """

    picture: bytes | None
    title: str
    lines: tuple[str, ...]
    sort: dict[str, float]
    search: str = ""
    details: tuple[str, ...] = ()
    clip: str = ""

    @property
    def data_uri(self) -> str | None:
        """The picture inside the page."""
        if self.picture is None:
            return None
        return "data:image/jpeg;base64," + base64.b64encode(self.picture).decode("ascii")


@dataclass(frozen=True, slots=True)
class Group:
    """Cards that belong together, for instance those of one camera. note: a sentence under the title."""

    title: str
    cards: tuple[Card, ...]
    note: str = ""


ClipOf = Callable[[str], Path | None]
"""The file of a tracklet's clip, None without one."""


def _no_clips(_tracklet: str) -> None:
    return None


def clip_address(page: Path, clip: Path | None) -> str:
    """How a page names a clip's file: from its own folder, so that both can move together."""
    return "" if clip is None else quote(os.path.relpath(clip.resolve(), page.resolve().parent))


def write_sheet(path: Path, title: str, subtitle: str, groups: Sequence[Group], query: Card | None = None) -> None:
    """Write a page with groups of cards; completely, or not at all. Raises GalleryError when it cannot be written."""
    orders = list(dict.fromkeys(name for group in groups for card in group.cards for name in card.sort))
    values = {"title": title, "subtitle": subtitle, "groups": groups, "query": query, "orders": orders}
    page = page_of("reidstream.gallery", "sheet.html.j2", **values)
    write_whole(path, page, GalleryError)


def write_gallery_sheet(
    gallery: Gallery, path: Path, where: Filter = EVERYTHING, limit: int = 2000, clip_of: ClipOf = _no_clips
) -> tuple[int, int]:
    """A page of a gallery's tracklets grouped by source: how many it shows (``limit`` at most), and out of how many."""
    rows = gallery.rows(where)
    chosen = rows.id[:limit].tolist()
    by_source: dict[str, list[Card]] = {}
    files = files_of(gallery)
    for id in chosen:
        tracklet = gallery.tracklet(id)
        card = tracklet_card(tracklet, file=files.get(tracklet.content))
        by_source.setdefault(tracklet.source, []).append(replace(card, clip=clip_address(path, clip_of(id))))
    groups = [Group(source, tuple(cards)) for source, cards in sorted(by_source.items())]
    shown = counted(len(rows), "tracklet")
    if len(chosen) < len(rows):
        shown = f"the first {len(chosen)} of {shown}"
    write_sheet(
        path,
        str(gallery.place),
        f"{shown}, {counted(len(groups), 'source')}, {gallery.space.model}",
        groups,
    )
    return len(chosen), len(rows)


def write_search_sheet(
    gallery: Gallery,
    path: Path,
    title: str,
    query: bytes | None,
    matches: Sequence[Match],
    people: Mapping[str, str] | None = None,
    answer: str = "",
    clip_of: ClipOf = _no_clips,
) -> None:
    """A page of what a search has found, the most similar first.

    query: a JPEG of what was searched for, or None. people: what to call the person of each tracklet. answer: who it
    is, as a sentence.
    """
    cards = []
    files = files_of(gallery)
    for match in matches:
        tracklet = gallery.tracklet(match.tracklet)
        card = tracklet_card(tracklet, match.similarity, files.get(tracklet.content))
        card = replace(card, clip=clip_address(path, clip_of(tracklet.id)))
        person = (people or {}).get(match.tracklet)
        cards.append(card if person is None else replace(card, title=f"{person}, {card.title}"))
    asked = Card(query, "Query", (), {}) if query is not None else None
    groups = [Group("Most similar first", tuple(cards), answer)]
    write_sheet(path, title, f"{counted(len(cards), 'tracklet')} of {gallery.place}", groups, asked)


def files_of(gallery: Gallery) -> dict[str, str]:
    """Where each content came from: a file, a folder or a camera's address without its password."""
    return {recording.content: recording.uri for recording in gallery.sources()}


def tracklet_card(tracklet: Tracklet, similarity: float | None = None, file: str | None = None) -> Card:
    """What a page says about one tracklet. file: where its content came from."""
    part = f" part {tracklet.part + 1} of {tracklet.parts}" if tracklet.parts > 1 else ""
    seconds = tracklet.end_media - tracklet.start_media
    lines = [
        f"{clock(tracklet.start_media)} for {seconds:.1f} s",
        f"{wall_clock(tracklet.start_wall)}",
        f"purity {tracklet.purity:.2f}, quality {tracklet.quality:.2f}",
        f"{tracklet.observations} frames, {tracklet.embeddings_used} of {tracklet.embeddings_seen} crops, "
        f"{tracklet.reason}",
    ]
    order = {
        "time": tracklet.start_wall,
        "duration": seconds,
        "purity": tracklet.purity,
        "quality": tracklet.quality,
    }
    if similarity is not None:
        lines.insert(0, f"similarity {similarity:.3f}, {tracklet.source}")
        order = {"similarity": similarity, **order}
    title = f"track {tracklet.track_id}{part}"
    details = [file or tracklet.source, f"frames {tracklet.start_frame} to {tracklet.end_frame}"]
    if tracklet.crop_frame is not None:
        details.append(f"this picture: frame {tracklet.crop_frame}")
    details.append(f"tracklet {tracklet.id}")
    return Card(tracklet.crop, title, tuple(lines), order, f"{tracklet.id} {tracklet.source}", tuple(details))


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def wall_clock(seconds: float) -> str:
    """Unix seconds as date and time of day, UTC; as the number where dates cannot be written."""
    if not EARLIEST <= seconds <= LATEST:
        return f"{seconds:g} s"
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat(" ", "seconds")
