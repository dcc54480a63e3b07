"""Pictures and clips of visits, out of the recordings that they were seen in, each recording read once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from reidstream.clips import kept_clips
from reidstream.config import SourceConfig
from reidstream.disclosure.covering import Shown, without
from reidstream.disclosure.others import NOBODY, Others
from reidstream.disclosure.showing import Counts, Film, Showing, cut, jpeg
from reidstream.errors import SourceBroken, SourceError
from reidstream.gallery import Filter, Gallery
from reidstream.gallery.recordings import Recording
from reidstream.sources import ArrayPicture, Pixels, open_source
from reidstream.types import FloatArray, Tracklet

if TYPE_CHECKING:
    from reidstream.inference.protocols import Detector

Progress = Callable[[int, int], None]
_MARGIN = 1.0
"""Seconds around a visit in which others are asked for."""
_CANVAS = 0.5
"""Margin around a picture that is looked at alone, in parts of it: detectors know people in front of something."""
_PADDING = 114


@dataclass(slots=True)
class Filmed:
    """What there is of a visit: names of files in the folder, None for what there is not, and why, in words."""

    picture: str | None = None
    frame: str | None = None
    clip: str | None = None
    why: str = ""
    counts: Counts = field(default_factory=Counts)


def film_recordings(
    gallery: Gallery,
    visits: Sequence[str],
    folder: Path,
    detector: Detector,
    shown: Shown,
    clips: bool,
    progress: Progress,
) -> dict[str, Filmed]:
    """Write what may be seen of tracklets of one person into a folder, by tracklet. clips: films as well.

    progress: visits done, of how many. A recording that is gone or broken leaves the pictures that the gallery has.
    """
    filming = _Filming(gallery, visits, folder, detector, shown, clips)
    recordings = {one.content: one for one in gallery.sources()}
    by_content: dict[str, list[Tracklet]] = {}
    for id in visits:
        whole = gallery.tracklet(id)
        by_content.setdefault(whole.content, []).append(whole)
    done = 0
    for content, own in by_content.items():
        filming.recording(recordings.get(content), own)
        done += len(own)
        progress(done, len(visits))
    return filming.filmed


class _Filming:
    def __init__(
        self, gallery: Gallery, visits: Sequence[str], folder: Path, detector: Detector, shown: Shown, clips: bool
    ) -> None:
        self._gallery, self._folder, self._detector = gallery, folder, detector
        self._shown, self._clips = shown, clips
        self._own = set(visits)
        self._number = {id: number for number, id in enumerate(visits, start=1)}
        self.filmed = {id: Filmed() for id in visits}

    def recording(self, recording: Recording | None, own: Sequence[Tracklet]) -> None:
        """All visits to one recording: out of it, or out of what was kept of it."""
        why = _why_not(recording)
        if recording is not None and not why:
            try:
                self._read(recording, own)
            except (SourceError, OSError) as error:
                why = str(error).replace(recording.uri, Path(recording.uri).name)
        for tracklet in own:
            filmed = self.filmed[tracklet.id]
            if filmed.frame is None and filmed.clip is None:
                filmed.why = why or "the recording ends before it"
                if self._clips:
                    self._kept_clip(tracklet)
                self._kept_picture(tracklet)

    def _name(self, tracklet: Tracklet, what: str) -> str:
        return f"visit-{self._number[tracklet.id]:03}-{what}"

    def _showing(self, tracklet: Tracklet, rate: float, confirmed: bool = False) -> Showing:
        return Showing(tracklet, self._others(tracklet, rate), self._detector, self._shown, confirmed)

    def _others(self, tracklet: Tracklet, rate: float) -> Others:
        """Everybody else who was in view meanwhile; visits of the same person that are not handed out among them."""
        around = Filter(
            contents=(tracklet.content,),
            media_since=tracklet.start_media - _MARGIN,
            media_until=tracklet.end_media + _MARGIN,
        )
        every = (one for one in self._gallery.tracklets(around) if one.id not in self._own)
        return Others(every, self._gallery.left_out(around), rate)

    # -- out of the recording

    def _read(self, recording: Recording, own: Sequence[Tracklet]) -> None:
        path = Path(recording.uri)
        showings = {one.id: self._showing(one, recording.fps) for one in own}
        last = max(one.end_frame for one in own)
        with ExitStack() as stack:
            films = {one.id: stack.enter_context(Film(self._folder / self._name(one, "clip.mp4"))) for one in own}
            source = stack.enter_context(open_source(SourceConfig(uri=str(path)), "disclosure"))
            if source.started().content != recording.content:
                raise SourceBroken(f"{path.name} is not what was read: it has changed since")
            for frame in source:
                if frame.index > last:
                    break
                for tracklet in own:
                    if not tracklet.start_frame <= frame.index <= tracklet.end_frame:
                        continue
                    best = frame.index == _best(tracklet)
                    if not self._clips and not best:
                        continue
                    shown = showings[tracklet.id].frame(frame.index, frame.picture)
                    if best:
                        self._still(tracklet, shown)
                    if self._clips:
                        films[tracklet.id].add(shown, frame.media_time)
        for one in own:
            filmed = self.filmed[one.id]
            filmed.counts = showings[one.id].counts
            if films[one.id].frames:
                filmed.clip = films[one.id].path.name

    def _still(self, tracklet: Tracklet, shown: Pixels) -> None:
        filmed = self.filmed[tracklet.id]
        filmed.frame = self._write(self._name(tracklet, "frame.jpg"), jpeg(shown))
        part = cut(shown, tracklet.crop_box)
        if part is not None:
            filmed.picture = self._write(self._name(tracklet, "picture.jpg"), jpeg(part))

    def _write(self, name: str, data: bytes) -> str:
        (self._folder / name).write_bytes(data)
        return name

    # -- out of what was kept

    def _kept_clip(self, tracklet: Tracklet) -> None:
        """The clip that was kept of a visit: its frames are known by their times, so that the detector has the say."""
        import av

        from reidstream.sources.decoding import Pictures

        kept = kept_clips(self._gallery, [tracklet.id]).get(tracklet.id)
        if kept is None:
            return
        rate = (tracklet.end_frame - tracklet.start_frame) / max(tracklet.end_media - tracklet.start_media, 1e-3)
        showing = self._showing(tracklet, rate, confirmed=True)
        name = self._name(tracklet, "clip.mp4")
        try:
            with (
                av.open(f"file:{kept.path}", metadata_errors="replace") as container,
                Film(self._folder / name) as film,
            ):
                stream = container.streams.video[0]
                base, pictures = float(stream.time_base or 0), Pictures()
                for decoded in container.decode(stream):
                    time = kept.start_media + (decoded.pts or 0) * base
                    if not tracklet.start_media <= time <= tracklet.end_media:
                        continue
                    number = tracklet.start_frame + round((time - tracklet.start_media) * rate)
                    film.add(showing.frame(number, pictures.of(decoded)), time)
        except (av.error.FFmpegError, OSError, ValueError, IndexError) as error:
            self.filmed[tracklet.id].why += f"; the clip that was kept cannot be read ({type(error).__name__})"
            return
        if film.frames:
            filmed = self.filmed[tracklet.id]
            filmed.clip, filmed.counts = name, showing.counts

    def _kept_picture(self, tracklet: Tracklet) -> None:
        """The picture that the gallery keeps, without whoever else reaches into it."""
        frame, box = tracklet.crop_frame, tracklet.crop_box
        if tracklet.crop is None or frame is None or box is None:
            return
        found = cv2.imdecode(np.frombuffer(tracklet.crop, np.uint8), cv2.IMREAD_COLOR)
        if found is None:
            return
        picture = found.astype(np.uint8, copy=False)
        height, width = picture.shape[:2]
        known = self._others(tracklet, 0.0).known(frame)
        scale = np.array([width, height], np.float32) / np.maximum(np.array([box[2] - box[0], box[3] - box[1]]), 1e-3)
        moved = (known.reshape(-1, 2, 2) - np.array(box[:2], np.float32)) * scale.astype(np.float32)
        places = NOBODY.found(frame, (0.0, 0.0, float(width), float(height)), self._in_picture(picture)).others
        covered = without(picture, np.concatenate([moved.reshape(-1, 4).astype(np.float32), places]))
        self.filmed[tracklet.id].picture = self._write(self._name(tracklet, "picture.jpg"), jpeg(covered))

    def _in_picture(self, picture: Pixels) -> FloatArray:
        """Everybody whom the detector finds in a picture of one person."""
        height, width = picture.shape[:2]
        x, y = round(_CANVAS * width), round(_CANVAS * height)
        canvas = np.full((height + 2 * y, width + 2 * x, 3), _PADDING, np.uint8)
        canvas[y : y + height, x : x + width] = picture
        boxes = self._detector.detect([ArrayPicture(canvas)])[0].boxes
        return boxes - np.array([x, y, x, y], np.float32)


def _best(tracklet: Tracklet) -> int:
    """The frame of its best picture."""
    return tracklet.start_frame if tracklet.crop_frame is None else tracklet.crop_frame


def _why_not(recording: Recording | None) -> str:
    """Why nothing can be read out of a recording; "" when it can be tried."""
    if recording is None:
        return "what it was seen in is not known any more"
    if recording.live:
        return "a live camera, of which no recording is kept"
    if not Path(recording.uri).exists():
        return "the recording is not kept any more"
    return ""
