"""Whether it works, for people's monitoring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from reidstream.server.api.common import TheDesk, Viewer, everything
from reidstream.server.cameras import Camera, Cameras
from reidstream.server.desk import Desk
from reidstream.server.telling import Telling

router = APIRouter(tags=["health"])


@router.get("/healthz", openapi_extra={"security": []})
def alive() -> Response:
    """The process answers."""
    return PlainTextResponse("ok\n")


@router.get("/readyz", openapi_extra={"security": []})
def ready(desk: TheDesk) -> Response:
    """The gallery can be read and nothing is being closed."""
    if desk.closing:
        return PlainTextResponse("closing\n", 503)
    desk.last_event()
    return PlainTextResponse("ready\n")


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request, desk: TheDesk, caller: Viewer) -> Response:
    """Numbers in Prometheus' text format."""
    everything(caller)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Numbers(desk, request.app.state.cameras, request.app.state.telling))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Numbers:
    """Read when they are asked for; nothing is counted twice."""

    def __init__(self, desk: Desk, cameras: Cameras, telling: Telling) -> None:
        self._desk, self._cameras, self._telling = desk, cameras, telling

    def collect(self) -> list[GaugeMetricFamily | CounterMetricFamily]:
        desk = self._desk
        facts = desk.gallery.facts()
        desk.catalogue.refresh()
        found: list[GaugeMetricFamily | CounterMetricFamily] = [
            GaugeMetricFamily("reidstream_tracklets", "Tracklets in the gallery", len(desk.gallery)),
            GaugeMetricFamily("reidstream_people", "People in the gallery", len(desk.catalogue)),
            GaugeMetricFamily(
                "reidstream_index_behind", "Tracklets that the index does not hold yet", facts.revision - facts.indexed
            ),
            CounterMetricFamily("reidstream_stored", "Tracklets stored since the start", desk.stored),
            GaugeMetricFamily("reidstream_slowest_store_seconds", "Longest wait for storing", desk.slowest_store),
        ]
        targets = [target.as_dict() for target in self._telling.targets]
        return [*found, *backlog_numbers(desk), *camera_numbers(self._cameras.all()), *target_numbers(targets)]


def backlog_numbers(desk: Desk) -> list[GaugeMetricFamily | CounterMetricFamily]:
    """How far deciding is behind what workers have stored, where there are workers."""
    if desk.backlog is None:
        return []
    waiting, seconds = desk.backlog
    return [
        GaugeMetricFamily("reidstream_inbox_waiting", "Tracklets of workers without a person yet", waiting),
        GaugeMetricFamily("reidstream_inbox_lag_seconds", "For how long the oldest of them waits", seconds),
    ]


def target_numbers(targets: Sequence[Mapping[str, Any]]) -> list[GaugeMetricFamily | CounterMetricFamily]:
    """How far brokers and web servers are behind, and whether they take what they are sent."""
    behind = GaugeMetricFamily("reidstream_target_behind", "Events not delivered yet", labels=["target"])
    up = GaugeMetricFamily("reidstream_target_up", "1 while it takes events", labels=["target"])
    for target in targets:
        behind.add_metric([target["target"]], target["behind"])
        up.add_metric([target["target"]], float(not target["trouble"]))
    return [behind, up]


def camera_numbers(cameras: Sequence[Camera]) -> list[GaugeMetricFamily | CounterMetricFamily]:
    """How each camera is doing. Reconnects and latency of those only whose engine knows them."""

    def gauge(name: str, words: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"reidstream_{name}", words, labels=["source"])

    def counter(name: str, words: str) -> CounterMetricFamily:
        return CounterMetricFamily(f"reidstream_{name}", words, labels=["source"])

    frames = counter("frames", "Frames processed")
    dropped = counter("frames_dropped", "Frames left out")
    deaths = counter("source_deaths", "Processes that died")
    reconnects = counter("source_reconnects", "How often it was connected to again")
    up = gauge("source_up", "1 while a source is being read")
    fps = gauge("source_fps", "Frames processed a second")
    last = gauge("last_frame_seconds", "When the last frame came")
    latency = gauge("source_latency_seconds", "From the arrival of the newest frame until its people were known")
    people = gauge("source_open_tracks", "People in view of its process")
    for camera in cameras:
        name = [camera.name]
        frames.add_metric(name, camera.frames)
        dropped.add_metric(name, camera.dropped)
        deaths.add_metric(name, camera.deaths)
        up.add_metric(name, float(camera.state == "running"))
        fps.add_metric(name, camera.fps if camera.state == "running" else 0.0)
        people.add_metric(name, camera.open_tracks if camera.state == "running" else 0)
        if camera.reconnects is not None:
            reconnects.add_metric(name, camera.reconnects)
        if camera.last_frame_wall is not None:
            last.add_metric(name, camera.last_frame_wall)
        if camera.latency is not None:
            latency.add_metric(name, camera.latency)
    return [frames, dropped, up, deaths, last, reconnects, fps, latency, people]
