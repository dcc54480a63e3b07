"""Models: what is known about them, finding their files, and making them deployable."""

from __future__ import annotations

from reidstream.models.manifest import KnownModel, load_manifest
from reidstream.models.resolving import name_for_others, resolve_model
from reidstream.models.spec import ModelSpec, Preprocessing, ResolvedModel

__all__ = [
    "KnownModel",
    "ModelSpec",
    "Preprocessing",
    "ResolvedModel",
    "load_manifest",
    "name_for_others",
    "resolve_model",
]
