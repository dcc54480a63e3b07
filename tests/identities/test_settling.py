"""A run ends by deciding everybody anew, where nobody has looked at who is who yet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.nearest import NearestMeans
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.outbox import all_events_after, append_events
from reidstream.identities.people import assign, create_person, list_people
from reidstream.identities.proposal import propose
from reidstream.identities.review import Review
from reidstream.identities.settling import settle
from tests.identities.conftest import Fill, Visit, made_tracklet
from tests.identities.test_online import RETURNS, identities_of
from tests.pipeline.job import bring_in


def torn(fill: Fill, name: str) -> Gallery:
    """A gallery in which one after the other has made two people of one."""
    gallery = fill(RETURNS, name)
    OnlineIdentities(gallery, IdentityConfig()).catch_up()
    last = made_tracklet(*RETURNS[-1]).id
    with gallery.write() as connection:
        assign(connection, [(last, create_person(connection, last), 1.0)])
    return gallery


def test_what_was_decided_one_after_the_other_is_put_right_and_told(fill: Fill) -> None:
    gallery = torn(fill, "torn")
    assert len(list_people(gallery)) == 4
    done = settle(gallery, IdentityConfig())
    assert done is not None
    assert (done.people_before, done.people) == (4, 3)
    assert len(list_people(gallery)) == 3
    assert [event.kind for event in all_events_after(gallery, 0)][-1] == "IdentitiesResolved"
    assert "TrackletMoved" in {event.kind for event in all_events_after(gallery, 0)}


def test_it_is_done_once_until_somebody_new_is_stored(fill: Fill) -> None:
    gallery = torn(fill, "once")
    assert settle(gallery, IdentityConfig()) is not None
    assert settle(gallery, IdentityConfig()) is None
    gallery.add([made_tracklet(4, "a", 50, 55)])
    OnlineIdentities(gallery, IdentityConfig()).catch_up()
    assert settle(gallery, IdentityConfig()) is not None


def test_a_reviewed_gallery_is_left_as_its_reviewers_know_it(fill: Fill) -> None:
    gallery = torn(fill, "reviewed")
    Review(gallery, "ana").label(list_people(gallery)[0].id, name="Grace")
    before = [person.tracklets for person in list_people(gallery)]
    assert settle(gallery, IdentityConfig()) is None
    assert [person.tracklets for person in list_people(gallery)] == before


def test_killed_before_the_end_and_run_again_everybody_is_the_same(fill: Fill) -> None:
    whole, parts = fill(RETURNS, "undisturbed"), fill(RETURNS[:3], "killed")
    for gallery in (whole, parts):
        OnlineIdentities(gallery, IdentityConfig()).catch_up()
    parts.add([made_tracklet(*visit) for visit in RETURNS[3:]])
    OnlineIdentities(parts, IdentityConfig()).catch_up()
    for gallery in (whole, parts):
        settle(gallery, IdentityConfig())
    assert identities_of(parts, RETURNS) == identities_of(whole, RETURNS)


@pytest.mark.setting("identities.resolve")
def test_a_run_ends_so_or_not_as_it_is_told(tmp_path: Path) -> None:
    from reidstream.config import Config
    from reidstream.pipeline import RunSummary
    from tests.blobs import write_blobs

    videos = [write_blobs(tmp_path / f"{name}.mp4") for name in "ab"]
    config = Config()
    off = config.model_copy(update={"identities": IdentityConfig(resolve=False)})
    alone: RunSummary = bring_in(videos, tmp_path / "off", config=off)
    assert alone.resolved is None
    summary: RunSummary = bring_in(videos, tmp_path / "on", config=config)
    assert summary.resolved is not None
    with Gallery.open(tmp_path / "on") as gallery:
        assert summary.people == len(list_people(gallery)) == propose(gallery, IdentityConfig()).people


def test_the_nearest_people_of_very_many_are_those_of_looking_at_all() -> None:
    rng = np.random.default_rng(0)
    # As embeddings are: few directions hold most of what tells people apart.
    scale = np.exp(-np.arange(512) / 40)
    means = (rng.normal(size=(6000, 512)) * scale).astype(np.float32)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    table = NearestMeans(512)
    for row, mean in enumerate(means):
        table.put(row, mean)
    for query in means[::600] + 0.02 * rng.normal(size=(10, 512)).astype(np.float32):
        assert table.to(query, 24) == np.argsort(-(means @ query), kind="stable")[:24].tolist()


def test_two_who_look_the_same_are_a_visit_each_when_time_says_so(fill: Fill) -> None:
    visits: list[Visit] = [(1, "a", 0, 5), (1, "a", 2, 7)]
    gallery = fill(visits, "twins")
    OnlineIdentities(gallery, IdentityConfig()).catch_up()
    done = settle(gallery, IdentityConfig())
    assert done is not None
    assert done.people == 2


@pytest.mark.parametrize("noise", [1.0, 1.2, 1.4, 1.5])
def test_many_who_return_are_found_however_noisy_their_looks(fill: Fill, noise: float) -> None:
    """Looks that get worse part a few from their person; they do not make a gallery in which nobody returns."""
    gallery = fill([(k, camera, 0.0, 1.0) for k, camera in enumerate("abc")], "returns")
    visits = [(k, c, 100 + 1000 * turn + 20.0 * k) for turn, c in enumerate("abc") for k in range(3, 23)]
    gallery.add([made_tracklet(k, c, start, start + 5, noise) for k, c, start in visits])
    proposal = propose(gallery, IdentityConfig())
    # Two of the made-up people look much alike.
    assert 22 <= proposal.people <= 30


def test_in_a_large_gallery_everybody_who_often_returns_is_found(fill: Fill) -> None:
    # More than are compared with all others: strangers are learnt from a sample, in which everybody is many times.
    visits = [(k % 20, "ab"[k % 2], 10.0 * k, 10.0 * k + 5, 1.0) for k in range(700)]
    proposal = propose(fill(visits), IdentityConfig())
    assert proposal.people == 20


def test_what_happens_beside_storing_is_no_reason_to_decide_anew(fill: Fill) -> None:
    gallery = torn(fill, "quiet")
    assert settle(gallery, IdentityConfig()) is not None
    with gallery.write() as connection:
        append_events(connection, [("AlertRaised", {"alert": "a"})])
    assert settle(gallery, IdentityConfig()) is None
