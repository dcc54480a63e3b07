"""How many people, where, when, for how long, and where they went next; each number with how sure it is."""

from reidstream.numbers.buckets import Bucket, Clock
from reidstream.numbers.counting import Numbers, PeopleRow, people_numbers
from reidstream.numbers.journeys import Flow, Journeys, journeys
from reidstream.numbers.visits import Asked

__all__ = ["Asked", "Bucket", "Clock", "Flow", "Journeys", "Numbers", "PeopleRow", "journeys", "people_numbers"]
