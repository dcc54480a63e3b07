"""Files that are nearly right: pieces of a corpus, changed at random by a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

TOKENS = (
    b"[" * 5000, b"{" * 5000, b'{"a":' * 3000, b"= 1e999\n", b"nan", b"inf", b"-1", b"9" * 5000, b"\x00", b"\xff\xfe",
    b"\xed\xa0\x80", b"true", b"[]", b"{}", b'""', b"[[pairs]]\n", b"(1, 99999999999)", b"'descr': '|O'", b"\xff" * 8,
    b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00",
)  # fmt: skip
"""What breaks parsers: depth, sizes, numbers at the edge, bytes that are no text."""


def mutated(corpus: Sequence[bytes], rng: random.Random) -> bytes:
    """One of the corpus with one to four changes."""
    data = bytearray(rng.choice(corpus))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        until = min(len(data), at + rng.choice((1, 1, 2, 4, 16, 200)))
        match rng.randrange(6):
            case 0:
                data[at:until] = rng.randbytes(until - at)
            case 1:
                del data[at:until]
            case 2:
                data[at:at] = rng.choice(TOKENS)
            case 3:
                data[at:until] = rng.choice(TOKENS)
            case 4:
                other = rng.choice(corpus)
                start = rng.randrange(len(other) + 1)
                data[at:until] = other[start : start + rng.randint(0, 400)]
            case _:
                del data[at:]
    return bytes(data)
