"""The kernels that are shipped compiled are those of the sources beside them."""

from __future__ import annotations

import hashlib

import pytest

from reidstream.gpu.sampling import KERNELS


@pytest.mark.parametrize("source", sorted(KERNELS.glob("*.cu")), ids=lambda path: path.stem)
def test_it_is_compiled_from_its_source(source: object) -> None:
    path = KERNELS / str(source)
    named = f"// {path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    first = path.with_suffix(".ptx").read_text(encoding="ascii").splitlines()[0]
    assert first == named, "`make kernels` compiles it anew; it needs nvcc of CUDA 13.0"
