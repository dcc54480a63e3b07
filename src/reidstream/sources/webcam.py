"""Webcams, read by OpenCV: the FFmpeg that comes with PyAV is built without Video4Linux2."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2

from reidstream.sources.connection import Arrival, ConnectionLost, ConnectionRefused
from reidstream.sources.frame import ArrayPicture
from reidstream.sources.packet_ring import PacketRing
from reidstream.sources.packet_tap import PacketTaker


class WebcamConnection:
    """A Connection to a Video4Linux2 device. ``backend`` is OpenCV's, another one reads other devices or files."""

    def __init__(self, device: Path, backend: int = cv2.CAP_V4L2) -> None:
        if not device.exists():
            raise ConnectionLost(f"there is no device {device}; is the webcam plugged in?")
        if not os.access(device, os.R_OK):
            raise ConnectionRefused(f"no permission to read {device}; it needs membership of the group 'video'")
        self._device = device
        self._capture = cv2.VideoCapture(str(device), backend)
        if not self._capture.isOpened():
            self._capture.release()
            raise ConnectionLost(f"{device} cannot be opened as a webcam; another program may be using it")
        # Old frames help nobody: the driver keeps as few as it can.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    @property
    def fps(self) -> float:
        return max(0.0, float(self._capture.get(cv2.CAP_PROP_FPS)))

    def take_skipped(self) -> int:
        # OpenCV does not tell damaged pictures apart.
        return 0

    def record(self, taker: PacketTaker) -> None:
        if isinstance(taker, PacketRing):
            taker.failure = "a webcam delivers pictures and no packets"

    def arrivals(self, closed: threading.Event) -> Iterator[Arrival]:
        while not closed.is_set():
            # OpenCV waits ten seconds for a picture and then gives up.
            read, image = self._capture.read()
            if not read:
                raise ConnectionLost(f"{self._device} delivers no pictures any more")
            yield Arrival(ArrayPicture(image), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._capture.release()
