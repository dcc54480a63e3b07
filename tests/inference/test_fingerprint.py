"""The embedding space's name changes with everything that changes a vector, and with nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reidstream.inference.embedder import fingerprint
from reidstream.models import resolve_model
from reidstream.models.spec import Preprocessing, ResolvedModel


@pytest.fixture(scope="module")
def model() -> ResolvedModel:
    return resolve_model("person-reid", "reid")


def test_file_preprocessing_and_input_size_each_make_another_space(model: ResolvedModel) -> None:
    spec = model.spec
    others = [
        replace(model, sha256="0" * 64),
        replace(model, spec=spec.model_copy(update={"preprocessing": Preprocessing(std=(2.0, 2.0, 2.0))})),
        replace(model, spec=spec.model_copy(update={"input_size": (64, 128)})),
        replace(model, spec=spec.model_copy(update={"input_size": (128, 64)})),
    ]
    assert len({fingerprint(each) for each in [model, *others]}) == 5


def test_a_name_and_a_licence_make_no_other_space(model: ResolvedModel) -> None:
    named = replace(model, spec=model.spec.model_copy(update={"name": "other", "terms": "other"}))
    assert fingerprint(named) == fingerprint(model)
