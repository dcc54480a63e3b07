from __future__ import annotations

from pathlib import Path

import pytest

from reidstream.config import SourceConfig
from reidstream.errors import ConfigError, SourceNotFound
from reidstream.sources import expand_configs, expand_sources, open_source, resolved_from, source_ids


def ids(*uris: str) -> list[str]:
    return source_ids([SourceConfig(uri=uri) for uri in uris])


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("/videos/retail02.mp4", "retail02"),
        ("file:///videos/my%20shop.mp4", "my-shop"),
        ("/videos/Eingang Süd (1).mp4", "Eingang-Süd-1"),
        ("rtsp://admin:hunter2@10.0.0.5:554/stream1?token=hunter2", "10.0.0.5-stream1"),
        ("rtsp://10.0.0.5:8554/a/b", "10.0.0.5-8554-a-b"),
        ("/dev/video0", "video0"),
        ("2", "video2"),
        ("/videos/...", "source"),
    ],
)
def test_names_are_taken_from_the_address(uri: str, name: str) -> None:
    assert ids(uri) == [name]


def test_equal_names_get_their_folder_and_then_numbers() -> None:
    assert ids("/a/cam.mp4", "/b/cam.mp4", "/c.mp4") == ["a-cam", "b-cam", "c"]
    assert ids("/x/a/cam.mp4", "/y/a/cam.mp4") == ["a-cam", "a-cam-2"]
    assert ids("rtsp://h/s?channel=1", "rtsp://h/s?channel=2") == ["h-s", "h-s-2"]


def test_folder_of_a_sequence_is_named_after_the_sequence(tmp_path: Path) -> None:
    for name in ("MOT17-02", "MOT17-04"):
        (tmp_path / name / "img1").mkdir(parents=True)
    uris = [str(tmp_path / "MOT17-02" / "img1"), str(tmp_path / "MOT17-04")]
    assert ids(*uris) == ["MOT17-02", "MOT17-04"]


@pytest.mark.setting("sources.name")
def test_given_names_win_and_must_differ() -> None:
    configs = [SourceConfig(uri="/a/door.mp4"), SourceConfig(uri="/b.mp4", name="door")]
    assert source_ids(configs) == ["a-door", "door"]
    with pytest.raises(ConfigError, match="'door' is given more than once"):
        source_ids([SourceConfig(uri="/a.mp4", name="door"), SourceConfig(uri="/b.mp4", name="door")])


def test_same_source_twice_is_refused_without_its_password() -> None:
    with pytest.raises(ConfigError, match="is given more than once"):
        ids("/a/b/../x.mp4", "/a/x.mp4")
    with pytest.raises(ConfigError, match="is given more than once") as caught:
        ids("rtsp://u:hunter2@h/s", "rtsp://u:hunter2@h/s")
    assert "hunter2" not in str(caught.value)


@pytest.mark.setting("sources.uri")
def test_words_of_the_command_line_become_sources(tmp_path: Path) -> None:
    cameras = tmp_path / "site" / "cameras.toml"
    cameras.parent.mkdir()
    cameras.write_text(
        '[[sources]]\nuri = "clips/door.mp4"\nname = "door"\n\n[[sources]]\nuri = "rtsp://u:p@h/s"\nmax_fps = 5\n'
    )
    configs = expand_sources(["a.mp4", str(cameras), "/dev/video1"])
    assert [config.uri for config in configs] == [
        "a.mp4",
        str(tmp_path / "site" / "clips" / "door.mp4"),
        "rtsp://u:p@h/s",
        "/dev/video1",
    ]
    assert configs[1].name == "door"
    assert configs[2].max_fps == 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "lists no sources"),
        ("[[sources]]\nname = 'x'\n", r"sources\.0\.uri: is needed"),
        ("[[sources]]\nuri = 'a.mp4'\ncolour = 1\n", r"sources\.0\.colour"),
        ("[[sources]]\nuri = 'http://u:hunter2@h/x'\n", r"begin with http://.*cameras\.toml"),
        ("[[sources", "cannot be read as TOML"),
    ],
)
def test_unusable_camera_lists(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "cameras.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=expected) as caught:
        expand_sources([str(path)])
    assert "hunter2" not in str(caught.value)


def test_words_that_cannot_be_meant() -> None:
    with pytest.raises(ConfigError, match="must not be empty"):
        expand_sources([" "])
    with pytest.raises(ConfigError, match="begin with srt://"):
        expand_sources(["srt://h:9000"])
    with pytest.raises(SourceNotFound, match="begin with srt://"):
        open_source(SourceConfig(uri="srt://h:9000"), "cam")
    with pytest.raises(ConfigError, match="no configuration file"):
        expand_sources(["missing.toml"])


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Videos, images and other things in folders."""
    for name in (
        *("day/a.mp4", "day/b.MKV", "day/notes.txt", "day/.hidden.mp4", "day/inner/c.avi"),
        *(
            "seq/1.jpg",
            "seq/2.png",
            "MOT/img1/1.jpg",
            "MOT/seqinfo.ini",
            "both/d.mp4",
            "both/1.jpg",
            "empty/readme.txt",
        ),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def read_from(site: Path, *words: str) -> list[str]:
    found = expand_sources([str(site / word) for word in words])
    return [str(Path(config.uri).relative_to(site)) for config in found]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["day"], ["day/a.mp4", "day/b.MKV", "day/inner/c.avi"]),
        (["seq"], ["seq"]),
        (["MOT"], ["MOT"]),
        (["both"], ["both/d.mp4", "both"]),
        (["day/*.mp4"], ["day/a.mp4"]),
        (["**/*.avi"], ["day/inner/c.avi"]),
        (["*/[ad].mp4"], ["both/d.mp4", "day/a.mp4"]),
        (["s*", "MOT"], ["seq", "MOT"]),
        (["day/b.MKV", "day", "day/*"], ["day/b.MKV", "day/a.mp4", "day/inner/c.avi"]),
        (["day", "day/a.mp4"], ["day/b.MKV", "day/inner/c.avi", "day/a.mp4"]),
        (["day/notes.txt"], ["day/notes.txt"]),
        ([""], ["MOT", "both/d.mp4", "both", "day/a.mp4", "day/b.MKV", "day/inner/c.avi", "seq"]),
    ],
)
def test_folders_patterns_and_mixtures(site: Path, words: list[str], expected: list[str]) -> None:
    assert read_from(site, *words) == expected


def test_what_is_left_out_of_a_folder_is_named(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    read_from(site, "day")
    assert [record.message for record in caplog.records] == [
        f"{site / 'day'}: left out, no videos by their names: notes.txt"
    ]


@pytest.mark.parametrize("word", ["empty", "*.nix", "day/*.txt"])
def test_nothing_to_read_is_an_error(site: Path, word: str) -> None:
    with pytest.raises(ConfigError, match=r"no videos? .*folder of images|matches no video"):
        read_from(site, word)


def test_a_file_with_signs_of_a_pattern_in_its_name_is_that_file(site: Path) -> None:
    (site / "day[1].mp4").touch()
    assert read_from(site, "day[1].mp4") == ["day[1].mp4"]


def test_a_folder_in_a_list_of_cameras(site: Path) -> None:
    (site / "cameras.toml").write_text('[[sources]]\nuri = "day"\nname = "door"\nmax_fps = 5\n')
    found = expand_sources([str(site / "cameras.toml")])
    assert [(config.name, config.max_fps) for config in found] == [("door-a", 5), ("door-b", 5), ("door-c", 5)]
    assert expand_configs([config.model_copy(update={"name": None}) for config in found[:1]])[0].uri == found[0].uri


def test_only_relative_paths_are_resolved(tmp_path: Path) -> None:
    for uri in ("/abs.mp4", "rtsp://h/s", "/dev/video0", "0", "file:///x.mp4"):
        assert resolved_from(SourceConfig(uri=uri), tmp_path).uri == uri
    assert resolved_from(SourceConfig(uri="x.mp4"), tmp_path).uri == str(tmp_path / "x.mp4")
