"""One question to several galleries of one embedding space, such as one for each site, and their answers put together.

A gallery is a folder, a database or the address of a server. They are asked side by side. One that cannot be asked just
now is named with the reason, and the others answer; vectors of another embedding space are refused, since similarities
to them would mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from reidstream.config.identities import IdentityConfig
from reidstream.config.redaction import redacted
from reidstream.errors import (
    AccessError,
    ConfigError,
    GalleryError,
    GalleryMismatch,
    GalleryUnreachable,
    SourceBroken,
    TrackletNotFound,
)
from reidstream.gallery import Filter, Gallery
from reidstream.gallery.rows import EVERYTHING
from reidstream.search.answers import QueryModels, ask
from reidstream.search.query import Box, Photo, Query, is_photo, photo_query, read_vector, tracklet_query
from reidstream.suggestions import did_you_mean
from reidstream.types import EmbeddingSpace, FloatArray

if TYPE_CHECKING:
    from reidstream.client import Client

Document = dict[str, Any]
T = TypeVar("T")

_MOST_OF_A_SERVER = 500
"""Tracklets that a server finds at a time."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one gallery said. gallery: as it was named. answer: as ``reidstream search --json`` prints that of one
    gallery; None with an ``error`` that says why it could not be asked."""

    gallery: str
    answer: Document | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class MergedAnswer:
    """What several galleries say of one query.

    said: of each, in the order in which they were named; people are each gallery's own. matches: the tracklets most
    like the query over all of them, best first, each with its ``gallery``; one that lies in several is there once.
    """

    said: tuple[Said, ...]
    matches: tuple[Document, ...]

    @property
    def unreached(self) -> tuple[Said, ...]:
        """Those that could not be asked."""
        return tuple(one for one in self.said if one.answer is None)

    def as_dict(self) -> Document:
        """The answer as plain values."""
        answers = [one.answer for one in self.said if one.answer is not None]
        about = {key: answers[0][key] for key in ("query", "box", "people_in_photo")}
        verdicts = ("verdict", "person", "nobody", "candidates")
        galleries = [
            {"gallery": one.gallery, "error": one.error, **{k: one.answer[k] for k in verdicts if one.answer}}
            for one in self.said
        ]
        return {**about, "galleries": galleries, "matches": list(self.matches)}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as every gallery can be asked it: by a vector float32 (d,), or by a photo's file that each looks at
    with models of its own. tracklet: the stored one that is asked for, and in which gallery it is."""

    about: str
    vector: FloatArray | None = None
    photo: Path | None = None
    query: Query | None = None
    tracklet: str | None = None
    home: str | None = None


@dataclass(frozen=True, slots=True)
class _Facts:
    """What tells galleries apart. sources: names of what was read into it."""

    uuid: str
    space: EmbeddingSpace
    sources: frozenset[str]


class _Site(Protocol):
    """One of the galleries, opened."""

    def facts(self) -> _Facts: ...

    def held(self, prefix: str) -> Query | None: ...

    def answer(self, asked: Asked, k: int) -> Document: ...


class _Here:
    """A gallery that this process has opened."""

    def __init__(self, name: str, stack: ExitStack, where: Filter, config: IdentityConfig) -> None:
        self._name, self._where, self._config = name, where, config
        self.gallery = stack.enter_context(Gallery.open(name))

    def facts(self) -> _Facts:
        sources = frozenset(recording.source for recording in self.gallery.sources())
        return _Facts(self.gallery.facts().uuid, self.gallery.space, sources)

    def held(self, prefix: str) -> Query | None:
        try:
            return tracklet_query(self.gallery, prefix)
        except TrackletNotFound as error:
            if "several" in str(error):
                raise
            return None

    def answer(self, asked: Asked, k: int) -> Document:
        assert asked.query is not None
        query = asked.query
        if asked.home != self._name and query.tracklet is not None:
            # It may lie here, too, and is no answer then.
            query, k = Query(query.vector, query.about, query.crop), k + 1
        return ask(self.gallery, query, self._config, k=k, where=self._where).as_dict(self.gallery)


class _There:
    """A gallery behind a server, asked over HTTP."""

    def __init__(self, name: str, stack: ExitStack, where: Filter, box: Box | None, whole: bool) -> None:
        from reidstream.client import open_client

        if where != Filter(where.sources, where.since, where.until):
            raise ConfigError(
                f"a server ({redacted(name)}) is asked by sources and wall times; leave out the other filters"
            )
        self._name, self._where, self._box, self._whole = name, where, box, whole
        self._client: Client = stack.enter_context(open_client(name))

    def facts(self) -> _Facts:
        found = self._client.facts()
        sources = frozenset(recording["source"] for recording in found["recordings"])
        return _Facts(found["uuid"], EmbeddingSpace(**found["embedding_space"]), sources)

    def held(self, prefix: str) -> Query | None:
        try:
            found = self._client.tracklet(prefix)
        except TrackletNotFound as error:
            if "several" in str(error):
                raise
            return None
        vector = np.array(found["embedding"], np.float32)
        return Query(vector, f"tracklet {found['id']}", tracklet=found["id"])

    def answer(self, asked: Asked, k: int) -> Document:
        sent: str | Path | list[float]
        if asked.photo is not None:
            sent = asked.photo
        elif asked.home == self._name and asked.tracklet is not None:
            sent = asked.tracklet
        else:
            assert asked.vector is not None
            sent = asked.vector.tolist()
            if asked.tracklet is not None and k < _MOST_OF_A_SERVER:
                k += 1
        where: dict[str, Any] = {"cameras": self._where.sources, "since": self._where.since, "until": self._where.until}
        if asked.photo is not None:
            return self._client.search(sent, k, box=self._box, whole=self._whole, **where)
        return {**self._client.search(sent, k, **where), "query": asked.about}


def search_galleries(
    galleries: Sequence[str | Path],
    query: str | Path | FloatArray | Photo,
    k: int = 10,
    *,
    where: Filter = EVERYTHING,
    box: Box | None = None,
    whole: bool = False,
    config: IdentityConfig | None = None,
    detector: str | None = None,
    reid: str | None = None,
) -> MergedAnswer:
    """Who somebody is in each of several galleries, and the k tracklets over all of them that look most like them.

    galleries: folders, ``postgresql://`` addresses and addresses of servers, mixed. query: a photo (a file, or BGR
    uint8), a ``.npy`` file with a vector, a vector float32 (d,), or a tracklet's id, or its beginning, in one of them.
    where: a server takes sources and wall times. box, whole: see ``photo_query``. config, detector, reid: for galleries
    that this process opens; servers use their own.

    Raises GalleryMismatch for galleries of different embedding spaces, GalleryUnreachable when none can be asked,
    ConfigError for one that is named twice, and what ``query_of`` does.
    """
    names = [str(gallery) for gallery in galleries]
    if not names or len(set(names)) < len(names):
        raise ConfigError("name galleries, at least one, and each once")
    if served := [name for name in names if _served(name)]:
        from reidstream.client import demand_tokens_of_their_own

        demand_tokens_of_their_own(served)
    with ExitStack() as stack, ThreadPoolExecutor(len(names), "gallery") as pool:
        settings = config or IdentityConfig()

        def open_one(name: str) -> tuple[_Site, _Facts]:
            with _closing(stack) as own:
                site: _Site = (
                    _There(name, own, where, box, whole) if _served(name) else _Here(name, own, where, settings)
                )
                return site, site.facts()

        opened, errors = _each(pool, {name: partial(open_one, name) for name in names})
        _demand_answers(opened, errors)
        facts = {name: known for name, (_, known) in opened.items()}
        _demand_one_space(facts)
        if not errors:
            _demand_sources(where.sources, facts)
        sites = {name: site for name, (site, _) in opened.items()}
        size = next(iter(facts.values())).space.size
        asked = _asked(query, sites, size, pool, box=box, whole=whole, detector=detector, reid=reid)
        answers, later = _each(pool, {name: partial(site.answer, asked, k) for name, site in sites.items()})
        errors |= later
        _demand_answers(answers, errors)
    shown = {name: redacted(name) for name in names}
    said = tuple(Said(shown[name], answers.get(name), errors.get(name)) for name in names)
    return MergedAnswer(said, _merged(said, k, asked.tracklet))


def _served(name: str) -> bool:
    return name.startswith(("http://", "https://"))


@contextmanager
def _closing(outer: ExitStack) -> Iterator[ExitStack]:
    """What is entered here is left with ``outer`` when all went well, and at once when not."""
    with ExitStack() as own:
        yield own
        outer.push(own.pop_all())


def _each(pool: ThreadPoolExecutor, work: Mapping[str, Callable[[], T]]) -> tuple[dict[str, T], dict[str, str]]:
    """What came of each, and why some could not be asked. Raises what is the question's fault and not the gallery's."""
    running = {name: pool.submit(one) for name, one in work.items()}
    found: dict[str, T] = {}
    errors: dict[str, str] = {}
    for name, future in running.items():
        try:
            found[name] = future.result()
        except GalleryMismatch:
            raise
        except (GalleryError, AccessError) as error:
            errors[name] = str(error)
    return found, errors


def _demand_answers(found: Mapping[str, object], errors: Mapping[str, str]) -> None:
    if not found:
        reasons = "; ".join(f"{redacted(name)}: {error}" for name, error in errors.items())
        raise GalleryUnreachable(f"none of the galleries can be asked: {reasons}")


def _demand_one_space(found: Mapping[str, _Facts]) -> None:
    first, facts = next(iter(found.items()))
    space = facts.space
    known: dict[str, str] = {}
    for name, other in found.items():
        if (other.space.fingerprint, other.space.size) != (space.fingerprint, space.size):
            raise GalleryMismatch(
                f"gallery {redacted(name)} holds embeddings of {other.space.model} ({other.space.size} numbers), "
                f"gallery {redacted(first)} of {space.model} ({space.size} numbers), which cannot be compared: search "
                "them one by one, or move one of them to the other's model (reidstream gallery reembed)"
            )
        if other.uuid in known:
            raise ConfigError(f"{redacted(known[other.uuid])} and {redacted(name)} are the same gallery; name it once")
        known[other.uuid] = name


def _demand_sources(wanted: Sequence[str], found: Mapping[str, _Facts]) -> None:
    known = sorted(set().union(*(facts.sources for facts in found.values())))
    for source in wanted:
        if source not in known:
            raise ConfigError(f"no source {source!r} in any of these galleries; {did_you_mean(source, known)}")


def _asked(
    query: str | Path | FloatArray | Photo,
    sites: Mapping[str, _Site],
    size: int,
    pool: ThreadPoolExecutor,
    *,
    box: Box | None,
    whole: bool,
    detector: str | None,
    reid: str | None,
) -> Asked:
    if isinstance(query, str | Path) and Path(query).suffix.lower() == ".npy":
        return _vector(read_vector(Path(query)), str(query), size)
    if not is_photo(query):
        return _vector(np.asarray(query, np.float32).reshape(-1), "a vector", size)
    if isinstance(query, str | Path) and not Path(query).is_file():
        return _tracklet(str(query), sites, pool)
    here = next((site.gallery for site in sites.values() if isinstance(site, _Here)), None)
    if here is None:
        if isinstance(query, np.ndarray):
            raise ConfigError(
                "servers are sent a photo's file, and none of these galleries is opened here: name a file"
            )
        return Asked(str(query), photo=Path(query))
    models = QueryModels(here, detector, reid)
    found = photo_query(query, models.embedder(), models.detector, box=box, whole=whole)
    return Asked(found.about, found.vector, query=found)


def _vector(vector: FloatArray, about: str, size: int) -> Asked:
    length = float(np.linalg.norm(vector))
    if len(vector) != size or not np.isfinite(length) or length == 0:
        raise SourceBroken(
            f"{about} must hold {size} finite numbers, as the galleries' model makes, not all zero; found {len(vector)}"
        )
    unit = (vector / np.float32(length)).astype(np.float32)
    return Asked(about, unit, query=Query(unit, about))


def _tracklet(word: str, sites: Mapping[str, _Site], pool: ThreadPoolExecutor) -> Asked:
    """The tracklet that a word names in one of the galleries; in the first of them when it lies in several."""
    found, errors = _each(pool, {name: partial(site.held, word) for name, site in sites.items()})
    held = {name: query for name, query in found.items() if query is not None}
    ids = {query.tracklet for query in held.values()}
    if len(ids) > 1:
        raise TrackletNotFound(f"several tracklets begin with {word!r} in these galleries; write more of it")
    if not held:
        unread = f" ({len(errors)} of them could not be asked)" if errors else ""
        raise TrackletNotFound(
            f"{word!r} is neither a file nor the beginning of a tracklet's id in one of these galleries{unread}; "
            "a query is a photo, a .npy file with a vector, or a tracklet id"
        )
    home, query = next(iter(held.items()))
    return Asked(query.about, query.vector, query=query, tracklet=query.tracklet, home=home)


def _merged(said: Sequence[Said], k: int, asked_for: str | None) -> tuple[Document, ...]:
    found: dict[str, Document] = {}
    for one in said:
        for match in [] if one.answer is None else one.answer["matches"]:
            if match["id"] != asked_for:
                found.setdefault(match["id"], {"gallery": one.gallery, **match})
    return tuple(sorted(found.values(), key=lambda match: -match["similarity"])[:k])
