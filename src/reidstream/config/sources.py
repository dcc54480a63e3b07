"""Where frames come from, as a user writes it down."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from reidstream.config.base import Section
from reidstream.config.redaction import redacted

Part = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Polygon = Annotated[tuple[tuple[Part, Part], ...], Field(min_length=3, max_length=200)]
"""Corners (x, y), parts of the picture's width and height from its top left."""


ZoneName = Annotated[str, Field(pattern=r"^[^\W_][\w .-]{0,63}$")]
"""Letters and digits first; no commas, so that a list of names is one text."""


def _demand_area(what: str, polygon: Polygon) -> None:
    x, y = zip(*polygon, strict=True)
    area = sum(x[k - 1] * y[k] - x[k] * y[k - 1] for k in range(len(polygon))) / 2
    if abs(area) < 1e-6:
        raise ValueError(f"{what} has no area; expected three or more corners [x, y] around a region")


class SourceConfig(Section):
    """One camera, file or folder."""

    uri: str = Field(description="Video file, folder of images, rtsp:// address, or webcam (/dev/video0).")
    name: str | None = Field(
        default=None, description="The camera's name in the gallery; taken from the address when left out."
    )
    fps: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="Frames per second of an image folder (default 25 or seqinfo.ini).",
    )
    max_fps: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="Skip frames so that no more than this many a second are processed.",
    )
    rtsp_transport: Literal["tcp", "udp"] = Field(default="tcp", description="How RTSP carries its media.")
    certificate: str | None = Field(
        default=None,
        min_length=1,
        description=(
            "For rtsps://: a PEM file with the camera's certificate, or with that of who signed it; "
            '"any" checks none. None: this machine\'s list of who may sign.'
        ),
    )
    timeout: float = Field(
        default=10.0, gt=0, description="Seconds without a frame after which a live source is reconnected."
    )
    reconnect: bool = Field(default=True, description="Connect again when a live source breaks off.")
    reconnect_limit: float | None = Field(
        default=None,
        gt=0,
        description="Seconds of failed reconnecting after which the source ends; none: never.",
    )

    ring_seconds: float | None = Field(
        default=None, gt=0, le=3600, description="clips.ring_seconds for this camera; none: that of all."
    )
    ring_mib: float | None = Field(
        default=None, gt=0, le=4096, description="clips.ring_mib for this camera; none: that of all."
    )

    ignore: tuple[Polygon, ...] = Field(
        default=(),
        max_length=100,
        description=(
            "Regions in which nobody counts (a poster, a mirror, a street behind glass): polygons of [x, y] corners, "
            "0 to 1 from the top left. Whose box's lower edge has its middle in one is not seen."
        ),
    )

    zones: dict[ZoneName, Polygon] = Field(
        default={},
        max_length=100,
        description=(
            "Named parts of the picture (a till, a door): a polygon each, as in `ignore`. Who stands in one, and for "
            "how long, is kept with the tracklet, said in events and exports, and counted by `gallery zones`."
        ),
    )

    detections: str | None = Field(
        default=None,
        description="File of detections (MOTChallenge format) that replace the detector for this video or folder.",
    )
    tracks: str | None = Field(
        default=None,
        description="File of tracks (MOTChallenge format) that replace detector and tracker for this video or folder.",
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.detections is not None and self.tracks is not None:
            raise ValueError("give a source either detections or tracks; tracks have boxes of their own")
        return self

    @field_validator("ignore")
    @classmethod
    def _polygons(cls, value: tuple[Polygon, ...]) -> tuple[Polygon, ...]:
        for number, polygon in enumerate(value, start=1):
            _demand_area(f"polygon {number}", polygon)
        return value

    @field_validator("zones")
    @classmethod
    def _zones(cls, value: dict[str, Polygon]) -> dict[str, Polygon]:
        for name, polygon in value.items():
            _demand_area(f"zone {name!r}", polygon)
        return value

    @field_validator("uri")
    @classmethod
    def _not_empty(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("must not be empty")
        return value

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return [(key, redacted(value) if key == "uri" else value) for key, value in super().__repr_args__()]
