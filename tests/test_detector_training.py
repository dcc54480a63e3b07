"""A finished detector that is taught what is nobody: what it said of people stays."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from reidstream.models.manifest import PACKAGE_MANIFEST  # noqa: E402 - what follows needs PyTorch
from reidstream.synthetic import World  # noqa: E402
from training.course import Course  # noqa: E402
from training.detector.mending import Recipe, empty_only, kept_losses, mend, nobody_loss  # noqa: E402
from training.detector.network import Deployed, PersonDetector, load_ours  # noqa: E402
from training.detector.scenes import Album  # noqa: E402
from training.export import export_onnx  # noqa: E402

pytestmark = pytest.mark.torch

EMBEDDED = PACKAGE_MANIFEST.parent / "embedded" / "person_detector.onnx"
ROWS = {0: "batch", 2: "height", 3: "width"}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second passes each time that somebody looks at the clock."""
    seconds = itertools.count()
    monkeypatch.setattr("training.clock.time.monotonic", lambda: float(next(seconds)))


@pytest.fixture(scope="module")
def embedded() -> PersonDetector:
    return load_ours(EMBEDDED).eval()


def _logits(scores: list[float]) -> torch.Tensor:
    """One picture whose cells have these scores, objectness and person alike."""
    each = torch.tensor(scores).sqrt().logit()
    return torch.cat([torch.zeros(len(scores), 4), each[:, None], each[:, None]], 1)[None]


def _packed(path: Path, pictures: list[np.ndarray], boxes: list[tuple[float, ...]], source: str) -> Path:
    jpegs = [np.frombuffer(cv2.imencode(".jpg", one)[1].tobytes(), np.uint8) for one in pictures]
    rows = np.array(boxes, np.float32).reshape(-1, 6)
    ends = np.cumsum([len(one) for one in jpegs])
    np.savez(path, blob=np.concatenate(jpegs), ends=ends, boxes=rows, sources=np.array([source] * len(jpegs)))
    return path


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("packs")
    world = World(seed=5, cameras=1, people=6, minutes=0.1, size=(320, 240))
    views = list(world.render_frames(0, 30))
    boxes = [(n, *box, 1) for n, view in enumerate(views) for box in view.boxes]
    assert boxes
    empty = [
        np.kron(np.random.default_rng(n).integers(0, 255, (8, 8, 3), np.uint8), np.ones((30, 30, 1), np.uint8))
        for n in range(4)
    ]
    people = _packed(folder / "people.npz", [view.image for view in views], boxes, "synthetic")
    return people, _packed(folder / "nobody.npz", empty, [], "diverse")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch's exporter by traces
def test_the_embedded_detector_comes_back_from_its_file(embedded: PersonDetector, tmp_path: Path) -> None:
    export_onnx(Deployed(embedded), torch.rand(1, 3, 64, 64) * 255, tmp_path / "again.onnx", "output", ROWS, {})
    again = load_ours(tmp_path / "again.onnx")
    for name, value in embedded.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value)
    with pytest.raises(ValueError, match="not a person detector of this training"):
        load_ours(EMBEDDED.with_name("person_reid.onnx"))


def test_nothing_pulls_where_answers_are_what_they_were() -> None:
    kept = _logits([0.9, 0.2, 0.001])
    assert all(float(part) == pytest.approx(0, abs=1e-6) for part in kept_losses(kept.clone(), kept).values())
    lower = _logits([0.6, 0.2, 0.001])
    assert float(kept_losses(lower, kept)["keep"]) > 0.05
    # A score that has sunk counts for more where more was seen.
    faint = _logits([0.9, 0.1, 0.001])
    assert float(kept_losses(lower, kept)["keep"]) > float(kept_losses(faint, kept)["keep"])


def test_on_pictures_of_nobody_the_lower_of_two_scores_is_wanted() -> None:
    kept, known = _logits([0.7, 0.05]), _logits([0.1, 0.6])
    wanted = _logits([0.1, 0.05])
    assert float(nobody_loss(wanted, kept, known)) == pytest.approx(0, abs=1e-5)
    assert float(nobody_loss(kept, kept, known)) > 0.1
    assert float(nobody_loss(_logits([0.1, 0.6]), kept, known)) > 0.05


def test_scores_sink_on_nobody_alone() -> None:
    kept, known = _logits([0.7, 0.05, 0.3]), _logits([0.01, 0.6, 0.3])
    raw = kept.clone().requires_grad_()
    nobody_loss(raw, kept, known).backward()
    assert raw.grad is not None
    # Down where the other sees less, not up where it sees more, and boxes are left alone.
    assert (raw.grad[0, 0, 4:] > 0.05).all()
    assert raw.grad[0, 1:, 4:].abs().max() < 1e-4
    assert raw.grad[..., :4].abs().max() == 0
    held = _logits([0.2, 0.05, 0.3]).requires_grad_()
    kept_losses(held, kept)["keep"].backward()
    assert held.grad is not None and (held.grad[0, 0, 4:] < -0.05).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch's exporter by traces
@pytest.mark.usefixtures("clock")
def test_a_detector_is_mended_from_packs_of_pictures(
    embedded: PersonDetector, packs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people, nobody = packs
    device = torch.device("cpu")
    monkeypatch.setattr("training.detector.mending.load_published", load_ours)
    recipe = Recipe(seconds=10, batch=3, nobody=1, sides=(64,))
    albums = Album([people], device, {}), empty_only(Album([nobody, people], device, {}))
    assert (albums[1].chances > 0).tolist() == [True] * 4 + [False] * len(albums[0])
    assert mend(copy.deepcopy(embedded), EMBEDDED, *albums, None, recipe, tmp_path, 100.0, device)
    stored = torch.load(tmp_path / "mended.pt", weights_only=True)
    assert stored["progress"] == 1 and stored["step"] > 1
    mended = PersonDetector()
    mended.load_state_dict(stored["average"])
    moved = [
        float((a - b).abs().max())
        for a, b in zip(mended.state_dict().values(), embedded.state_dict().values(), strict=True)
    ]
    assert 0 < max(moved) < 1e-2


def test_there_have_to_be_pictures_of_nobody(
    embedded: PersonDetector, packs: tuple[Path, Path], tmp_path: Path
) -> None:
    device = torch.device("cpu")
    people = Album([packs[0]], device, {})
    with pytest.raises(ValueError, match="no pictures of nobody"):
        mend(copy.deepcopy(embedded), EMBEDDED, people, empty_only(people), None, Recipe(), tmp_path, 1.0, device)


@pytest.mark.usefixtures("clock")
def test_a_training_goes_on_where_a_slot_ended(tmp_path: Path) -> None:
    def course(slot: float) -> tuple[Course, torch.nn.Linear]:
        network = torch.nn.Linear(2, 1)
        optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
        made = Course(
            network, optimiser, tmp_path / "line.pt", Recipe(seconds=40, batch=4, rate=1e-2, average=0.9), slot
        )
        return made, network

    first, network = course(20)
    for _ in first.steps():
        first.take({"error": network(torch.ones(4, 2)).square().mean()}, {"error": 1.0}, longest=1.0)
    assert not first.finished
    before = torch.load(tmp_path / "line.pt", weights_only=True)
    second, again = course(100)
    torch.testing.assert_close(again.state_dict(), network.state_dict())
    for _ in second.steps():
        second.take({"error": again(torch.ones(4, 2)).square().mean()}, {"error": 1.0}, longest=1.0)
    after = torch.load(tmp_path / "line.pt", weights_only=True)
    assert second.finished and after["step"] > before["step"] > 0 and after["used"] >= 40
    rows = (tmp_path / "line.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0] == "step,seconds,per_second,error" and len(rows) == 3
