"""Every flaw that the checker knows, each on a file that is otherwise right."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reidstream.engines.deepstream.checking import Finding, Severity, check_files, check_parsed, corrected
from reidstream.engines.deepstream.checking.codes import CODES
from reidstream.engines.deepstream.checking.config_file import parse_config, read_config_file
from reidstream.engines.deepstream.checking.findings import RemoveLine, SetLine
from reidstream.engines.deepstream.checking.fixing import apply_edits
from reidstream.engines.deepstream.keys.nvinfer import CLASS_KEYS, PROPERTY_KEYS

Writer = Callable[..., Path]

PGIE = {
    "gpu-id": "0",
    "onnx-file": "detector.onnx",
    "model-engine-file": "detector.onnx_b1_gpu0_fp16.engine",
    "labelfile-path": "labels.txt",
    "batch-size": "1",
    "network-mode": "2",
    "num-detected-classes": "4",
    "model-color-format": "1",
    "gie-unique-id": "1",
    "process-mode": "1",
    "network-type": "0",
    "cluster-mode": "2",
    "custom-lib-path": "parser.so",
    "parse-bbox-func-name": "Parse",
}
SGIE = {
    "gpu-id": "0",
    "onnx-file": "reid.onnx",
    "model-engine-file": "reid.onnx_b16_gpu0_fp16.engine",
    "infer-dims": "3;64;32",
    "batch-size": "16",
    "network-mode": "2",
    "net-scale-factor": "1",
    "gie-unique-id": "2",
    "process-mode": "2",
    "network-type": "100",
    "output-tensor-meta": "1",
    "operate-on-gie-id": "1",
    "operate-on-class-ids": "2",
    "scaling-filter": "1",
    "input-object-min-width": "16",
    "input-object-min-height": "32",
}
TRACKER = """%YAML:1.0
BaseConfig:
  minDetectorConfidence: 0.1
TargetManagement:
  maxTargetsPerStream: 150
  maxShadowTrackingAge: 30  # frames
  outputTerminatedTracks: 1
StateEstimator:
  stateEstimatorType: 1
"""
PROPERTIES = "[tracker]\ntracker-width=960\nll-lib-file=parser.so\nll-config-file=tracker.yml\n"


@dataclass(frozen=True)
class Site:
    """A folder in which everything that the configurations name exists."""

    folder: Path
    write_reid: Writer = field(repr=False)

    def ini(self, name: str, keys: dict[str, str | None], extra: str = "") -> Path:
        lines = [f"{key}={value}" for key, value in keys.items() if value is not None]
        return self.text(name, "\n".join(["[property]", *lines]) + "\n" + extra)

    def pgie(self, changes: dict[str, str | None] | None = None, extra: str = "") -> Path:
        return self.ini("pgie.txt", PGIE | (changes or {}), extra)

    def sgie(self, changes: dict[str, str | None] | None = None, extra: str = "") -> Path:
        return self.ini("sgie.txt", SGIE | (changes or {}), extra)

    def text(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def check(self, *paths: Path) -> list[Finding]:
        """The findings without those that are about absolute engine paths, which this folder has none of."""
        return [f for f in check_files(paths) if f.code != "engine-name"]


def prepared_site(folder: Path, write_reid: Writer, write_detector: Writer) -> Site:
    """A site in an empty folder."""
    write_reid(folder / "reid.onnx")
    write_detector(folder / "detector.onnx", classes=("car", "bicycle", "person", "roadsign"))
    (folder / "labels.txt").write_text("car\nbicycle\nperson\nroadsign\n")
    (folder / "parser.so").write_bytes(b"")
    (folder / "tracker.yml").write_text(TRACKER)
    return Site(folder, write_reid)


@pytest.fixture
def site(tmp_path: Path, write_reid: Writer, write_detector: Writer) -> Site:
    return prepared_site(tmp_path, write_reid, write_detector)


def _codes(findings: Sequence[Finding]) -> set[str]:
    return {finding.code for finding in findings}


def _one(findings: Sequence[Finding], code: str) -> Finding:
    found = [finding for finding in findings if finding.code == code]
    assert len(found) == 1, f"{code} expected once, found {findings}"
    return found[0]


def test_right_files_have_nothing_wrong(site: Site) -> None:
    findings = check_files([site.pgie(), site.sgie(), site.folder / "tracker.yml", site.text("t.txt", PROPERTIES)])
    # The tracker's properties count from the working directory when an application sets them as they are.
    assert _codes(findings) == {"relative-path"}
    assert all(finding.file.name == "t.txt" for finding in findings)


def test_every_8_0_key_is_known() -> None:
    assert (len(PROPERTY_KEYS), len(CLASS_KEYS)) == (76, 17)


Changes = dict[str, str | None]
# code, severity, changed keys, key in whose line it is found (None: the header), fixed by --fix
SGIE_FLAWS: list[tuple[str, Severity, Changes, str | None, bool]] = [
    ("process-mode", Severity.ERROR, {"process-mode": None}, None, True),
    ("process-mode", Severity.ERROR, {"process-mode": "1"}, "process-mode", True),
    ("network-type", Severity.ERROR, {"network-type": None}, None, True),
    ("network-type", Severity.ERROR, {"network-type": "0"}, "network-type", True),
    ("network-type", Severity.ERROR, {"network-type": "2"}, "network-type", True),
    ("output-tensor-meta", Severity.ERROR, {"output-tensor-meta": None}, None, True),
    ("output-tensor-meta", Severity.ERROR, {"output-tensor-meta": "0"}, "output-tensor-meta", True),
    ("host-copy", Severity.ERROR, {"disable-output-host-copy": "1"}, "disable-output-host-copy", True),
    ("output-pool", Severity.WARNING, {"auto-inc-mem": "0"}, "auto-inc-mem", True),
    (
        "async-mode",
        Severity.ERROR,
        {"classifier-async-mode": "1", "network-type": "1", "secondary-reinfer-interval": "9"},
        "classifier-async-mode",
        True,
    ),
    ("async-mode", Severity.WARNING, {"classifier-async-mode": "1"}, "classifier-async-mode", True),
    ("embedded-once", Severity.WARNING, {"network-type": "1"}, "network-type", True),
    ("interval-ignored", Severity.WARNING, {"secondary-reinfer-interval": "5"}, "secondary-reinfer-interval", True),
    (
        "interval-ignored",
        Severity.NOTE,
        {"secondary-reinfer-interval": "0", "network-type": "1"},
        "secondary-reinfer-interval",
        False,
    ),
    ("interval-ignored", Severity.WARNING, {"interval": "3"}, "interval", True),
    ("nearest-scaling", Severity.WARNING, {"scaling-filter": None}, None, True),
    ("nearest-scaling", Severity.WARNING, {"scaling-filter": "0"}, "scaling-filter", True),
    ("crop-padding", Severity.WARNING, {"maintain-aspect-ratio": "1"}, "maintain-aspect-ratio", True),
    ("min-object-size", Severity.WARNING, {"input-object-min-width": "32"}, "input-object-min-width", True),
    ("min-object-size", Severity.WARNING, {"input-object-min-height": "128"}, "input-object-min-height", True),
    (
        "min-object-size",
        Severity.WARNING,
        {"input-object-min-width": None, "input-object-min-height": None},
        None,
        True,
    ),
    ("max-object-size", Severity.ERROR, {"input-object-max-height": "20"}, "input-object-max-height", True),
    ("unique-id", Severity.ERROR, {"gie-unique-id": None}, None, True),
    ("batch-of-one", Severity.WARNING, {"batch-size": "1"}, "batch-size", False),
    ("offsets-count", Severity.ERROR, {"offsets": "0;0"}, "offsets", True),
    ("scale-ignored", Severity.ERROR, {"net-scale-factor": "0"}, "net-scale-factor", True),
    ("preprocessing", Severity.ERROR, {"net-scale-factor": "0.00392"}, "net-scale-factor", True),
    ("preprocessing", Severity.ERROR, {"offsets": "123.675;116.28;103.53"}, "net-scale-factor", True),
    ("channel-order", Severity.ERROR, {"model-color-format": "1"}, "model-color-format", True),
    ("infer-dims", Severity.ERROR, {"infer-dims": "3;256;128"}, "infer-dims", True),
    ("input-order", Severity.ERROR, {"network-input-order": "1"}, "network-input-order", True),
    ("output-names", Severity.WARNING, {"output-blob-names": "fc1"}, "output-blob-names", True),
    ("missing-file", Severity.ERROR, {"onnx-file": "elsewhere/reid.onnx"}, "onnx-file", False),
    ("missing-file", Severity.ERROR, {"int8-calib-file": "cal.bin"}, "int8-calib-file", False),
    ("int8-uncalibrated", Severity.WARNING, {"network-mode": "1"}, "network-mode", True),
    ("engine-batch", Severity.WARNING, {"batch-size": "32"}, "model-engine-file", True),
    ("engine-missing", Severity.WARNING, {"model-engine-file": None}, None, True),
    ("no-model", Severity.ERROR, {"onnx-file": None}, "model-engine-file", False),
    ("no-model", Severity.ERROR, {"onnx-file": None, "model-engine-file": None}, None, False),
    ("model-unreadable", Severity.ERROR, {"onnx-file": "labels.txt"}, "onnx-file", False),
    ("relative-path", Severity.WARNING, {"custom-network-config": "labels.txt"}, "custom-network-config", True),
    ("legacy-key", Severity.WARNING, {"force-implicit-batch-dim": "0"}, "force-implicit-batch-dim", True),
    ("legacy-key", Severity.WARNING, {"is-classifier": "0"}, "is-classifier", True),
    ("legacy-key", Severity.ERROR, {"model-file": "labels.txt"}, "model-file", False),
    ("unknown-key", Severity.WARNING, {"batchsize": "16"}, "batchsize", True),
    ("unknown-key", Severity.WARNING, {"alignment-type": "2"}, "alignment-type", False),
    ("misplaced-key", Severity.WARNING, {"unique-id": "2"}, "unique-id", True),
    ("misplaced-key", Severity.WARNING, {"tracker-width": "960"}, "tracker-width", True),
    ("misplaced-key", Severity.WARNING, {"nms-iou-threshold": "0.5"}, "nms-iou-threshold", True),
    ("misplaced-key", Severity.WARNING, {"strongly-typed": "1"}, "strongly-typed", False),
    ("value", Severity.ERROR, {"batch-size": "2000"}, "batch-size", False),
    ("value", Severity.ERROR, {"network-mode": "5"}, "network-mode", False),
    ("value", Severity.ERROR, {"gpu-id": "first"}, "gpu-id", False),
    ("value", Severity.ERROR, {"infer-dims": "3,64,32"}, "infer-dims", True),
    ("value", Severity.ERROR, {"output-tensor-meta": "yes"}, "output-tensor-meta", True),
    ("syntax", Severity.ERROR, {"batch-size": "16 # crops"}, "batch-size", True),
    ("class-id", Severity.ERROR, {"operate-on-class-ids": "0"}, "operate-on-class-ids", True),
    ("class-id", Severity.ERROR, {"operate-on-class-ids": "7"}, "operate-on-class-ids", True),
    ("class-id", Severity.WARNING, {"operate-on-class-ids": None}, None, True),
    ("gie-id", Severity.ERROR, {"operate-on-gie-id": "5"}, "operate-on-gie-id", True),
    ("unique-id", Severity.ERROR, {"gie-unique-id": "1"}, "gie-unique-id", False),
]


@pytest.mark.parametrize(("code", "severity", "changes", "key", "cured"), SGIE_FLAWS)
def test_a_flaw_of_the_reid_file_is_found_in_its_line_and_cured(
    code: str, severity: Severity, changes: Changes, key: str | None, cured: bool, site: Site
) -> None:
    pgie, sgie = site.pgie(), site.sgie(changes)
    finding = _one(site.check(pgie, sgie), code)
    lines = sgie.read_text().splitlines()
    expected = 1 if key is None else 1 + [line.partition("=")[0] for line in lines].index(key)
    assert (finding.file, finding.line, finding.severity) == (sgie, expected, severity)
    assert finding.cause and finding.cure
    assert bool(finding.edits) == cured
    files = [read_config_file(pgie), read_config_file(sgie)]
    fixed = parse_config(corrected(files, 1).encode(), sgie)
    left = [f for f in check_parsed([files[0], fixed]) if f.file == sgie]
    assert (code in _codes(left)) != cured
    assert not [f for f in left if f.edits], "what can be cured is cured"


PGIE_FLAWS: list[tuple[str, Changes, str]] = [
    ("class-count", {"num-detected-classes": None}, ""),
    ("class-count", {"num-detected-classes": "3"}, ""),
    ("person-filtered", {"filter-out-class-ids": "2"}, ""),
    ("person-filtered", {"filter-out-class-ids": "0;2;3"}, ""),
    ("class-group", {}, "[class-attrs-9]\ntopk=20\n"),
    ("class-group", {}, "[class-attrs-person]\ntopk=20\n"),
    ("cluster-mode", {"cluster-mode": "0"}, ""),
    ("no-parser", {"parse-bbox-func-name": None, "custom-lib-path": None}, ""),
    ("legacy-key", {"enable-dbscan": "1"}, ""),
    ("legacy-key", {}, "[class-attrs-all]\nthreshold=0.3\n"),
    ("value", {}, "[class-attrs-all]\nnms-iou-threshold=1.5\n"),
    ("value", {}, "[class-attrs-all]\ntopk=-1\n"),
    ("misplaced-key", {}, "[class-attrs-all]\nscaling-filter=1\n"),
    ("unknown-key", {}, "[class-attrs-all]\npre-cluster-treshold=0.3\n"),
    ("unknown-group", {}, "[primary-gie]\nenable=1\n"),
    ("unknown-group", {}, "[proprety]\ngpu-id=1\n"),
    ("repeated-key", {}, "[class-attrs-all]\ntopk=20\ntopk=30\n"),
    ("unique-id", {"gie-unique-id": None}, ""),
    ("syntax", {}, "just words\n"),
    ("syntax", {}, "; a comment\n"),
    ("syntax", {}, "[class-attrs-all\n"),
]


@pytest.mark.parametrize(("code", "changes", "extra"), PGIE_FLAWS)
def test_a_flaw_of_the_detector_file_is_found(code: str, changes: Changes, extra: str, site: Site) -> None:
    finding = _one(site.check(site.pgie(changes, extra)), code)
    assert finding.line >= 1 and finding.cause and finding.cure


TRACKER_FLAWS = [
    ("ended-memory", TRACKER.replace("maxTargetsPerStream: 150", "maxTargetsPerStream: 1000")),
    ("terminated-tracks", TRACKER.replace("outputTerminatedTracks: 1", "outputTerminatedTracks: 0")),
    ("shadow-tracks", TRACKER.replace("outputTerminatedTracks", "outputShadowTracks")),
    ("shadow-age", TRACKER.replace("maxShadowTrackingAge: 30", "maxShadowTrackingAge: 0")),
    ("estimator", TRACKER.replace("stateEstimatorType: 1", "stateEstimatorType: 3")),
    ("unknown-key", TRACKER.replace("maxShadowTrackingAge", "maxShadowTrackingAges")),
    ("unknown-group", TRACKER.replace("StateEstimator:", "StateEstimation:")),
    ("misplaced-key", TRACKER.replace("minDetectorConfidence", "probationAge")),
    ("value", TRACKER.replace("maxTargetsPerStream: 150", "maxTargetsPerStream: many")),
    ("value", TRACKER.replace("minDetectorConfidence: 0.1", "minDetectorConfidence: 7")),
    ("syntax", TRACKER.replace("maxTargetsPerStream: 150", "maxTargetsPerStream:150")),
    ("syntax", TRACKER.replace("  maxTargetsPerStream", "\tmaxTargetsPerStream")),
    ("tracker-reid", TRACKER + "ReID:\n  reidType: 2\n"),
    ("tracker-reid", TRACKER + "ReID:\n  outputReidTensor: 1\n"),
    ("tracker-precision", TRACKER + "ReID:\n  reidType: 2\n  onnxFile: reid.onnx\n  networkMode: 2\n"),
    ("missing-file", TRACKER + "ReID:\n  reidType: 2\n  onnxFile: absent.onnx\n"),
    ("offsets-count", TRACKER + "ReID:\n  reidType: 2\n  onnxFile: reid.onnx\n  offsets: [1.0, 2.0]\n"),
    ("offsets-count", TRACKER + "ReID:\n  reidType: 2\n  onnxFile: reid.onnx\n  offsets:\n  - 1.0\n"),
    ("legacy-key", PROPERTIES + "enable-batch-process=1\n"),
    ("legacy-key", PROPERTIES.replace("[tracker]", "tracker:").replace("=", ": ") + "enable-past-frame: 1\n"),
    ("unknown-key", PROPERTIES + "tracker_heigth=544\n"),
    ("no-tracker", PROPERTIES.replace("ll-lib-file=parser.so\n", "")),
    ("missing-file", PROPERTIES.replace("parser.so", "/opt/absent.so")),
    ("not-a-config", "[property]\ntarget-unique-ids=1\nnetwork-input-shape=8;3;544;960\n[group-0]\nsrc-ids=0\n"),
    ("not-a-config", "[other]\nperf=1\n"),
    ("newer-key", TRACKER + "DataAssociator:\n  minMatchingScore4PeerAssocIou: 0.2\n"),
    ("unchecked-group", "[application]\nperf=1\n"),
    ("mux", "[source0]\ntype=4\nuri=rtsp://10.0.0.7/s\n"),
    ("mux", "[source0]\ntype=4\nuri=rtsp://10.0.0.7/s\n[streammux]\nbatch-size=1\nwidth=64\nheight=64\n"),
    ("source", "[source0]\ntype=2\nuri=street.mp4\n[streammux]\nbatch-size=1\nwidth=64\nheight=64\n"),
    ("no-model", "[primary-gie]\nenable=1\n"),
    ("not-a-config", ""),
]


@pytest.mark.parametrize(("code", "text"), TRACKER_FLAWS)
def test_a_flaw_of_a_tracker_file_is_found(code: str, text: str, site: Site) -> None:
    if text.startswith("tracker:"):
        text = "\n".join(line if line.endswith(":") else f"  {line}" for line in text.splitlines())
    _one(check_files([site.text("other.yml" if ":" in text else "other.txt", text)]), code)


APPLICATION = """[source0]
type=2
uri=file:///srv/street.mp4
[streammux]
batch-size=1
width=64
height=64
[tracker]
ll-lib-file=parser.so
ll-config-file=tracker.yml
"""


def test_an_applications_paths_count_from_its_own_folder(site: Site) -> None:
    site.text("tracker.yml", TRACKER)
    assert not check_files([site.text("app.txt", APPLICATION)])
    (site.folder / "tracker.yml").unlink()
    assert _codes(check_files([site.text("app.txt", APPLICATION)])) == {"missing-file"}


def test_a_library_of_deepstream_is_no_error_where_deepstream_is_not_installed(site: Site) -> None:
    site.text("tracker.yml", TRACKER)
    library = "/opt/nvidia/deepstream/deepstream/lib/libnvds_nvmultiobjecttracker.so"
    found = _one(check_files([site.text("app.txt", APPLICATION.replace("parser.so", library))]), "missing-file")
    assert found.severity is (Severity.ERROR if Path("/opt/nvidia/deepstream").is_dir() else Severity.NOTE)


def test_a_section_that_stands_twice_is_named_with_both_lines(site: Site) -> None:
    path = site.text("twice.yml", TRACKER + "TargetManagement:\n  maxTargetsPerStream: 10\n")
    finding = _one(check_files([path]), "syntax")
    first, second = (n for n, line in enumerate(path.read_text().splitlines(), 1) if line == "TargetManagement:")
    assert finding.line == second and f"lines {first} and {second}" in finding.cause and not finding.edits


@pytest.mark.parametrize(
    ("changes", "line", "right"),
    [
        ({"onnx-file": '"reid.onnx"'}, "onnx-file", "reid.onnx"),
        ({"onnx-file": "=reid.onnx"}, "onnx-file", "reid.onnx"),
        ({"onnx-file": "'reid.onnx'"}, "onnx-file", "reid.onnx"),
        ({"network-mode": "fp16"}, "network-mode", "2"),
        ({"net-scale-factor": "1/1"}, "net-scale-factor", "1"),
        ({"net-scale-factor": "1,0"}, "net-scale-factor", "1.0"),
        ({"batch-size": "16;"}, "batch-size", "16"),
        ({"process-mode": "secondary"}, "process-mode", "2"),
    ],
)
def test_what_stands_in_a_values_way_is_named_and_taken_out(
    changes: Changes, line: str, right: str, site: Site
) -> None:
    path = site.sgie(changes)
    files = [read_config_file(site.pgie()), read_config_file(path)]
    found = [f for f in check_parsed(files) if f.file == path]
    assert {f.code for f in found} <= {"syntax", "value"} and len(found) == 1
    assert str(changes[line]) in found[0].cause
    fixed = parse_config(corrected(files, 1).encode(), path)
    assert fixed.group("property")[line].value == right
    assert not [f for f in check_parsed([files[0], fixed]) if f.file == path]


def test_characters_that_nobody_sees_are_named(site: Site) -> None:
    path = site.sgie({"batch-size": "16\u00a0"})
    assert "U+00A0" in _one(site.check(path), "syntax").cause


def test_a_models_name_says_nothing_about_it(site: Site) -> None:
    numbers: Changes = {"net-scale-factor": "0.017", "offsets": "123;116;103", "model-color-format": "0"}
    path = site.pgie({**numbers, "onnx-file": "yolox_s.onnx", "model-engine-file": None})
    assert not _codes(site.check(path)) & {"preprocessing", "channel-order"}


@pytest.mark.parametrize("key", ["minMatchingScore4Iuo", "minMatchingScore4IouOfPeers"])
def test_a_guess_is_said_and_not_done(key: str, site: Site) -> None:
    finding = _one(check_files([site.text("t.yml", TRACKER + f"DataAssociator:\n  {key}: 0.2\n")]), "unknown-key")
    assert not finding.edits


def test_an_int8_engine_that_was_built_is_left_alone(site: Site) -> None:
    name = "reid.onnx_b16_gpu0_int8.engine"
    changes: Changes = {"network-mode": "1", "model-engine-file": name}
    assert "int8-uncalibrated" in _codes(site.check(site.sgie(changes)))
    site.text(name, "engine")
    assert "int8-uncalibrated" not in _codes(site.check(site.sgie(changes)))
    section = f"ReID:\n  reidType: 2\n  onnxFile: reid.onnx\n  networkMode: 2\n  modelEngineFile: {name}\n"
    assert "tracker-precision" not in _codes(check_files([site.text("t.yml", TRACKER + section)]))


def test_int8_that_has_what_it_needs_is_left_alone(site: Site) -> None:
    site.text("cal.bin", "cache")
    calibrated: Changes = {"network-mode": "1", "int8-calib-file": "cal.bin"}
    assert "int8-uncalibrated" not in _codes(site.check(site.sgie(calibrated)))
    # An engine of that name may be built later, on the machine that runs it.
    section = "ReID:\n  reidType: 2\n  onnxFile: reid.onnx\n  networkMode: 2\n  modelEngineFile: to-be_INT8.engine\n"
    assert "tracker-precision" not in _codes(check_files([site.text("t.yml", TRACKER + section)]))
    other = section.replace("INT8", "fp16")
    assert "tracker-precision" in _codes(check_files([site.text("t.yml", TRACKER + other)]))


@pytest.mark.shared
def test_files_of_public_reports_are_judged_rightly(shared_data: Path) -> None:
    cases = shared_data.parent / "cases"
    codes = {
        name: {(finding.line, finding.code) for finding in check_files([cases / name])}
        for name in ("deepstream_app.txt", "tracker_two_sections.yml", "yolox_legacy.txt", "tracker_ds9_key.yml")
    }
    assert "relative-path" not in {code for _, code in codes["deepstream_app.txt"]}
    assert {(1, "unchecked-group"), (11, "mux")} <= codes["deepstream_app.txt"]
    assert (23, "syntax") in codes["tracker_two_sections.yml"]
    assert {code for _, code in codes["yolox_legacy.txt"]} == {"missing-file"}
    assert codes["tracker_ds9_key.yml"] == {(9, "newer-key")}


def test_weights_in_a_missing_second_file_are_named(site: Site) -> None:
    site.write_reid(site.folder / "split.onnx", external="split.onnx.data")
    sgie = site.sgie({"onnx-file": "split.onnx", "model-engine-file": "split.onnx_b16_gpu0_fp16.engine"})
    assert "weights-missing" not in _codes(site.check(sgie))
    (site.folder / "split.onnx.data").unlink()
    finding = _one(site.check(sgie), "weights-missing")
    assert "split.onnx.data" in finding.cause and "models prepare" in finding.cure


@pytest.mark.parametrize(("batch", "severity"), [("16", Severity.WARNING), ("8", Severity.ERROR)])
def test_a_fixed_batch_is_compared_with_the_batch_size(batch: str, severity: Severity, site: Site) -> None:
    site.write_reid(site.folder / "fixed.onnx", batch=16)
    sgie = site.sgie({"onnx-file": "fixed.onnx", "batch-size": batch, "model-engine-file": None})
    assert _one(site.check(sgie), "fixed-batch").severity is severity


def test_a_model_that_nothing_describes_is_not_trusted(site: Site) -> None:
    site.write_reid(site.folder / "plain.onnx", spec=False)
    sgie = site.sgie({"onnx-file": "plain.onnx", "model-engine-file": None})
    assert _one(site.check(sgie), "preprocessing-unknown").severity is Severity.WARNING


def test_a_std_per_channel_is_a_note_when_the_nearest_numbers_are_used(site: Site) -> None:
    from reidstream.models.spec import Preprocessing

    imagenet = Preprocessing(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
    site.write_reid(site.folder / "plain.onnx", imagenet)
    sgie = site.sgie(
        {
            "onnx-file": "plain.onnx",
            "model-engine-file": None,
            "net-scale-factor": "0.017352",
            "offsets": "123.675;116.28;103.53;",
        }
    )
    assert _one(site.check(sgie), "preprocessing-nearest").severity is Severity.NOTE


def test_a_path_that_exists_only_from_the_working_directory_is_explained(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = site.folder / "configs"
    configs.mkdir()
    monkeypatch.chdir(site.folder)
    sgie = site.ini("configs/sgie.txt", SGIE)
    finding = _one(site.check(sgie), "missing-file")
    assert str(configs / "reid.onnx") in finding.cause and "working directory" in finding.cause
    fixed = parse_config(corrected([read_config_file(sgie)], 0).encode(), sgie)
    assert fixed.group("property")["onnx-file"].value == str(site.folder / "reid.onnx")


def test_paths_follow_the_link_to_the_real_configuration(site: Site, tmp_path_factory: pytest.TempPathFactory) -> None:
    # nvinfer resolves against dirname(realpath(config)).
    link = tmp_path_factory.mktemp("links") / "sgie.txt"
    link.symlink_to(site.sgie())
    assert "missing-file" not in _codes(site.check(link))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("reid.onnx_b16_gpu0_fp16.engine", set()),
        ("reid.onnx_b8_gpu0_fp16.engine", {"engine-batch"}),
        ("reid.onnx_b16_gpu0_fp32.engine", {"engine-name"}),
        ("reid.onnx_b16_gpu1_fp16.engine", {"engine-name"}),
        ("osnet.engine", {"engine-name"}),
        ("elsewhere/reid.onnx_b16_gpu0_fp16.engine", {"engine-name"}),
    ],
)
def test_the_engine_must_be_named_as_nvinfer_writes_it(name: str, expected: set[str], site: Site) -> None:
    sgie = site.sgie({"model-engine-file": name})
    assert _codes(check_files([site.pgie(), sgie])) == expected


def test_an_engine_for_a_larger_batch_serves(site: Site) -> None:
    (site.folder / "reid.onnx_b32_gpu0_fp16.engine").write_bytes(b"engine")
    assert not check_files([site.pgie(), site.sgie({"model-engine-file": "reid.onnx_b32_gpu0_fp16.engine"})])


def test_an_engine_alone_must_hold_the_batch(site: Site) -> None:
    (site.folder / "reid.onnx_b16_gpu0_fp16.engine").write_bytes(b"engine")
    findings = check_files([site.sgie({"onnx-file": None, "batch-size": "32"})])
    assert _one(findings, "engine-batch").severity is Severity.ERROR


def test_a_detector_that_exports_its_tensors_is_still_a_detector(site: Site) -> None:
    pgie = site.pgie(
        {"network-type": "100", "output-tensor-meta": "1", "onnx-file": None}, "[class-attrs-all]\ntopk=9\n"
    )
    assert _codes(check_files([pgie])) == {"no-model", "class-group"}


def test_a_plain_classifier_is_not_taken_for_a_reid_network(site: Site) -> None:
    keys = {"network-type": "1", "output-tensor-meta": None, "labelfile-path": "labels.txt", "onnx-file": None}
    assert _codes(check_files([site.sgie(keys)])) == {"no-model"}


def test_an_engine_older_than_its_model_is_named(site: Site) -> None:
    engine = site.folder / "reid.onnx_b16_gpu0_fp16.engine"
    engine.write_bytes(b"engine")
    os.utime(engine, (1, 1))
    assert _codes(check_files([site.pgie(), site.sgie()])) == {"engine-old"}


def test_the_person_of_another_detector_has_another_number(site: Site) -> None:
    (site.folder / "labels.txt").write_text("Person\nBag\nFace\nOther\n")
    findings = check_files([site.pgie(), site.sgie()])
    finding = _one(findings, "class-id")
    assert "2 Face" in finding.cause and finding.cure == "set operate-on-class-ids=0"


def test_a_detector_without_people_is_named(site: Site) -> None:
    (site.folder / "labels.txt").write_text("cat\ndog\ncow\nsheep\n")
    assert "no-person-class" in _codes(check_files([site.pgie()]))


def test_without_the_detector_the_class_cannot_be_judged(site: Site) -> None:
    assert _one(check_files([site.sgie()]), "class-id").severity is Severity.NOTE


def test_yaml_booleans_must_be_digits(site: Site) -> None:
    lines = ["property:", *(f"  {key}: {value}" for key, value in (SGIE | {"output-tensor-meta": "true"}).items())]
    path = site.text("sgie.yml", "\n".join(lines))
    finding = _one(check_files([path]), "value")
    assert "ends the process" in finding.cause
    fixed = parse_config(corrected([read_config_file(path)], 0).encode(), path)
    assert fixed.group("property")["output-tensor-meta"].value == "1"
    assert not [f for f in check_parsed([fixed]) if f.severity is Severity.ERROR]


def test_the_name_chooses_the_parser(site: Site) -> None:
    lines = ["property:", *(f"  {key}: {value}" for key, value in SGIE.items())]
    assert _one(check_files([site.text("sgie.txt", "\n".join(lines))]), "file-name").cure == "name it .yml"
    assert _one(check_files([site.ini("sgie.yaml", dict(SGIE))]), "file-name").cure == "name it .txt"


def test_files_that_are_not_text_are_named(site: Site) -> None:
    path = site.folder / "sgie.txt"
    path.write_bytes(b"[property]\nonnx-file=\xff\xfe.onnx\n")
    assert "not UTF-8" in _one(check_files([path]), "syntax").cause
    path.write_bytes(b"\xef\xbb\xbf[property]\ngpu-id=0\n")
    assert "byte order mark" in _one(check_files([path]), "syntax").cause


@pytest.mark.parametrize(("data", "line"), [(b"\xff", 1), (b"[property]\n\n\xff\n", 3), (b"a\nb=\xe4\nc\n", 2)])
def test_the_line_that_is_no_text_is_told(data: bytes, line: int) -> None:
    (flaw,) = [flaw for flaw in parse_config(data, Path("sgie.txt")).flaws if "UTF-8" in flaw.cause]
    assert flaw.line == line


def test_a_misspelt_key_of_the_tracker_is_set_right_where_only_its_spelling_is_meant(site: Site) -> None:
    def corrections(text: str) -> str:
        path = site.text("t.txt", text)
        return corrected([read_config_file(path)], 0)

    fixed = corrections(PROPERTIES.replace("ll-lib-file", "ll_lib_file"))
    assert "\nll-lib-file=" in fixed
    assert "ll_lib_file" not in fixed
    # It may mean another key, or say something else than the one that is there.
    assert "tracker-heigth=544" in corrections(PROPERTIES + "tracker-heigth=544\n")
    assert "tracker_width=640" in corrections(PROPERTIES + "tracker_width=640\n")


def test_a_line_that_is_set_right_keeps_its_indent_and_comment() -> None:
    file = parse_config(b"property:\n    gpu-id: 0  # the first\n", Path("sgie.yml"))
    assert apply_edits(file, [SetLine(2, "gpu-id", "1")]) == "property:\n    gpu-id: 1  # the first\n"
    file = parse_config(b"[property]\n  gpu-id=0\n", Path("sgie.txt"))
    assert apply_edits(file, [SetLine(2, "gpu-id", "1"), SetLine(2, "gpu-id", "2")]) == "[property]\n  gpu-id=1\n"
    assert apply_edits(file, [RemoveLine(2)]) == "[property]\n"
    assert apply_edits(file, [RemoveLine(0), RemoveLine(9)]) == "[property]\n  gpu-id=0\n"


def test_every_code_is_described_and_found_by_a_test() -> None:
    """The tables of this file and the tests above name each code; CODES names no other."""
    source = Path(__file__).read_text()
    assert not [code for code in CODES if f'"{code}"' not in source]
    tables = {row[0] for row in SGIE_FLAWS} | {row[0] for row in PGIE_FLAWS} | {row[0] for row in TRACKER_FLAWS}
    assert tables <= set(CODES)


def test_with_two_detectors_a_network_that_names_none_is_not_judged_by_either(site: Site) -> None:
    (site.folder / "shop.txt").write_text("person\nbag\n")
    other = {"gie-unique-id": "5", "labelfile-path": "shop.txt", "num-detected-classes": "2"}
    first, second = site.pgie(), site.ini("other.txt", PGIE | other)
    network = site.sgie({"operate-on-gie-id": None, "operate-on-class-ids": "7"})
    assert _one(site.check(first, network), "class-id").severity is Severity.ERROR
    assert _one(site.check(first, second, network), "class-id").severity is Severity.NOTE


def test_what_only_detectors_need_is_not_asked_of_other_networks(site: Site) -> None:
    classifier = site.pgie({"network-type": "1", "cluster-mode": None, "num-detected-classes": None})
    assert not _codes(site.check(classifier)) & {"class-count", "cluster-mode", "no-parser", "no-person-class"}


@pytest.mark.parametrize(("number", "wrong"), [(3, False), (4, True), (5, True)])
def test_classes_count_from_0(number: int, wrong: bool, site: Site) -> None:
    found = site.check(site.pgie(extra=f"[class-attrs-{number}]\npre-cluster-threshold=0.3\n"))
    assert ("class-group" in _codes(found)) is wrong


@pytest.mark.parametrize("line", ["  enablePastFrame: 1\n", ""])
def test_shadow_tracks_need_something_else_that_makes_buffers(line: str, site: Site) -> None:
    text = TRACKER.replace(
        "  outputTerminatedTracks: 1\n", f"  outputTerminatedTracks: 0\n  outputShadowTracks: 1\n{line}"
    )
    assert ("shadow-tracks" in _codes(site.check(site.text("tracker.yml", text)))) is not bool(line)


def test_open_heights_and_widths_need_their_dims(site: Site) -> None:
    site.write_reid(site.folder / "reid.onnx", size=("height", "width"))
    found = _one(site.check(site.pgie(), site.sgie({"infer-dims": None})), "infer-dims")
    assert "leaves height and width open" in found.cause
    assert "infer-dims" not in _codes(site.check(site.pgie(), site.sgie()))
