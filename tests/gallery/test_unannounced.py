"""What runs do to stored tracklets without an event is remembered for whoever follows, for as long as there is room."""

from __future__ import annotations

from reidstream.gallery.unannounced import Unannounced


def test_each_follower_hears_of_everything_once() -> None:
    happened = Unannounced()
    before = happened.number
    happened.gone(["a", "b"])
    happened.changed(["c", "a"])
    first = happened.after(before)
    assert (first.gone, first.changed, first.whole) == ({"a", "b"}, {"c"}, True)
    assert happened.after(first.number).gone == frozenset()
    happened.changed(["d"])
    assert happened.after(first.number).changed == {"d"}
    assert happened.after(before).changed == {"c", "d"}


def test_who_is_too_far_behind_is_told_so() -> None:
    happened = Unannounced(remembered=2)
    happened.gone(["a", "b", "c"])
    assert not happened.after(0).whole
    assert happened.after(1).gone == {"b", "c"}
