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
│   ├── GalleryUnreachable    its server is not there just now, or has no room; the same may succeed later
│   ├── GalleryMismatch       it belongs to another embedding space, schema or settings
│   └── GalleryCorrupt        what is on disk contradicts itself
├── TrackletNotFound          no such tracklet
├── IdentityError             an operation on identities contradicts the facts
│   ├── IdentityChanged       what its author saw is no longer so
│   └── PersonNotFound        no such person
├── AccessError               the server does not do that for whoever asks
│   ├── NotAuthenticated      it is not known who asks
│   ├── AccessDenied          known, but not allowed to
│   └── TooManyAttempts       wait before the next one
├── ProviderError             the OpenID provider does not answer, or not as it must
├── JobNotFound               no such job
├── WatchNotFound             no such watch list, entry, rule or alert
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


class GalleryUnreachable(GalleryError):
    """The gallery's server is not there just now, or has no room; the same may succeed later."""


class GalleryMismatch(GalleryError):
    """The gallery belongs to another embedding space, schema version or settings."""


class GalleryCorrupt(GalleryError):
    """What is on disk contradicts itself."""


class TrackletNotFound(ReIDStreamError):
    """No tracklet with that id."""


class IdentityError(ReIDStreamError):
    """An operation on identities contradicts the facts or an earlier decision."""


class IdentityChanged(IdentityError):
    """What the author of a decision saw is no longer so. now: the person of each such tracklet now, None for none."""

    def __init__(self, message: str, now: dict[str, str | None]) -> None:
        super().__init__(message)
        self.now = now


class PersonNotFound(IdentityError):
    """No such person, or more than one that could be meant."""


class AccessError(ReIDStreamError):
    """The server does not do that for whoever asks."""


class NotAuthenticated(AccessError):
    """It is not known who asks."""


class AccessDenied(AccessError):
    """It is known who asks, and they may not."""


class TooManyAttempts(AccessError):
    """Too many in too short a time. seconds: how long to wait."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class ProviderError(ReIDStreamError):
    """The OpenID provider that people sign in through does not answer, or not as it must."""


class JobNotFound(ReIDStreamError):
    """No job with that number."""


class WatchNotFound(ReIDStreamError):
    """No such watch list, entry of one, rule or alert."""


class DeliveryError(ReIDStreamError):
    """Events could not be handed over to a subscriber; they are kept."""


class EngineError(ReIDStreamError):
    """An engine stopped in the middle of its work."""


class MissingDependency(ReIDStreamError):
    """An optional package is needed for this; the message names the command that installs it."""
