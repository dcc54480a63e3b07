"""Packets of a live source for whoever wants them just now."""

from __future__ import annotations

from typing import Any

from reidstream.sources.packet_tap import PacketTap, remember_tap, tap_of


def test_packets_go_to_who_wants_them_for_as_long_as_somebody_does() -> None:
    taken: list[Any] = []
    tap = PacketTap()
    tap.take("first", "stream")
    tap.taker = lambda packet, stream: taken.append((packet, stream))
    tap.take("second", "stream")
    tap.taker = None
    tap.take("third", "stream")
    assert taken == [("second", "stream")]


def test_a_tap_is_known_by_its_source_while_somebody_holds_it() -> None:
    tap = PacketTap()
    remember_tap("door", tap)
    assert tap_of("door") is tap
    assert tap_of("yard") is None
    del tap
    assert tap_of("door") is None
