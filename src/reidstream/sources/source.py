"""What a source is to the engines, and choosing the right kind for an address."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self

from reidstream.config import SourceConfig
from reidstream.errors import SourceNotFound
from reidstream.sources.address import Kind, kind_of, redacted
from reidstream.sources.decoding import ON_PROCESSOR, Decoding
from reidstream.sources.frame import Frame
from reidstream.types import SourceStarted


class Source(Protocol):
    """Frames of one camera, file or folder, in order. Iterate it once, from one thread.

    Iteration ends regularly at the source's end or after ``close``; it raises SourceNotFound or SourceBroken
    when the source fails, and after what could be read of a damaged file. A frame's index counts what the source
    delivered, so thinning and dropping leave gaps in it. Frames may be used from any thread and outlive the source.
    """

    @property
    def id(self) -> str: ...

    @property
    def skipped(self) -> int:
        """Damaged packets or images that were left out."""

    @property
    def dropped(self) -> int:
        """Frames of a live source that nobody took in time."""

    @property
    def fitted(self) -> int:
        """Frames whose picture had another size than the first, and was fitted into it."""

    @property
    def mended(self) -> int:
        """Frames whose time stamp was wrong and was replaced."""

    @property
    def reconnects(self) -> int:
        """How often a live source was connected to again."""

    def started(self) -> SourceStarted:
        """Open the source, wait for its first frame, and say what it is.

        Raises SourceNotFound or SourceBroken; SourceBroken too when it is closed before the first frame.
        """

    def __iter__(self) -> Iterator[Frame]: ...

    def __next__(self) -> Frame: ...

    def close(self) -> None:
        """Stop and free what is held; whoever waits for a frame returns at once. Safe from any thread, and twice."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def wrong_stamps(source_id: str, count: int) -> str:
    """What is said of a source of which ``count`` time stamps were replaced."""
    what = "1 time stamp was" if count == 1 else f"{count} time stamps were"
    return f"{source_id}: {what} wrong and replaced by times between the neighbours"


def open_source(config: SourceConfig, source_id: str, decoding: Decoding = ON_PROCESSOR) -> Source:
    """The source for an address. Nothing is opened before ``started`` or the first frame is asked for.

    decoding: where video is decoded; images and webcams are on the processor whatever it says.
    Raises SourceNotFound when there is nothing at the address or its kind is unknown.
    """
    kind = kind_of(config.uri)
    if kind is Kind.FILE:
        from reidstream.sources.video_file import VideoFileSource

        return VideoFileSource(config, source_id, decoding)
    if kind is Kind.FOLDER:
        from reidstream.sources.image_folder import ImageFolderSource

        return ImageFolderSource(config, source_id)
    from reidstream.sources.live import LiveSource

    if kind is Kind.RTSP or kind is Kind.WEBCAM:
        return LiveSource(config, source_id, decoding)
    raise SourceNotFound(f"{redacted(config.uri)}: not a kind of source that can be read")
