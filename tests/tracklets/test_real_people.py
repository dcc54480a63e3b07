"""People of a real video who stand where they are stay people."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidstream.config import Config, SourceConfig
from reidstream.engines.local import LocalEngine
from reidstream.pipeline.second_look import second_look
from reidstream.tracklets import TrackletCollector

MEN = ((6.6, 19.5), (23.0, 44.5), (50.8, 69.7), (74.8, 86.5), (92.9, 119.6), (124.0, 135.7))
"""When each of them is there, in seconds: walks in, stands, and goes or is cut off."""


@pytest.mark.shared
def test_six_who_come_and_stand_one_after_the_other_are_six_people_at_four_frames_a_second(shared_data: Path) -> None:
    source = SourceConfig(uri=str(shared_data / "videos/one-by-one.mp4"), max_fps=4.0)
    engine = LocalEngine(Config(), [("hall", source)])
    collector = TrackletCollector(Config().tracklets, second_look=second_look(engine.space))
    stored = [tracklet for event in engine.events() for tracklet in collector.take(event)]
    seen = [[n for n, (start, end) in enumerate(MEN) if t.start_media < end and t.end_media > start] for t in stored]
    assert sorted(seen) == [[n] for n in range(len(MEN))]
    assert collector.left_out() == []
