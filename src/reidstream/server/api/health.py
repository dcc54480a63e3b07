"""Whether it works, for people's monitoring."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from reidstream.server.api.common import TheDesk, Viewer, everything
from reidstream.server.cameras import Cameras
from reidstream.server.desk import Desk

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
    registry.register(_Numbers(desk, request.app.state.cameras))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Numbers:
    """Read when they are asked for; nothing is counted twice."""

    def __init__(self, desk: Desk, cameras: Cameras) -> None:
        self._desk, self._cameras = desk, cameras

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
        frames = CounterMetricFamily("reidstream_frames", "Frames processed", labels=["source"])
        dropped = CounterMetricFamily("reidstream_frames_dropped", "Frames left out", labels=["source"])
        up = GaugeMetricFamily("reidstream_source_up", "1 while a source is being read", labels=["source"])
        deaths = CounterMetricFamily("reidstream_source_deaths", "Processes that died", labels=["source"])
        last = GaugeMetricFamily("reidstream_last_frame_seconds", "When the last frame came", labels=["source"])
        for camera in self._cameras.all():
            frames.add_metric([camera.name], camera.frames)
            dropped.add_metric([camera.name], camera.dropped)
            up.add_metric([camera.name], float(camera.state == "running"))
            deaths.add_metric([camera.name], camera.deaths)
            if camera.last_frame_wall is not None:
                last.add_metric([camera.name], camera.last_frame_wall)
        return [*found, *backlog_numbers(desk), frames, dropped, up, deaths, last]


def backlog_numbers(desk: Desk) -> list[GaugeMetricFamily | CounterMetricFamily]:
    """How far deciding is behind what workers have stored, where there are workers."""
    if desk.backlog is None:
        return []
    waiting, seconds = desk.backlog
    return [
        GaugeMetricFamily("reidstream_inbox_waiting", "Tracklets of workers without a person yet", waiting),
        GaugeMetricFamily("reidstream_inbox_lag_seconds", "For how long the oldest of them waits", seconds),
    ]
