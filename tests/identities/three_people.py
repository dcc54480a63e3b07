"""Three people with three, two and one visits, as several tests of deciding and reviewing have them."""

from __future__ import annotations

from reidstream.config.identities import IdentityConfig
from reidstream.gallery import Gallery
from reidstream.identities.online import OnlineIdentities
from reidstream.identities.people import list_people
from tests.identities.conftest import Fill, Visit, made_tracklet

AT_ONE_DOOR: list[Visit] = [(person, "door", 100.0 * person + 20 * n, 100.0 * person + 20 * n + 8) for person, n in
                            ((1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (3, 0))]  # fmt: skip
AT_TWO_CAMERAS: list[Visit] = [(1, "a", 0, 5), (2, "a", 1, 6), (1, "b", 10, 15), (3, "a", 12, 18), (2, "b", 20, 25),
                               (1, "a", 30, 35)]  # fmt: skip


def ids_of(visits: list[Visit]) -> list[str]:
    return [made_tracklet(*visit).id for visit in visits]


def decided(fill: Fill, visits: list[Visit]) -> Gallery:
    """A gallery of the visits in which everybody has their person."""
    made = fill(visits)
    OnlineIdentities(made, IdentityConfig()).catch_up()
    assert sorted(len(person.tracklets) for person in list_people(made)) == [1, 2, 3]
    return made
