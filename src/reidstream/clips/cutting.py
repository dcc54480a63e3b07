"""Cutting a clip out of packets: copied as they are, from a key frame on."""

from __future__ import annotations

import errno
import io
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from reidstream.clips.span import Span
from reidstream.errors import SourceBroken
from reidstream.sources.packet_ring import PacketRing, StoredPacket, until

# What browsers play, and what takes the codecs that it does not.
SUFFIXES = (".mp4", ".mkv")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
_USUAL_STEP = 0.04
"""Seconds from one packet to the next where no times are given."""


def cut_ring(ring: PacketRing, span: Span, path: Path) -> Span:
    """Write what a camera's ring still holds of a time; what the clip shows.

    Raises SourceBroken, or OSError for want of room on the disk. path: without its suffix, which is added.
    """
    import av

    found = ring.cut(span.start, span.end)
    if found is None:
        raise SourceBroken(
            ring.failure
            or "the camera's packets of that time are not in memory any more; clips.ring_seconds or clips.ring_mib is "
            "too small for it"
        )
    stretch, packets = found
    try:
        with av.open(io.BytesIO(stretch.header)) as header:
            suffix = _copied(header.streams.video[0], packets, stretch.time_base, path)
    except (OSError, ValueError) as error:
        raise _broken(error) from None
    return Span(packets[0].shown, max(packet.shown for packet in packets), suffix)


def cut_file(video: Path, span: Span, path: Path) -> Span:
    """Write a time of a video file; what the clip shows.

    Raises SourceBroken, or OSError for want of room on the disk. path: without its suffix, which is added.
    """
    import av

    try:
        with av.open(f"file:{video}", metadata_errors="replace") as container:
            stream = max(container.streams.video, key=lambda one: one.width * one.height)
            first = next(iter(container.decode(stream)))
            base, origin = stream.time_base, first.pts if first.pts is not None else (first.dts or 0)
            if span.start > 0:
                container.seek(origin + int(span.start / base), stream=stream)
            else:
                container.seek(stream.start_time or 0, stream=stream)
            packets = list(until(_of_file(container.demux(stream), origin, base), span.end))
            if not packets:
                raise SourceBroken(f"{video.name} has nothing at {span.start:.1f} s")
            suffix = _copied(stream, packets, base, path)
    except (OSError, ValueError, StopIteration) as error:
        raise _broken(error) from None
    return Span(packets[0].shown, max(packet.shown for packet in packets), suffix)


def _of_file(packets: Iterable[Any], origin: int, base: Fraction) -> Iterator[StoredPacket]:
    """Packets of a file from the first key frame on, with seconds since its first picture."""
    begun, now = False, 0.0
    for packet in packets:
        begun = begun or bool(packet.is_keyframe)
        if not begun or not packet.size:
            continue
        shown = packet.pts if packet.pts is not None else packet.dts
        decoded = packet.dts if packet.dts is not None else shown
        if shown is not None and decoded is not None:
            now = float((decoded - origin) * base)
        at = now if shown is None else float((shown - origin) * base)
        yield StoredPacket(bytes(packet), packet.pts, packet.dts, bool(packet.is_keyframe), at, now)


def _copied(template: Any, packets: list[StoredPacket], base: Fraction, path: Path) -> str:
    """Write packets as coded as a stream's to a file; its suffix. Raises OSError, ValueError."""
    failure: Exception | None = None
    for suffix in SUFFIXES:
        place = path.with_name(path.name + suffix)
        try:
            _mux(template, packets, base, place)
            return suffix
        except ValueError as error:
            # This container does not take this codec.
            place.unlink(missing_ok=True)
            failure = error
        except OSError:
            place.unlink(missing_ok=True)
            raise
    assert failure is not None
    raise failure


def _mux(template: Any, packets: list[StoredPacket], base: Fraction, path: Path) -> None:
    import av

    step = max(1, round(_USUAL_STEP / base))
    with av.open(f"file:{path}", "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}) as container:
        stream = container.add_stream_from_template(template)
        origin: int | None = None
        last = -1
        for stored in packets:
            decoded = stored.dts if stored.dts is not None else stored.pts
            if origin is None:
                origin = decoded or 0
            # Containers take decoding times that grow, and no picture that is shown before it is decoded.
            dts = last + step if decoded is None else max(decoded - origin, last + 1)
            pts = dts if stored.pts is None else max(stored.pts - origin, dts)
            last = dts
            packet = av.Packet(stored.data)
            packet.dts, packet.pts, packet.time_base = dts, pts, base
            packet.is_keyframe = stored.key
            packet.stream = stream
            container.mux(packet)


def _broken(error: Exception) -> Exception:
    """What is wrong with the packets; or with the disk, which is another matter."""
    code = getattr(error, "errno", None)
    reason = str(getattr(error, "strerror", None) or error) or type(error).__name__
    return OSError(code, reason) if code in _NO_ROOM else SourceBroken(reason)
