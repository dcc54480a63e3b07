from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reidstream.demo.clips import write_clip
from reidstream.demo.query import choose_wanted
from reidstream.demo.scene import prepare_scene
from reidstream.errors import ConfigError
from reidstream.synthetic import World

SMALL = {"cameras": 1, "people": 4, "minutes": 0.1, "size": (320, 180), "fps": 10.0}


@pytest.mark.slow
def test_a_finished_scene_is_used_again_and_another_one_made_anew(tmp_path: Path) -> None:
    scene, made = prepare_scene(tmp_path, World(seed=5, **SMALL))
    assert made
    (tmp_path / "gallery").mkdir()
    assert prepare_scene(tmp_path, World(seed=5, **SMALL))[1] is False
    assert (tmp_path / "gallery").is_dir()
    scene.cameras[0].video.unlink()
    assert prepare_scene(tmp_path, World(seed=5, **SMALL))[1] is True
    other, made = prepare_scene(tmp_path, World(seed=6, **SMALL))
    assert made
    assert other.parameters["seed"] == 6
    assert not (tmp_path / "gallery").exists(), "what was built on the former scene is gone"


def test_what_is_not_the_demos_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.mp4").write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"holiday\.mp4"):
        prepare_scene(tmp_path, World(seed=5, **SMALL))
    with pytest.raises(ConfigError, match="is a file"):
        prepare_scene(tmp_path / "holiday.mp4", World(seed=5, **SMALL))
    assert (tmp_path / "holiday.mp4").read_bytes() == b"mine"


def test_the_wanted_person_is_cut_out_where_the_truth_says(tmp_path: Path) -> None:
    scene, _ = prepare_scene(tmp_path, World(seed=5, **SMALL))
    wanted = choose_wanted(scene)
    camera = scene.camera(wanted.camera)
    rows = np.flatnonzero(camera.frames == wanted.frame)
    persons = [scene.person_of()[camera.name, int(camera.track_ids[row])] for row in rows]
    row = rows[persons.index(wanted.person)]
    width, height = camera.boxes[row, 2:] - camera.boxes[row, :2]
    assert camera.visibility[row] > 0.98
    assert wanted.crop.shape[:2] == pytest.approx((height, width), abs=1.5)


def test_a_clip_is_as_long_as_asked_even_without_people(tmp_path: Path) -> None:
    import av

    scene, _ = prepare_scene(tmp_path, World(seed=5, **SMALL))
    write_clip(scene.cameras[0], [], tmp_path / "clip.mp4", seconds=2.0)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 20
    assert float(frames[-1].time - frames[0].time) == pytest.approx(1.9, abs=0.05)
