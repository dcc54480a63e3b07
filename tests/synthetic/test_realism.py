from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "synthetic_realism.py"


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_models_that_never_saw_the_people_take_them_for_people(shared_data: Path) -> None:
    models = shared_data.parent / "models"
    arguments = {
        "--detector": models / "yolox_nano_416x416.onnx",
        "--reid": models / "osnet_x0_25_msmt17.onnx",
        "--seed": 7,
        "--people": 30,
        "--minutes": 2,
        "--every": 50,
    }
    command = [sys.executable, str(SCRIPT), *(str(part) for pair in arguments.items() for part in pair)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert measured["people_counted"] > 300
    assert measured["recall"] >= 0.8
    assert measured["same_person_pairs"] >= 10
    assert measured["auc"] >= 0.9
