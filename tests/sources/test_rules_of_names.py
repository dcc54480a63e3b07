"""What sources are called, and what is none."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from reidstream.config import SourceConfig
from reidstream.errors import ConfigError, SourceNotFound
from reidstream.sources.address import Kind, device_path, kind_of, local_path
from reidstream.sources.listing import expand_sources
from reidstream.sources.naming import source_ids

# -- names and lists


def ids(*uris: str, **names: str) -> list[str]:
    return source_ids([SourceConfig(uri=uri, name=names.get(uri)) for uri in uris])


def test_sources_are_called_after_what_tells_them_apart(tmp_path: Path) -> None:
    for folder in ("a/seq1/img1", "b/seq1/img1", "b/street"):
        (tmp_path / folder).mkdir(parents=True)
    one, other, street = (str(tmp_path / folder) for folder in ("a/seq1/img1", "b/seq1/img1", "b/street"))
    assert ids(one, street) == ["seq1", "street"]
    assert ids(one, other) == ["a-seq1", "b-seq1"]
    assert ids(str(tmp_path / "x/cam.mp4"), str(tmp_path / "y/cam.mp4")) == ["x-cam", "y-cam"]
    assert ids(str(tmp_path / "cam.mp4"), str(tmp_path / "cam.avi")) == [
        f"{tmp_path.name}-cam",
        f"{tmp_path.name}-cam-2",
    ]
    assert ids("rtsp://ana:pw@10.0.0.7:554/live", "rtsp://10.0.0.7:8554/live") == [
        "10.0.0.7-live",
        "10.0.0.7-8554-live",
    ]
    assert ids("/dev/video0", "1") == ["video0", "video1"]


def test_a_given_name_is_kept_and_no_other_takes_it(tmp_path: Path) -> None:
    given, other = str(tmp_path / "door.mp4"), str(tmp_path / "yard.mp4")
    assert ids(given, other, **{other: "door"}) == [f"{tmp_path.name}-door", "door"]
    with pytest.raises(ConfigError, match="'door' is given more than once"):
        ids(given, other, **{given: "door", other: "door"})
    with pytest.raises(ConfigError, match=r"door\.mp4 is given more than once"):
        ids(given, f"{tmp_path}/../{tmp_path.name}/door.mp4")
    with pytest.raises(ConfigError, match=r"rtsp://cam/a is given more than once"):
        ids("rtsp://cam/a", "rtsp://cam/a")


@pytest.mark.parametrize(("others", "said"), [(1, "a0"), (3, "a0, a1, a2"), (4, "a0, a1, a2 and 1 more")])
def test_what_is_no_video_in_a_folder_is_said(
    others: int, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(others):
        (tmp_path / f"a{number}").touch()
    (tmp_path / ".hidden").touch()
    (tmp_path / "clip.mp4").touch()
    with caplog.at_level(logging.WARNING):
        (found,) = expand_sources([str(tmp_path)])
    assert found.uri == str(tmp_path / "clip.mp4")
    assert caplog.messages[0].endswith(f"no videos by their names: {said}")


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("rtsp://cam/a", Kind.RTSP),
        ("RTSPS://cam/a", Kind.RTSP),
        ("/dev/video3", Kind.WEBCAM),
        ("12", Kind.WEBCAM),
        ("1234", Kind.FILE),
        ("file:///srv/a.mp4", Kind.FILE),
        ("absent.mp4", Kind.FILE),
        ("n" * 255, Kind.FILE),
    ],
)
def test_an_address_says_what_kind_of_source_it_is(uri: str, kind: Kind) -> None:
    assert kind_of(uri) is kind


@pytest.mark.parametrize("uri", ["http://cam/a", "rtsp://cam:port/a", "n" * 256, "a/" * 2001, "a\0b"])
def test_what_can_be_no_source_is_refused(uri: str) -> None:
    with pytest.raises(SourceNotFound):
        kind_of(uri)


def test_paths_of_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert local_path("file:///srv/a%20b.mp4") == Path("/srv/a b.mp4")
    assert local_path("~/a.mp4") == Path("/somewhere/a.mp4")
    assert (device_path("/dev/video7"), device_path("07")) == (Path("/dev/video7"), Path("/dev/video7"))
