"""Cameras over TLS (rtsps://): which certificates are trusted, and why one is not."""

from __future__ import annotations

import os
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from reidstream.config import SourceConfig
from reidstream.config.secrets import filled_in
from reidstream.sources.connection import ConnectionRefused

ANY = "any"
"""What the setting says when no certificate is checked."""
ADVICE = (
    "name a PEM file with the camera's certificate, or with that of who signed it, as this source's `certificate`; "
    f'"{ANY}" checks none'
)
_PORT = 322
"""Of rtsps (IANA)."""
_ASKING = 5.0
"""Seconds for which a camera is asked for its certificate, at most."""
_LISTS = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
"""Where systems keep the list of who may sign: Debian, Red Hat, the others."""


def over_tls(config: SourceConfig) -> bool:
    return config.uri.lower().startswith("rtsps://")


def trusted_file(config: SourceConfig) -> Path | None:
    """The file that a camera's certificate is checked against, None when none is checked.

    That of the source, else this machine's list of who may sign. Raises ConnectionRefused when there is no such file.
    """
    if not over_tls(config) or config.certificate == ANY:
        return None
    if config.certificate is not None:
        path = Path(config.certificate).expanduser()
        if not path.is_file():
            raise ConnectionRefused(f"there is no certificate file {path}")
        return path
    usual = ssl.get_default_verify_paths().cafile
    for name in (os.environ.get("SSL_CERT_FILE"), usual, *_LISTS):
        if name and Path(name).is_file():
            return Path(name)
    raise ConnectionRefused(
        f"this machine has no list of certificates that are trusted (package ca-certificates); {ADVICE}"
    )


def why_not_trusted(config: SourceConfig) -> str | None:
    """What is wrong with the camera's certificate, asked from the camera; None when nothing is, or it is not known.

    FFmpeg only says that reading failed, and GStreamer 1.22 that connecting did.
    """
    try:
        file = trusted_file(config)
    except ConnectionRefused as missing:
        return str(missing)
    if file is None:
        return None
    address = urlsplit(filled_in(config.uri))
    host, port = address.hostname or "", address.port or _PORT
    try:
        context = ssl.create_default_context(cafile=str(file))
    except (ssl.SSLError, OSError) as error:
        return f"{file} holds no certificates that can be read ({error.strerror or error})"
    try:
        with socket.create_connection((host, port), min(config.timeout, _ASKING)) as plain:
            context.wrap_socket(plain, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not trusted ({error.verify_message.rstrip('.')}); {ADVICE}"
    except OSError:
        return None
    return None
