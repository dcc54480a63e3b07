"""The programs in examples/ do what they say, on a small prepared folder."""

from __future__ import annotations

import json
import pickle
import re
import runpy
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from reidstream.errors import DeliveryError
from reidstream.gallery import Gallery
from tests.exact import EXACT

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[1] / "examples"
Run = Callable[..., str]


@pytest.fixture
def run(workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a program of examples/ in a copy of the prepared folder; what it prints."""

    def run(name: str, *words: str) -> str:
        monkeypatch.setattr("sys.argv", [name, *words])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_every_example_is_in_the_table_and_tested_here() -> None:
    names = {path.name for path in EXAMPLES.glob("*.py")}
    table = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\((\w+\.py)\)", table)) == names
    here = Path(__file__).read_text(encoding="utf-8")
    assert all(f'run("{name}"' in here for name in names)


def thermal_video(path: Path) -> Path:
    """Somebody bright walks through a dark yard."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=20)
        stream.width, stream.height, stream.bit_rate = 320, 240, 2_000_000
        for number in range(60):
            image = np.full((240, 320, 3), 30, np.uint8)
            x = 20 + 4 * number
            cv2.rectangle(image, (x, 60), (x + 30, 160), (220, 220, 220), -1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())
    return path


def empty_gallery(place: Path) -> None:
    """One without a ChromaDB, which these programs would wait for and need not."""
    with Gallery.open("shop") as filled:
        space = filled.space
    with Gallery.open(place, write=True, create=True, space=space, model="person-reid", config=EXACT):
        pass


def test_own_detector(run: Run, workplace: Path) -> None:
    empty_gallery(workplace / "night")
    thermal_video(workplace / "thermal.mp4")
    assert run("own_detector.py", "thermal.mp4", "--gallery", "night") == "new tracklets: 1, people in night: 1\n"
    assert run("own_detector.py", "thermal.mp4", "--gallery", "night") == "new tracklets: 0, people in night: 1\n"


def test_own_tracks(run: Run, workplace: Path) -> None:
    thermal_video(workplace / "thermal.mp4")
    boxes = [f"{frame + 1},5,{20 + 4 * frame},60,30,100\n" for frame in range(60)]
    (workplace / "tracks.txt").write_text("".join(boxes))
    empty_gallery(workplace / "theirs")
    printed = run("own_tracks.py", "thermal.mp4", "tracks.txt", "--gallery", "theirs")
    assert printed == "track 5: person 1, 0.0 to 3.0 s\n"


def test_own_embedder(run: Run) -> None:
    printed = run("own_embedder.py", "entrance.mp4", "--gallery", "colours", "--find", "person.jpg")
    assert re.match(r"new tracklets: \d, people in colours: \d\nwho it is: ", printed)
    assert re.search(r"^0\.\d{3}  entrance at \d s$", printed, re.MULTILINE)
    with Gallery.open("colours") as gallery:
        assert gallery.space.model == "colours"


def test_vectors_to_pandas(run: Run, workplace: Path) -> None:
    printed = run("vectors_to_pandas.py", "--gallery", "shop", "--out", "shop.pkl")
    assert re.search(r"^Grace +2 +2 +2026-01-31 17:00:00", printed, re.MULTILINE)
    table = pickle.loads((workplace / "shop.pkl").read_bytes())
    with Gallery.open("shop") as gallery:
        ids, vectors = gallery.vectors(table.index.tolist())
        assert table.index.tolist() == ids
        np.testing.assert_array_equal(np.stack(table["embedding"]), vectors)


def test_follow_events(run: Run) -> None:
    run("own_detector.py", str(thermal_video(Path("thermal.mp4"))), "--gallery", "shop")
    printed = run("follow_events.py", "--gallery", "shop")
    assert re.search(r"  thermal  [0-9a-f]{12}  new$", printed, re.MULTILINE)
    # It goes on where it left off.
    assert run("follow_events.py", "--gallery", "shop") == ""


def test_with_supervision(run: Run, workplace: Path) -> None:
    empty_gallery(workplace / "g")
    printed = run("with_supervision.py", "entrance.mp4", "--gallery", "g", "--picture", "tracks.png")
    assert (found := re.search(r"(\d) people in tracks.png", printed)) is not None
    assert int(found[1]) >= 1
    assert cv2.imread("tracks.png").shape == (540, 960, 3)


def test_plot_similarities(run: Run) -> None:
    printed = run("plot_similarities.py", "--gallery", "shop", "--out", "plot.png")
    # Nine people, two tracklets each: 153 pairs.
    assert printed == "9 pairs of one person, 144 of two, drawn to plot.png\n"
    assert len(np.unique(cv2.imread("plot.png").reshape(-1, 3), axis=0)) > 2


class NatsStandIn(socketserver.StreamRequestHandler):
    """The part of a NATS server that a publisher meets. refuse: an error instead of a confirmation."""

    refuse = False
    published: list[tuple[str, dict[str, object]]]

    def handle(self) -> None:
        self.wfile.write(b'INFO {"server_id":"stand-in"}\r\n')
        for line in self.rfile:
            words = line.split()
            if words[0] == b"PUB":
                self.published.append((words[1].decode(), json.loads(self.rfile.read(int(words[2])))))
                self.rfile.readline()
            elif words[0] == b"PING":
                # A real server asks, too, whether its client is there.
                self.wfile.write(b"-ERR 'Authorization Violation'\r\n" if self.refuse else b"PING\r\nPONG\r\n")


@contextmanager
def nats(refuse: bool = False) -> Iterator[tuple[str, list[tuple[str, dict[str, object]]]]]:
    published: list[tuple[str, dict[str, object]]] = []
    handler = type("Handler", (NatsStandIn,), {"refuse": refuse, "published": published})
    with socketserver.TCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", published
        finally:
            server.shutdown()
            thread.join()


def test_broker(run: Run) -> None:
    with nats() as (server, published):
        run("broker.py", "--gallery", "shop", "--server", server)
        assert {subject for subject, _ in published} == {"people"}
        numbers = [event["seq"] for _, event in published]
        assert numbers == sorted(numbers)
        assert "IdentityLabelled" in {event["kind"] for _, event in published}
        before = len(published)
        run("broker.py", "--gallery", "shop", "--server", server)
        assert len(published) == before


def test_what_a_broker_refuses_is_offered_again(run: Run) -> None:
    with nats(refuse=True) as (server, refused), pytest.raises(DeliveryError, match="Authorization"):
        run("broker.py", "--gallery", "shop", "--server", server)
    with nats() as (server, published):
        run("broker.py", "--gallery", "shop", "--server", server)
    assert published[: len(refused)] == refused
    with pytest.raises(DeliveryError, match="no NATS server"):
        run("broker.py", "--gallery", "shop", "--server", server)
