"""A server with cameras, and people of a script who review without a pause: is anything lost, is the gallery whole?

    python -m benchmarks.reviewers [--minutes 10] [--clients 5] [--kill 20] [--camera rtsp://...] [--gallery DIR]

Without --camera: the videos of a scene of `reidstream synth`; what has been read to its end is taken out, and another
recording of the same comes in its place (the same content stays erased); of each the last four stay.
Each client, in a process of its own, opens people, merges, parts, splits, moves, rejects, confirms, names, undoes,
answers questions, searches; now and then one pauses a source, or erases somebody. --kill: a process that reads a source
is killed every so many seconds. At the end the server is stopped, the gallery is checked, and everybody is counted.
Ends with 1 when something is wrong: an answer that no page of ours would understand, a dropped frame with nothing
killed, or a gallery that does not check.

--calm: clients ask four times a second, as people do, and change nothing but names; with a camera that is paced, which
frames it lost is then the server's doing. Processor time of clients is not the server's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil

from reidstream.client import Client
from reidstream.errors import GalleryError, ReIDStreamError
from reidstream.gallery import Gallery
from reidstream.identities.people import list_people
from reidstream.server.place import is_served, short_path

_CALM = 0.25
_KEPT = 4
_STEADY = 100
"""Frames after which a source is no longer beginning."""


class Reviewer:
    """One who clicks at random. spans: seconds of each request by what was asked."""

    def __init__(self, client: Client, seed: int, *, calm: bool) -> None:
        self._client, self._random, self._calm = client, random.Random(seed), calm
        self.spans: dict[str, list[float]] = {}
        self.refused: Counter[str] = Counter()
        self.wrong: list[str] = []

    def click(self) -> None:
        looking = [self._people, self._person, self._look_alikes, self._tracklets, self._search, self._history]
        changing = [self._merge, self._apart, self._split, self._reject, self._confirm, self._undo, self._answer]
        rarely = [self._pause, self._erase]
        choice = self._random.random()
        some = (
            [*looking, self._label] if self._calm else rarely if choice < 0.01 else [*looking, *changing, self._label]
        )
        what = self._random.choice(some)
        before = time.perf_counter()
        try:
            what()
        except GalleryError as error:
            # The name of the class says how it was refused; what has none was not.
            if type(error) is GalleryError and "nothing was erased" not in str(error):
                self.wrong.append(f"{what.__name__}: {error}")
            self.refused[type(error).__name__] += 1
        except ReIDStreamError as error:
            self.refused[type(error).__name__] += 1
        self.spans.setdefault(what.__name__.strip("_"), []).append(time.perf_counter() - before)
        if self._calm:
            time.sleep(max(0.0, _CALM - (time.perf_counter() - before)))

    # -- what is clicked

    def _people(self) -> list[dict[str, Any]]:
        order = self._random.choice(["last_seen", "first_seen", "tracklets", "least_sure"])
        found: list[dict[str, Any]] = self._client.get("/people", order=order, limit=60)["people"]
        return found

    def _one(self) -> dict[str, Any]:
        people = self._people()
        if not people:
            raise _Nobody("nobody is there yet")
        return self._random.choice(people)

    def _person(self) -> None:
        self._client.get(f"/people/{self._one()['id']}")

    def _look_alikes(self) -> None:
        self._client.get(f"/people/{self._one()['id']}/alike")

    def _tracklets(self) -> None:
        self._client.get("/tracklets", limit=100)

    def _search(self) -> None:
        self._client.search(self._random.choice(self._one()["tracklets"]))

    def _history(self) -> None:
        self._client.get("/operations")

    def _label(self) -> None:
        one = self._one()
        name = self._random.choice(["", f"name {self._random.randrange(100)}"])
        self._client.decide("label", person=one["id"], name=name, seen_name=one["name"])

    def _two(self) -> tuple[list[str], dict[str, str]]:
        one, other = self._one(), self._one()
        if one["id"] == other["id"]:
            raise _Nobody("nobody is there yet")
        return [one["id"], other["id"]], {t: p["id"] for p in (one, other) for t in p["tracklets"]}

    def _merge(self) -> None:
        people, seen = self._two()
        self._client.decide("merge", people=people, seen=seen)

    def _apart(self) -> None:
        people, seen = self._two()
        self._client.decide("apart", people=people, seen=seen)

    def _some(self) -> dict[str, Any]:
        one = self._one()
        seen = dict.fromkeys(one["tracklets"], one["id"])
        some = self._random.sample(one["tracklets"], self._random.randint(1, len(one["tracklets"])))
        return {"person": one["id"], "tracklets": some, "seen": seen}

    def _split(self) -> None:
        self._client.decide("split", **self._some())

    def _confirm(self) -> None:
        self._client.decide("confirm", **self._some())

    def _reject(self) -> None:
        some = self._some()
        self._client.decide("reject", tracklet=some.pop("tracklets")[0], **some)

    def _undo(self) -> None:
        self._client.undo()

    def _answer(self) -> None:
        questions = self._client.get("/review")["questions"]
        if questions:
            asked = self._random.choice(questions)
            said = self._random.choice(["skip", "later"])
            self._client.post("/review/answers", {"one": asked["one"], "other": asked["other"], "answer": said})

    def _pause(self) -> None:
        sources = self._client.get("/sources")["sources"]
        if sources:
            one = self._random.choice(sources)
            for paused in (True, False):
                self._client._send("PATCH", f"/sources/{one['name']}", json={"paused": paused})

    def _erase(self) -> None:
        self._client.erase(people=[self._one()["id"]])


class _Nobody(ReIDStreamError):
    """There is nobody to click at yet."""


def review(folder: Path, seconds: float, seed: int, calm: bool) -> None:
    """One client's life; what it met is printed as JSON, in the last line."""
    with short_path(folder) as path, Client(socket=path, timeout=120.0) as client:
        reviewer = Reviewer(client, seed, calm=calm)
        # Whoever measures beside waits for that.
        print("begun", flush=True)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            reviewer.click()
    found = {"spans": reviewer.spans, "refused": reviewer.refused, "wrong": reviewer.wrong}
    print(json.dumps(found))


def met_by(client: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What a client has met, when it has ended."""
    found: dict[str, Any] = json.loads(client.communicate()[0].splitlines()[-1])
    return found


def serve(folder: Path, sources: list[str]) -> subprocess.Popen[bytes]:
    words = [
        sys.executable,
        "-m",
        "reidstream",
        "serve",
        *sources,
        "--gallery",
        str(folder),
        "--port",
        "0",
        "--quiet",
    ]
    server = subprocess.Popen(words)
    while not is_served(folder):
        if server.poll() is not None:
            raise SystemExit("the server did not start")
        time.sleep(0.1)
    return server


def until_all_run(folder: Path) -> int:
    """Wait until each source is past its beginning; frames that were dropped by then.

    What a camera loses while its models are opened is nobody's doing.
    """
    with short_path(folder) as path, Client(socket=path, timeout=120.0) as owner:
        while any(_begins(source) for source in owner.get("/sources")["sources"]):
            time.sleep(0.5)
        return sum(source["dropped"] for source in owner.get("/sources")["sources"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=5)
    parser.add_argument("--kill", type=float, default=0.0, help="Seconds between two deaths; 0: nobody dies.")
    parser.add_argument("--camera", action="append", default=[], help="What is read instead of a scene; repeatable.")
    parser.add_argument("--gallery", type=Path, help="One that is there, to review in; it is changed.")
    parser.add_argument("--calm", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--review", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.review:
        review(given.gallery, given.review, given.seed, given.calm)
        return
    with tempfile.TemporaryDirectory() as made:
        folder = given.gallery or Path(made) / "gallery"
        sources = given.camera or _scene(Path(made))
        try:
            good = trouble(folder, sources, given)
        finally:
            for child in psutil.Process().children(recursive=True):
                child.kill()
        if not good:
            raise SystemExit(1)


def trouble(folder: Path, sources: list[str], given: argparse.Namespace) -> bool:
    """Run it all; whether everything is as it should be."""
    recordings = Recordings([] if given.camera else sources)
    server = serve(folder, sources)
    running = psutil.Process(server.pid)
    seconds = 60 * given.minutes
    before = until_all_run(folder)
    words = [sys.executable, "-m", "benchmarks.reviewers", "--gallery", str(folder), "--review", str(seconds)]
    clients = [
        subprocess.Popen(
            [*words, "--seed", str(given.seed + n), *(["--calm"] if given.calm else [])], stdout=subprocess.PIPE
        )
        for n in range(given.clients)
    ]
    rng, killed = random.Random(given.seed), 0
    until, next_death = time.monotonic() + seconds, time.monotonic() + given.kill
    with short_path(folder) as path, Client(socket=path, timeout=120.0) as owner:
        while time.monotonic() < until:
            time.sleep(1.0)
            if given.kill and time.monotonic() >= next_death:
                next_death += given.kill
                killed += _kill(running, rng)
            recordings.go_on(owner)
        sizes = [p.memory_info().rss / 2**20 for p in (running, *running.children(recursive=True))]
        spent = running.cpu_times()
        shown = owner.get("/sources")["sources"]
        facts = owner.facts()
    said = [met_by(client) for client in clients]
    server.send_signal(signal.SIGTERM)
    ended = server.wait(180)
    good = _report(said, shown, killed, facts)
    print(
        f"{recordings.made} recordings more; {spent.user + spent.system:.0f} s of processor in {seconds:.0f} s,",
        end=" ",
    )
    print(f"{sizes[0]:.0f} MiB, its children {sum(sizes[1:]):.0f} MiB; load {os.getloadavg()[0]:.1f}")
    with Gallery.open(folder, write=True) as gallery:
        problems = [problem.message for problem in gallery.check().problems]
        held = [t for person in list_people(gallery) for t in person.tracklets]
        print(f"{len(gallery)} tracklets, {len(held)} with a person; check: {problems or 'no problems'}")
        whole = not problems and len(held) == len(set(held)) == len(gallery)
    lost = sum(source["dropped"] for source in shown) - before
    print(f"{lost} frames dropped since clients began, {before} before")
    return good and whole and ended == 0 and (bool(killed) or not lost)


def _report(said: list[dict[str, Any]], shown: list[dict[str, Any]], killed: int, facts: dict[str, Any]) -> bool:
    kinds = sorted({kind for one in said for kind in one["spans"]})
    for kind in kinds:
        spans = 1000 * np.array([span for one in said for span in one["spans"].get(kind, ())])
        median, late, most = np.median(spans), np.quantile(spans, 0.95), spans.max()
        print(f"{kind:12} {len(spans):7d} times  p50 {median:7.1f}  p95 {late:7.1f}  most {most:8.1f} ms")
    refused = sum((Counter(one["refused"]) for one in said), Counter[str]())
    print(f"refused as they should be: {dict(refused)}")
    for source in shown:
        print(f"{source['name']}: {source['words']}, {source['frames']} frames, {source['dropped']} dropped")
    print(f"{killed} processes killed, {facts['tracklets']} tracklets, {facts['people']} people")
    wrong = [text for one in said for text in one["wrong"]]
    print("\n".join(f"wrong: {text}" for text in wrong[:20]))
    return not wrong


def _begins(source: dict[str, Any]) -> bool:
    return source["state"] in {"starting", "waiting"} or (source["state"] == "running" and source["frames"] < _STEADY)


def _kill(server: psutil.Process, rng: random.Random) -> int:
    """Kill a process that reads a source; how many that were."""
    with contextlib.suppress(psutil.NoSuchProcess):
        reading = [p for p in server.children() if "reidstream.server.camera_process" in p.cmdline()]
        if reading:
            rng.choice(reading).kill()
            return 1
    return 0


class Recordings:
    """Recordings that never end: whatever was read to its end makes room for another one with the same pictures."""

    def __init__(self, videos: list[str]) -> None:
        self._videos = {Path(video).stem: Path(video) for video in videos}
        self._copies: dict[str, list[str]] = {name: [name] for name in self._videos}
        self.made = 0

    def go_on(self, owner: Client) -> None:
        done = {s["name"] for s in owner.get("/sources")["sources"] if s["state"] in {"complete", "skipped"}}
        for name, copies in self._copies.items():
            if copies[-1] in done:
                if copies[-1] != name:
                    # Those that the server was started with stay in its list.
                    owner._send("DELETE", f"/sources/{copies[-1]}")
                self.made += 1
                copies.append(f"{name}-{self.made}")
                copied = _recorded_anew(self._videos[name], copies[-1], self.made)
                owner.post("/sources", {"uri": str(copied), "name": copies[-1]})
                if len(copies) > _KEPT:
                    with contextlib.suppress(ReIDStreamError):
                        # Somebody may have erased all of it.
                        owner.erase(sources=[copies.pop(0)])


def _recorded_anew(video: Path, name: str, seed: int) -> Path:
    """The same people in another recording: with other noise, encoded anew. Copied packets would be known again."""
    copied = video.with_name(f"{name}.mp4")
    rng = np.random.default_rng(seed)
    with av.open(str(video)) as source, av.open(str(copied), "w") as target:
        stream = source.streams.video[0]
        out = target.add_stream("mpeg4", rate=stream.average_rate)
        out.width, out.height, out.pix_fmt, out.bit_rate = stream.width, stream.height, "yuv420p", 2_000_000
        for frame in source.decode(stream):
            picture = frame.to_ndarray(format="bgr24")
            noise = rng.integers(-4, 5, picture.shape, np.int16)
            noisy = np.clip(picture + noise, 0, 255).astype(np.uint8)
            target.mux(out.encode(av.VideoFrame.from_ndarray(noisy, format="bgr24")))
        target.mux(out.encode())
    return copied


def _scene(folder: Path) -> list[str]:
    from reidstream.synthetic import World, write_scene

    world = World(seed=7, cameras=2, people=8, minutes=0.5, size=(480, 270), fps=15)
    return [str(camera.video) for camera in write_scene(folder / "scene", world, workers=1).cameras]


if __name__ == "__main__":
    main()
