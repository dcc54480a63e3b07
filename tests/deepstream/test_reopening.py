"""Cameras that break off in ways that nvurisrcbin does not mend by itself: they are taken out and opened again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidstream.config import SourceConfig
from reidstream.types import Event, Observed, SourceEnded, SourceStarted, TrackEnded
from tests.deepstream import blob_models
from tests.deepstream.engine_runs import end_of, events_of, frames_of
from tests.rtsp import Server

pytestmark = [pytest.mark.gstreamer, pytest.mark.usefixtures("elements")]

UNWATCHED = 'deepstream.source.properties={"rtsp-reconnect-interval"=0}'
"""As nvurisrcbin treats a camera over TLS: it neither watches nor connects again."""


def engine_of(tmp_path: Path, settings: list[str], camera_list: Path | None = None, **sources: SourceConfig) -> Any:
    from reidstream.engines.deepstream.running.engine import DeepStreamEngine

    config = blob_models.config(tmp_path, ["deepstream.mux.timeout_us=40000", *settings])
    return DeepStreamEngine(config, list(sources.items()), camera_list=camera_list)


def branch(engine: Any, source: str) -> Any:
    index = next(known.index for known in engine._known() if known.id == source)
    return engine._pipeline._branches[index]


def decoder(engine: Any, source: str) -> Any:
    """The element that decodes: the one with H.264 on one side and pictures on the other."""
    for element in branch(engine, source).element.iterate_recurse():
        factory = element.get_factory()
        if factory is not None and "Decoder/Video" in factory.get_metadata("klass"):
            return element
    raise AssertionError("nothing decodes")


def post_error(engine: Any, source: str) -> None:
    from gi.repository import GLib, Gst

    element = decoder(engine, source)
    error = GLib.Error.new_literal(Gst.StreamError.quark(), "cannot decode", Gst.StreamError.DECODE)
    element.post_message(Gst.Message.new_error(element, error, ""))


def end_stream(engine: Any, source: str) -> None:
    from gi.repository import Gst

    branch(engine, source).sink.send_event(Gst.Event.new_eos())


def lose_pictures(engine: Any, source: str) -> None:
    from gi.repository import Gst

    pad = decoder(engine, source).get_static_pad("src")
    pad.add_probe(Gst.PadProbeType.BUFFER, lambda *_: Gst.PadProbeReturn.DROP)


def run_until_back(engine: Any, fault: Callable[[Any, str], None], *names: str) -> list[Event]:
    """The events of a run in which each camera has the fault at its tenth frame, until each has gone on behind it."""
    events: list[Event] = []
    seen, back = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for event in events_of(engine):
        events.append(event)
        if isinstance(event, Observed):
            seen[event.source] += 1
            if seen[event.source] == 10:
                fault(engine, event.source)
            back[event.source] += next(s.index for s in engine._known() if s.id == event.source) >= len(names)
            if min(back.values()) >= 10:
                engine.stop()
    return events


@pytest.mark.parametrize("fault", [post_error, end_stream, lose_pictures])
def test_a_camera_comes_back_from_every_kind_of_break(
    tmp_path: Path, server: Server, fault: Callable[[Any, str], None]
) -> None:
    """One error of its decoder, an end of its stream, packets without pictures: nvurisrcbin mends none of them."""
    engine = engine_of(tmp_path, [], cam=SourceConfig(uri=server.url, timeout=1))
    events = run_until_back(engine, fault, "cam")
    assert len([event for event in events if isinstance(event, SourceStarted)]) == 1
    assert (end_of(events, "cam").error, end_of(events, "cam").stopped) == (None, True)
    numbers = [event.frame for event in frames_of(events, "cam")]
    assert numbers == sorted(set(numbers))
    times = [event.media_time for event in frames_of(events, "cam")]
    assert times == sorted(times)
    assert max(b - a for a, b in pairwise(times)) > 0.9, "the gap stays in the recording"
    said = [text for text in engine.status.warnings if text.startswith("cam: ")]
    assert said and all("opened again after 1 s" in text for text in said)


def test_two_cameras_that_break_at_once_both_come_back(tmp_path: Path, server: Server) -> None:
    """They share the pipeline's changes of state; the second must not be left waiting in PAUSED."""
    sources = {name: SourceConfig(uri=server.url, timeout=1) for name in ("one", "two")}
    events = run_until_back(engine_of(tmp_path, [], **sources), post_error, *sources)
    assert {name: end_of(events, name).stopped for name in sources} == dict.fromkeys(sources, True)


def test_a_camera_that_nvurisrcbin_does_not_watch_comes_back_when_the_network_does(
    tmp_path: Path, server: Server
) -> None:
    def break_network(_engine: Any, _source: str) -> None:
        server.kill()
        server.start()

    engine = engine_of(tmp_path, [UNWATCHED], cam=SourceConfig(uri=server.url, timeout=1))
    events = run_until_back(engine, break_network, "cam")
    assert end_of(events, "cam").stopped


def test_tracks_end_with_the_break_and_the_tracker_s_numbers_begin_anew(tmp_path: Path, server: Server) -> None:
    """The server shows no rectangle that the detector knows, so somebody is put in where the probe hands over."""
    engine = engine_of(tmp_path, [], cam=SourceConfig(uri=server.url, timeout=1))
    put = engine._handover.put_frame

    def with_somebody(arrays: Any) -> None:
        none = np.zeros(0, np.int64)
        put(replace(
            arrays, object_ids=np.array([1], np.uint64), boxes=np.array([[10, 10, 40, 90]], np.float32),
            confidences=np.ones(1, np.float32), rows=none, embeddings=np.zeros((0, 8), np.float32),
            quality=np.zeros(0, np.float32), crops=(),
        ))  # fmt: skip

    engine._handover.put_frame = with_somebody
    events = run_until_back(engine, post_error, "cam")
    ids = [int(event.track_ids[0]) for event in frames_of(events, "cam")]
    assert ids[0] != ids[-1]
    ended = [event.track_id for event in events if isinstance(event, TrackEnded)]
    assert ended == [ids[0], ids[-1]]
    first_behind = next(event for event in frames_of(events, "cam") if int(event.track_ids[0]) == ids[-1])
    assert events.index(next(e for e in events if isinstance(e, TrackEnded))) < events.index(first_behind)


def test_what_breaks_again_and_again_is_given_up_after_the_limit(tmp_path: Path, server: Server) -> None:
    camera = SourceConfig(uri=server.url, timeout=1, reconnect_limit=3)
    engine = engine_of(tmp_path, [UNWATCHED], cam=camera)
    events: list[Event] = []
    for event in events_of(engine):
        events.append(event)
        if isinstance(event, Observed) and event.frame == 10:
            server.kill()
    end = end_of(events, "cam")
    assert "no connection for 3 seconds" in str(end.error)
    assert "hunter2" not in str(end.error)
    assert engine._indices > 1, "it was tried again before"


def test_a_camera_is_removed_while_it_waits_to_be_opened_again(tmp_path: Path, server: Server) -> None:
    camera = SourceConfig(uri=server.url, timeout=1000)
    engine = engine_of(tmp_path, ["tracker.timeout=0.5"], cam=camera, other=SourceConfig(uri=server.url))
    events: list[Event] = []
    removed = False
    for event in events_of(engine):
        events.append(event)
        if isinstance(event, Observed) and event.source == "cam" and event.frame == 10:
            post_error(engine, "cam")
        if not removed and any(source.broken for source in engine._known()):
            removed = True
            engine.remove_source("cam")
        if isinstance(event, SourceEnded) and event.source == "cam":
            engine.stop()
    assert (end_of(events, "cam").error, end_of(events, "cam").stopped) == (None, True)


@pytest.mark.setting("deepstream.watch")
def test_the_camera_list_takes_up_again_whom_the_run_had_given_up(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reidstream.engines.deepstream.running.camera_list._AGAIN", 0.0)
    listed = tmp_path / "cameras.toml"
    text = '[[sources]]\nname = "{}"\nuri = "{}"\nreconnect = {}\n'
    listed.write_text(text.format("cam", server.url, "false") + text.format("other", server.url, "true"))
    from reidstream.sources import expand_sources

    sources = {str(config.name): config for config in expand_sources([str(listed)])}
    engine = engine_of(tmp_path, [], camera_list=listed, **sources)
    events: list[Event] = []
    starts = 0
    for event in events_of(engine):
        events.append(event)
        starts += isinstance(event, SourceStarted) and event.source == "cam"
        if isinstance(event, Observed) and event.source == "cam" and event.frame == 10:
            if starts == 1:
                end_stream(engine, "cam")
            else:
                engine.stop()
    ends = [event for event in events if isinstance(event, SourceEnded) and event.source == "cam"]
    assert [end.stopped for end in ends] == [False, True]
    assert "the camera has ended its stream" in str(ends[0].error)
