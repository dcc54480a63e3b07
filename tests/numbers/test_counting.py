"""How many people were where and when, and how sure that is: small galleries whose numbers are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import insert, select

from reidstream.errors import ConfigError
from reidstream.gallery import Gallery
from reidstream.gallery.schema import stays, tracklets
from reidstream.identities.people import assign, create_person, prepare
from reidstream.identities.schema import members
from reidstream.identities.schema import people as people_table
from reidstream.numbers import Asked, Bucket, Clock, journeys, people_numbers
from reidstream.numbers.asking import numbers_document
from reidstream.numbers.buckets import spread
from reidstream.numbers.dwelling import stays_of
from reidstream.numbers.sureness import counts
from reidstream.numbers.writing import write_numbers
from tests.identities.conftest import Fill, Visit, made_tracklet

HOUR = 3600.0
# Seven in the morning of a Monday, UTC.
BEGIN = 1_769_410_800.0


def given(
    gallery: Gallery,
    visits: list[Visit],
    sure: dict[int, float] | None = None,
    may_be: dict[int, tuple[int, float]] | None = None,
) -> None:
    """Give everybody their visits. sure: probabilities by the visit's place in the list. may_be: undecided visits, by
    their place: of which visit's person, and how probably."""
    prepare(gallery)
    with gallery.write() as connection:
        owners: dict[int, str] = {}
        for n, visit in enumerate(visits):
            alone = may_be is not None and n in may_be
            key = 1000 + n if alone else visit[0]
            if key not in owners:
                owners[key] = f"p{key:011d}"
                row = {"id": owners[key], "number": key, "name": "", "notes": "", "created_wall": 0.0}
                connection.execute(insert(people_table).values(**row))
            candidate, chance = None, None
            if alone and may_be is not None:
                candidate, chance = made_tracklet(*visits[may_be[n][0]]).id, may_be[n][1]
            values = {"tracklet": made_tracklet(*visit).id, "person": owners[key]}
            values |= {"probability": (sure or {}).get(n, 1.0), "candidate": candidate, "chance": chance}
            connection.execute(insert(members).values(**values))


def at(found: Any, camera: str, hour: int, zone: str = "") -> Any:
    (row,) = [r for r in found.rows if (r.camera, r.zone, r.begin) == (camera, zone, BEGIN + hour * HOUR)]
    return row


def test_people_are_counted_where_they_were_new_ones_once_and_returning_ones_again(fill: Fill) -> None:
    visits = [
        *((1, "a", BEGIN + 10, BEGIN + 70), (2, "a", BEGIN + 20, BEGIN + 40), (1, "b", BEGIN + 600, BEGIN + 660)),
        # Ann comes again an hour later; Cleo stays from the second hour into the third.
        *((1, "a", BEGIN + HOUR + 5, BEGIN + HOUR + 65), (3, "a", BEGIN + 2 * HOUR - 60, BEGIN + 2 * HOUR + 60)),
    ]
    gallery = fill(visits)
    given(gallery, visits)
    found = people_numbers(gallery, Asked())
    first, second, third = (at(found, "a", hour) for hour in range(3))
    assert [(r.people, r.new, r.returning, r.visits) for r in (first, second, third)] == [
        *((2.0, 2.0, 0.0, 2), (2.0, 1.0, 1.0, 2), (1.0, 0.0, 1.0, 1))
    ]
    assert [r.seconds for r in (first, second, third)] == [80.0, 120.0, 60.0]
    # Who is seen by two cameras in an hour is one person in the number of all cameras.
    assert at(found, "", 0).people == 2.0
    assert (at(found, "b", 0).new, at(found, "b", 0).median) == (1.0, 60.0)
    # The stay of Cleo is one, where it began, of two minutes.
    assert (second.stays, second.longest, third.stays) == (2, 120.0, 0)


def test_what_is_not_sure_makes_numbers_that_say_so(fill: Fill) -> None:
    visits = [(1, "a", BEGIN, BEGIN + 10), (1, "a", BEGIN + 100, BEGIN + 110), (2, "a", BEGIN + 200, BEGIN + 210)]
    later = [(1, "a", BEGIN + HOUR, BEGIN + HOUR + 10), (3, "a", BEGIN + HOUR + 20, BEGIN + HOUR + 30)]
    gallery = fill([*visits, *later])
    # The second visit is Ann's with .6; of the last one nobody knows whether it is Ann, with .3.
    given(gallery, [*visits, *later], sure={1: 0.6, 3: 0.8}, may_be={4: (0, 0.3)})
    found = people_numbers(gallery, Asked())
    first, second = at(found, "a", 0), at(found, "a", 1)
    assert (first.people, first.people_low, first.people_high) == (2.4, 2, 3)
    assert (first.visits, first.undecided) == (3, 0)
    # One, and one more unless it is Ann; the surer of the two is Ann come back with .8.
    assert (second.people, second.people_low, second.people_high) == (1.7, 1, 2)
    assert (second.returning, second.new, second.undecided) == (0.8, pytest.approx(0.9), 1)
    assert (second.returning_low, second.returning_high) == (0, 1)


def test_undecided_visits_that_may_be_one_and_the_same_are_so_only_if_both_are(fill: Fill) -> None:
    visits = [(1, "a", BEGIN, BEGIN + 9), (2, "b", BEGIN + 50, BEGIN + 60), (3, "b", BEGIN + 70, BEGIN + 80)]
    gallery = fill(visits)
    given(gallery, visits, may_be={1: (0, 0.5), 2: (0, 0.4)})
    row = at(people_numbers(gallery, Asked()), "b", 0)
    assert row.people == pytest.approx(2 - 0.5 * 0.4)
    # Seen together with Ann by all cameras, each is her with its own chance.
    assert at(people_numbers(gallery, Asked()), "", 0).people == pytest.approx(1 + 0.5 + 0.6)


def test_who_sees_some_cameras_learns_nothing_of_the_others(fill: Fill) -> None:
    visits = [
        (1, "b", BEGIN, BEGIN + 10),
        (1, "a", BEGIN + HOUR, BEGIN + HOUR + 10),
        (2, "a", BEGIN + HOUR, BEGIN + HOUR + 9),
    ]
    gallery = fill(visits)
    given(gallery, visits, may_be={2: (0, 0.9)})
    # Ann has been at b, and the other may be her; nobody who sees only a knows of either.
    whole, part = people_numbers(gallery, Asked()), people_numbers(gallery, Asked(visible=("a",)))
    assert at(whole, "a", 1).returning == 1.0
    assert {row.camera for row in part.rows} == {"a"}
    assert (at(part, "a", 1).new, at(part, "a", 1).returning) == (pytest.approx(1.1), 0.0)
    only_undecided = people_numbers(gallery, Asked(visible=("a",), since=BEGIN + HOUR, cameras=("a", "b")))
    assert {row.camera for row in only_undecided.rows} == {"a"}
    assert {flow.origin for flow in journeys(gallery, Asked(visible=("a",))).flows} == {"", "a"}


def test_a_time_leaves_out_what_lies_outside_but_not_who_was_known_before(fill: Fill) -> None:
    visits = [
        (1, "a", BEGIN, BEGIN + 10),
        (1, "a", BEGIN + HOUR + 100, BEGIN + HOUR + 300),
        (2, "a", BEGIN + HOUR + 1, BEGIN + HOUR + 5),
    ]
    gallery = fill(visits)
    given(gallery, visits)
    asked = Asked(bucket=Bucket.ALL, since=BEGIN + HOUR + 1, until=BEGIN + HOUR + 200)
    (row,) = people_numbers(gallery, asked).rows
    assert (row.begin, row.people, row.new, row.returning) == (None, 2.0, 1.0, 1.0)
    assert row.seconds == 100 + 4
    (everything,) = people_numbers(gallery, Asked(bucket=Bucket.ALL)).rows
    assert (everything.people, everything.new, everything.returning) == (2.0, 2.0, 0.0)


def test_zones_are_counted_like_cameras_and_who_comes_twice_is_one(fill: Fill) -> None:
    visits = [(1, "a", BEGIN, BEGIN + 100), (2, "a", BEGIN, BEGIN + 50)]
    gallery = fill(visits)
    given(gallery, visits)
    with gallery.write() as connection:
        seqs = {row.id: row.seq for row in connection.execute(select(tracklets.c.id, tracklets.c.seq))}
        for begin, end in ((BEGIN, BEGIN + 5), (BEGIN + 90, BEGIN + 100)):
            place = {"seq": seqs[made_tracklet(*visits[0]).id], "zone": "till"}
            times = {"start_media": begin, "end_media": end, "start_wall": begin, "end_wall": end}
            connection.execute(insert(stays).values(**place, **times))
    row = at(people_numbers(gallery, Asked(stay=30.0)), "a", 0, "till")
    assert (row.people, row.visits, row.stays, row.seconds, row.longest) == (1.0, 1, 2, 15.0, 10.0)
    assert at(people_numbers(gallery, Asked(stay=100.0)), "a", 0, "till").stays == 1


def test_visits_that_nobody_has_decided_about_are_said_and_not_counted(fill: Fill) -> None:
    gallery = fill([(1, "a", BEGIN, BEGIN + 10), (2, "a", BEGIN, BEGIN + 10)])
    assert (people_numbers(gallery, Asked()).rows, people_numbers(gallery, Asked()).without_person) == ((), 2)
    prepare(gallery)
    with gallery.write() as connection:
        assign(connection, [(made_tracklet(1, "a", BEGIN, BEGIN + 10).id, create_person(connection, "first"), 1.0)])
    found = people_numbers(gallery, Asked())
    assert (at(found, "a", 0).people, found.without_person) == (1.0, 1)


def test_an_expected_number_and_its_interval_are_what_drawing_them_gives() -> None:
    rng = np.random.default_rng(4)
    sizes = [1, 2, 7, 30, 200]
    cell = np.repeat(np.arange(len(sizes)), sizes)
    probability = rng.uniform(size=len(cell))
    found = counts(cell, probability, len(sizes), np.full(len(sizes), 3.0))
    drawn = rng.uniform(size=(20_000, len(cell))) < probability
    for n, size in enumerate(sizes):
        number = drawn[:, cell == n].sum(axis=1) + 3
        assert found.expected[n] == pytest.approx(number.mean(), abs=0.1)
        inside = (number >= found.low[n]) & (number <= found.high[n])
        assert inside.mean() >= 0.89
        # And no wider than it has to be.
        narrower = (number > found.low[n]) & (number < found.high[n])
        assert size < 2 or narrower.mean() < 0.91
    nothing = counts(np.zeros(0, np.int64), np.zeros(0), 2)
    assert nothing.expected.tolist() == nothing.low.tolist() == nothing.high.tolist() == [0.0, 0.0]


def test_hours_and_days_are_those_of_the_time_zone() -> None:
    berlin, nepal = Clock("Europe/Berlin"), Clock("Asia/Kathmandu")
    summer = berlin.day("2026-07-01T00:30")
    assert berlin.said(float(berlin.begins(np.array([summer]), Bucket.DAY)[0])) == "2026-07-01T00:00:00+02:00"
    assert nepal.said(float(nepal.begins(np.array([summer]), Bucket.HOUR)[0])).endswith(":00:00+05:45")
    # The day on which clocks go back has 25 hours, and the hour that comes twice is two hours.
    begin, end = berlin.day("2026-10-25"), berlin.day("2026-10-26")
    rows, begins = spread(berlin, np.array([begin]), np.array([end]), Bucket.HOUR)
    assert (len(rows), len(set(begins.tolist())), end - begin) == (25, 25, 25 * HOUR)
    _, days = spread(berlin, np.array([begin - 10.0]), np.array([end + 10.0]), Bucket.DAY)
    assert days.tolist() == [berlin.day("2026-10-24"), begin, end]
    assert berlin.next_day("2026-10-25") == end
    with pytest.raises(ConfigError, match="Europe/Berlin"):
        Clock("Europe/Berlim")


def test_a_stay_goes_on_over_short_gaps_and_overlaps() -> None:
    start = np.array([0.0, 20.0, 200.0, 5.0, 0.0])
    end = np.array([100.0, 30.0, 210.0, 6.0, 1.0])
    place, owner = np.array([0, 0, 0, 1, 0]), np.array([7, 7, 7, 7, 8])
    found = stays_of(place, owner, start, end, np.array([0.9, 0.5, 1.0, 1.0, 1.0]), within=60.0)
    spans = sorted(
        zip(found.place.tolist(), found.owner.tolist(), found.start.tolist(), found.end.tolist(), strict=True)
    )
    assert spans == [(0, 7, 0.0, 100.0), (0, 7, 200.0, 210.0), (0, 8, 0.0, 1.0), (1, 7, 5.0, 6.0)]
    assert found.joined[(found.rows == 2)].tolist() == [pytest.approx(0.5)]


def test_journeys_lead_from_camera_to_camera_and_end_where_a_join_may_be_wrong(fill: Fill) -> None:
    visits = [
        *((1, "a", BEGIN, BEGIN + 10), (1, "b", BEGIN + 70, BEGIN + 80), (1, "a", BEGIN + 200, BEGIN + 210)),
        *((2, "a", BEGIN, BEGIN + 5), (2, "b", BEGIN + 35, BEGIN + 40), (2, "a", BEGIN + 9000, BEGIN + 9010)),
        (3, "b", BEGIN, BEGIN + 5),
    ]
    gallery = fill(visits)
    given(gallery, visits, sure={4: 0.75}, may_be={6: (0, 0.2)})
    found = journeys(gallery, Asked())
    flows = {(flow.origin, flow.target): flow for flow in found.flows}
    there, back = flows["a", "b"], flows["b", "a"]
    assert (there.people, there.people_low, there.people_high, there.decided) == (1.75, 1, 2, 2)
    assert there.seconds == (60 + 30) / 2
    # Two and a half hours later is another journey.
    assert (back.people, back.decided) == (1.0, 1)
    assert (flows["", "a"].people, flows["", "b"].people, found.undecided) == (3.0, 0.25, 1)
    assert sum(f.people for f in found.flows if not f.origin) == sum(f.people for f in found.flows if not f.target)


@pytest.mark.parametrize("ending", ["csv", "parquet", "json"])
def test_the_rows_are_in_a_file_for_other_programs(fill: Fill, tmp_path: Path, ending: str) -> None:
    import csv
    import json

    import pyarrow.parquet as pq

    visits = [(1, "=a", BEGIN, BEGIN + 10), (2, "=a", BEGIN, BEGIN + 20)]
    gallery = fill(visits)
    given(gallery, visits, sure={1: 0.5})
    document = numbers_document(gallery, time_zone="Europe/Berlin")
    path = tmp_path / f"numbers.{ending}"
    assert write_numbers(document, path) == 1
    if ending == "csv":
        with path.open(newline="") as file:
            (row,) = csv.DictReader(file)
        assert (row["people"], row["local"]) == ("2.0", "2026-01-26T08:00:00+01:00")
        # No spreadsheet takes a camera's name for a formula.
        assert not row["camera"].startswith("=")
    elif ending == "parquet":
        table = pq.read_table(path)
        assert table.column("people").to_pylist() == [2.0]
        assert json.loads(table.schema.metadata[b"numbers"])["time_zone"] == "Europe/Berlin"
    else:
        assert json.loads(path.read_text()) == document


def test_words_that_make_no_sense_are_refused_in_words(fill: Fill) -> None:
    gallery = fill([(1, "entrance", 0.0, 5.0)])
    with pytest.raises(ConfigError, match="did you mean entrance"):
        numbers_document(gallery, cameras=["entrence"])
    with pytest.raises(ConfigError, match="2026-01-31"):
        numbers_document(gallery, since="yesterday")
    # A camera that one may not see is as unknown as one that is not there.
    with pytest.raises(ConfigError, match="no source 'entrance'"):
        numbers_document(gallery, cameras=["entrance"], visible=("other",))
