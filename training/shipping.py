"""From a trained network to the embedded file: description inside the graph, checksum in the manifest."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import torch

from reidstream.models.manifest import PACKAGE_MANIFEST, read_manifest
from reidstream.models.metadata import metadata_of
from training.export import export_onnx


def ship(
    network: torch.nn.Module, example: torch.Tensor, name: str, output: str, axes: dict[int, str], halved: bool = False
) -> Path:
    """Export ``network`` as the embedded file of manifest entry ``name`` and put its checksum into the manifest.

    The entry has to be there with all that it says of the model: its text also goes into the file. halved: see
    ``export_onnx``.
    """
    text = PACKAGE_MANIFEST.read_text()
    section = re.search(rf"(\[models\.{re.escape(name)}\]\n(?:(?!\[).*\n)*?sha256 = \")[0-9a-f]*", text)
    if section is None:
        raise ValueError(f'{PACKAGE_MANIFEST}: no section [models.{name}] with a line sha256 = ""')
    spec = read_manifest(PACKAGE_MANIFEST)[name].spec
    path = PACKAGE_MANIFEST.parent / str(spec.file)
    path.parent.mkdir(exist_ok=True)
    export_onnx(network, example, path, output, axes, metadata_of(spec), halved)
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    PACKAGE_MANIFEST.write_text(text[: section.end(1)] + checksum + text[section.end() :])
    return path
