"""The doctor: what this machine can do, what stands in the way, and what error lines mean."""

from __future__ import annotations

from reidstream.doctor.report import Check, Line, Question, Report, Result, Status, examine

__all__ = ["Check", "Line", "Question", "Report", "Result", "Status", "examine"]
