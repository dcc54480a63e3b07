"""What live pictures cost, and that viewers cost next to nothing.

    python -m benchmarks.live [--cameras 16] [--viewers 0 1 4 16] [--seconds 10] [--json out.json]
    python -m benchmarks.live --large [--viewers 0 1 4] [--seconds 10]

Frames of 1080p video (planar YUV, as decoders give it) come at 25 a second from each camera and somebody is in all of
them, so that each gives five pictures a second. They are made, sent to the server's hub by a pipe each and from there
to browsers' sockets through the whole application, as with `reidstream serve`; here in one process, whose processor
time is what is measured. The viewers are another process. --large: one camera alone, as pictures 1280 pixels wide (ten
a second) and as its film, whose packets of H.264 (1080p, 25 a second) were encoded before and are handed on as they
are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

# As the command does it, before NumPy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import av
import cv2
import numpy as np

from reidstream.config import SourceConfig
from reidstream.config.gallery import GalleryConfig
from reidstream.config.live import LiveConfig
from reidstream.gallery import Gallery
from reidstream.server.access.accounts import Accounts
from reidstream.server.access.roles import Role
from reidstream.server.app import create_app
from reidstream.server.cameras import Cameras
from reidstream.server.desk import Desk
from reidstream.server.live.fragments import Fragment
from reidstream.server.live.picture import LivePicture
from reidstream.server.live.publisher import Publisher
from reidstream.server.running import Address, _server
from reidstream.sources.frame import Frame
from reidstream.sources.packet_tap import PacketTap, remember_tap
from reidstream.sources.picture import Orientation, VideoPicture
from reidstream.types import EmbeddingSpace, Observed

FPS = 25
SIZE = (1920, 1080)

_VIEWERS = """
import asyncio, sys, websockets
async def look(url, token, tiles):
    got = 0
    try:
        headers = {"Authorization": "Bearer " + token}
        async with websockets.connect(url, additional_headers=headers, compression=None) as s:
            await s.send(tiles)
            async for message in s:
                got += isinstance(message, bytes)
    except websockets.ConnectionClosed:
        pass
    return got
async def main(url, token, tiles, count, seconds):
    tasks = [asyncio.create_task(look(url, token, tiles)) for _ in range(count)]
    await asyncio.sleep(seconds)
    print("looking", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for task in tasks: task.cancel()
asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), 2.0))
"""


def pictures() -> list[VideoPicture]:
    """Some frames with the detail of a street, a little different each."""
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 255, (68, 120, 3)).astype(np.uint8)
    made = []
    for n in range(10):
        image = cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC)
        image = cv2.add(image, rng.integers(0, 12, image.shape).astype(np.uint8))
        image = np.roll(image, 7 * n, axis=1)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24").reformat(format="yuv420p")
        made.append(VideoPicture(frame, Orientation()))
    return made


class CameraOfFrames:
    """What a camera's process does for live pictures, but for reading and tracking."""

    def __init__(self, name: str, cameras: Cameras, shown: list[VideoPicture]) -> None:
        self.name, self._shown = name, shown
        here, there = Pipe()
        self._server_end = here
        self.publisher = Publisher(there, LiveConfig())
        self.publisher.start()
        self._cameras = cameras
        threading.Thread(target=self._receive, daemon=True).start()
        self.tap = PacketTap()
        remember_tap(name, self.tap)

    def want(self, wanted: Any) -> None:
        self._server_end.send({self.name: wanted[self.name]} if self.name in wanted else {})

    def play(self, packet: Any, stream: Any) -> None:
        """A packet has come, as a reading thread hands it on."""
        self.tap.take(packet, stream)

    def observe(self, number: int) -> None:
        boxes = np.array([[400, 200, 560, 700]], np.float32)
        seen = Observed(
            *(self.name, number, number / FPS, time.time(), np.array([1], np.uint64), boxes),
            np.array([0.9], np.float32),
        )
        picture = VideoPicture(self._shown[number % len(self._shown)]._frame, Orientation())
        self.publisher.observe(Frame(self.name, number, number / FPS, time.time(), picture), seen)

    def _receive(self) -> None:
        while True:
            picture: LivePicture = self._server_end.recv()
            self._cameras.live.publish(picture)


def film(path: Path, shown: list[VideoPicture], seconds: float) -> Path:
    """The pictures again and again as H.264, a key frame every two seconds, as cameras send it."""
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "tune": "zerolatency"})
        stream.width, stream.height = SIZE
        stream.pix_fmt, stream.bit_rate, stream.codec_context.gop_size = "yuv420p", 4_000_000, 2 * FPS
        for number in range(round(seconds * FPS)):
            frame = shown[number % len(shown)]._frame.reformat(format="yuv420p")
            frame.pts = number
            frame.time_base = Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def measured(
    cameras: int,
    viewers: int,
    seconds: float,
    folder: Path,
    shown: list[VideoPicture],
    large: str = "",
    moving: Path | None = None,
) -> dict[str, Any]:
    """Cores that are busy while so many look at all cameras, and pictures (parts of films with them) a second.

    large: ``large`` or ``moving``, of the first camera alone; moving: its film.
    """
    space = EmbeddingSpace("benchmark", "benchmark", 8)
    config = GalleryConfig(index="exact")
    with Gallery.open(folder, write=True, create=True, space=space, config=config) as gallery:
        desk = Desk(gallery)
        names = [f"camera {n}" for n in range(cameras)]
        served = Cameras(desk, [SourceConfig(uri=f"rtsp://127.0.0.1:9/{name}", name=name) for name in names])
        streams = [CameraOfFrames(name, served, shown) for name in names]
        told = served.live._told

        def want(wanted: Any) -> None:
            told(wanted)
            for stream in streams:
                stream.want(wanted)

        served.live._told = want
        made = 0
        publish = served.live.publish

        def counted(picture: LivePicture | Fragment) -> None:
            nonlocal made
            made += 1
            publish(picture)

        served.live.publish = counted  # type: ignore[method-assign]
        account = Accounts(gallery).add("wall", "correct horse", Role.VIEWER)
        secret, _ = Accounts(gallery).add_token(account.id, "wall", Role.VIEWER)
        bound = socket.socket()
        bound.bind(("127.0.0.1", 0))
        bound.listen(64)
        bound.setblocking(False)
        server = _server(create_app(desk, cameras=served), bound, Address())
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[bound])), daemon=True)
        thread.start()
        looked = {"tiles": [], large: names[0]} if large else {"tiles": names}
        url = f"ws://localhost:{bound.getsockname()[1]}/api/v1/live"
        words = [sys.executable, "-c", _VIEWERS, url, secret, json.dumps(looked), str(viewers)]
        looking = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert looking.stdout is not None
        looking.stdout.readline()
        packets = demuxed(moving) if moving is not None else iter(())
        begun, spent, first = time.perf_counter(), time.process_time(), made
        for number in range(round(seconds * FPS)):
            due = begun + number / FPS
            time.sleep(max(0.0, due - time.perf_counter()))
            for stream in streams:
                stream.observe(number)
                if (packet := next(packets, None)) is not None:
                    stream.play(*packet)
        wall = time.perf_counter() - begun
        spent = time.process_time() - spent
        looking.communicate("end\n")
        desk.closing = True
        server.should_exit = True
        thread.join()
        bound.close()
        for stream in streams:
            stream.publisher.close()
        desk.close()
    return {"viewers": viewers, "cores": spent / wall, "pictures": (made - first) / wall}


def demuxed(path: Path) -> Iterator[tuple[Any, Any]]:
    """Packets with their stream; what that costs is part of reading a camera, and not of showing it."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        yield from [(packet, stream) for packet in container.demux(stream)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--viewers", type=int, nargs="+", default=[0, 1, 4, 16])
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    shown = pictures()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        if given.large:
            made = film(Path(folder) / "film.ts", shown, given.seconds + 1)
            for view, moving in (("large", None), ("moving", made)):
                for count in given.viewers:
                    place = Path(folder) / f"{view}{count}"
                    row = {"view": view, **measured(1, count, given.seconds, place, shown, view, moving)}
                    rows.append(row)
                    print(
                        f"{view:6s} {count:3d} viewers: {row['cores']:.3f} cores, {row['pictures']:.1f} parts a second"
                    )
        for count in given.viewers if not given.large else ():
            row = measured(given.cameras, count, given.seconds, Path(folder) / str(count), shown)
            rows.append(row)
            print(f"{count:3d} viewers: {row['cores']:.3f} cores, {row['pictures']:.1f} pictures a second made")
    if given.json:
        given.json.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
