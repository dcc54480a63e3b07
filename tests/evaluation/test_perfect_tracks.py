"""The engine that knows the truth: one track per visit, embeddings of the real pixels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from reidstream.config import Config, SourceConfig
from reidstream.evaluation.perfect_tracks import LabelledBoxes, PerfectTracks, person_of
from reidstream.inference import open_embedder
from reidstream.models import resolve_model
from reidstream.tracklets import TrackletCollector
from reidstream.types import EndReason, Observed, SourceEnded, SourceStarted, TrackEnded

SEEN = {4: [*range(20), *range(50, 60)], 7: list(range(5, 60))}
"""Person 4 leaves for three seconds (at ten frames a second) and returns."""


def scene(tmp_path: Path) -> tuple[SourceConfig, LabelledBoxes]:
    """Two coloured people as pictures, ten a second."""
    folder = tmp_path / "frames"
    folder.mkdir()
    rows = []
    for frame in range(60):
        image = np.full((240, 320, 3), 120, np.uint8)
        for person, left, colour in ((4, 40, (30, 30, 200)), (7, 200, (200, 120, 20))):
            if frame in SEEN[person]:
                cv2.rectangle(image, (left + frame, 60), (left + frame + 40, 160), colour, -1)
                rows.append((frame, person, left + frame, 60, left + frame + 40, 160))
        cv2.imwrite(str(folder / f"{frame:04d}.png"), image)
    table = np.array(rows)
    labelled = LabelledBoxes(table[:, 0], table[:, 1], table[:, 2:].astype(np.float32), np.ones(len(table), np.float32))
    return SourceConfig(uri=str(folder), fps=10), labelled


def test_every_visit_is_one_track_and_becomes_one_tracklet(tmp_path: Path) -> None:
    source, labelled = scene(tmp_path)
    config = Config()
    embedder = open_embedder(resolve_model(config.embedding.model, "reid"), config.embedding)
    engine = PerfectTracks(config, [("a", source, labelled)], embedder)
    collector = TrackletCollector(config.tracklets, config.embedding.per_track)
    events, tracklets = [], []
    for event in engine.events():
        events.append(event)
        tracklets += collector.take(event)
    tracklets += collector.finish()
    assert isinstance(events[0], SourceStarted)
    assert isinstance(events[-1], SourceEnded)
    assert (events[-1].frames, sum(isinstance(e, Observed) for e in events)) == (60, 60)
    ended = [(person_of(e.track_id), e.reason) for e in events if isinstance(e, TrackEnded)]
    assert sorted(ended) == [(4, EndReason.LOST), (4, EndReason.SOURCE_ENDED), (7, EndReason.SOURCE_ENDED)]
    spans = sorted((person_of(t.track_id), t.start_frame, t.end_frame) for t in tracklets)
    assert spans == [(4, 0, 19), (4, 50, 59), (7, 5, 59)]
    looks = {(person_of(t.track_id), t.start_frame): t.embedding for t in tracklets}
    again, other = looks[4, 0] @ looks[4, 50], looks[4, 0] @ looks[7, 5]
    assert again > other


def test_somebody_hidden_is_not_tracked(tmp_path: Path) -> None:
    source, labelled = scene(tmp_path)
    labelled.visible[labelled.persons == 4] = 0.1
    config = Config()
    embedder = open_embedder(resolve_model(config.embedding.model, "reid"), config.embedding)
    engine = PerfectTracks(config, [("a", source, labelled)], embedder)
    seen = {person_of(int(i)) for e in engine.events() if isinstance(e, Observed) for i in e.track_ids}
    assert seen == {7}
