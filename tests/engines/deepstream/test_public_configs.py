"""Configurations as two public Re-ID guides have them: every flaw is found, and cured where the cure is certain.

The keys and values are those of ml6team/deepstream-python (configs/sgies/osnet.txt) and of a notebook guide to a
gallery of people on DeepStream 8.0; paths are changed.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.engines.deepstream.checking import Severity, check_files

REFERENCE_APP = """[property]
gpu-id=0
onnx-file=/srv/models/osnet_x0_25_msmt17.onnx
model-engine-file=/srv/models/osnet_x0_25_msmt17.trt
force-implicit-batch-dim=0
batch-size=8
process-mode=2
network-mode=2
interval=0
gie-unique-id=2
output-blob-names=output
output-tensor-meta=1
network-type=1
operate-on-class-ids=2
operate-on-gie-id=1
input-object-min-width=32
input-object-min-height=32
"""
REFERENCE_FLAWS = {
    (1, "nearest-scaling"),
    (1, "preprocessing-unknown"),  # neither scale nor offsets, and the model is not here to be asked
    (3, "missing-file"),
    (4, "engine-name"),
    (5, "legacy-key"),
    (13, "embedded-once"),
    (14, "class-id"),
    (16, "min-object-size"),
}
GUIDE = """# Re-ID network: 512 numbers per person
[property]
gpu-id=0
gie-unique-id=4
process-mode=2
onnx-file=/srv/notebooks/models/osnet_x1_0_single.onnx
model-engine-file=/srv/notebooks/models/osnet_x1_0.engine
output-tensor-meta=1
network-type=100
operate-on-gie-id=1
operate-on-class-ids=2
net-scale-factor=0.0078431372549
offsets=127.5;127.5;127.5
model-color-format=0
maintain-aspect-ratio=0
batch-size=1
network-mode=2
input-object-min-width=32
input-object-min-height=64
"""
GUIDE_FLAWS = {
    (2, "nearest-scaling"),
    (6, "missing-file"),
    (7, "engine-name"),
    (11, "class-id"),
    (12, "preprocessing"),  # the normalisation of another training
    (16, "batch-of-one"),
    (18, "min-object-size"),
}


@pytest.mark.parametrize(("text", "flaws"), [(REFERENCE_APP, REFERENCE_FLAWS), (GUIDE, GUIDE_FLAWS)])
def test_every_flaw_is_found_with_its_line(text: str, flaws: set[tuple[int, str]], tmp_path: Path) -> None:
    path = tmp_path / "osnet.txt"
    path.write_text(text)
    assert {(finding.line, finding.code) for finding in check_files([path])} == flaws


def test_weights_left_in_a_second_file_and_an_engine_of_another_batch(tmp_path: Path, write_reid) -> None:  # type: ignore[no-untyped-def]
    """The guide's two traps that need a model: what torch.onnx writes beside the file, and trtexec's batch of one."""
    write_reid(tmp_path / "osnet_x1_0.onnx", spec=False, batch=1, external="osnet_x1_0.onnx.data")
    (tmp_path / "osnet_x1_0.onnx.data").unlink()
    text = GUIDE.replace("/srv/notebooks/models/osnet_x1_0_single.onnx", "osnet_x1_0.onnx")
    text = text.replace("/srv/notebooks/models/osnet_x1_0.engine", "osnet_x1_0.onnx_b1_gpu0_fp16.engine")
    path = tmp_path / "reid.txt"
    path.write_text(text.replace("batch-size=1", "batch-size=16"))
    severities = {finding.code: finding.severity for finding in check_files([path])}
    assert severities["weights-missing"] is severities["fixed-batch"] is Severity.ERROR
    assert severities["engine-batch"] is Severity.WARNING


@pytest.mark.parametrize("text", [REFERENCE_APP, GUIDE])
def test_fix_writes_a_copy_and_shows_the_difference(text: str, tmp_path: Path) -> None:
    path = tmp_path / "osnet.txt"
    path.write_text(text)
    result = CliRunner().invoke(app, ["deepstream", "check", str(path), "--fix"])
    assert result.exit_code == 1  # the model is not on this machine
    assert path.read_text() == text
    fixed = tmp_path / "osnet.fixed.txt"
    assert "\n+scaling-filter=1" in result.stdout and str(fixed) in result.stdout
    left = {finding.code for finding in check_files([fixed])}
    assert left <= {"missing-file", "class-id", "batch-of-one", "preprocessing-nearest", "preprocessing-unknown"}
    values = dict(line.split("=", 1) for line in fixed.read_text().splitlines() if "=" in line)
    if "net-scale-factor" not in text:
        assert "net-scale-factor" not in values, "nothing is claimed of a model that is not here"
        return
    assert float(values["net-scale-factor"]) == pytest.approx(0.01735207357279195)
    assert values["offsets"] == "123.675;116.28;103.53"
