"""What somebody is given who asks for their own pictures: themselves, and nobody else that could be recognised."""

from __future__ import annotations

from reidstream.disclosure.covering import Shown
from reidstream.disclosure.package import Disclosed, disclose

__all__ = ["Disclosed", "Shown", "disclose"]
