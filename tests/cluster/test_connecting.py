"""Connecting to a Ray cluster that is slow to answer, without Ray."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from reidstream.cluster.placement import connected
from reidstream.errors import ConfigError


class _Ray(SimpleNamespace):
    """Refuses as often as it is told to."""

    def __init__(self, *refusals: Exception) -> None:
        super().__init__(refusals=list(refusals), calls=0, shut=0)

    def init(self, **_: Any) -> None:
        self.calls += 1
        if self.refusals:
            raise self.refusals.pop(0)

    def shutdown(self) -> None:
        self.shut += 1


def _placed(monkeypatch: pytest.MonkeyPatch, *refusals: Exception) -> _Ray:
    ray = _Ray(*refusals)
    monkeypatch.setitem(sys.modules, "ray", ray)  # type: ignore[arg-type]
    return ray


def test_a_cluster_that_had_no_process_for_us_yet_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    late = "Initialization failure from server:\nStarting Ray client server failed."
    ray = _placed(monkeypatch, ConnectionAbortedError(late), ConnectionAbortedError(late))
    with connected("shop", "ray://head:10001", start=False):
        # Each attempt that failed was cleared away before the next.
        assert (ray.calls, ray.shut) == (3, 2)
    assert ray.shut == 3


def test_one_that_never_has_is_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = _placed(monkeypatch, *[ConnectionAbortedError("Initialization failure from server:\nmore")] * 9)
    with pytest.raises(ConfigError, match=r"ray://head:10001 \(Initialization failure from server:\); name one"):
        connected("shop", "ray://head:10001", start=False).__enter__()
    assert 1 < ray.calls < 9


@pytest.mark.parametrize("said", ["ray client connection timeout", ""])
def test_where_nobody_answers_it_is_said_at_once(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    ray = _placed(monkeypatch, *[ConnectionError(said)] * 9)
    with pytest.raises(ConfigError, match="no Ray cluster answers at this machine"):
        connected("shop", None, start=False).__enter__()
    assert ray.calls == 1
