"""Home Assistant, by MQTT: every camera with whether somebody is there, and the last picture of somebody.

One retained message declares the gallery as a device with all of its cameras (MQTT discovery, "device" form, of Home
Assistant's documentation). A picture is retained by the broker until the next one; before one is sent its topic is
noted, and when who is on it has been erased, or pictures are no longer wanted, it is withdrawn by an empty message.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import func, select

import reidstream
from reidstream.brokers.mqtt import OFFLINE, ONLINE, Mqtt
from reidstream.gallery import Gallery
from reidstream.gallery.rows import in_chunks
from reidstream.gallery.schema import crops, tracklets

_DISCOVERY = "homeassistant/device"

Shown = dict[str, str]
"""Camera → the tracklet whose picture the broker keeps; "" while that is not certain."""


class Home:
    """Tells Home Assistant of a gallery's cameras.

    name: what the device is called. node: its id, the same for ever. pictures: whether last pictures are wanted. shown:
    what is noted of an earlier time; note: keeps it. Raises DeliveryError in every method that sends.
    """

    def __init__(
        self,
        mqtt: Mqtt,
        gallery: Gallery,
        name: str,
        node: str,
        *,
        pictures: bool,
        shown: Shown,
        note: Callable[[Shown], None],
    ) -> None:
        self._mqtt, self._gallery, self._name, self._node = mqtt, gallery, name, node
        self._pictures, self._shown, self._note = pictures, dict(shown), note
        self._declared: tuple[str, ...] = ()
        self._occupied: dict[str, bool] = {}
        self._connections = 0

    def tell(self, occupied: Mapping[str, bool], stored: bool) -> None:
        """Bring everything up to date. occupied: whether somebody is there, of every camera that is read. stored:
        whether there may be new pictures."""
        self._withdraw()
        if self._connections != self._mqtt.connections:
            # A broker may have forgotten everything.
            self._declared, self._occupied = (), {}
        cameras = tuple(sorted(occupied))
        if cameras != self._declared:
            self._declare(cameras)
        changed = {camera: there for camera, there in occupied.items() if self._occupied.get(camera) != there}
        if changed:
            words = {True: b"ON", False: b"OFF"}
            self._mqtt.publish([(self._topic(c, "occupancy"), words[there], True) for c, there in changed.items()])
            self._occupied |= changed
        if self._pictures and (stored or self._connections != self._mqtt.connections):
            self._show(cameras)
        self._connections = self._mqtt.connections

    def _declare(self, cameras: Sequence[str]) -> None:
        components: dict[str, Any] = {}
        for camera in cameras:
            key = _key(camera)
            components[f"{key}_occupancy"] = {
                "platform": "binary_sensor",
                "name": f"{camera} occupancy",
                "device_class": "occupancy",
                "unique_id": f"{self._node}_{key}_occupancy",
                "state_topic": self._topic(camera, "occupancy"),
            }
            picture: dict[str, Any] = {"platform": "image"}
            if self._pictures:
                picture |= {
                    "name": f"{camera} last person",
                    "unique_id": f"{self._node}_{key}_picture",
                    "image_topic": self._topic(camera, "picture"),
                    "content_type": "image/jpeg",
                }
            # A component with its platform alone is one that is no more.
            components[f"{key}_picture"] = picture
        for camera in set(self._declared) - set(cameras):
            components[f"{_key(camera)}_occupancy"] = {"platform": "binary_sensor"}
            components[f"{_key(camera)}_picture"] = {"platform": "image"}
        document = {
            "device": {"identifiers": [self._node], "name": self._name, "manufacturer": "ReIDStream"},
            "origin": {"name": "reidstream", "sw_version": reidstream.__version__},
            "availability_topic": self._mqtt.availability,
            "payload_available": ONLINE,
            "payload_not_available": OFFLINE,
            "qos": 1,
            "components": components,
        }
        self._mqtt.publish([(f"{_DISCOVERY}/{self._node}/config", json.dumps(document).encode(), True)])
        self._declared = tuple(cameras)

    def _show(self, cameras: Sequence[str]) -> None:
        """Send the newest picture of each camera that is not the one that is shown."""
        newest = select(tracklets.c.source, func.max(tracklets.c.seq).label("seq")).join(
            crops, crops.c.seq == tracklets.c.seq
        )
        newest = newest.where(tracklets.c.source.in_(cameras)).group_by(tracklets.c.source)
        part = newest.subquery()
        query = (
            select(tracklets.c.source, tracklets.c.id, crops.c.jpeg)
            .join(part, part.c.seq == tracklets.c.seq)
            .join(crops, crops.c.seq == tracklets.c.seq)
        )
        with self._gallery.read() as connection:
            rows = connection.execute(query).all()
        again = self._connections != self._mqtt.connections
        for row in rows:
            if self._shown.get(row.source) == row.id and not again:
                continue
            # Noted first: a picture that nobody knows of would never be withdrawn.
            self._keep({**self._shown, row.source: ""})
            self._mqtt.publish([(self._topic(row.source, "picture"), row.jpeg, True)])
            self._keep({**self._shown, row.source: row.id})

    def _withdraw(self) -> None:
        """Take away pictures of whom the gallery does not hold any more, and all where none are wanted."""
        if not self._shown:
            return
        held: set[str] = set()
        with self._gallery.read() as connection:
            for some in in_chunks(list(self._shown.values())):
                query = select(tracklets.c.id).where(tracklets.c.id.in_(some))
                held.update(connection.execute(query).scalars())
        gone = [camera for camera, one in self._shown.items() if not self._pictures or one not in held]
        if gone:
            self._mqtt.publish([(self._topic(camera, "picture"), b"", True) for camera in gone])
            self._keep({camera: one for camera, one in self._shown.items() if camera not in gone})

    def _keep(self, shown: Shown) -> None:
        self._note(shown)
        self._shown = shown

    def _topic(self, camera: str, what: str) -> str:
        return f"{self._mqtt.prefix}/cameras/{_key(camera)}/{what}"


def kept_topics(prefix: str, node: str, cameras: Iterable[str]) -> list[str]:
    """The topics of which a broker keeps something of these cameras. prefix, node: see ``Mqtt`` and ``Home``."""
    of = [f"{prefix}/cameras/{_key(camera)}/{what}" for camera in sorted(cameras) for what in ("picture", "occupancy")]
    return [*of, f"{_DISCOVERY}/{node}/config"]


def _key(camera: str) -> str:
    """A camera's name as a part of topics and ids: letters and digits, and what tells it from others like it."""
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in camera)
    if plain == camera:
        return plain
    return f"{plain}_{hashlib.sha256(camera.encode()).hexdigest()[:6]}"
