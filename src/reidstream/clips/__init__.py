"""Short clips of visits, kept beside a gallery in a folder: cut from packets, never encoded anew."""

from __future__ import annotations

from reidstream.clips.keeping import ClipKeeper
from reidstream.clips.shelf import Clip, ClipShelf, KeptClip, Shelf, clip_of, clips_of, kept_clips

__all__ = ["Clip", "ClipKeeper", "ClipShelf", "KeptClip", "Shelf", "clip_of", "clips_of", "kept_clips"]
