from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from reidstream.errors import ConfigError, SourceBroken, SourceNotFound
from reidstream.synthetic import SceneTruth, World, load_scene, write_scene
from tests.slow import first_quick

SMALL = {"seed": 3, "cameras": 2, "people": 6, "minutes": 0.15, "size": (320, 180), "fps": 10.0}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> SceneTruth:
    return write_scene(tmp_path_factory.mktemp("scenes") / "small", World(**SMALL), workers=1)


def truth_files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in {".txt", ".ini", ".csv", ".json"}
    }


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_processes(scene: SceneTruth, tmp_path: Path) -> None:
    again = write_scene(tmp_path / "again", World(**SMALL), workers=2)
    assert truth_files(again.folder) == truth_files(scene.folder)
    other = World(**{**SMALL, "seed": 4})
    assert [v.person for v in other.visits] != [v.person for v in World(**SMALL).visits] or other.looks != World(
        **SMALL
    ).looks


def test_videos_have_the_promised_frames_and_size(scene: SceneTruth) -> None:
    for camera in scene.cameras:
        with av.open(str(camera.video)) as container:
            frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
        assert len(frames) == camera.length == 90
        assert frames[0].shape == (180, 320, 3)
        assert np.std(frames[0]) > 10


def test_every_track_has_one_person_and_spans_its_rows(scene: SceneTruth) -> None:
    assert len(scene.tracks) >= 4
    for camera in scene.cameras:
        assert set(camera.track_ids.tolist()) == {t.track_id for t in scene.tracks if t.camera == camera.name}
    for track in scene.tracks:
        camera = scene.camera(track.camera)
        rows = camera.track_ids == track.track_id
        assert (camera.frames[rows].min(), camera.frames[rows].max()) == (track.first_frame, track.last_frame)
        assert camera.visibility[rows][0] >= 0.1
        assert camera.visibility[rows][-1] >= 0.1


def test_boxes_lie_inside_the_frame_and_nobody_is_twice_in_one(scene: SceneTruth) -> None:
    for camera in scene.cameras:
        x1, y1, x2, y2 = camera.boxes.T
        assert (x1 >= 0).all() and (y1 >= 0).all() and (x2 <= 320.01).all() and (y2 <= 180.01).all()
        assert (x2 - x1 > 4).all() and (y2 - y1 > 4).all()
        assert ((camera.visibility >= 0) & (camera.visibility <= 1)).all()
        person = scene.person_of()
        pairs = [(frame, person[camera.name, int(i)]) for frame, i in zip(camera.frames, camera.track_ids, strict=True)]
        assert len(pairs) == len(set(pairs))


def test_an_existing_folder_is_never_overwritten_unasked(scene: SceneTruth, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match="not empty"):
            write_scene(tmp_path / "mine", World(**SMALL), overwrite=overwrite)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"
    with pytest.raises(ConfigError, match="not empty"):
        write_scene(scene.folder, World(**SMALL))


@pytest.mark.parametrize("workers", first_quick([1, 2]))
def test_a_failed_run_stops_at_once_and_leaves_nothing_behind(tmp_path: Path, workers: int) -> None:
    def fail(camera: str, done: int, total: int) -> None:
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_scene(tmp_path / "scene", World(**{**SMALL, "minutes": 5}), workers=workers, progress=fail)
    assert list(tmp_path.iterdir()) == []


def test_loading_says_what_is_wrong(scene: SceneTruth, tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="reidstream synth"):
        load_scene(tmp_path)
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(scene.folder, broken)
    (broken / "cam1" / "gt" / "gt.txt").write_text("1,2,3\n")
    with pytest.raises(SourceBroken, match="9 columns"):
        load_scene(broken)
    shutil.rmtree(broken / "cam1")
    with pytest.raises(SourceBroken, match="cam1"):
        load_scene(broken)
