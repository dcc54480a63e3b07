"""Keeping passwords out of everything that is printed, logged or stored."""

from __future__ import annotations

import re

from reidstream.foreign_text import storable

_MASK = "***"
_SCHEME = re.compile(r"(?P<scheme>\b[a-zA-Z][a-zA-Z0-9+.-]*://)(?P<rest>[^\s\"'<>`]+)")
_HOST = re.compile(r"(?:[\w.-]+|\[[^\]]*\])(?::\d{1,5})?")
_SECRET_PARAMETER = re.compile(
    r"(?P<key>[?&;](?:[\w.-]*(?:pass|pwd|token|secret|signature|credential)[\w.-]*|pw|(?:api_?)?key|auth|sig)=)"
    r"[^&;#\s\"'<>`]*",
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """``text`` with the password of every address in it replaced by ``***``.

    Works on a single address and on any text that quotes addresses (messages of FFmpeg, logs). Covers user
    information (``rtsp://user:password@host``, also with unescaped ``/``, ``@`` or ``?`` in the password) and query
    parameters that are named like a secret (``?token=...``). A user name without a password may itself be a token
    and is replaced as well. File names that are not UTF-8 come out as valid text. The result is the same when applied
    twice.
    """
    return _SECRET_PARAMETER.sub(rf"\g<key>{_MASK}", _SCHEME.sub(_without_user_information, storable(text)))


def _without_user_information(match: re.Match[str]) -> str:
    scheme, rest = match["scheme"], match["rest"]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    host = authority.rpartition("@")[2]
    if "@" not in rest or ("@" not in authority and _HOST.fullmatch(authority)):
        return match[0]
    # No host looks like "user:pa" or is empty: then the password itself holds a "/", "?" or "#".
    end = rest.rindex("@") if "@" not in authority or not _HOST.fullmatch(host) else authority.rindex("@")
    user, colon, _ = rest[:end].partition(":")
    return f"{scheme}{user}:{_MASK}{rest[end:]}" if colon else f"{scheme}{_MASK}{rest[end:]}"
