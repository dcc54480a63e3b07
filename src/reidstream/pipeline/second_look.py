"""The second look that comes with the package, for the embedding space that it was made in."""

from __future__ import annotations

import numpy as np

from reidstream.models.manifest import PACKAGE_MANIFEST
from reidstream.tracklets.second_look import SecondLook
from reidstream.types import EmbeddingSpace

_FILE = PACKAGE_MANIFEST.parent / "embedded" / "person_or_thing.npz"


def second_look(space: EmbeddingSpace) -> SecondLook | None:
    """The second look in this space; None for spaces other than that of the embedded ``person-reid``."""
    with np.load(_FILE, allow_pickle=False) as held:
        if str(held["space"]) != space.fingerprint:
            return None
        return SecondLook(np.asarray(held["weights"], np.float32), float(held["bias"]))
