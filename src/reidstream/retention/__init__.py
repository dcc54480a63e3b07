"""Erasing what was kept long enough: what is due, doing it with proof, and the log of it."""

from reidstream.retention.due import Due, due_now
from reidstream.retention.log import Run, runs_of
from reidstream.retention.running import next_run, retain

__all__ = ["Due", "Run", "due_now", "next_run", "retain", "runs_of"]
