"""Looking through every byte of every file: what is there is found once, wherever it lies."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reidstream.gallery import traces
from reidstream.gallery.traces import PIECE, pieces_of

RANDOM = np.random.default_rng(0)
SECRETS = [RANDOM.bytes(PIECE) for _ in range(3)]
PIECES = np.stack([np.frombuffer(secret, np.uint8) for secret in SECRETS])
TEXT = b"Ann Example"


@given(at=st.lists(st.integers(0, 900), min_size=1, max_size=4, unique=True), chunk=st.integers(1, 400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_piece_or_a_name_is_found_once_whatever_parts_a_file_is_read_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: list[int], chunk: int
) -> None:
    monkeypatch.setattr(traces, "_CHUNK", chunk)
    places = [40 * (place // 40) + 3 for place in at]
    data = bytearray(1000)
    wanted = set()
    for n, place in enumerate(sorted(set(places))):
        secret = [*SECRETS, TEXT][n % 4]
        data[place : place + len(secret)] = secret
        wanted.add((n % 4, "sub/a.bin", place))
    (tmp_path / "sub").mkdir(exist_ok=True)
    (tmp_path / "sub" / "a.bin").write_bytes(data)
    found = traces._search(tmp_path, PIECES, [TEXT], ())
    assert sorted((t.piece, t.file, t.offset) for t in found.found) == sorted(wanted)
    assert found.files == 1


def test_names_are_not_looked_for_where_no_name_can_be_and_pieces_are(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    for name in ("index/vectors", "gallery.db"):
        (tmp_path / name).write_bytes(bytes(50) + SECRETS[1] + TEXT)
    found = traces._search(tmp_path, PIECES, [TEXT], ("index/",))
    assert sorted((t.file, t.piece) for t in found.found) == [
        ("gallery.db", 1),
        ("gallery.db", 3),
        ("index/vectors", 1),
    ]


def test_pieces_lie_in_what_they_are_of_and_no_more_of_each_are_taken_than_asked() -> None:
    blobs = [RANDOM.bytes(500), RANDOM.bytes(PIECE), RANDOM.bytes(10), b""]
    pieces = pieces_of(blobs, 4)
    assert all(any(piece.tobytes() in blob for blob in blobs) for piece in pieces)
    assert sum(piece.tobytes() in blobs[0] for piece in pieces) == 4
    assert blobs[1] in {piece.tobytes() for piece in pieces}


def test_the_process_that_searches_answers_with_what_it_has_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(7) + SECRETS[2] + TEXT)
    request = json.dumps({"texts": [TEXT.decode()], "wordless": []}).encode() + b"\n" + PIECES.tobytes()
    monkeypatch.setattr("sys.argv", ["traces", str(tmp_path)])
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(request)))
    traces._main()
    answer = json.loads(capsys.readouterr().out)
    assert answer == {
        "files": 1,
        "bytes": 7 + PIECE + len(TEXT),
        "found": [[2, "a.bin", 7], [3, "a.bin", 7 + PIECE]],
    }
