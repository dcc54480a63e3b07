"""Every known error line is recognised, and a log is explained by the lines that matter."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from reidstream.cli.app import app
from reidstream.doctor.lines import KNOWN_LINES, KnownLine
from reidstream.doctor.log import explained, known_line, speaker
from reidstream.errors import ReIDStreamError

GUIDE_LINES = {
    "error: externally-managed-environment": "externally-managed",
    "× This environment is externally managed": "externally-managed",
    "ModuleNotFoundError: No module named 'scipy'": "torchreid-undeclared",
    "ModuleNotFoundError: No module named 'cv2'": "torchreid-undeclared",
    "ModuleNotFoundError: No module named 'tensorboard'": "torchreid-undeclared",
    "ModuleNotFoundError: No module named 'onnxscript'": "torchreid-undeclared",
    "ModuleNotFoundError: No module named 'gdown'": "torchreid-undeclared",
    "[E] Failed to open file: /path/to/osnet_x1_0.onnx.data": "weights-file",
    "Backend has maxBatchSize 1 whereas 16 has been requested": "engine-batch",
    "[E] deserialized backend context failed to match config params": "engine-params",
    "Failed to open file: models/osnet/osnet_x1_0.onnx": "no-onnx",
    "Failed to create NvDsInferContext instance": "context-failed",
    "Kernel died": "kernel-died",
}
"""What the notebook-style guide lists under troubleshooting."""


FORMS = (
    ("Failed to initialize NVML: Driver/library version mismatch", "driver-changed"),
    (
        'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].',
        "no-nvidia-runtime",
    ),
    ("Failed to open .onnx.data", "weights-file"),
    ("[11/02/2026-10:11:12] [E] Failed to open file: osnet_x1_0.onnx.data", "weights-file"),
    ("maxBatchSize 1 whereas 16 requested", "engine-batch"),
    ("Failed to create NvDsInferContext", "context-failed"),
    ("Error. Invalid value for scaling-filter:'9'", "bad-value"),
    ("Error: Negative value specified for input-object-min-width (-1)", "bad-value"),
    ("Error: gie-unique-id (0) should be > 0", "bad-value"),
    ("Error: Could not parse model engine file path", "path-of-key"),
    ("Warn: 'enable-dbscan' parameter has been deprecated. Use 'cluster-mode' instead.", "deprecated-key"),
    ("Could not open mean image file '/m/mean.ppm'", "mean-file"),
    ("Not inferring on batch since it's size(32) exceeds max batch size(16)", "larger-batch"),
    ("Error: Invalid gpu device ID (1). CUDA device count (1)", "gpu-of-key"),
    ("Frame number in input batch exceeds maximum batch size", "tracker-batch"),
    ("gstnvtracker: Source id 5 is not mapped to any sub-batch !! Check configuration.", "tracker-batch"),
    ("gstnvtracker: Successfully removed stream 1.", "source-goes"),
    ("ValueError: Batch size 50000 exceeds maximum batch size 5461", "chroma-batch"),
    ("Resetting source 3, attempts: 2", "rtsp-silent"),
    ("ModuleNotFoundError: No module named 'ultralytics'", "no-module"),
    ("No module named 'supervision'", "no-module"),
    ("/usr/bin/python3: No module named pip", "no-module"),
    ("ImportError: No module named pyds", "no-pyds"),
    ("[TRT]: CUDA initialization failure with error: 35", "driver-too-old"),
    (
        "createInferRuntime: Error Code 6 (CUDA initialization failure with error: 100)",
        "no-gpu-in-container",
    ),
    ("ERROR: [TRT]: 1: [runner.cpp] Error Code 1: Cuda Runtime (out of memory)", "trt-memory"),
    (
        "ERROR: [TRT]: 10: Error Code 10: Internal Error (Could not find any implementation for node n.)",
        "trt-no-tactic",
    ),
    ("Could not find NMS layer buffer while parsing", "custom-library"),
    ("ERROR: dlsym failed to get func NvDsInferParseYolo pointer", "custom-library"),
    ("nvbufsurftransform: Could not get EGL display connection", "egl-display"),
    ("Error: Could not initialise X output", "egl-display"),
    ("Unable to init server: Could not connect: cannot open display: :0", "egl-display"),
    ("Unauthorized (401)", "rtsp-login"),
    ("Could not open resource: Not found (404) rtsp://h/x", "rtsp-not-found"),
    ("gst-resource-error-quark: Could not open resource for reading and writing. (7)", "rtsp-unreachable"),
    ("Unsupported model IR version: 11, max supported IR version: 9", "ort-ir-version"),
    ("InvalidArgumentError: Collection expecting embedding with dimension of 512, got 256", "chroma-dimension"),
    (
        "chromadb.errors.InvalidDimensionException: Dimension 256 does not match collection dimensionality 512",
        "chroma-dimension",
    ),
    ("sqlite3.OperationalError: database table is locked", "database-locked"),
    (
        "Query error: Database error: (code: 1032) attempt to write a readonly database",
        "database-readonly",
    ),
    ("Segmentation fault", "kernel-died"),
    ("Bus error", "shared-memory"),
    ("write error: No space left on device", "disk-full"),
    ("AttributeError: _ARRAY_API not found", "numpy-abi"),
    ("RuntimeError: module compiled against API version 0x10 but this version of numpy is 0xf", "numpy-abi"),
    ("Unknown key 'enable-past-frame' for group [tracker]", "app-unknown-key"),
    ("RuntimeError: CUDA out of memory. Tried to allocate 20.00 MiB", "torch-memory"),
    ("/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by pyds.so)", "libstdcxx-old"),
    ("OSError: libpython3.10.so.1.0: cannot open shared object file", "pyds-python"),
    (
        "gstnvtracker: Failed to open low-level lib: libmosquitto.so.1: cannot open shared object file",
        "mosquitto",
    ),
    ("Your GStreamer installation is missing a plug-in.", "no-decoder"),
    ('no element "nvstreammux"', "no-element"),
    ('no element "x264enc"', "gst-no-element"),
    ("terminate called after throwing an instance of 'std::bad_alloc'", "no-memory"),
    ("Configuration file parsing failed", "parsing-failed"),
    ("ERROR: Failed to parse onnx file", "onnx-parse"),
    ("ERROR: failed to build network.", "engine-build-failed"),
    ("** ERROR: <create_primary_gie_bin:74>: Failed to create 'primary_gie'", "app-element"),
    ("gstnvinfer error: NvDsInfer Error: NVDSINFER_TENSORRT_ERROR", "context-failed"),
    ("Running with error NVDSINFER_CUDA_ERROR", "nvinfer-error"),
    ("[NvMultiObjectTracker] Initialized", "tracker-good"),
    ("Failed to load plugin 'libnvdsgst_inferserver.so': libtritonserver.so: cannot open", "gst-optional-plugin"),
    ("Warning: gst-library-error-quark: NvInfer output-coverage: Num classes mismatch. Configured:2", "class-count"),
)
"""Lines as programs of this kind print them, in short and in long forms, and the entry that has to explain each."""

PREFIXES = (
    "",
    "0:00:04.190671534  4711 0x5581e0 ERROR        nvinfer gstnvinfer.cpp:676:gst_nvinfer_logger:<secondary_gie> ",
    "[11/02/2026-10:11:12] [E] ",
    "2026-11-02T10:11:12.123456Z stderr F ",
    "ds-app-1  | 10:11:12,123 ERROR ",
    "\x1b[31;1m",
    "\x1b[38;5;9m",
)

GOOD = (
    "INFO: [FullDims Engine Info]: layers num: 2",
    "frame 401 of 1401: 5 people, 60 frames/s",
    "Successfully installed reidstream-0.1.0",
    '10.0.0.7 - "GET /favicon.ico HTTP/1.1" 404 Not Found',
    '10.0.0.7 - "GET /people HTTP/1.1" 401 Unauthorized',
    "INFO: Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)",
    "Collecting onnxruntime==1.20",
    "Requirement already satisfied: numpy in ./.venv/lib/python3.11/site-packages",
    "0   INPUT  kFLOAT input           3x256x128       min: 1x3x256x128     opt: 16x3x256x128    Max: 16x3x256x128",
    "&&&& PASSED TensorRT.trtexec [TensorRT v100900]",
    "[I] Engine built in 35.1 sec.",
    "[I] Created engine with size: 5.1 MiB",
    "[I] [TRT] Loaded engine size: 5 MiB",
    "[I] [TRT] [MemUsageChange] TensorRT-managed allocation: CPU +0, GPU +12, now: CPU 0, GPU 20 (MiB)",
    "Setting pipeline to PLAYING ...",
    "New clock: GstSystemClock",
    "nvstreammux: Successfully handled EOS for source_id=0",
    'Successfully loaded pretrained weights from "osnet_x1_0_market.pth"',
    "reidstream run: 12 tracklets stored, 0 errors",
    "Copying models/osnet_x1_0.onnx to /models",
    "json.decoder.JSONDecodeError: Expecting value: line 1 column 1",
    "killed 3 stale workers",
    "exported 3 files of external videos",
    "docker compose up",
    "tracker config loaded",
    "memory: 401 MiB",
    "Error Code: 0",
    "WARNING: 5 people had no embedding",
    "Downloading torch-2.5.1-cp312-cp312-manylinux1_x86_64.whl (906.5 MB)",
)
"""Lines of good runs, some with words or numbers that stand in error lines, too."""


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(("line", "id"), FORMS)
def test_a_line_is_known_in_each_of_its_forms(line: str, id: str, prefix: str) -> None:
    colour = "\x1b[0m" if "\x1b" in prefix else ""
    found = known_line(f"{prefix}{line}{colour}\r\n")
    assert found is not None and found.id == id


@pytest.mark.parametrize("line", GOOD)
def test_no_alarm_about_lines_of_good_runs(line: str) -> None:
    found = known_line(line)
    assert found is None or found.harmless


def test_the_shells_bare_word_is_known_only_when_it_stands_alone() -> None:
    found = known_line("./run.sh: line 3: 4711 Killed")
    assert found is not None and found.id == "killed-memory"
    assert known_line("2026-11-02 [INFO] Killed two stale sessions") is None


def test_colours_inside_a_word_are_taken_out() -> None:
    found = known_line("Back\x1b[1mend\x1b[0m has max\x1b[31mBatchSize 1\x1b[0m whereas 16 has been requested")
    assert found is not None and found.id == "engine-batch"


@pytest.mark.parametrize(
    ("line", "element"),
    [
        ("gstnvinfer.cpp:635:gst_nvinfer_logger:<primary_gie> NvDsInferContext[UID 1]: Warning", "primary_gie"),
        ("ERROR: from element /GstPipeline:pipeline0/GstNvTracker:tracker: Failed", "tracker"),
        ("WARNING from rtspsrc: Could not read from resource", "rtspsrc"),
        ("gstnvtracker: Failed to open low-level lib", "gstnvtracker"),
        ("NvDsInferContextImpl::initialize() [UID = 2]: Failed", "nvinfer (gie-unique-id 2)"),
        ("Segmentation fault (core dumped)", None),
    ],
)
def test_the_element_that_said_it_is_taken_from_the_line(line: str, element: str | None) -> None:
    assert (speaker(line) or "").startswith(element or "") and (speaker(line) is None) == (element is None)


def test_the_same_error_of_two_networks_is_explained_for_each() -> None:
    lines = [f"NvDsInferContext[UID {network}]: Backend has maxBatchSize 1 whereas 16 requested" for network in (1, 2)]
    assert [(one.known.id, one.count) for one in explained(lines)] == [("engine-batch", 1)] * 2


@pytest.mark.shared
def test_lines_of_public_reports_are_all_known(shared_data: Path) -> None:
    lines = (shared_data.parent / "cases" / "log_lines.txt").read_text().splitlines()
    unknown = [line for line in lines if known_line(line) is None]
    assert not unknown
    harmless = {found.id for line in lines if (found := known_line(line)) is not None and found.harmless}
    assert harmless == {"tracker-good", "gst-optional-plugin"}


@pytest.mark.parametrize("known", KNOWN_LINES, ids=lambda known: known.id)
def test_each_entry_explains_its_own_sample(known: KnownLine) -> None:
    found = known_line(known.sample)
    assert found is not None and found.id == known.id
    assert known.cause.endswith(".") and known.cure.endswith(".")


def test_entries_have_names_of_their_own() -> None:
    assert len({known.id for known in KNOWN_LINES}) == len(KNOWN_LINES)


@pytest.mark.parametrize(("line", "id"), GUIDE_LINES.items())
def test_the_guides_own_errors_are_known(line: str, id: str) -> None:
    found = known_line(line)
    assert found is not None and found.id == id


@pytest.mark.parametrize(
    "line",
    [
        "",
        "frame 100: 5 people, 60 frames/s",
        "Successfully installed reidstream-0.1.0",
    ],
)
def test_lines_of_a_good_run_are_left_alone(line: str) -> None:
    assert known_line(line) is None


def test_a_log_is_explained_in_its_own_order_with_counts() -> None:
    log = """0:00:01.2 nvinfer gstnvinfer.cpp:682: WARNING
\x1b[33mUnknown or legacy key specified 'batchsize' for group [property]\x1b[0m
WARNING: Backend has maxBatchSize 1 whereas 16 has been requested
WARNING: Backend has maxBatchSize 1 whereas 16 has been requested
error: Failed to create NvDsInferContext instance
"""
    found = explained(log.splitlines())
    assert [(one.known.id, one.line, one.count) for one in found] == [
        ("unknown-key", 2, 1),
        ("engine-batch", 3, 2),
        ("context-failed", 5, 1),
    ]
    assert "\x1b" not in found[0].text


@given(st.lists(st.text(max_size=80), max_size=5))
def test_any_text_can_be_read(lines: list[str]) -> None:
    explained(lines)


def test_patterns_do_not_run_away_on_long_lines() -> None:
    for known in KNOWN_LINES:
        re.compile(known.pattern)
    explained(["external data " * 20_000, "deserialize " * 20_000, "weights saved to " * 20_000])


def test_the_command_reads_files_and_standard_input(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_bytes(b"\xff\xfe junk\nUnique ID not set\n")
    runner = CliRunner()
    result = runner.invoke(app, ["doctor", "log", str(log)])
    assert result.exit_code == 0
    assert "line 2: Unique ID not set" in result.stdout and "gie-unique-id" in result.stdout
    result = runner.invoke(app, ["doctor", "log", "-", "--json"], input="Unique ID not set\n")
    assert [entry["id"] for entry in json.loads(result.stdout)] == ["unique-id"]
    result = runner.invoke(app, ["doctor", "log", "-"], input="all is well\n")
    assert "no line of this log is known" in result.stdout


def test_a_log_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReIDStreamError, match="cannot be read"):
        CliRunner().invoke(app, ["doctor", "log", str(tmp_path / "absent")], catch_exceptions=False)
