"""Text that somebody else chose (file names, people's names, notes, cameras' answers), made fit for where it goes.

One function for each place: ``storable`` for databases and recordings, ``terminal_text`` for terminals, ``json_text``
for JSON that is printed, ``csv_cell`` for tables that a spreadsheet may open.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
# C0, DEL and C1 controls, marks and overrides of writing direction (Unicode UAX #9), line and paragraph separators.
_UNSAFE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_UNSAFE_IN_LINES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# What Excel, LibreOffice and Google Sheets take for the beginning of a formula (OWASP, CSV Injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def storable(text: str) -> str:
    r"""``text`` as valid Unicode: bytes of file names that are not UTF-8 appear as ``\xe9``.

    Python keeps such bytes as lone surrogates, which can be neither encoded nor stored.
    """
    return _SURROGATE.sub(_shown, text)


def terminal_text(text: str, *, lines: bool = False) -> str:
    r"""``text`` with everything shown that would act on a terminal, or be taken for something else: ``\x1b``, ``\n``.

    lines: leave line breaks, for text of our own that has several lines.
    """
    return (_UNSAFE_IN_LINES if lines else _UNSAFE).sub(_shown, text)


def csv_cell(value: Any) -> Any:
    """``value`` for a cell of a CSV file; text that a spreadsheet would calculate gets an apostrophe in front."""
    if not isinstance(value, str):
        return value
    text = storable(value)
    # Spreadsheets look behind spaces, too.
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def json_text(value: Any, indent: int | None = None, default: Callable[[Any], Any] | None = None) -> str:
    """``value`` as a JSON document in readable Unicode, in which nothing acts on a terminal."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, default=default)
    # The line breaks and the controls of ASCII that are left stand between values; those inside strings are escaped.
    return _UNSAFE_IN_LINES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:
        # How Python keeps the byte 0x80 to 0xff of a file name (PEP 383).
        return f"\\x{code - 0xDC00:02x}"
    return _SHORT.get(found[0]) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
