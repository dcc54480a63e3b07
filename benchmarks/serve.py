"""How soon the server answers in a large gallery, and how long storing waits while people decide.

    python -m benchmarks.serve --tracklets 100000 --people 20000 [--json out.json]

The gallery is that of benchmarks/gallery.py with an exact index; everybody has the tracklets that they were made from.
Requests go through the whole application (guard, roles, JSON) without a socket.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

# As the command does it, before NumPy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import cv2
import numpy as np
from sqlalchemy import insert
from starlette.testclient import TestClient

from benchmarks.gallery import SIZE, SOURCES, people, seen, tracklets
from reidstream.config.gallery import GalleryConfig
from reidstream.gallery import Gallery
from reidstream.identities.outbox import append_events
from reidstream.identities.people import prepare
from reidstream.identities.schema import members
from reidstream.identities.schema import people as people_table
from reidstream.server.app import create_app
from reidstream.server.desk import Desk
from reidstream.server.guard import LOCAL
from reidstream.types import EmbeddingSpace, SourceStarted

REPEATS = 60


def filled(folder: Path, count: int, persons: int) -> Gallery:
    """A gallery in which everybody is known."""
    rng = np.random.default_rng(1)
    means, deviation = people(persons, rng)
    owner = np.concatenate([np.arange(persons), rng.integers(0, persons, count - persons)])
    vectors = seen(means[owner], deviation, rng)
    done, picture = cv2.imencode(".jpg", rng.integers(0, 255, (256, 128, 3)).astype(np.uint8))
    assert done
    space = EmbeddingSpace("benchmark", "benchmark", SIZE)
    config = GalleryConfig(index="exact")
    gallery = Gallery.open(folder, write=True, create=True, space=space, config=config)
    prepare(gallery)
    announce(gallery)
    ids = []
    for batch in tracklets(vectors, rng):
        gallery.add([replace(tracklet, crop=picture.tobytes()) for tracklet in batch])
        ids += [tracklet.id for tracklet in batch]
    with gallery.write() as connection:
        connection.execute(
            insert(people_table),
            [
                {"id": f"{n:012x}", "number": n + 1, "name": f"name {n}" if n % 10 == 0 else "", "created_wall": 0.0}
                for n in range(persons)
            ],
        )
        rows = zip(ids, owner.tolist(), strict=True)
        connection.execute(
            insert(members), [{"tracklet": t, "person": f"{n:012x}", "probability": 0.95} for t, n in rows]
        )
        append_events(connection, [("IdentitiesResolved", {"people": persons})])
    return gallery


def announce(gallery: Gallery) -> None:
    """Have tracklets of the cameras taken."""
    for n in range(SOURCES):
        gallery.begin_source(SourceStarted(f"camera{n}", "", f"camera{n}", (1920, 1080), 25.0, 0.0), "benchmark")


def timed(ask: Callable[[int], Any]) -> dict[str, float]:
    """Milliseconds: the median, 95 % and the longest of many calls; the first is left out."""
    spans = []
    for n in range(REPEATS + 1):
        before = time.perf_counter()
        ask(n)
        spans.append(1000 * (time.perf_counter() - before))
    spans = spans[1:]
    return {"p50": float(np.median(spans)), "p95": float(np.quantile(spans, 0.95)), "first": spans[0]}


def measure(count: int, persons: int, folder: Path) -> dict[str, Any]:
    before = time.perf_counter()
    gallery = Gallery.open(folder, write=True) if folder.exists() else filled(folder, count, persons)
    announce(gallery)
    figures: dict[str, Any] = {"tracklets": count, "people": persons, "filling": time.perf_counter() - before}
    before = time.perf_counter()
    desk = Desk(gallery)
    client = TestClient(create_app(desk), base_url="http://localhost", client=(f"{LOCAL}{os.getuid()}", 1))

    def get(path: str, **params: Any) -> Any:
        answered = client.get(f"/api/v1{path}", params=params)
        assert answered.status_code == 200, answered.text
        return answered.json()

    def person(n: int) -> str:
        return f"{(n * 7919) % persons:012x}"

    first = get("/people")["next"]
    figures["seconds until the first page"] = time.perf_counter() - before
    desk.settle()
    figures["seconds until everybody is known to who decides"] = time.perf_counter() - before
    before = time.perf_counter()
    get(f"/people/{person(1)}/alike")
    figures["first look-alikes"] = time.perf_counter() - before
    routes: dict[str, Callable[[int], Any]] = {
        "people, first page": lambda n: get("/people"),
        "people, second page": lambda n: get("/people", after=first),
        "people of a camera and a time": lambda n: get("/people", camera="camera1", since=1000.0 * n, until=9e4),
        "people by words": lambda n: get("/people", words=f"name {n}"),
        "one person": lambda n: get(f"/people/{person(n)}"),
        "look-alikes of a person": lambda n: get(f"/people/{person(n)}/alike"),
        "names to complete": lambda n: get("/names", words=str(n)),
        "tracklets, a page": lambda n: get("/tracklets", limit=100),
        "a picture, 128 wide": lambda n: client.get(
            f"/api/v1/tracklets/{hashlib.blake2b(str(n).encode(), digest_size=16).hexdigest()}/crop?w=128"
        ),
        "history": lambda n: get("/operations"),
        "a decision (a name)": lambda n: client.post(
            "/api/v1/decisions", json={"kind": "label", "person": person(n), "name": f"new name {n}"}
        ).raise_for_status(),
    }
    figures["milliseconds"] = {name: timed(ask) for name, ask in routes.items()}
    before = time.perf_counter()
    while get("/review")["finding"]:
        time.sleep(0.05)
    figures["review queue, first"] = time.perf_counter() - before
    figures["milliseconds"]["review queue, again"] = timed(lambda n: get("/review"))
    figures["milliseconds"] |= decisions(get, client, person)
    figures["storing while people decide"] = storing(desk, get, client, persons)
    desk.close()
    gallery.close()
    return figures


def decisions(get: Callable[..., Any], client: TestClient, person: Callable[[int], str]) -> dict[str, dict[str, float]]:
    """Decisions that change who is who, and what is asked for while they are made without a pause."""
    sent = [parted(get, person(2 * n), person(2 * n + 1)) for n in range(REPEATS + 1)]
    undo = {"kind": "undo"}

    def decide(n: int) -> None:
        client.post("/api/v1/decisions", json=sent[n % len(sent)]).raise_for_status()

    figures = {"a decision (two people)": timed(decide)}
    figures["taking it back"] = timed(lambda n: client.post("/api/v1/decisions", json=undo).raise_for_status())
    ended = threading.Event()

    def without_pause() -> None:
        number = 0
        while not ended.is_set():
            decide(number)
            client.post("/api/v1/decisions", json=undo).raise_for_status()
            number += 1

    deciding = threading.Thread(target=without_pause, daemon=True)
    deciding.start()
    meanwhile: dict[str, Callable[[int], Any]] = {
        "people, first page": lambda n: get("/people"),
        "one person": lambda n: get(f"/people/{person(n)}"),
        "look-alikes of a person": lambda n: get(f"/people/{person(n)}/alike"),
        "history": lambda n: get("/operations"),
        "history of a person": lambda n: get("/operations", person=person(n)),
    }
    figures |= {f"{name}, beside decisions": timed(ask) for name, ask in meanwhile.items()}
    ended.set()
    deciding.join()
    return figures


def parted(get: Callable[..., Any], one: str, other: str) -> dict[str, Any]:
    """The decision that two people are two, by somebody who looked at both."""
    seen = {visit["id"]: who for who in (one, other) for visit in get(f"/people/{who}/tracklets")["tracklets"]}
    return {"kind": "apart", "people": [one, other], "seen": seen}


def storing(desk: Desk, get: Callable[..., Any], client: TestClient, persons: int) -> dict[str, float]:
    """Milliseconds that storing one tracklet took while decisions were made without a pause.

    Every other decision is a name; the others say that two people are two, and are taken back.
    """
    rng = np.random.default_rng(2)
    means, deviation = people(50, rng)
    vectors = seen(means, deviation, rng)
    ended = threading.Event()
    decided = 0
    # Other ones than those of earlier measurements with the same gallery.
    some = os.urandom(8).hex()
    two = [parted(get, f"{n:012x}", f"{n + 1:012x}") for n in range(1000, 1040, 2)]

    def decide() -> None:
        nonlocal decided
        while not ended.is_set():
            one = f"{(decided * 31) % persons:012x}"
            client.post("/api/v1/decisions", json={"kind": "label", "person": one, "notes": f"note {decided}"})
            client.post("/api/v1/decisions", json=two[decided % len(two)]).raise_for_status()
            client.post("/api/v1/decisions", json={"kind": "undo"}).raise_for_status()
            decided += 3

    deciding = threading.Thread(target=decide, daemon=True)
    deciding.start()
    spans = []
    for batch in tracklets(vectors, rng):
        for number, tracklet in enumerate(batch):
            fresh = replace(tracklet, id=hashlib.blake2b(f"fresh {some} {number}".encode(), digest_size=16).hexdigest())
            before = time.perf_counter()
            desk.store([fresh])
            spans.append(1000 * (time.perf_counter() - before))
            time.sleep(0.05)
    ended.set()
    deciding.join()
    return {
        "p50": float(np.median(spans)),
        "p95": float(np.quantile(spans, 0.95)),
        "most": max(spans),
        "decided": decided,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracklets", type=int, default=100_000)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--gallery", type=Path, help="keep the gallery here, and use it again the next time")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(given.tracklets, given.people, given.gallery or Path(folder) / "gallery")
    for name, value in figures.items():
        if name != "milliseconds":
            print(f"{name}: {value}")
    for name, spans in figures["milliseconds"].items():
        print(f"{name:32} p50 {spans['p50']:7.1f}  p95 {spans['p95']:7.1f} ms")
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
