"""Does a camera lose frames because people review? A paced camera with people in view, with clients and without.

    python -m benchmarks.beside_camera [--size 640x360] [--people 3] [--seconds 60] [--clients 0,5,0,5]
        [--gallery DIR] [--json out.json]

A scene of `reidstream synth` is sent at 25 frames a second by GStreamer's RTSP server (a Python that has its bindings:
see .ci/gstreamer) to `reidstream serve` with the models of the package. Then come turns: in each so many scripted
people review (benchmarks/reviewers.py --calm), four requests a second each. What the camera lost in each turn is
counted by the server. The clients run at a lower priority: theirs would be other machines, so that their processor time
is not to be taken from what is measured.
Ends with 1 when a turn with clients lost a frame.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import psutil
from av.video.frame import PictureType

from benchmarks.reviewers import met_by, serve, until_all_run
from reidstream.client import Client
from reidstream.server.place import short_path
from reidstream.synthetic import World, write_scene

FPS = 25
_SCENE_SECONDS = 30
_OPENING = 20.0
"""Seconds after the camera has begun in which a tracker fills, pages are rendered first and libraries are opened."""

_CAMERA = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1"); server.set_service("0")
factory = GstRtspServer.RTSPMediaFactory()
factory.set_shared(True)
sending = f"filesrc location={sys.argv[1]} ! qtdemux ! h264parse ! rtph264pay config-interval=-1 name=pay0"
factory.set_launch(f"( {sending} )")
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


def film(folder: Path, size: tuple[int, int], people: int, seconds: float) -> tuple[Path, float]:
    """A film of at least so many seconds, and how many people are in view on average: a scene again and again."""
    world = World(seed=5, cameras=1, people=people, minutes=_SCENE_SECONDS / 60, size=size, fps=FPS)
    (camera,) = write_scene(folder / "scene", world, workers=1).cameras
    path = folder / "film.mp4"
    with av.open(str(path), "w") as written:
        stream = written.add_stream("libx264", rate=FPS, options={"tune": "zerolatency", "preset": "veryfast"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = 2 * FPS
        with av.open(str(camera.video)) as read:
            frames = list(read.decode(video=0))
        for number in range(round(seconds * FPS)):
            frame = frames[number % len(frames)]
            frame.pts, frame.time_base, frame.pict_type = number, Fraction(1, FPS), PictureType.NONE
            written.mux(stream.encode(frame))
        written.mux(stream.encode(None))
    return path, len(camera.boxes) / camera.length


def camera(path: Path) -> tuple[subprocess.Popen[str], str]:
    """An RTSP server of a film, and its address. Ends the program where no Python has GStreamer's bindings."""
    for python in (sys.executable, "/usr/bin/python3"):
        words = [python, "-c", _CAMERA, str(path)]
        sending = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert sending.stdout is not None
        if port := sending.stdout.readline().strip():
            return sending, f"rtsp://127.0.0.1:{port}/live"
    raise SystemExit("no Python has GStreamer's RTSP server; .ci/gstreamer names the packages")


def turn(folder: Path, clients: int, seconds: float, seed: int, server: psutil.Process) -> dict[str, Any]:
    """What a camera lost in so many seconds beside so many clients, and who used the processor."""
    words = [sys.executable, "-m", "benchmarks.reviewers", "--gallery", str(folder), "--review", str(seconds), "--calm"]
    started = [
        subprocess.Popen([*words, "--seed", str(seed + n)], stdout=subprocess.PIPE, preexec_fn=_give_way)
        for n in range(clients)
    ]
    for one in started:
        assert one.stdout is not None
        one.stdout.readline()
    before, spent = _counted(folder), _spent(server)
    began = time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - began
    after, now = _counted(folder), _spent(server)
    said = [met_by(one) for one in started]
    spans = sorted(1000 * span for one in said for each in one["spans"].values() for span in each)
    return {
        "clients": clients,
        "frames": after["frames"] - before["frames"],
        "lost": after["dropped"] - before["dropped"],
        "frames_per_second": (after["frames"] - before["frames"]) / passed,
        "server_cores": (now[0] - spent[0]) / passed,
        "camera_cores": (now[1] - spent[1]) / passed,
        "requests": len(spans),
        "p95_ms": spans[int(0.95 * len(spans))] if spans else 0.0,
        "wrong": [text for one in said for text in one["wrong"]],
        "tracklets": after["tracklets"],
        "load": os.getloadavg()[0],
    }


def _give_way() -> None:
    os.nice(15)


def _counted(folder: Path) -> dict[str, int]:
    with short_path(folder) as path, Client(socket=path, timeout=120.0) as owner:
        (source,) = owner.get("/sources")["sources"]
        return {**{key: source[key] for key in ("frames", "dropped")}, "tracklets": owner.facts()["tracklets"]}


def _spent(server: psutil.Process) -> tuple[float, float]:
    """Processor seconds of the server and of the process that reads."""
    reading = [one for one in server.children() if "reidstream.server.camera_process" in one.cmdline()]
    return sum(server.cpu_times()[:2]), sum(sum(one.cpu_times()[:2]) for one in reading)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--people", type=int, default=3, help="How many come in half a minute; fewer are in view.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", default="0,5,0,5")
    parser.add_argument("--gallery", type=Path, help="One that is there, to read into and to review in; it is changed.")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    turns = [int(number) for number in given.clients.split(",")]
    width, height = map(int, given.size.split("x"))
    with tempfile.TemporaryDirectory() as made:
        folder = given.gallery or Path(made) / "gallery"
        path, seen = film(Path(made), (width, height), given.people, (given.seconds + 30) * len(turns) + 180)
        print(f"{given.size}, {seen:.1f} people in view; load {os.getloadavg()[0]:.1f}", flush=True)
        sending, url = camera(path)
        server = serve(folder, [url])
        until_all_run(folder)
        time.sleep(_OPENING)
        rows = []
        for number, clients in enumerate(turns):
            row = turn(folder, clients, given.seconds, 10 * number, psutil.Process(server.pid))
            rows.append(row)
            print(
                f"{clients} clients: {row['lost']} lost of {row['frames'] + row['lost']} frames "
                f"({row['frames_per_second']:.1f}/s), server {row['server_cores']:.2f} cores, camera's process "
                f"{row['camera_cores']:.2f}, {row['requests']} requests, p95 {row['p95_ms']:.0f} ms, "
                f"{row['tracklets']} tracklets, load {row['load']:.1f} {' '.join(row['wrong'][:3])}",
                flush=True,
            )
        server.send_signal(signal.SIGTERM)
        server.wait(180)
        sending.kill()
    if given.json:
        given.json.write_text(json.dumps(rows))
    sys.exit(any(row["wrong"] or (row["clients"] and row["lost"]) for row in rows))


if __name__ == "__main__":
    main()
