"""Which bytes of a file or of a folder's images its fingerprint is of."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reidstream.sources.fingerprint import (
    WHOLE_FILE_BYTES,
    file_fingerprint,
    folder_beginning,
    folder_fingerprint,
    grown,
)

KIB = 2**10


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(min_size=1, max_size=300), where=st.integers(0, 299))
def test_every_byte_of_a_small_file_counts(tmp_path: Path, data: bytes, where: int) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(data)
    other.write_bytes(changed(data, where % len(data)))
    assert file_fingerprint(one) != file_fingerprint(other)
    # Whatever it is called.
    other.write_bytes(data)
    assert file_fingerprint(one) == file_fingerprint(other)


@pytest.mark.parametrize("at", [0, 2**20 - 1, -1, -(2**20)])
def test_of_a_large_file_its_first_and_its_last_mebibyte_count(tmp_path: Path, at: int) -> None:
    def sparse(name: str, mark: bool) -> Path:
        with (tmp_path / name).open("wb") as file:
            file.truncate(WHOLE_FILE_BYTES + 3 * 2**20)
            if mark:
                file.seek(at, 0 if at >= 0 else 2)
                file.write(b"\1")
        return tmp_path / name

    assert file_fingerprint(sparse("one", False)) != file_fingerprint(sparse("other", True))


@pytest.mark.parametrize("at", [0, 32 * KIB - 1, 200 * KIB - 32 * KIB, 200 * KIB - 1])
def test_of_a_large_image_both_ends_count(tmp_path: Path, at: int) -> None:
    image, data = tmp_path / "0.png", bytes(200 * KIB)
    image.write_bytes(data)
    before = folder_fingerprint([image], 25)
    image.write_bytes(changed(data, at))
    assert folder_fingerprint([image], 25) != before


@pytest.mark.parametrize("size", [10, 32 * KIB, 40 * KIB, 64 * KIB])
def test_of_an_image_of_up_to_64_kib_all_counts(tmp_path: Path, size: int) -> None:
    image, data = tmp_path / "0.png", bytes(size)
    image.write_bytes(data)
    before = folder_fingerprint([image], 25)
    for at in {0, size // 2, min(size, 33 * KIB) - 1, size - 1}:
        image.write_bytes(changed(data, at))
        assert folder_fingerprint([image], 25) != before


def test_names_order_and_rate_of_images_count(tmp_path: Path) -> None:
    one, other = tmp_path / "0.png", tmp_path / "1.png"
    one.write_bytes(b"one")
    other.write_bytes(b"other")
    prints = {
        folder_fingerprint([one, other], 25),
        folder_fingerprint([other, one], 25),
        folder_fingerprint([one], 25),
        folder_fingerprint([one, other], 30),
        folder_fingerprint([one, one.rename(tmp_path / "2.png")][1:], 25),
    }
    assert len(prints) == 5


def test_large_files_of_different_sizes_differ_even_where_their_samples_are_alike(tmp_path: Path) -> None:
    paths = []
    for more in (1, 2):
        path = tmp_path / f"{more}.mp4"
        with path.open("wb") as file:
            file.truncate(WHOLE_FILE_BYTES + more * 2**20)
        paths.append(path)
    assert len({file_fingerprint(path) for path in paths}) == 2


def test_nothing_grows_into_something_shorter() -> None:
    beginning = "a b c ~11112222"
    assert grown((beginning, 100), (beginning, 100))
    assert grown((beginning, 100), (beginning, 200))
    assert not grown((beginning, 200), (beginning, 100))


def images(folder: Path, count: int, other: tuple[int, ...] = ()) -> list[Path]:
    """Files of which those with these numbers are others."""
    folder.mkdir()
    paths = [folder / f"{number:04d}.png" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(b"other" if number in other else b"%d" % number)
    return paths


def test_what_a_folder_of_images_begins_with_says_whether_it_has_grown(tmp_path: Path) -> None:
    short = folder_beginning(images(tmp_path / "a", 130), 25.0)
    assert short[1] == 130
    assert grown(short, folder_beginning(images(tmp_path / "b", 300), 25.0))
    # The images at 25 times 1, 2 and 4 are looked at, beside the first 25.
    for number in (3, 25, 50, 100):
        assert not grown(short, folder_beginning(images(tmp_path / f"c{number}", 300, (number,)), 25.0)), number
    assert grown(short, folder_beginning(images(tmp_path / "d", 300, (200, 299)), 25.0))
    assert not grown(short, folder_beginning(images(tmp_path / "e", 129), 25.0))
    few = folder_beginning(images(tmp_path / "f", 4), 25.0)
    assert few == ("", 0)
    assert not grown(few, short)
