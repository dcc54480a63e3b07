"""Every flaw that the checker knows, and what is said of it and done about it, word by word: ``said.txt``.

python -m tests.engines.deepstream.said    # writes it anew; look at what has changed
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from reidstream.engines.deepstream.checking import check_files
from tests.engines.deepstream.conftest import _write_detector, _write_reid
from tests.engines.deepstream.test_checking import (
    PGIE_FLAWS,
    PROPERTIES,
    SGIE_FLAWS,
    TRACKER,
    TRACKER_FLAWS,
    Changes,
    Site,
    prepared_site,
)
from tests.engines.deepstream.test_other_files import METAMUX, MUX, TRITON

FILE = Path(__file__).with_name("said.txt")

SECONDARY: list[Changes] = [
    {"infer-dims": "3;64"},
    {"offsets": "7;7"},
    {"offsets": "1;2"},
    {"net-scale-factor": "0.5", "offsets": "0;0;0"},
    {"net-scale-factor": "many"},
    {"custom-network-config": "absent.txt"},
    {"network-input-order": "2"},
    {"output-blob-names": "embedding;fc1"},
    {"output-blob-names": "embedding"},
    {"operate-on-gie-id": "-1"},
    {"operate-on-gie-id": None},
    {"operate-on-class-ids": "2;4"},
    {"operate-on-class-ids": "1;2"},
    {"operate-on-class-ids": ""},
    {"process-mode": "3"},
    {"input-dims": "3;64;32;0"},
    {"batchsize": "16", "batch-size": None},
    {"model-color-format": "2"},
]
TRACKERS = [
    TRACKER.replace("StateEstimator:", "Nothing:"),
    TRACKER + "VisualTracker:\n  searchRegionPaddingScale: 1\n",
    TRACKER + "ReID:\n  reidType: 2\n  tltEncodedModel: absent.etlt\n",
    TRACKER + "ReID:\n  reidType: 2\n  onnxFile: reid.onnx\n  inferDims: [1, 64, 32]\n  offsets: [1.0]\n",
    PROPERTIES + "operate-on-class-ids=0\n",
    PROPERTIES + "tracker-heigth=544\n",
    PROPERTIES + "tracker_width=544\n",
    PROPERTIES + "tracker_height=544\n",
    PROPERTIES + "colour=red\n",
    PROPERTIES + "tracker-height=high\n",
    PROPERTIES.replace("ll-config-file=tracker.yml\n", ""),
    MUX + "overall-min-fps=5\nmax-same-source-frames=one\noverall-max-fps-d=0\ncolour=red\n",
    MUX.replace("overall-min-fps-n=5", "overall-min-fps-n=-1").replace("max-fps-control=0", "max-fps-control=-1"),
    METAMUX,
    TRITON,
]


def said(folder: Path) -> str:
    """What is said of each flaw. folder: an empty one."""
    site = prepared_site(folder, _write_reid, _write_detector)
    return "\n".join(line.rstrip() for line in _said(site)).replace(f"{folder}/", "").replace(str(folder), ".") + "\n"


def _said(site: Site) -> Iterator[str]:
    for changes in [*(changes for _, _, changes, _, _ in SGIE_FLAWS), *SECONDARY]:
        yield from _told(f"a Re-ID network: {changes}", [site.pgie(), site.sgie(changes)])
    for _, primary, extra in PGIE_FLAWS:
        yield from _told(f"a detector: {primary} {extra!r}", [site.pgie(primary, extra)])
    site.text("more.txt", site.pgie().read_text().replace("gie-unique-id=1", "gie-unique-id=7"))
    for wanted in ("1", "5", "7", "-1"):
        files = [site.pgie(), site.folder / "more.txt", site.sgie({"operate-on-gie-id": wanted})]
        yield from _told(f"two detectors, operate-on-gie-id={wanted}", files)
    (site.folder / "labels.txt").write_text("car\nroadsign\n")
    yield from _told("a detector without people", [site.pgie({"num-detected-classes": "2"}), site.sgie()])
    (site.folder / "labels.txt").write_text("car\nbicycle\nperson\nroadsign\n")
    for size, batch in (((64, "width"), None), (("height", "width"), None), ((64, 32), 16), ((64, 32), 4)):
        _write_reid(site.folder / "reid.onnx", size=size, batch=batch)
        for dims in ("3;32;32", None):
            files = [site.pgie(), site.sgie({"infer-dims": dims})]
            yield from _told(f"a Re-ID network of size {size}, batch {batch}, infer-dims {dims}", files)
    _write_reid(site.folder / "reid.onnx")
    for text in [*(text for _, text in TRACKER_FLAWS), *TRACKERS]:
        if text.startswith("tracker:"):
            text = "\n".join(line if line.endswith(":") else f"  {line}" for line in text.splitlines())
        name = "other.yml" if ":" in text.partition("\n")[0] else "other.txt"
        base = set((TRACKER + PROPERTIES + MUX).splitlines())
        new = [line for line in text.splitlines() if line not in base]
        yield from _told(f"{name}: {new}", [site.text(name, text)])


def _told(case: str, files: Sequence[Path]) -> Iterator[str]:
    yield f"== {case}"
    for finding in check_files(files):
        yield f"{finding.place} {finding.severity.value} {finding.code}: {finding.cause}"
        yield f"    {finding.cure} {list(finding.edits) or ''}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        FILE.write_text(said(Path(place)))
