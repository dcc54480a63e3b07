"""What is processed here, for those who must account for it: a record read out of a gallery and its settings."""

from __future__ import annotations

from reidstream.server.privacy.report import LOOKED_DAYS, privacy_report
from reidstream.server.privacy.words import html_of, markdown_of

__all__ = ["LOOKED_DAYS", "html_of", "markdown_of", "privacy_report"]
