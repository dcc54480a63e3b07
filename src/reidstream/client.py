"""A gallery that a server owns, asked over HTTP: the same questions and answers as on this machine.

Documents are those that commands print with ``--json``. Errors of the server are raised as the classes of
``reidstream.errors`` that they are there.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from reidstream import errors
from reidstream.errors import GalleryError, GalleryNotFound, ReIDStreamError
from reidstream.files import whole_file

TOKEN_VARIABLE = "REIDSTREAM_TOKEN"
"""The environment variable that holds the token for a server elsewhere."""

_POLL = 0.2
_PAGE = 500

Document = dict[str, Any]


class Client:
    """Calls to one server. Use it as a context manager; safe to use from several threads.

    address: ``http://host:port`` or https. token: made on the page *Users*, or with ``POST /api/v1/tokens``.
    socket: the path of a gallery's socket on this machine instead, which needs no token.
    """

    def __init__(
        self,
        address: str = "http://localhost",
        *,
        token: str | None = None,
        socket: Path | None = None,
        timeout: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        if socket is not None:
            transport = httpx.HTTPTransport(uds=str(socket))
        self.address = address
        self._http = httpx.Client(
            base_url=f"{address.rstrip('/')}/api/v1", headers=headers, timeout=timeout, transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # -- asking

    def facts(self) -> Document:
        return self.get("/facts")

    def people(self, limit: int = 100, **filters: Any) -> Document:
        """People by number; filters as the interface names them (camera, since, until, named, words, ...)."""
        return self._pages("/people", "people", limit, {"order": "number", **filters})

    def person(self, word: str) -> Document:
        """A person named by number, name or id, with all of their tracklets."""
        found = self.get(f"/people/{_quoted(word)}")
        if found.pop("truncated"):
            path = f"/people/{found['id']}/tracklets"
            found["tracklets"] = self._pages(path, "tracklets", None, {})["tracklets"]
        return {key: value for key, value in found.items() if key not in {"hidden", "hidden_by_cameras"}}

    def alike(self, person: str, limit: int = 12) -> list[Document]:
        """Who looks most like a person, with the probability that they are the same."""
        found: list[Document] = self.get(f"/people/{_quoted(person)}/alike", limit=limit)["alike"]
        return found

    def operations(self, limit: int = 50) -> Document:
        """The newest entries of the log of decisions."""
        found: list[Document] = []
        before: dict[str, int] = {}
        total = 0
        while len(found) < limit:
            page = self.get("/operations", limit=min(limit - len(found), _PAGE), **before)
            total = max(total, page["total"])
            found = [*page["operations"], *found]
            if page["next"] is None:
                break
            before = {"before": page["next"]}
        return {"operations": found, "total": total}

    def tracklets(self, limit: int = 100, **filters: Any) -> Document:
        """Tracklets in the order of storing; filters: camera, since, until, media_since, media_until, ..."""
        return self._pages("/tracklets", "tracklets", limit, filters)

    def left_out(self, limit: int = 100, **filters: Any) -> Document:
        """What was seen and not stored, in order of time; filters: camera, since, until, media_since, media_until."""
        return self.get("/left-out", limit=limit, **filters)

    def numbers(self, *, cameras: Sequence[str] = (), **asked: Any) -> Document:
        """People per camera, zone and hour or day; by, since, until, time_zone and stay as the interface has them."""
        return self.get("/numbers", camera=list(cameras), **_given(asked))

    def journeys(self, *, cameras: Sequence[str] = (), **asked: Any) -> Document:
        """How people went from camera to camera; since, until, time_zone, stay and within as the interface has them."""
        return self.get("/journeys", camera=list(cameras), **_given(asked))

    def tracklet(self, id: str) -> Document:
        return self.get(f"/tracklets/{_quoted(id)}")

    def crop(self, id: str, width: int | None = None) -> bytes:
        """The best picture of a tracklet as a JPEG file."""
        params = {} if width is None else {"w": width}
        return self._send("GET", f"/tracklets/{_quoted(id)}/crop", params=params).content

    def search(
        self,
        query: str | Path | Sequence[float],
        k: int = 10,
        *,
        cameras: Sequence[str] = (),
        since: float | None = None,
        until: float | None = None,
        rerank: bool = False,
        box: tuple[int, int, int, int] | None = None,
        whole: bool = False,
    ) -> Document:
        """Who somebody is, and the tracklets most like them: for a tracklet's id, the path of a photo, or a vector."""
        if isinstance(query, Path):
            params: dict[str, Any] = {"k": k, "whole": whole, "camera": list(cameras)}
            if box is not None:
                params["box"] = ",".join(map(str, box))
            headers = {"Content-Type": "application/octet-stream"}
            try:
                photo = query.read_bytes()
            except OSError as error:
                raise errors.SourceNotFound(f"no picture at {query} ({error.strerror})") from None
            found: Document = self._send("POST", "/search/photo", params=params, content=photo, headers=headers).json()
            return {**found, "query": str(query)}
        asked: Document = {"tracklet": query} if isinstance(query, str) else {"vector": [float(v) for v in query]}
        return self.post(
            "/search", {**asked, "k": k, "cameras": list(cameras), "since": since, "until": until, "rerank": rerank}
        )

    def events(self, after: int = 0, limit: int = 1000) -> list[Document]:
        """Events after a number, in order."""
        found: list[Document] = []
        while len(found) < limit:
            page = self.get("/events", after=after, limit=min(limit - len(found), _PAGE))
            found += page["events"]
            if page["next"] == after:
                break
            after = page["next"]
        return found

    def follow(self, after: int | None = None) -> Iterator[Document]:
        """Events as they happen, without end. After a broken connection it goes on with the next one."""
        last = after
        while True:
            try:
                params = {} if last is None else {"after": last}
                with self._http.stream("GET", "/events/stream", params=params, timeout=60.0) as response:
                    if response.status_code >= 400:
                        response.read()
                        raise _error(response)
                    for line in response.iter_lines():
                        if line.startswith("id: "):
                            last = int(line[4:])
                        elif line.startswith("data: "):
                            yield json.loads(line[6:])
            except httpx.TransportError:
                time.sleep(1.0)

    # -- deciding

    def decide(self, kind: str, **values: Any) -> Document:
        """A decision as the interface takes it; its entry in the log. IdentityChanged when ``seen`` is out of date."""
        return self.post("/decisions", {"kind": kind, **values})

    def merge(self, keep: str, *others: str) -> Document:
        """All tracklets of the others are the first person's."""
        people = [self.person(word) for word in (keep, *others)]
        return self.decide("merge", people=[person["id"] for person in people], seen=_seen(*people))

    def apart(self, one: str, other: str) -> Document:
        """Two people are two, however alike they look."""
        people = [self.person(one), self.person(other)]
        return self.decide("apart", people=[person["id"] for person in people], seen=_seen(*people))

    def split(self, person: str, tracklets: Sequence[str]) -> Document:
        """Some tracklets of a person are somebody else."""
        found = self.person(person)
        ids = [self._whole(tracklet) for tracklet in tracklets]
        return self.decide("split", person=found["id"], tracklets=ids, seen={**self._owners(ids), **_seen(found)})

    def confirm(self, person: str, tracklets: Sequence[str]) -> Document:
        """These tracklets are this person."""
        found = self.person(person)
        ids = [self._whole(tracklet) for tracklet in tracklets]
        return self.decide("confirm", person=found["id"], tracklets=ids, seen={**self._owners(ids), **_seen(found)})

    def move(self, tracklet: str, person: str) -> Document:
        """A tracklet belongs to this person."""
        found, id = self.person(person), self._whole(tracklet)
        return self.decide("move", tracklet=id, person=found["id"], seen={**self._owners([id]), **_seen(found)})

    def reject(self, tracklet: str, person: str) -> Document:
        """A tracklet is not this person."""
        found, id = self.person(person), self._whole(tracklet)
        return self.decide("reject", tracklet=id, person=found["id"], seen={**self._owners([id]), **_seen(found)})

    def duplicates(self, tracklets: Sequence[str]) -> Document:
        """Tracklets of one camera and one time are one person."""
        ids = [self._whole(tracklet) for tracklet in tracklets]
        return self.decide("duplicates", tracklets=ids, seen=self._owners(ids))

    def label(self, person: str, name: str | None = None, notes: str | None = None) -> Document:
        """A person's name or notes."""
        found = self.person(person)
        return self.decide("label", person=found["id"], name=name, notes=notes, seen_name=found["name"])

    def undo(self, number: int | None = None) -> Document:
        return self.decide("undo", operation=number)

    # -- jobs

    def erase(self, **what: Any) -> Document:
        """Erase people, tracklets or sources (see the interface) and wait for the proof."""
        return self.result(self.post("/erasures", what))

    def resolve(self) -> Document:
        """Decide everybody anew and wait for it."""
        return self.result(self.post("/resolve"))

    def rebuild(self) -> Document:
        """Have the vector index made anew, and wait for it."""
        return self.result(self.post("/rebuilds"))

    def import_folder(self, folder: Path) -> Document:
        """Have an exported gallery added that lies on the server's machine, and wait for it."""
        return self.result(self.post("/imports", {"folder": str(folder)}))

    def export(self, to: Path, **what: Any) -> Document:
        """Export into a file and fetch it; its ending says the format (.zip, .parquet, .npz, .csv, .json)."""
        return self._fetched(self.post("/exports", {"format": to.suffix.lstrip("."), **what}), to)

    def disclose(self, person: str, to: Path, **what: Any) -> Document:
        """A person's own pictures, in which nobody else can be recognised, as a .zip file; see the interface."""
        return self._fetched(self.post(f"/people/{_quoted(person)}/disclosures", what), to)

    def _fetched(self, job: Document, to: Path) -> Document:
        """The result of an export, when its file is there."""
        result = self.result(job)
        # For its owner alone, like every export, and complete or not there at all.
        with self._http.stream("GET", f"/exports/{job['id']}/file") as response, whole_file(to) as partial:
            if response.status_code >= 400:
                response.read()
                raise _error(response)
            with partial.open("wb") as file:
                for piece in response.iter_bytes():
                    file.write(piece)
        return result

    def result(self, job: Document) -> Document:
        """Wait for a job; what came of it. Raises GalleryError when it failed."""
        while job["state"] in {"waiting", "running"}:
            time.sleep(_POLL)
            job = self.get(f"/jobs/{job['id']}")
        if job["state"] != "done":
            raise GalleryError(job["error"] or f"job {job['id']} was {job['state']}")
        result: Document = job["result"]
        return result

    # -- sending

    def get(self, path: str, **params: Any) -> Document:
        """A document of the interface, ``path`` counted from /api/v1."""
        document: Document = self._send("GET", path, params=params).json()
        return document

    def post(self, path: str, sent: Any = None) -> Document:
        document: Document = self._send("POST", path, json=sent).json()
        return document

    def patch(self, path: str, sent: Any) -> Document:
        document: Document = self._send("PATCH", path, json=sent).json()
        return document

    def delete(self, path: str) -> Document:
        document: Document = self._send("DELETE", path).json()
        return document

    # -- watching

    def put_photo_on_list(self, name: str, photo: Path, *, days: float, whole: bool = False) -> Document:
        """Put whoever a photo shows on a watch list."""
        try:
            data = photo.read_bytes()
        except OSError as error:
            raise errors.SourceNotFound(f"no picture at {photo} ({error.strerror})") from None
        headers = {"Content-Type": "application/octet-stream"}
        params = {"days": days, "whole": whole}
        path = f"/watch/lists/{_quoted(name)}/photos"
        document: Document = self._send("POST", path, params=params, content=data, headers=headers).json()
        return document

    def alert_picture(self, id: str) -> bytes:
        """The picture of an alert as a JPEG file."""
        return self._send("GET", f"/alerts/{_quoted(id)}/frame").content

    def _send(self, method: str, path: str, **how: Any) -> httpx.Response:
        try:
            try:
                response = self._http.request(method, path, **how)
            except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
                # The server may have closed a connection that nothing was asked on for a while in that very moment.
                # What only asks can be asked again; whether what changes something has arrived nobody knows.
                if method != "GET":
                    raise
                response = self._http.request(method, path, **how)
        except httpx.TransportError as error:
            raise GalleryError(
                f"the server at {self.address} does not answer ({error or type(error).__name__})"
            ) from None
        if response.status_code >= 400:
            raise _error(response)
        return response

    def _pages(self, path: str, key: str, limit: int | None, params: Mapping[str, Any]) -> Document:
        found: list[Document] = []
        after: dict[str, str] = {}
        while True:
            most = _PAGE if limit is None else min(limit - len(found), _PAGE)
            page = self.get(path, limit=most, **params, **after)
            found += page[key]
            if page["next"] is None or (limit is not None and len(found) >= limit):
                return {**{k: v for k, v in page.items() if k != "next"}, key: found}
            after = {"after": page["next"]}

    def _whole(self, tracklet: str) -> str:
        id: str = self.get(f"/tracklets/{_quoted(tracklet)}")["id"]
        return id

    def _owners(self, tracklets: Sequence[str]) -> dict[str, str]:
        """The person of each of these tracklets that has one, as it is now."""
        owned = {t: self.get(f"/tracklets/{_quoted(t)}/person")["person"] for t in tracklets}
        return {tracklet: person for tracklet, person in owned.items() if person is not None}


def open_client(address: str) -> Client:
    """A client for ``http://host:port``, with the token of the environment variable REIDSTREAM_TOKEN: one token, or
    several as ``address=token``, with blanks between them, of which a server gets to see its own alone."""
    return Client(address, token=_token_for(address))


def demand_tokens_of_their_own(addresses: Sequence[str]) -> None:
    """Refuse to show one token to several servers. Raises ConfigError."""
    given = os.environ.get(TOKEN_VARIABLE, "")
    if len(addresses) > 1 and given and "://" not in given:
        raise errors.ConfigError(
            f"{TOKEN_VARIABLE} holds one token, and {len(addresses)} servers are asked: write {addresses[0]}=TOKEN "
            f"{addresses[1]}=TOKEN, so that each sees its own"
        )


def _token_for(address: str) -> str | None:
    given = os.environ.get(TOKEN_VARIABLE)
    if given is None or "://" not in given:
        return given
    named = dict(word.rstrip().partition("=")[::2] for word in given.split())
    return {where.rstrip("/"): token for where, token in named.items()}.get(address.rstrip("/"))


def _seen(*people: Document) -> dict[str, str]:
    return {record["id"]: person["id"] for person in people for record in person["tracklets"]}


def _error(response: httpx.Response) -> ReIDStreamError:
    try:
        problem = response.json()
        text, name = str(problem["detail"]), problem.get("error", "")
    except (ValueError, KeyError, TypeError):
        return GalleryError(f"the server answered {response.status_code} and nothing that can be read")
    if name == "IdentityChanged":
        return errors.IdentityChanged(text, problem.get("now", {}))
    if name == "TooManyAttempts":
        return errors.TooManyAttempts(text, float(response.headers.get("retry-after", 1)))
    kind = getattr(errors, name, None) if isinstance(name, str) else None
    if isinstance(kind, type) and issubclass(kind, ReIDStreamError):
        return kind(text)
    return GalleryNotFound(text) if response.status_code == 404 else GalleryError(text)


def _given(asked: Mapping[str, Any]) -> Document:
    return {name: value for name, value in asked.items() if value is not None}


def _quoted(word: str) -> str:
    return quote(word, safe="")
