"""What a run did with each source, and in all."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from reidstream.identities.proposal import Proposal
from reidstream.tracklets.collector import CollectorCounts


class SourceState(StrEnum):
    """How far a run has come with a source."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    STOPPED = "stopped"
    """The run was stopped before its end."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """The gallery has all of it already."""


@dataclass(slots=True)
class SourceSummary:
    """What became of one source.

    error: why it failed. note: why it was skipped, or that nobody was found in it. expected: frames it will have, None
    when unknown. frames: how far it was read; processed: of them looked at, which are fewer where a rate is thinned.
    tracklets: finished. seen_wall: Unix seconds at which its last frame came, None before the first.
    reconnects: how often a camera was connected to again, None where the engine does not count it. latency: seconds
    from the moment at which the newest frame came to the moment at which its people were known; None of files.
    begun: when it was recorded, Unix seconds; dated: what says so. grown: the gallery held a shorter version of it, and
    only what is new in it was added.
    """

    source: str
    uri: str = ""
    state: SourceState = SourceState.WAITING
    error: str | None = None
    frames: int = 0
    expected: int | None = None
    dropped: int = 0
    live: bool = False
    note: str | None = None
    processed: int = 0
    tracklets: int = 0
    seen_wall: float | None = None
    reconnects: int | None = None
    latency: float | None = None
    begun: float | None = None
    dated: str = ""
    grown: bool = False


@dataclass(slots=True)
class RunSummary:
    """What a run did, and while it goes on, has done so far.

    seconds: wall time. tracklets: finished; stored: of them new in the gallery. people: identities in the
    gallery; undecided: tracklets that may be one of them.
    clips: visits of which a clip was kept.
    kept_out: not stored because they had been erased before. resolved: what deciding everybody anew at the
    end came to, None when that was not done. open_tracks: people in view now.
    drawing: the source whose film is being drawn, and the frame that this has come to, while that goes on.
    counts: see CollectorCounts. stage_seconds: busy time per stage over all threads.
    """

    sources: dict[str, SourceSummary] = field(default_factory=dict)
    seconds: float = 0.0
    tracklets: int = 0
    stored: int = 0
    clips: int = 0
    kept_out: int = 0
    people: int = 0
    undecided: int = 0
    resolved: Proposal | None = None
    open_tracks: int = 0
    drawing: tuple[str, int] | None = None
    counts: CollectorCounts = field(default_factory=CollectorCounts)
    stage_seconds: dict[str, float] = field(default_factory=dict)
    warnings: dict[str, int] = field(default_factory=dict)
    stopped: bool = False

    @property
    def frames(self) -> int:
        """Frames read, over all sources."""
        return sum(source.frames for source in self.sources.values())

    @property
    def processed(self) -> int:
        """Frames looked at, over all sources."""
        return sum(source.processed for source in self.sources.values())

    @property
    def failed(self) -> list[SourceSummary]:
        """The sources that ended with an error."""
        return [source for source in self.sources.values() if source.state is SourceState.FAILED]
