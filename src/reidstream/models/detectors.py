"""What a detector's graph says of itself: family, classes, and what its input wants; and what it contradicts."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reidstream.errors import ModelMismatch
from reidstream.models.families import (
    FAMILIES,
    OTHER_NAMES,
    Family,
    coco_by_number,
    family_named,
)
from reidstream.models.manifest import class_list
from reidstream.models.recognising import Port, classes_in, plain, recognised

# The longest text that is taken for a list of class names; thousands of classes fit.
_LONGEST = 200_000

_READ_ALIKE = {"detr", "rtdetr"}
"""Families with one layout in common: what differs is what is done to pixels, and the likelier one is believed."""

_NUMBERED = {90: (1, 91), 91: (0, 91), 92: (0, 91)}
"""Classes of detectors that give COCO's category numbers, and which of these they begin and end with; DETR's 92nd says
that there is nothing."""


def completed(table: Mapping[str, Any], model: Any, path: Path) -> dict[str, Any]:
    """A detector's description with what its graph adds: family, preprocessing, classes, input size.

    table: fields of ModelSpec, none of which need to be there. model: the onnx.ModelProto.
    Raises ModelMismatch when the graph is of another family than stated, or of none and nothing is stated.
    """
    inputs, outputs = ports_of(model)
    stated = tuple(table.get("classes") or ())
    names = stated or _names_inside(model)
    family = _family(str(table.get("family", "")), recognised(inputs, outputs, len(names) or None), path)
    fields: dict[str, Any] = {**table, "family": family.name}
    image = next((shape for _, shape in inputs if len(shape) == 4), None)
    if "preprocessing" not in table:
        wanted = family.preprocessing.model_dump()
        if _takes_bytes(model):
            # What takes bytes scales them itself; scaled ones would all be 0 or 1.
            wanted |= {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
        if any(plain(name) == "detection_boxes" for name, _ in outputs):
            # TensorFlow's, unlike those of Caffe and OpenVINO.
            wanted["color"] = "RGB"
        fields["preprocessing"] = wanted | ({"layout": "NHWC"} if image is not None and image[3] == 3 else {})
    fields["classes"] = _classes(names, family, outputs, path)
    if table.get("input_size") is None and image is not None:
        height, width = (image[1], image[2]) if image[3] == 3 else (image[2], image[3])
        if height is None or width is None:
            fields["input_size"] = family.size
    return fields


def _family(stated: str, found: tuple[str, ...], path: Path) -> Family:
    named = family_named(stated) if stated else None
    if stated and named is None:
        known = ", ".join([*FAMILIES, *OTHER_NAMES])
        raise ModelMismatch(f"{path}: unknown detector family {stated!r}; known are {known}")
    if named is not None and found and named.name not in found:
        raise ModelMismatch(
            f"{path}: it is described as {stated!r}, whose output is {named.about}, but its outputs have the shapes of "
            f"{' or '.join(found)}: say family = {found[0]!r}"
        )
    if named is not None:
        return named
    if len(found) == 1 or set(found) == _READ_ALIKE:
        return FAMILIES[found[0]]
    if found:
        raise ModelMismatch(
            f"{path}: its outputs have the shapes of {' and '.join(found)}, which mean different things; say which in "
            f"{path.name}.toml beside it: family = " + " or ".join(f'"{name}"' for name in found)
        )
    raise ModelMismatch(
        f"{path}: its outputs are those of no detector family that is known ({', '.join(FAMILIES)}); if it is one of "
        f'them all the same, say so in {path.name}.toml beside it: family = "…", classes = ["person", …]'
    )


def _names_inside(model: Any) -> tuple[str, ...]:
    """The class names that exporters write into a file; none where there are none that make sense."""
    text = next((entry.value for entry in model.metadata_props if entry.key == "names"), "")
    if not text or len(text) >= _LONGEST:
        return ()
    try:
        names = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ()
    if isinstance(names, dict) and sorted(names) == list(range(len(names))):
        return tuple(str(names[number]) for number in range(len(names)))
    return tuple(str(name) for name in names) if isinstance(names, list | tuple) else ()


def _classes(named: tuple[str, ...], family: Family, outputs: list[Port], path: Path) -> tuple[str, ...]:
    """Those that are named, else COCO's when there are as many; COCO's at the places where this graph has them."""
    count = classes_in(family.name, outputs)
    coco = class_list("coco")
    if named and named != coco:
        return named
    if family.name == "ssd" and named:
        # Their numbers begin with the background, and the person comes after it.
        return coco_by_number(coco)
    if count in _NUMBERED:
        first, last = _NUMBERED[count]
        return coco_by_number(coco)[first:last]
    if named or count == len(coco) or (count is None and family.name == "rtdetr"):
        return coco
    if count == 1:
        return ("person",)
    said = f"{count} classes" if count is not None else "classes"
    raise ModelMismatch(
        f"{path}: the graph has {said} without names, so nothing says which is the person; name them in "
        f'{path.name}.toml beside it: classes = ["person", …], or classes = "coco"'
    )


def _takes_bytes(model: Any) -> bool:
    """Whether the image input of an onnx.ModelProto is uint8."""
    import onnx

    ports = [port.type.tensor_type for port in model.graph.input if len(port.type.tensor_type.shape.dim) == 4]
    return bool(ports) and ports[0].elem_type == onnx.TensorProto.UINT8


def ports_of(model: Any) -> tuple[list[Port], list[Port]]:
    """Inputs (weights that old files list among them left out) and outputs of an onnx.ModelProto."""
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs, outputs = (
        [(port.name, tuple(axis.dim_value or None for axis in port.type.tensor_type.shape.dim)) for port in ports]
        for ports in (model.graph.input, model.graph.output)
    )
    return [port for port in inputs if port[0] not in stored], outputs


def image_size(ports: tuple[list[Port], list[Port]], otherwise: tuple[int, int], layout: str) -> tuple[int, int]:
    """Width and height of the image input; where the graph leaves them open, those of ``otherwise`` (height, width)."""
    shape = next((shape for _, shape in ports[0] if len(shape) == 4), (None,) * 4)
    height, width = (shape[2], shape[3]) if layout == "NCHW" else (shape[1], shape[2])
    return width or otherwise[1], height or otherwise[0]
