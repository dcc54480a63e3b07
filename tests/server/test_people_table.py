"""Lists of people in bulk mean what the same words mean for one person after the other."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reidstream.identities.catalogue import Entry, Visit
from reidstream.identities.most_alike import most_alike
from reidstream.identities.people import Person
from reidstream.server.people_table import PeopleFilter, PeopleOrder, PeopleTable

_part = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
_time = st.integers(0, 6).map(float)


@st.composite
def entries(draw: st.DrawFn) -> list[Entry]:
    found = []
    for n in range(draw(st.integers(0, 6))):
        visits = []
        for k in range(draw(st.integers(1, 3))):
            start = draw(_time)
            camera = draw(st.sampled_from("abc"))
            visits.append(
                Visit(f"{n}-{k}", camera, start, start + draw(_time), draw(_part), draw(_part), True, draw(_part))
            )
        visits.sort(key=lambda visit: (visit.start, visit.tracklet))
        name = draw(st.sampled_from(["", "Ann", "Ben Ann"]))
        tracklets = tuple(visit.tracklet for visit in visits)
        sure = tuple(visit.probability for visit in visits)
        found.append(Entry(Person(f"{n:012x}", n + 1, name, "", 0.0, tracklets, sure), tuple(visits)))
    return found


@given(
    people=entries(),
    wanted=st.builds(
        PeopleFilter,
        cameras=st.lists(st.sampled_from("abcd"), max_size=2).map(tuple),
        since=st.none() | _time,
        until=st.none() | _time,
        named=st.none() | st.booleans(),
        words=st.sampled_from(["", "ann", "2", "person 3"]),
        quality=_part,
        surer=_part,
        doubtful=st.none() | _part,
    ),
    hidden=st.sets(st.integers(0, 5).map(lambda n: f"{n:012x}")),
    shown=st.booleans(),
)
def test_a_filter_means_for_everybody_what_it_means_for_one(
    people: list[Entry], wanted: PeopleFilter, hidden: set[str], shown: bool
) -> None:
    def meant(entry: Entry) -> bool:
        some = [
            v
            for v in entry.visits
            if (not wanted.cameras or v.source in wanted.cameras)
            and (wanted.since is None or v.end >= wanted.since)
            and (wanted.until is None or v.start <= wanted.until)
        ]
        number = wanted.words.removeprefix("person ")
        return (
            bool(some)
            and (entry.person.id not in hidden) == shown
            and (wanted.named is None or bool(entry.person.name) == wanted.named)
            and (wanted.words in entry.person.name.casefold() or number == str(entry.person.number))
            and (not wanted.quality or entry.quality >= wanted.quality)
            and (not wanted.surer or max(v.probability for v in entry.visits) > wanted.surer)
            and (wanted.doubtful is None or entry.least_sure < wanted.doubtful)
        )

    found = PeopleTable(people).where(wanted, hidden, shown=shown)
    assert found.tolist() == [meant(entry) for entry in people]


@given(people=entries(), order=st.sampled_from(PeopleOrder), limit=st.integers(1, 4))
def test_pages_hold_everybody_once_and_in_order(people: list[Entry], order: PeopleOrder, limit: int) -> None:
    table = PeopleTable(people)
    everybody = np.ones(len(people), bool)
    whole, none = table.page(everybody, order, len(people) + 1)
    assert none is None
    found: list[Entry] = []
    places: list[tuple[float, str] | None] = [None]
    while True:
        page, following = table.page(everybody, order, limit, places[-1])
        # Asked for again between its places it is the same, however many may come.
        assert table.page(everybody, order, len(people) + 1, places[-1], following)[0] == page
        found += page
        places.append(following)
        if following is None:
            break
    assert found == whole
    # Whoever has gone leaves a gap in one page; no other page changes.
    gone = everybody.copy()
    gone[: len(people) // 2] = False
    again = [
        one
        for after, upto in itertools.pairwise(places)
        for one in table.page(gone, order, len(people) + 1, after, upto)[0]
    ]
    assert again == table.page(gone, order, len(people) + 1)[0]
    assert {entry.person.id for entry in found} == {entry.person.id for entry in people}


def test_the_most_alike_are_found_without_comparing_all_and_nobody_is_in_too_many() -> None:
    rng = np.random.default_rng(5)
    means = rng.normal(size=(300, 16)).astype(np.float32)
    # Twenty who all look the same would leave nobody else a place.
    means[:20] = means[0] + 0.01 * rng.normal(size=(20, 16))
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    cosines = means @ means.T
    cosines[np.tril_indices(300)] = -2.0
    found = [cosines[pair] for pair in most_alike(means, 50, 300)]
    assert np.allclose(found, np.sort(cosines, axis=None)[:-51:-1])
    few = most_alike(means, 50, 2)
    assert max(np.bincount(np.array(few)[:, 0])) <= 2
    assert sum(b >= 20 for _, b in few) > 10
    assert most_alike(means[:1], 50, 6) == []


@given(before=entries(), after=entries(), changed=st.sets(st.integers(0, 5)), order=st.sampled_from(PeopleOrder))
def test_a_table_that_followed_changes_is_the_table_made_anew(
    before: list[Entry], after: list[Entry], changed: set[int], order: PeopleOrder
) -> None:
    """Everybody beyond those that were changed stays as before; of those changed some have gone or come."""
    touched = {f"{n:012x}" for n in changed}
    now = [entry for entry in before if entry.person.id not in touched]
    fresh = [entry for entry in after if entry.person.id in touched]
    former = PeopleTable(before)
    everybody, wanted = np.ones(len(before), bool), PeopleFilter(quality=0.1, surer=0.1, doubtful=0.9, named=False)
    former.page(everybody, order, 10)
    former.where(wanted, (), shown=True)
    followed, made = former.with_changes(touched, fresh), PeopleTable([*now, *fresh])
    masks = [table.where(wanted, (), shown=True) for table in (followed, made)]
    pages = [table.page(mask, order, 10) for table, mask in zip((followed, made), masks, strict=True)]
    assert pages[0] == pages[1]
    assert (followed.visits, followed.undecided) == (made.visits, made.undecided)
