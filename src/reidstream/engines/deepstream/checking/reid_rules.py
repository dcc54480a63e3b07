"""What keeps a Re-ID network from giving embeddings, gives stale ones, or gives wrong ones without a word.

Which combinations do what: DeepStream 8.0, gstnvinfer.cpp (should_infer_object, attach_tensor_output_meta).
"""

from __future__ import annotations

from collections.abc import Iterator

from reidstream.engines.deepstream.checking.file_rules import set_key
from reidstream.engines.deepstream.checking.findings import Edit, Finding, RemoveLine, Severity
from reidstream.engines.deepstream.checking.inference_file import InferenceFile
from reidstream.engines.deepstream.keys.nvinfer import NETWORK_TYPES, SCALING_FILTERS

# A standing person is about 0.4 times as wide as tall, so these leave out people below about 80 and 96 pixels.
_WIDE, _TALL = 32, 96


def embeddings(config: InferenceFile) -> Iterator[Finding]:
    """Settings with which no tensors come out, or not where they are looked for."""
    mode = config.integer("process-mode")
    if mode != 2:
        said = "process-mode is missing and means 1 (whole frames)" if mode is None else f"process-mode is {mode}"
        yield _finding(
            config,
            "process-mode",
            Severity.ERROR,
            "process-mode",
            f"{said}: the network sees whole frames instead of people, and its tensors hang on the frame",
            "2",
        )
    kind = config.network_type
    if kind not in (1, 100):
        missing = "network-type" not in config.keys and "is-classifier" not in config.keys
        said = "network-type is missing and means" if missing else f"network-type={kind} is"
        yield _finding(
            config,
            "network-type",
            Severity.ERROR,
            "network-type",
            f"{said} {NETWORK_TYPES.get(kind, 'unknown')}: nvinfer tries to read boxes or masks out of an embedding",
            "100",
        )
    if not config.truth("output-tensor-meta"):
        said = "missing" if "output-tensor-meta" not in config.keys else "0"
        yield _finding(
            config,
            "output-tensor-meta",
            Severity.ERROR,
            "output-tensor-meta",
            f"output-tensor-meta is {said}: nvinfer throws the output away and no embedding reaches the probe",
            "1",
        )
    if config.integer("disable-output-host-copy") == 1:
        yield _finding(
            config,
            "disable-output-host-copy",
            Severity.ERROR,
            "host-copy",
            "disable-output-host-copy=1 leaves the embeddings on the GPU; what the probe reads is stale memory",
            "0",
        )
    if config.integer("auto-inc-mem") == 0:
        yield _finding(
            config,
            "auto-inc-mem",
            Severity.WARNING,
            "output-pool",
            "auto-inc-mem=0 keeps the pool of output buffers small: whoever holds buffers downstream stalls nvinfer",
            "1",
        )


def freshness(config: InferenceFile) -> Iterator[Finding]:
    """Settings with which a track's embedding is missing or old in most frames."""
    kind = config.network_type
    asynchronous = config.truth("classifier-async-mode")
    if asynchronous and kind == 1:
        yield _finding(
            config,
            "classifier-async-mode",
            Severity.ERROR,
            "async-mode",
            "classifier-async-mode=1 with network-type=1: in this mode tensors are never attached",
            "0",
        )
    elif asynchronous:
        yield _finding(
            config,
            "classifier-async-mode",
            Severity.WARNING,
            "async-mode",
            "classifier-async-mode works for classifiers only; nvinfer turns it off with a warning",
            "0",
        )
    interval = config.integer("secondary-reinfer-interval")
    if kind == 1 and interval is None:
        yield Finding(
            config.file.path,
            config.line("network-type"),
            Severity.WARNING,
            "embedded-once",
            "network-type=1 without secondary-reinfer-interval: each track is embedded once at its start, again only "
            "when its box grows by a fifth, and never otherwise; a bad first crop stays for good",
            "use network-type=100 (every frame), or set secondary-reinfer-interval to a number of frames",
            set_key(config, "network-type", "100"),
        )
    elif kind == 100 and interval is not None:
        line = config.line("secondary-reinfer-interval")
        yield Finding(
            config.file.path,
            line,
            Severity.WARNING,
            "interval-ignored",
            "secondary-reinfer-interval has no effect with network-type=100: every person is inferred in every frame",
            "remove it, or use network-type=1 with it",
            (RemoveLine(line),),
        )
    elif kind == 1 and interval == 0:
        line = config.line("secondary-reinfer-interval")
        cause = (
            "secondary-reinfer-interval=0 with network-type=1 infers every person in every frame, like network-type=100"
        )
        cure = "set the number of frames between two embeddings of a track"
        yield Finding(config.file.path, line, Severity.NOTE, "interval-ignored", cause, cure)
    if config.integer("interval"):
        line = config.line("interval")
        yield Finding(
            config.file.path,
            line,
            Severity.WARNING,
            "interval-ignored",
            "interval skips whole frames and works with process-mode=1 only; a secondary network ignores it",
            "remove it; secondary-reinfer-interval with network-type=1 embeds less often",
            (RemoveLine(line),),
        )


def crops(config: InferenceFile) -> Iterator[Finding]:
    """How the crop becomes the network's input, and which people are left out."""
    scaling = config.integer("scaling-filter")
    if scaling in (None, 0, 6):
        said = "missing, and nvinfer's default is" if scaling is None else f"{scaling},"
        what = "nearest neighbour" if scaling in (None, 6) else SCALING_FILTERS[0]
        yield _finding(
            config,
            "scaling-filter",
            Severity.WARNING,
            "nearest-scaling",
            f"scaling-filter is {said} {what}: crops get jagged, and networks were trained on bilinear ones",
            "1",
        )
    if config.truth("maintain-aspect-ratio"):
        yield _finding(
            config,
            "maintain-aspect-ratio",
            Severity.WARNING,
            "crop-padding",
            "maintain-aspect-ratio=1 pads the crop with black; Re-ID networks are trained on stretched crops",
            "0",
        )
    width, height = config.integer("input-object-min-width"), config.integer("input-object-min-height")
    for key, value, limit in (
        ("input-object-min-width", width, _WIDE),
        ("input-object-min-height", height, _TALL),
    ):
        if value is not None and value >= limit:
            people = f"{value / 0.4:.0f} pixels tall" if "width" in key else f"{value} pixels"
            yield Finding(
                config.file.path,
                config.line(key),
                Severity.WARNING,
                "min-object-size",
                f"{key}={value} leaves people below about {people} (in the mux's frame) without any embedding",
                "lower it (16 wide, 32 tall), or be sure that smaller people do not matter",
                set_key(config, key, "16" if "width" in key else "32"),
            )
    if width is None and height is None:
        yield Finding(
            config.file.path,
            config.line("input-object-min-height"),
            Severity.WARNING,
            "min-object-size",
            "no smallest object size is set: crops of a few pixels get embeddings that resemble everybody",
            "set input-object-min-width=16 and input-object-min-height=32",
            (
                *set_key(config, "input-object-min-width", "16"),
                *set_key(config, "input-object-min-height", "32"),
            ),
        )
    for side in ("width", "height"):
        low, high = config.integer(f"input-object-min-{side}"), config.integer(f"input-object-max-{side}")
        if low and high and high < low:
            key = f"input-object-max-{side}"
            cause = f"{key}={high} is below input-object-min-{side}={low}: nobody is embedded"
            cure = "remove it, or make it larger than the smallest size"
            yield Finding(
                config.file.path,
                config.line(key),
                Severity.ERROR,
                "max-object-size",
                cause,
                cure,
                (RemoveLine(config.line(key)),),
            )


def batching(config: InferenceFile) -> Iterator[Finding]:
    """How many crops go into one inference."""
    if config.integer("batch-size") in (None, 1):
        cause = "batch-size is 1 (the default): every person is an inference of its own, which is many times slower"
        cure = "set batch-size to the usual number of people in all frames of a batch, and rebuild the engine"
        line = config.line("batch-size")
        yield Finding(config.file.path, line, Severity.WARNING, "batch-of-one", cause, cure)


def identifiers(config: InferenceFile) -> Iterator[Finding]:
    """The network's own id; what it must match in the detector's file is compared when both are given."""
    if "gie-unique-id" not in config.keys:
        yield _finding(
            config,
            "gie-unique-id",
            Severity.ERROR,
            "unique-id",
            "gie-unique-id is missing: nvinfer stops with 'Unique ID not set', and nobody can tell networks apart",
            "2",
        )


def _finding(config: InferenceFile, key: str, severity: Severity, code: str, cause: str, value: str) -> Finding:
    """A flaw whose cure is one key with one value."""
    edits: tuple[Edit, ...] = set_key(config, key, value)
    return Finding(config.file.path, config.line(key), severity, code, cause, f"set {key}={value}", edits)
