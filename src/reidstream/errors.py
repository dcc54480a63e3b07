"""Every exception that ReIDStream raises on purpose.

ReIDStreamError
├── ConfigError               a setting is unknown, out of range or contradicts another
├── SourceError               a source cannot be opened or read
│   ├── SourceNotFound        no such file, folder, device or host
│   └── SourceBroken          it was opened, but what it delivers cannot be used
├── ModelError                a model cannot be used
│   ├── ModelNotFound         no such entry, file or download
│   ├── ModelMismatch         shapes, classes, checksum or embedding space are not the expected ones
│   └── ModelDegenerate       the model runs, but its embeddings tell nobody apart
├── DeviceError               the requested device or provider is not there
├── GalleryError              a gallery cannot be used
│   ├── GalleryNotFound       nothing at that path
│   ├── GalleryLocked         another process owns it for writing
│   ├── GalleryMismatch       it belongs to another embedding space, schema or settings
│   └── GalleryCorrupt        what is on disk contradicts itself
├── TrackletNotFound          no such tracklet
├── IdentityError             an operation on identities contradicts the facts
├── DeliveryError             events could not be handed over to a subscriber
├── EngineError               an engine stopped in the middle of its work
└── MissingDependency         an optional package is needed for this

Messages say what was expected, what was found, where, and what to do next. The command line prints
the message alone, without a traceback, and exits with 1 (`ConfigError` with 2).
Wrong arguments inside Python raise plain ``ValueError`` or ``TypeError``.
"""

from __future__ import annotations


class ReIDStreamError(Exception):
    """Base of all errors that ReIDStream raises on purpose."""


class ConfigError(ReIDStreamError):
    """A setting is unknown, out of range or contradicts another."""


class SourceError(ReIDStreamError):
    """A source cannot be opened or read."""


class SourceNotFound(SourceError):
    """No such file, folder, device or host."""


class SourceBroken(SourceError):
    """The source was opened, but what it delivers cannot be used."""


class ModelError(ReIDStreamError):
    """A model cannot be used."""


class ModelNotFound(ModelError):
    """No such manifest entry, file or download."""


class ModelMismatch(ModelError):
    """Shapes, classes, checksum or embedding space are not the expected ones."""


class ModelDegenerate(ModelError):
    """The model runs, but its embeddings tell nobody apart."""


class DeviceError(ReIDStreamError):
    """The requested device or execution provider is not available."""


class GalleryError(ReIDStreamError):
    """A gallery cannot be used."""


class GalleryNotFound(GalleryError):
    """There is no gallery at that path or address."""


class GalleryLocked(GalleryError):
    """Another process owns the gallery for writing."""


class GalleryMismatch(GalleryError):
    """The gallery belongs to another embedding space, schema version or settings."""


class GalleryCorrupt(GalleryError):
    """What is on disk contradicts itself."""


class TrackletNotFound(ReIDStreamError):
    """No tracklet with that id."""


class IdentityError(ReIDStreamError):
    """An operation on identities contradicts the facts or an earlier decision."""


class DeliveryError(ReIDStreamError):
    """Events could not be handed over to a subscriber; they are kept."""


class EngineError(ReIDStreamError):
    """An engine stopped in the middle of its work."""


class MissingDependency(ReIDStreamError):
    """An optional package is needed for this; the message names the command that installs it."""
