"""How large the batched frames are, and what happens to pictures of another shape on their way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reidstream.config import Config, SourceConfig
from reidstream.errors import SourceError
from reidstream.models.input_shape import fitting_shape
from reidstream.sources import open_source, redacted
from reidstream.sources.address import Kind, kind_of

Size = tuple[int, int]
"""Width and height in pixels."""

_CAMERA: Size = (1920, 1080)
"""What a camera is taken to deliver; it is asked only when the pipeline runs."""
_STRETCHED = 0.1
"""A person that is wider or narrower by less than this looks much the same to a Re-ID model."""
_PADDED = 0.02
"""Less padding than this part of the network's input moves no box."""


def is_live(source: SourceConfig) -> bool:
    """Whether a source is a camera."""
    try:
        return kind_of(source.uri) in (Kind.RTSP, Kind.WEBCAM)
    except SourceError:
        return False


def file_sizes(sources: Sequence[SourceConfig]) -> dict[str, Size]:
    """The sizes of the video files by address; those that cannot be read are left to the engine, which says why."""
    sizes: dict[str, Size] = {}
    for source in sources:
        try:
            if kind_of(source.uri) is Kind.FILE:
                with open_source(source, "size") as opened:
                    sizes[redacted(source.uri)] = opened.started().size
        except (SourceError, OSError):
            continue
    return sizes


def mux_size(config: Config, sizes: Mapping[str, Size]) -> Size:
    """What the legacy nvstreammux scales all frames to: as configured, else the size of the largest source."""
    mux = config.deepstream.mux
    if mux.width is not None and mux.height is not None:
        return mux.width, mux.height
    known = [*sizes.values(), *([_CAMERA] if any(map(is_live, config.sources)) else [])] or [_CAMERA]
    width, height = max(known, key=lambda size: size[0] * size[1])
    # Video formats of GPUs have one colour for two by two pixels.
    return min(max(width + width % 2, 64), 8192), min(max(height + height % 2, 64), 8192)


def shape_warnings(config: Config, batched: Size, network: tuple[int, int], sizes: Mapping[str, Size]) -> list[str]:
    """What people should know of sources stretched by the mux and of frames padded for the detector.

    batched: the mux's size. network: height and width of the detector's input.
    """
    deepstream = config.deepstream
    warnings: list[str] = []
    if not deepstream.mux.new_mux:
        for name, size in sizes.items():
            wider = _aspect(batched) / _aspect(size)
            if not 1 / (1 + _STRETCHED) < wider < 1 + _STRETCHED:
                warnings.append(
                    f"{name} is {size[0]}x{size[1]}, and nvstreammux makes {batched[0]}x{batched[1]} of it: people get "
                    f"{wider:.2f} times as wide, which costs recognition; set deepstream.mux.new_mux=true, or read "
                    "sources of one shape in one run"
                )
    letterbox = deepstream.pgie.letterbox
    if letterbox if letterbox is not None else deepstream.pgie.preset == "yolox":
        frames = {batched} if not deepstream.mux.new_mux else set(sizes.values()) or {batched}
        inside = (network[1], network[0])
        for frame in sorted(frames):
            ratio = _aspect(frame) / _aspect(inside)
            if 1 - min(ratio, 1 / ratio) > _PADDED:
                width, height = fitting_shape(inside, frame)
                warnings.append(
                    f"frames of {frame[0]}x{frame[1]} do not fill the detector's input of {inside[0]}x{inside[1]}: "
                    "nvinfer pads them with black, where YOLOX was trained with grey (114), so that some boxes move "
                    f"by a pixel or two; a model exported for {width}x{height} needs hardly any padding"
                )
    return warnings


def _aspect(size: Size) -> float:
    return size[0] / size[1]
