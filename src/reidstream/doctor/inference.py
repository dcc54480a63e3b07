"""ONNX Runtime, the models, and decoding video: each by really doing it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from reidstream.doctor.report import Question, Result, Status
from reidstream.errors import DeviceError, ReIDStreamError

_FRAMES = 12


def providers(question: Question) -> Result:
    """Which ONNX Runtime there is, and what keeps it from the configured device."""
    from reidstream.runtime import missing_for_cuda, missing_for_decoding, onnxruntime, see_only

    device = question.config.local.device
    try:
        see_only(device, question.config.local.gpus)
    except DeviceError as error:
        return Result(Status.FAILURE, str(error), "name other GPUs, or unset CUDA_VISIBLE_DEVICES")
    module = onnxruntime()
    found = f"{module.__version__} with {', '.join(module.get_available_providers())} ({Path(module.__file__).parent})"
    if device == "cuda" and (missing := missing_for_cuda()):
        words = "; ".join(part.what for part in missing)
        return Result(Status.FAILURE, f"{found}; {words}", "; ".join(part.remedy for part in missing))
    if device == "cuda" and question.config.local.decode == "auto" and (without := missing_for_decoding()):
        return Result(Status.WARNING, f"{found}; {without.what}: video is decoded on the processor", without.remedy)
    return Result(Status.OK, f"{found}; {device} is asked for")


def models(question: Question) -> Result:
    """The embedded models by checksum, and the two models of the configuration by a real run."""
    import numpy as np

    from reidstream.inference.factory import open_detector, open_embedder
    from reidstream.models.manifest import PACKAGE_MANIFEST, read_manifest
    from reidstream.models.resolving import resolve_entry, resolve_model
    from reidstream.sources.frame import ArrayPicture

    checked = []
    config = question.config
    # What DeepStream runs itself is tried on the processor: a model that is wrong is wrong everywhere.
    device = config.local.device if question.engine == "local" else "cpu"
    half = device == "cuda" and config.local.half
    noise = np.random.default_rng(7).integers(0, 256, (2, 128, 64, 3), dtype=np.uint8)
    try:
        for entry in read_manifest(PACKAGE_MANIFEST).values():
            if entry.spec.file is not None and (PACKAGE_MANIFEST.parent / entry.spec.file).is_file():
                resolve_entry(entry)
                checked.append(entry.spec.name)
        embedder = open_embedder(resolve_model(config.embedding.model, "reid"), config.embedding, device, half=half)
        vectors = embedder.embed([noise[0], noise[1] // 2])
        detector = open_detector(resolve_model(config.detector.model, "detector"), config.detector, device)
        detector.detect([ArrayPicture(noise[0])])
    except DeviceError as error:
        return Result(Status.FAILURE, str(error), "the lines on ONNX Runtime and CUDA say what to do; or use the CPU")
    except ReIDStreamError as error:
        return Result(Status.FAILURE, str(error), "reidstream models list shows which models are at hand")
    lengths = np.linalg.norm(vectors, axis=1)
    if not np.allclose(lengths, 1, atol=1e-3):
        return Result(Status.FAILURE, f"{embedder.space.model} gave vectors of length {lengths.round(3).tolist()}")
    if float(vectors[0] @ vectors[1]) > 0.999:
        return Result(Status.FAILURE, f"{embedder.space.model} gives the same vector for different pictures")
    embedded = f"{len(checked)} embedded models have the right checksum" if checked else "no embedded models"
    where = f"{device} in fp16" if half else device
    return Result(Status.OK, f"{embedded}; {embedder.space.model} embeds ({embedder.space.size} numbers) on {where}")


def video(question: Question) -> Result:
    """A few frames of H.264 and MJPEG, encoded and decoded again on the CPU; HEVC's decoder is looked for."""
    import av

    with tempfile.TemporaryDirectory() as folder:
        for codec in ("libx264", "mjpeg"):
            clip = Path(folder) / f"{codec}.mkv"
            if not write_clip(clip, codec):
                continue
            with av.open(str(clip)) as container:
                decoded = sum(1 for _ in container.decode(video=0))
            if decoded != _FRAMES:
                return Result(Status.FAILURE, f"{codec}: {decoded} of {_FRAMES} frames were decoded")
    missing = [name for name in ("h264", "hevc", "mjpeg") if name not in av.codecs_available]
    if missing:
        return Result(Status.FAILURE, f"PyAV {av.__version__} has no decoder for {', '.join(missing)}")
    return Result(Status.OK, f"PyAV {av.__version__} decodes H.264, HEVC and MJPEG")


def write_clip(path: Path, codec: str) -> bool:
    """A clip of a few grey frames; False when this build of FFmpeg has no such encoder."""
    import av
    import numpy as np

    if codec not in av.codecs_available:
        return False
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = 320, 240
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for index in range(_FRAMES):
            frame = av.VideoFrame.from_ndarray(np.full((240, 320, 3), 10 * index, np.uint8), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return True
