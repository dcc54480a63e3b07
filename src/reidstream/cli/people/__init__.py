"""``reidstream people``: who is in a gallery, and putting right what was decided wrongly."""

from reidstream.cli.people import clocks, deciding, disclosing, history, looking, resolving, reviewing
from reidstream.cli.people.group import app

__all__ = ["app", "clocks", "deciding", "disclosing", "history", "looking", "resolving", "reviewing"]
