"""Whether the numbers that nvinfer applies are those that the model was trained with.

A wrong normalisation is silent: nvinfer runs, embeddings come out, and they are merely worse.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from reidstream.engines.deepstream.checking.file_rules import set_key
from reidstream.engines.deepstream.checking.findings import Edit, Finding, RemoveLine, SetLine, Severity
from reidstream.engines.deepstream.checking.inference_file import InferenceFile
from reidstream.engines.deepstream.files.preprocessing import COLOR_FORMAT, ScalarPreprocessing, nearest_scalar
from reidstream.models.spec import Preprocessing

_CHANNELS = {0: 3, 1: 3, 2: 1}
_TOLERANCE = 0.01
_IMAGENET = Preprocessing(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))


def numbers(config: InferenceFile) -> Iterator[Finding]:
    """Scale and offsets that nvinfer refuses or ignores."""
    file = config.file.path
    channels = _CHANNELS.get(config.integer("model-color-format") or 0, 3)
    offsets = config.numbers("offsets")
    if offsets and len(offsets) != channels:
        yield Finding(
            file,
            config.line("offsets"),
            Severity.ERROR,
            "offsets-count",
            f"offsets has {len(offsets)} numbers for {channels} channels ({config.text('offsets')}), and nvinfer stops",
            f"give {channels} numbers with ; between them",
            (SetLine(config.line("offsets"), "offsets", ";".join([f"{offsets[0]:g}"] * channels)),)
            if len(set(offsets)) == 1
            else (),
        )
    scale = config.number("net-scale-factor")
    if scale is not None and scale <= 0:
        line = config.line("net-scale-factor")
        cause = f"net-scale-factor={scale:g} is not positive, and nvinfer ignores it (1 is used)"
        cure = "set it to one over the standard deviation"
        yield Finding(file, line, Severity.ERROR, "scale-ignored", cause, cure, (RemoveLine(line),))


def against_model(config: InferenceFile) -> Iterator[Finding]:
    """Scale, offsets and channel order against the model's own description."""
    file, spec = config.file.path, config.spec
    scale = config.number("net-scale-factor")
    if scale is None and "net-scale-factor" in config.keys:
        return  # the value itself is named
    if scale is None or scale <= 0:
        scale = 1.0
    offsets = config.numbers("offsets") or [0.0, 0.0, 0.0]
    line = config.line("net-scale-factor")
    if spec is None:
        if "onnx-file" in config.keys and config.role == "reid":
            yield from _undescribed(config, scale, offsets)
        return
    wanted = nearest_scalar(spec.preprocessing)
    if not _fits(scale, offsets, wanted):
        text = _text(wanted.offsets)
        edits = _set_numbers(config, wanted)
        what = "embeddings" if spec.task == "reid" else "boxes"
        have = f"net-scale-factor={scale:g} and offsets={_text(offsets)}"
        inside = " (its normalisation is inside the graph)" if wanted.identity else ""
        yield Finding(
            file,
            line,
            Severity.ERROR,
            "preprocessing",
            f"{spec.name} was trained with other numbers: {have} are applied, it wants "
            f"net-scale-factor={wanted.scale:.10g} and offsets={text}{inside}; {what} come out, but wrong ones",
            "set both as stated",
            edits,
        )
    elif wanted.error:
        yield Finding(
            file,
            line,
            Severity.NOTE,
            "preprocessing-nearest",
            f"{spec.name} wants a standard deviation per channel; one scale for all is up to {wanted.error:.1%} off",
            "reidstream models prepare builds the exact numbers into the model; then use net-scale-factor=1",
        )
    color = config.integer("model-color-format") or 0
    want_color = COLOR_FORMAT[spec.preprocessing.color]
    if color != want_color:
        name, given = spec.preprocessing.color, ("RGB", "BGR", "GRAY")[min(max(color, 0), 2)]
        yield Finding(
            file,
            config.line("model-color-format"),
            Severity.ERROR,
            "channel-order",
            f"{spec.name} wants {name}, model-color-format={color} gives {given}",
            f"set model-color-format={want_color}",
            set_key(config, "model-color-format", str(want_color)),
        )


def _undescribed(config: InferenceFile, scale: float, offsets: list[float]) -> Iterator[Finding]:
    """A model that nothing describes: raw values, or numbers that do not suit the network's family."""
    file, line = config.file.path, config.line("net-scale-factor")
    if scale == 1.0 and not any(offsets):
        yield Finding(
            file,
            line,
            Severity.WARNING,
            "preprocessing-unknown",
            "neither net-scale-factor nor offsets are set, so the network gets raw values from 0 to 255, and "
            "nothing says whether its normalisation is inside; a wrong one is silent and costs accuracy",
            "use a model that `reidstream models prepare` or `export` wrote, or set both numbers",
        )
        return
    # torchreid trains every OSNet with ImageNet's mean and standard deviation (torchreid/data/transforms.py).
    wanted = nearest_scalar(_IMAGENET)
    if "osnet" in config.text("onnx-file").rsplit("/", 1)[-1].lower() and not _fits(scale, offsets, wanted):
        yield Finding(
            file,
            line,
            Severity.WARNING,
            "preprocessing",
            f"net-scale-factor={scale:g} and offsets={_text(offsets)} are not what torchreid trains OSNet with "
            f"(ImageNet's mean and deviation, nearest {wanted.scale:.10g} and {_text(wanted.offsets)}); "
            "embeddings come out, but worse ones",
            "set both as stated, or build them into the model with `reidstream models prepare`",
            _set_numbers(config, wanted),
        )


def _fits(scale: float, offsets: Sequence[float], wanted: ScalarPreprocessing) -> bool:
    return (
        math.isclose(scale, wanted.scale, rel_tol=_TOLERANCE)
        and len(offsets) == 3
        and all(abs(have - want) <= _TOLERANCE * 255 for have, want in zip(offsets, wanted.offsets, strict=True))
    )


def _set_numbers(config: InferenceFile, wanted: ScalarPreprocessing) -> tuple[Edit, ...]:
    edits: tuple[Edit, ...] = set_key(config, "net-scale-factor", f"{wanted.scale:.10g}")
    if any(wanted.offsets):
        return edits + set_key(config, "offsets", _text(wanted.offsets))
    return (*edits, RemoveLine(config.line("offsets"))) if "offsets" in config.keys else edits


def _text(offsets: Sequence[float]) -> str:
    return ";".join(f"{offset:g}" for offset in offsets)
