"""TLS to brokers: whose certificates are trusted, and what is said when one is not."""

from __future__ import annotations

import ssl
from pathlib import Path

from reidstream.errors import ConfigError


class _Closing(ssl.SSLSocket):
    """Ends with a handshake that fails; paho leaves it to whoever collects garbage."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def context_of(ca: str | None) -> ssl.SSLContext:
    """Trusts the authorities in a PEM file, or those of this machine; names are compared.

    Raises ConfigError for a file that holds none.
    """
    try:
        context = ssl.create_default_context(cadata=None if ca is None else Path(ca).read_text(encoding="ascii"))
    except (OSError, ssl.SSLError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it holds no certificate"
        raise ConfigError(f"the authorities' certificates in {ca} cannot be read (PEM): {reason}") from None
    context.sslsocket_class = _Closing
    return context


def refusal(error: BaseException) -> str | None:
    """What to say of a certificate that is not trusted; None: the error is about something else."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted ({cause.verify_message or cause}); name the file with its authority's "
                'certificate: ca = "FILE"'
            )
        if isinstance(cause, ssl.SSLError):
            return f"it does not speak TLS as we do ({cause.reason or cause})"
        cause = cause.__cause__ or cause.__context__
    return None
