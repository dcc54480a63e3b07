"""What is stored, replaced, left and taken away when recordings are read again: the rules in galleries without an
index's processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reidstream.config import GalleryConfig
from reidstream.errors import GalleryError, GalleryLocked, GalleryMismatch
from reidstream.gallery import Begin, Gallery, erasing
from reidstream.gallery.erasing import Erasure
from reidstream.gallery.fencing import check_fence, take_fence
from reidstream.gallery.recordings import State
from reidstream.gallery.traces import Trace, Traces
from reidstream.types import EndReason, SourceEnded

from .conftest import SETTINGS, SPACE, same_tracklet, some_tracklets, started

CONTENT = "content-door"


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    config = GalleryConfig(index="exact")
    with Gallery.open(tmp_path / "g", write=True, create=True, space=SPACE, config=config) as opened:
        yield opened


def ended(stopped: bool = False, error: str | None = None) -> SourceEnded:
    return SourceEnded("door", 100, 1004.0, stopped=stopped, error=error)


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("reason", [EndReason.LEFT, EndReason.SHUTDOWN])
def test_only_what_was_cut_short_is_replaced_and_only_by_a_later_attempt(
    gallery: Gallery, again: bool, reason: EndReason
) -> None:
    (first,) = some_tracklets(1, reason=reason)
    longer = replace(first, end_frame=999, embedding=some_tracklets(1, seed=5)[0].embedding, reason=EndReason.LEFT)
    gallery.begin_source(started(), SETTINGS)
    assert gallery.add([first]) == 1
    # A search looks at the rows, so that what is replaced afterwards has to be noticed.
    assert gallery.search(first.embedding, 1)[0][0].similarity == pytest.approx(1, abs=1e-5)
    if again:
        gallery.end_source(ended(stopped=True))
        gallery.begin_source(started(), SETTINGS)
    assert gallery.add([longer]) == 0
    replaced = again and reason is EndReason.SHUTDOWN
    assert gallery.tracklet(first.id).end_frame == (999 if replaced else first.end_frame)
    (match,) = gallery.search(longer.embedding, 1)[0]
    assert (match.similarity > 0.99) is replaced


@pytest.mark.parametrize(
    ("how", "stays"), [(ended(), False), (ended(stopped=True), True), (ended(error="broken"), True)]
)
@pytest.mark.parametrize("batch", [False, True])
def test_what_an_earlier_attempt_cut_short_goes_when_a_later_one_has_read_all_and_not_seen_it(
    gallery: Gallery, how: SourceEnded, stays: bool, batch: bool
) -> None:
    whole, cut = some_tracklets(2)
    gallery.begin_source(started(), SETTINGS)
    gallery.add([whole, replace(cut, reason=EndReason.SHUTDOWN)])
    gallery.end_source(ended(stopped=True))
    if batch:
        with gallery.batch() as together:
            together.begin_source(started(), SETTINGS)
            together.end_source(how, CONTENT)
    else:
        gallery.begin_source(started(), SETTINGS)
        gallery.end_source(how)
    # Who was seen to the end stays, whatever the later attempt saw.
    assert gallery.rows().id.tolist() == [whole.id, *([cut.id] if stays else [])]


def test_tracklets_of_a_recording_that_is_somebody_else_s_are_refused(gallery: Gallery) -> None:
    gallery.begin_source(started(), SETTINGS)
    gallery.end_source(ended())
    with gallery.batch() as together:
        assert together.begin_source(started("yard"), SETTINGS) is Begin.ELSEWHERE
        with pytest.raises(ValueError, match="no begin_source"):
            together.add(some_tracklets(1))


def test_how_a_recording_ended_is_what_went_wrong_before_that_it_was_stopped(gallery: Gallery) -> None:
    for how, state in (
        (ended(), State.COMPLETE),
        (ended(stopped=True), State.STOPPED),
        (ended(error="no disk"), State.FAILED),
        (ended(stopped=True, error="no disk"), State.FAILED),
    ):
        name = f"{how.stopped} {how.error}"
        gallery.begin_source(started(name, name), SETTINGS)
        gallery.end_source(replace(how, source=name))
        (recording,) = (r for r in gallery.sources() if r.source == name)
        assert (recording.state, recording.error) == (state, how.error)


def test_a_recording_that_failed_and_is_read_again_has_not_failed(gallery: Gallery) -> None:
    gallery.begin_source(started(), SETTINGS)
    gallery.end_source(ended(error="no disk"))
    assert gallery.begin_source(started(), SETTINGS) is Begin.RESUMED
    (recording,) = gallery.sources()
    assert (recording.state, recording.error, recording.ended_wall) == (State.RUNNING, None, None)


def test_a_recording_is_read_on_when_it_has_grown_and_not_when_its_length_was_never_known(gallery: Gallery) -> None:
    for length, longer, begin in ((100, 200, Begin.RESUMED), (100, 100, Begin.COMPLETE), (0, 200, Begin.COMPLETE)):
        content = f"{length} {longer}"
        known = replace(started(content, content), beginning="x", length=length)
        gallery.begin_source(known, SETTINGS)
        gallery.end_source(replace(ended(), source=content))
        assert gallery.begin_source(replace(known, length=longer), SETTINGS) is begin
    with pytest.raises(GalleryMismatch, match="other settings"):
        gallery.begin_source(replace(known, length=300), "others")


def test_whoever_was_followed_may_not_write_any_more_and_the_follower_may(gallery: Gallery) -> None:
    with gallery.write() as connection:
        former = take_fence(connection, "work", "one")
        check_fence(connection, former, "g")
        present = take_fence(connection, "work", "two")
        check_fence(connection, present, "g")
        other = take_fence(connection, "other work", "three")
        check_fence(connection, other, "g")
        for wrong in (former, replace(present, token=present.token + 1), replace(present, scope="nobody's")):
            with pytest.raises(GalleryLocked):
                check_fence(connection, wrong, "g")


@pytest.mark.usefixtures("unproven")
def test_what_was_erased_stays_away_and_is_counted_and_a_neighbour_does_not(gallery: Gallery) -> None:
    erased, other = some_tracklets(2)
    path = np.array([(100 + 60 * k, 100, 140 + 60 * k, 200) for k in range(6)], np.float32)
    erased = replace(erased, boxes=path)
    # Somebody else who stands where the first goes by: alike in a moment only.
    other = replace(other, boxes=np.tile(path[2], (6, 1)), start_frame=0, end_frame=50, frames=erased.frames)
    gallery.begin_source(started(), SETTINGS)
    gallery.add([erased])
    gallery.erase([erased.id])
    assert gallery.add([replace(erased, id="f" * 32), other]) == 1
    assert gallery.rows().id.tolist() == [other.id]
    assert gallery.facts().kept_out == 1


def test_nothing_is_erased_when_something_of_it_would_stay(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    (tracklet,) = some_tracklets(1)
    gallery.begin_source(started(), SETTINGS)
    gallery.add([tracklet])
    monkeypatch.setattr(erasing, "traces_in_tables", lambda *_: ["notes.text"])
    with pytest.raises(GalleryError, match=r"notes\.text; nothing was erased"):
        gallery.erase([tracklet.id])
    assert gallery.rows().id.tolist() == [tracklet.id]
    assert not gallery.facts().erasing


def test_an_erasure_is_known_to_be_going_on_until_the_files_are_made_anew(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tracklet,) = some_tracklets(1)
    gallery.begin_source(started(), SETTINGS)
    gallery.add([tracklet])
    during = []
    rebuild = gallery._rebuild
    monkeypatch.setattr(
        gallery, "_rebuild", lambda progress: (during.append(gallery.facts().erasing), rebuild(progress))
    )
    gallery.erase([tracklet.id])
    assert during == [True]
    assert not gallery.facts().erasing


def test_an_erasure_is_proven_by_what_was_found_before_and_not_after_where_all_files_can_be_read() -> None:
    found, none = Traces(3, 10, [Trace(0, "gallery.db", 4)]), Traces(3, 10, [])
    proof = Erasure(1, 0, 10, found, none, 0, (), "")
    assert proof.proven
    assert not replace(proof, reach="a server's files").proven
    assert not replace(proof, before=none).proven
    assert not replace(proof, after=found).proven
    assert not replace(proof, after=None).proven


def test_what_a_tracklet_has_not_got_it_does_not_get_by_being_stored(gallery: Gallery) -> None:
    whole, bare = some_tracklets(2)
    bare = replace(bare, crop=None, crop_box=None, crop_frame=None)
    gallery.begin_source(started(), SETTINGS)
    gallery.add([whole, bare])
    assert same_tracklet(gallery.tracklet(whole.id), whole)
    assert same_tracklet(gallery.tracklet(bare.id), bare)
    assert gallery.crop(bare.id) is None


def test_a_recording_that_nobody_reads_any_more_is_read_again_by_the_next_run(gallery: Gallery) -> None:
    gallery.begin_source(started(), SETTINGS)
    gallery.begin_source(started("yard", "content-yard"), SETTINGS)
    gallery.break_off([CONTENT])
    states = {recording.source: recording.state for recording in gallery.sources()}
    assert states == {"door": State.STOPPED, "yard": State.RUNNING}
    gallery.break_off([])
    assert gallery.sources()[1].state is State.RUNNING


def test_what_a_batch_rewrites_or_removes_is_noted_for_those_who_follow(gallery: Gallery) -> None:
    (first, other) = some_tracklets(2, reason=EndReason.SHUTDOWN)
    gallery.begin_source(started(), SETTINGS)
    gallery.add([first, other])
    gallery.end_source(ended(stopped=True))
    before = gallery.unannounced.number
    longer = replace(first, end_frame=999, reason=EndReason.LEFT)
    with gallery.batch() as batch:
        assert batch.begin_source(started(), SETTINGS).wanted
        batch.add([longer])
        batch.end_source(ended(), CONTENT)
    unseen = gallery.unannounced.after(before)
    assert (unseen.changed, unseen.gone) == ({first.id}, {other.id})
