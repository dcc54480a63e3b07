"""Tens of thousands of people, page by page to the last, while some are merged and others come out of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from reidstream.gallery import Gallery
from reidstream.server.desk import Desk
from tests.server.conftest import Asking
from tests.server.crowd import Crowd, fill


@dataclass(frozen=True)
class Walk:
    """So many people, and so many of them in a page."""

    many: int
    limit: int


@pytest.fixture(params=[Walk(400, 20), pytest.param(Walk(50_000, 500), marks=pytest.mark.slow)], ids=lambda w: w.many)
def walk(request: pytest.FixtureRequest) -> Walk:
    wanted: Walk = request.param
    return wanted


@pytest.fixture
def crowd(gallery: Gallery, walk: Walk) -> Crowd:
    return fill(gallery, walk.many)


@pytest.fixture
def desk(gallery: Gallery, crowd: Crowd) -> Iterator[Desk]:
    made = Desk(gallery)
    made.settle()
    yield made
    made.close()


@pytest.mark.parametrize("order", ["first_seen", "last_seen", "number"])
def test_nobody_is_missing_and_nobody_comes_twice_whatever_is_decided_between_pages(
    owner: Asking, desk: Desk, crowd: Crowd, walk: Walk, order: str
) -> None:
    rng = np.random.default_rng(walk.many)
    read: list[str] = []
    touched: set[str] = set()
    # Who went, and how many had been read then; who came.
    gone: dict[str, int] = {}
    came: list[str] = []
    after: str | None = None
    while True:
        page = owner.get("/people", order=order, limit=walk.limit, **({"after": after} if after else {}))
        read += [person["id"] for person in page["people"]]
        after = page["next"]
        if after is None:
            break
        if rng.random() < 0.5:
            continue
        held = set(read)
        behind = [person for person in crowd.tracklets if person in held and person not in touched]
        ahead = [person for person in crowd.tracklets if person not in held and person not in touched]
        if rng.random() < 0.7 and behind and ahead:
            pair = [str(rng.choice(behind)), str(rng.choice(ahead))]
            stays, goes = pair if rng.random() < 0.5 else pair[::-1]
            seen = {tracklet: person for person in pair for tracklet in crowd.tracklets[person]}
            owner.decide("merge", people=[stays, goes], seen=seen)
            touched.update(pair)
            gone[goes] = len(read)
        else:
            person = next(p for p, own in crowd.tracklets.items() if len(own) > 1 and p not in touched)
            own = crowd.tracklets[person]
            owner.decide("split", person=person, tracklets=own[1:], seen=dict.fromkeys(own, person))
            touched.add(person)
            came.append(str(desk.catalogue.owner(own[1])))
    assert len(gone) > 2 and len(came) > 2
    assert sorted(p for p in read if p in crowd.tracklets and p not in touched) == sorted({*crowd.tracklets} - touched)
    for person, place in gone.items():
        assert person not in read[place:]
    if order != "last_seen":
        # Whoever was seen twice, the second time at last, had come first in that order, and comes where they stood.
        assert len(read) == len({*read})
        assert {*came} <= {*read}
