"""Watch lists, rules, and alerts: somebody is seen who is looked for, nobody knows them, or they stay too long.

Nothing is watched until somebody writes a rule, with what it is for. Alerts are raised while somebody is in view, and
put right when they have left and it was decided who they are.
"""

from __future__ import annotations

from reidstream.alerts.lists import WatchLists
from reidstream.alerts.raised import Alerts
from reidstream.alerts.rules import Rule, RuleSettings, Who
from reidstream.alerts.sightings import Sighting
from reidstream.alerts.watch import Watch

__all__ = ["Alerts", "Rule", "RuleSettings", "Sighting", "Watch", "WatchLists", "Who"]
