"""Why a run may have come to nothing, from the configuration files that it ran on."""

from __future__ import annotations

from reidstream.engines.deepstream.checking import check_files
from reidstream.engines.deepstream.checking.findings import Severity
from reidstream.engines.deepstream.files.nvinfer_config import RenderedConfigs


def likely_causes(rendered: RenderedConfigs) -> str:
    """What the checker of configuration files has to say, or where else to look."""
    files = [path for path in (rendered.pgie, rendered.sgie, rendered.tracker) if path is not None]
    findings = [finding for finding in check_files(files) if finding.severity is not Severity.NOTE]
    if not findings:
        return (
            f"The configuration files in {rendered.folder} look right: see whether nvinfer printed a message about the "
            f"Re-ID model ({rendered.reid_onnx}), and whether people are smaller than deepstream.sgie.min_width and "
            "min_height in the mux's pixels."
        )
    listed = "; ".join(f"{finding.place}: {finding.cause} ({finding.cure})" for finding in findings)
    return f"Likely causes, from the configuration files: {listed}"
