"""A clip out of a recording, cut when somebody asks for it, in a process that may die.

Run as a main program: the order as JSON on standard input, the answer as JSON on standard output. Packets are copied
where browsers play their codec; else they are encoded anew, as far as this build of FFmpeg has an encoder for it.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from reidstream.clips.cutting import cut_file
from reidstream.clips.span import Span
from reidstream.encoders import PREFERRED, add_video, video_encoder
from reidstream.errors import ReIDStreamError, SourceBroken
from reidstream.gallery.recordings import Recording
from reidstream.server.picture_child import answer_of

_AT_ONCE = threading.Semaphore(2)
_PLAYED = frozenset({"h264", "vp8", "vp9", "av1"})
"""Codecs that browsers play everywhere."""
_WIDTH = 960
_TIME_BASE = Fraction(1, 60_000)


@dataclass(frozen=True, slots=True)
class ClipOrder:
    """Which part. path: the recording. content: its fingerprint. start, end: seconds since its first frame. target:
    where to, without the ending."""

    path: str
    content: str
    start: float
    end: float
    target: str


def recording_to_cut(recordings: Iterable[Recording], content: str) -> Path | None:
    """The video file of a content, if there is one out of which a clip can be cut."""
    for one in recordings:
        if one.content == content and not one.live and (path := Path(one.uri)).is_file():
            return path
    return None


def shown_clip(path: Path, content: str, span: Span) -> Path:
    """A clip of a recording in a temporary folder of its own, which the caller removes. Raises SourceBroken."""
    folder = Path(tempfile.mkdtemp(prefix="reidstream-clip-"))
    order = ClipOrder(str(path), content, span.start, span.end, str(folder / "clip"))
    try:
        with _AT_ONCE:
            answer = answer_of("reidstream.server.shown_clip", json.dumps(asdict(order)), f"{path.name} gave no clip")
        return folder / str(answer["file"])
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, SourceBroken):
            raise SourceBroken(str(error).replace(str(path), path.name)) from None
        raise


def main() -> None:
    order = ClipOrder(**json.loads(sys.stdin.read()))
    try:
        answer: dict[str, Any] = {"file": _cut(order).name}
    except (ReIDStreamError, OSError, ValueError) as error:
        answer = {"error": str(error) or type(error).__name__}
    json.dump(answer, sys.stdout)


def _cut(order: ClipOrder) -> Path:
    from reidstream.sources.fingerprint import file_fingerprint

    path, target = Path(order.path), Path(order.target)
    if file_fingerprint(path) != order.content:
        raise SourceBroken(f"{path.name} is not what was read: it has changed since")
    shown = cut_file(path, Span(order.start, order.end), target)
    made = target.with_name(target.name + shown.suffix)
    return _playable(made, order.start - shown.start)


def _playable(made: Path, late: float) -> Path:
    """The clip as browsers play it. late: seconds from its first picture to the first that is wanted."""
    import av

    with av.open(f"file:{made}") as container:
        stream = container.streams.video[0]
        if stream.codec_context.name in _PLAYED or video_encoder() == PREFERRED[-1]:
            return made
        target = made.with_name("shown.mp4")
        width, height = stream.width, stream.height
        scale = min(1.0, _WIDTH / max(width, 1))
        with av.open(f"file:{target}", "w", options={"movflags": "faststart"}) as writing:
            out = add_video(writing, (round(width * scale), round(height * scale)), 30)
            out.codec_context.time_base = _TIME_BASE
            last = -1
            for frame in container.decode(stream):
                time = float(frame.time or 0.0) - max(late, 0.0)
                if time < 0:
                    continue
                picture = frame.reformat(out.width, out.height, "yuv420p")
                picture.pts = last = max(last + 1, round(time / _TIME_BASE))
                picture.time_base = _TIME_BASE
                writing.mux(out.encode(picture))
            writing.mux(out.encode(None))
    made.unlink()
    return target


if __name__ == "__main__":
    main()
