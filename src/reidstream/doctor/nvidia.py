"""NVIDIA's driver, CUDA, NVDEC, TensorRT, DeepStream and what its metadata are read with.

What belongs together: DeepStream 8.0 is built on CUDA 12.8 and TensorRT 10.9 (x86; 10.13 on Jetson), and pyds 1.2.2
is its binding (NVIDIA-AI-IOT/deepstream_dockers, tag ds8.0). CUDA 12.8 wants a driver of branch 570 or newer (CUDA
toolkit release notes).
"""

from __future__ import annotations

import re
import resource
import shutil
import tempfile
from importlib import metadata
from pathlib import Path

from reidstream.doctor.child import ask_python, run
from reidstream.doctor.report import Question, Result, Status

SDK = Path("/opt/nvidia/deepstream/deepstream")
TRTEXEC = Path("/usr/src/tensorrt/bin/trtexec")
PYDS_FOR = {"7.1": "1.2.0", "8.0": "1.2.2"}
"""Which pyds belongs to which DeepStream."""
_OLDEST_DRIVER = 570
DECODERS = ("nvv4l2decoder", "nvh264dec")
"""DeepStream's element for NVDEC, and GStreamer's own."""

_CUDA = """
import ctypes, json
try:
    cuda = ctypes.CDLL("libcuda.so.1")
except OSError as error:
    print(json.dumps({"absent": str(error)})); raise SystemExit
code = cuda.cuInit(0)
version, count = ctypes.c_int(), ctypes.c_int()
cuda.cuDriverGetVersion(ctypes.byref(version))
if code == 0:
    cuda.cuDeviceGetCount(ctypes.byref(count))
libraries = {}
for name in ("libcudart.so.12", "libcudart.so.13", "libcudnn.so.9"):
    try:
        ctypes.CDLL(name); libraries[name] = True
    except OSError:
        libraries[name] = False
print(json.dumps({"code": code, "version": version.value, "count": count.value, "libraries": libraries}))
"""
_TENSORRT = """
import ctypes, json
for name in ("libnvinfer.so.10", "libnvinfer.so"):
    try:
        library = ctypes.CDLL(name)
    except OSError:
        continue
    print(json.dumps({"version": library.getInferLibVersion()})); raise SystemExit
print(json.dumps({"absent": True}))
"""
_PYDS = """
import json
try:
    import pyds
except ImportError as error:
    print(json.dumps({"absent": str(error)})); raise SystemExit
import numpy
print(json.dumps({"file": pyds.__file__, "version": getattr(pyds, "__version__", ""), "numpy": numpy.__version__,
                  "terminated": hasattr(pyds, "NvDsTargetMiscDataBatch")}))
"""
_METADATA = """
import json
from reidstream.engines.deepstream.metadata import open_bindings
from reidstream.errors import ReIDStreamError
try:
    library = open_bindings("memory")
except ReIDStreamError as error:
    print(json.dumps({"absent": str(error)})); raise SystemExit
print(json.dumps({"file": library.name, "versions": library.layout.versions}))
"""
_NVDEC = """
import json, sys
try:
    import gi
    gi.require_version("Gst", "1.0")
    from gi.repository import Gst
except (ImportError, ValueError) as error:
    print(json.dumps({"absent": f"GStreamer cannot be asked ({error})"})); raise SystemExit
Gst.init(None)
decoder = next((name for name in sys.argv[2:] if Gst.ElementFactory.find(name)), None)
if decoder is None:
    print(json.dumps({"absent": "no " + " and no ".join(sys.argv[2:])})); raise SystemExit
pipeline = Gst.parse_launch(
    "filesrc location=" + sys.argv[1] + " ! matroskademux ! h264parse ! " + decoder + " ! fakesink name=out sync=0")
frames = [0]
pipeline.get_by_name("out").get_static_pad("sink").add_probe(
    Gst.PadProbeType.BUFFER, lambda pad, info: (frames.__setitem__(0, frames[0] + 1), Gst.PadProbeReturn.OK)[1])
pipeline.set_state(Gst.State.PLAYING)
message = pipeline.get_bus().timed_pop_filtered(15 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
error = "no end of stream" if message is None else (
    message.parse_error()[0].message if message.type == Gst.MessageType.ERROR else "")
pipeline.set_state(Gst.State.NULL)
print(json.dumps({"decoder": decoder, "frames": frames[0], "failed": error}))
"""


def driver(question: Question) -> Result:
    """The driver's version and the GPUs."""
    answer = run(["nvidia-smi", "--query-gpu=driver_version,name,memory.total", "--format=csv,noheader"])
    if "error" in answer:
        if Path("/proc/driver/nvidia/version").exists():
            return Result(Status.FAILURE, f"the kernel has NVIDIA's driver, but nvidia-smi says: {answer['error']}")
        return Result(Status.ABSENT, f"no NVIDIA driver ({answer['error']})")
    gpus = [[part.strip() for part in line.split(",")] for line in answer["output"].splitlines() if "," in line]
    if not gpus:
        return Result(
            Status.FAILURE, "the driver is there, but no GPU is visible", "start the container with --gpus all"
        )
    version = gpus[0][0]
    found = f"{version}; " + ", ".join(f"{gpu[1]} ({gpu[2]})" for gpu in gpus if len(gpu) > 2)
    major = re.match(r"\d+", version)
    if major and int(major[0]) < _OLDEST_DRIVER:
        return Result(
            Status.WARNING, found, f"CUDA 12.8 (DeepStream 8.0) wants driver {_OLDEST_DRIVER} or newer: update it"
        )
    return Result(Status.OK, found)


def cuda(question: Question) -> Result:
    """CUDA by initialising it. Which libraries the system has is told only: ONNX Runtime may have its own."""
    answer = ask_python(_CUDA)
    if "absent" in answer:
        return Result(Status.ABSENT, "no CUDA driver library (libcuda.so.1)")
    if "error" in answer:
        return Result(Status.FAILURE, answer["error"])
    if answer["code"] != 0 or not answer["count"]:
        return Result(Status.FAILURE, f"cuInit answers {answer['code']}, {answer['count']} devices")
    version = f"{answer['version'] // 1000}.{answer['version'] % 1000 // 10}"
    there = [name for name, found in answer["libraries"].items() if found]
    found = f"CUDA {version} of the driver, {answer['count']} devices; of the system: {', '.join(there) or 'none'}"
    return Result(Status.OK, found)


def nvdec(question: Question) -> Result:
    """A clip decoded by the GPU, through DeepStream's element or GStreamer's own."""
    from reidstream.doctor.inference import write_clip

    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mkv"
        if not write_clip(clip, "libx264"):
            return Result(Status.ABSENT, "no H.264 encoder to make a clip with")
        answer = ask_python(f"import sys; sys.argv = {['', str(clip), *DECODERS]!r}\n{_NVDEC}", 60)
    if "absent" in answer:
        return Result(Status.ABSENT, answer["absent"])
    if "error" in answer:
        return Result(Status.FAILURE, answer["error"])
    if answer["failed"] or not answer["frames"]:
        return Result(Status.FAILURE, f"{answer['frames']} frames decoded, {answer['failed'] or 'no error'}")
    return Result(Status.OK, f"{answer['decoder']} decoded {answer['frames']} frames")


def tensorrt(question: Question) -> Result:
    """TensorRT's library, and trtexec, which `reidstream models build` runs."""
    answer = ask_python(_TENSORRT)
    program = shutil.which("trtexec") or (str(TRTEXEC) if TRTEXEC.is_file() else None)
    if "version" not in answer:
        if program is not None:
            return Result(Status.FAILURE, f"trtexec is at {program}, but its library libnvinfer cannot be loaded")
        return Result(Status.ABSENT, "no TensorRT (libnvinfer)")
    number = int(answer["version"])
    # 10.9.0 counts as 100900, as in NvInferVersion.h of TensorRT 10.
    version = f"{number // 10000}.{number % 10000 // 100}.{number % 100}"
    if program is None:
        return Result(Status.WARNING, f"{version}, but no trtexec", "apt-get install libnvinfer-bin")
    return Result(Status.OK, f"{version}, trtexec at {program}")


def deepstream(question: Question) -> Result:
    """The SDK's own version file."""
    version = deepstream_version()
    if version is None:
        return Result(Status.ABSENT, f"no DeepStream in {SDK}")
    if not version.startswith("8.0"):
        found = f"DeepStream {version}; this engine is written for 8.0"
        return Result(Status.WARNING, found, "use NVIDIA's image deepstream:8.0-samples-multiarch")
    return Result(Status.OK, f"DeepStream {version} in {SDK}")


def metadata_access(question: Question) -> Result:
    """What metadata will be read with: pyds, or NVIDIA's library, as ``deepstream.metadata`` says."""
    kind = question.config.deepstream.metadata
    result = _in_memory() if kind == "memory" else _pyds()
    if kind == "auto" and result.status is Status.ABSENT:
        other = _in_memory()
        return Result(other.status, f"{result.found}; {other.found}")
    return result


def _in_memory() -> Result:
    answer = ask_python(_METADATA)
    if "error" in answer:
        return Result(Status.FAILURE, f"trying out NVIDIA's metadata library ends the process: {answer['error']}")
    if "absent" in answer:
        return Result(Status.ABSENT, answer["absent"])
    found = f"metadata are read out of memory: {answer['file']} has the structures of DeepStream {answer['versions']}"
    return Result(Status.OK, found)


def _pyds() -> Result:
    """NVIDIA's Python bindings, and whether they are those of this DeepStream."""
    answer = ask_python(_PYDS)
    if "absent" in answer:
        return Result(Status.ABSENT, f"pyds cannot be imported ({answer['absent']})")
    if "error" in answer:
        return Result(Status.FAILURE, f"importing pyds ends the process: {answer['error']}")
    try:
        version = metadata.version("pyds")
    except metadata.PackageNotFoundError:
        version = str(answer["version"])
    found = f"pyds {version or 'of unknown version'} with NumPy {answer['numpy']}"
    sdk = (deepstream_version() or "")[:3]
    wanted = PYDS_FOR.get(sdk)
    if wanted is not None and version and version != wanted:
        found += f", but DeepStream {sdk} wants pyds {wanted}: structures differ, and reading them may crash"
        return Result(Status.FAILURE, found, "install that one, or set deepstream.metadata=memory")
    if not answer["terminated"]:
        return Result(Status.WARNING, f"{found} cannot read terminated tracks; they are closed by time-out")
    return Result(Status.OK, found)


def address_space(question: Question) -> Result:
    """A limit of address space (``ulimit -v``), which nvtracker's lists of ended tracks, and CUDA itself, run into."""
    from reidstream.engines.deepstream.files.nvtracker_config import BATCHES_HELD, reserved_for_ended, says_which_ended

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    deepstream = question.config.deepstream
    batch = deepstream.mux.batch or max(1, len(question.config.sources))
    reserved = reserved_for_ended(BATCHES_HELD, batch, deepstream.tracker.max_targets)
    if not says_which_ended(question.config, batch):
        reserved = 0
    needed = f"nvtracker reserves {reserved / 2**30:.1f} GiB for lists of ended tracks (batch {batch})"
    if limit == resource.RLIM_INFINITY:
        return Result(Status.OK, f"no limit of address space; {needed}")
    found = f"address space is limited to {limit / 2**30:.1f} GiB, and {needed}; CUDA wants as much as there is memory"
    # Where the lists alone do not fit, the tracker cannot start.
    return Result(Status.FAILURE if limit <= reserved else Status.WARNING, found)


def deepstream_version() -> str | None:
    """ "8.0.0" or the like from the SDK's version file, None when there is no SDK."""
    try:
        text = (SDK / "version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    match = re.search(r"(\d+\.\d+(?:\.\d+)?)", text)
    return match[1] if match else "of unknown version"
