"""OSNet against torchreid's own implementation: what that one computes is stored here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch (the export extra)")
from reidstream.models.osnet import ARCHITECTURES, OSNet  # noqa: E402

pytestmark = pytest.mark.torch

# First six numbers and sum of two embeddings, and number of parameters without the classifier, of torchreid
# (KaiyangZhou/deep-person-reid at f8cd150) with the weights of `filled` and the images of `images`.
TORCHREID: Mapping[str, tuple[list[float], float, int]] = {
    "osnet_x1_0": ([0.0, 42438.6641, 13388.8486, 124472.7109, 0.0, 0.0], 20208960.0, 2169508),
    "osnet_x0_75": ([16617.6152, 0.0, 3511.1128, 167.912, 0.0, 13790.6416], 7371027.0, 1285754),
    "osnet_x0_5": ([100778.6562, 0.0, 27899.6621, 104064.7344, 0.0, 165687.8906], 44459368.0, 630034),
    "osnet_x0_25": ([0.0, 0.0, 0.0, 5158.4873, 290.9628, 3873.3774], 2394356.25, 201864),
    "osnet_ibn_x1_0": ([0.0, 120.2487, 19.4775, 327.5693, 0.0, 0.0], 70025.62, 2170532),
    "osnet_ain_x1_0": ([0.0, 43.4754, 23.8092, 144.6236, 0.0, 0.0], 21018.13, 2169508),
    "osnet_ain_x0_75": ([13.9912, 0.0, 0.0, 50.0796, 0.0, 45.5805], 26363.39, 1285754),
    "osnet_ain_x0_5": ([29.2682, 0.0, 0.0, 72.5879, 3.2893, 54.8096], 25393.24, 630034),
    "osnet_ain_x0_25": ([14.5514, 131.0963, 18.4923, 0.0, 0.0, 0.0], 38360.46, 201864),
}


def filled(network: OSNet) -> dict[str, Any]:
    """Weights that depend on their names and shapes alone, so that misplaced or misnamed ones change the result."""
    state = {}
    for name, old in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        random = np.random.default_rng(sum(name.encode()) * 1000 + len(name))
        shape = tuple(old.shape)
        if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
            values = random.uniform(0.5, 1.5, shape)
        else:
            values = random.normal(0, 0.1 if len(shape) == 1 else np.sqrt(2 / np.prod(shape[1:])), shape)
        state[name] = torch.from_numpy(values.astype(np.float32))
    return state


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_network_computes_what_torchreid_computes(architecture: str) -> None:
    first, total, parameters = TORCHREID[architecture]
    network = OSNet(architecture).eval()
    network.load_state_dict(filled(network), strict=False)
    images = torch.from_numpy(np.random.default_rng(1).normal(0, 1, (2, 3, 64, 32)).astype(np.float32))
    with torch.inference_mode():
        embeddings = network(images).numpy()
    assert embeddings.shape == (2, 512)
    # Sums in another order, as another processor's kernels take, move every number by a share of the largest.
    np.testing.assert_allclose(embeddings[0, :6], first, rtol=1e-3, atol=2e-4 * max(first))
    np.testing.assert_allclose(embeddings.sum(), total, rtol=1e-4)
    assert sum(weight.numel() for weight in network.parameters()) == parameters


def test_unknown_architecture_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of osnet_x1_0"):
        OSNet("osnet_x2_0")
