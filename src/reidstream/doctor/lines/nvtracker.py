"""Known lines: nvtracker."""

from __future__ import annotations

from reidstream.doctor.lines.known_line import KnownLine

_CHECK = "`reidstream deepstream check FILES…` names the line"

NVTRACKER_LINES: tuple[KnownLine, ...] = (
    KnownLine(
        "mosquitto",
        "nvtracker",
        r"libmosquitto\.so",
        "The tracker library of DeepStream 8 needs libmosquitto even when nothing is sent.",
        "`apt-get install libmosquitto1`; docker/Dockerfile.deepstream does it.",
        "dlopen error: libmosquitto.so.1: cannot open shared object file: No such file or directory",
    ),
    KnownLine(
        "tracker-library",
        "nvtracker",
        r"Failed to open low-level lib|Failed to initiali[sz]e low[- ]level|dlopen error|"
        r"(low[- ]level (tracker )?lib\w*|tracker library).{0,60}(fail|not found)|ll-lib-file.{0,60}(not|fail|"
        r"empty)",
        "The tracker library or its file cannot be loaded; the line before or after says why.",
        "Give absolute paths for ll-lib-file and ll-config-file.",
        "gstnvtracker: Failed to open low-level lib at /opt/lib/libnvds_nvmultiobjecttracker.so",
    ),
    KnownLine(
        "tracker-pool",
        "nvtracker",
        r"Unable to acquire a user meta buffer",
        "Somebody downstream holds buffers longer than the tracker has metadata for.",
        "Raise user-meta-pool-size of nvtracker.",
        "WARNING: gstnvtracker: Unable to acquire a user meta buffer. Try increasing user-meta-pool-size",
    ),
    KnownLine(
        "tracker-reid-missing",
        "nvtracker",
        r"ReID (engine|model|network).{0,60}(not initiali[sz]ed|fail|not found|cannot|does not exist)|"
        r"(Failed|Unable|Could not).{0,40}\bReID\b",
        "The tracker's own Re-ID network (section ReID of ll-config-file) was not built: its model file "
        "is missing or was refused.",
        "The 8.0 image does not ship that model: load it, name an ONNX model in ReID.onnxFile, or set "
        "reidType: 0; embeddings of ReIDStream come from its own network. `reidstream deepstream check "
        "tracker.yml` names the line.",
        "An exception occurred. [Error] ReID engine is not initialized",
    ),
    KnownLine(
        "tracker-batch-mode",
        "nvtracker",
        r"Only batch processing mode is supported|NvMOTBatchMode",
        "The low-level library says that it tracks one stream at a time, which nvtracker no longer does: "
        "an old or own library.",
        "Use the library of this DeepStream, lib/libnvds_nvmultiobjecttracker.so, in ll-lib-file; an own "
        "one has to report NvMOTBatchMode_Batch.",
        "gstnvtracker: Only batch processing mode is supported. query.batchMode must be set as NvMOTBatchMode_Batch",
    ),
    KnownLine(
        "tracker-no-surface",
        "nvtracker",
        r"Got \d+ surface meta|(no|without) (surface|batch) meta|gstnvtracker:.{0,60}(batch_meta|"
        r"surface).{0,30}(null|not found|missing)|Failed to (get|find) batch meta",
        "The tracker was given nothing to look at or gave nothing back: a buffer without frames (end of "
        "a stream), or one that did not come from nvstreammux.",
        "At the end of a stream nothing has to be done. Otherwise put the tracker behind nvstreammux and "
        "nvinfer, with nothing between that drops the metadata.",
        "gstnvtracker: Got 0 surface meta from NvMultiObjectTracker",
    ),
    KnownLine(
        "tracker-good",
        "nvtracker",
        r"\[NvMultiObjectTracker\] ?(Initialized|De-initialized|Loading|Loaded)|gstnvtracker: (Loading "
        r"low-level lib|Batch processing is (ON|OFF)|Past[- ]frame|Optional|Forcing format|tracking-id|"
        r"num\w+ not set|batchSize not set|surfaceSize not set)|NvMOT_Query success|"
        r"NvMOT_RemoveStreams not implemented|Begin of tracker|\[NvTrackerParams",
        "What the tracker says in a good run.",
        "Nothing has to be done.",
        "[NvMultiObjectTracker] Initialized",
        harmless=True,
    ),
    KnownLine(
        "tracker-unknown-param",
        "nvtracker",
        r"Unknown param(eter)? found|!!\s*\[?WARNING\]?.{0,60}(param|config)|"
        r"\[NvMultiObjectTracker\].{0,60}(unknown|not (found|recogni[sz]ed))",
        "The tracker library does not know a key of ll-config-file, or reads it in another section, and "
        "uses its default.",
        "`reidstream deepstream check tracker.yml` names keys of other versions and the section in which they belong.",
        "!![WARNING][NvDCF] Unknown param found : useBufferedOutput",
    ),
    KnownLine(
        "tracker-file",
        "nvtracker",
        r"!!\s*\[?ERROR\]?|An exception occurred\. |(tracker|ll-config-file|NvMultiObjectTracker).{0,80}(yaml|"
        r"config).{0,60}(fail|invalid|cannot|error|bad)|YAML.{0,20}exception|YAML::|yaml-cpp: error",
        "The tracker library refuses its file: not there, not YAML, or a value that it cannot read.",
        "Give an absolute path in ll-config-file; `reidstream deepstream check tracker.yml` names the line.",
        "An exception occurred. yaml-cpp: error at line 12, column 5: end of map not found",
    ),
    KnownLine(
        "tracker-stopped",
        "nvtracker",
        r"Low-level tracker lib(rary)? returned error|gstnvtracker:.{0,80}(fail|error|unable)|"
        r"NvMOT_Process.{0,30}(error|fail)|Tracker.{0,20}(process|submit)\w* (fail|error)",
        "The tracker stopped; a line before or after says why.",
        "Look at ll-lib-file and ll-config-file with `reidstream deepstream check`, and at the GPU's memory.",
        "gstnvtracker: Low-level tracker lib returned error 1",
    ),
    KnownLine(
        "property-gone",
        "nvtracker",
        r"does not have property|no property named|no property \"[\w-]+\" in element",
        "The element has no such property in this version; enable-batch-process and enable-past-frame are gone.",
        f"Remove it; {_CHECK}.",
        "TypeError: object of type `GstNvTracker' does not have property `enable-batch-process'",
    ),
    KnownLine(
        "tracker-batch",
        "nvtracker",
        r"Frame number in input batch exceeds maximum batch size|Sequence Index \d+ is out of range|"
        r"All sub-batches are fully allocated|is not mapped to any sub-batch|Check the config \"sub-batches\"|"
        r"Incorrect sub-batches config|All sub-batches should have the same",
        "More sources came than nvtracker was told of when it started, by the batch-size of the mux or by sub-batches.",
        "Set batch-size of the mux (deepstream.mux.batch) to the largest number of sources at a time, and leave "
        "sub-batches out, or make them as large together.",
        "Frame number in input batch exceeds maximum batch size",
    ),
    KnownLine(
        "source-goes",
        "GStreamer",
        r"nvstreammux: Successfully handled EOS for source_id|Successfully removed stream\b|"
        r"EOS Event sent successfully to remove|(Added|Removed) stream : sub-batch",
        "A source has ended or was taken out, and mux and tracker have followed.",
        "Nothing has to be done, unless the source should have gone on: look at what it says itself.",
        "gstnvtracker: Successfully removed stream 1.",
        harmless=True,
    ),
    KnownLine(
        "mux-rates",
        "GStreamer",
        r"^\W*max_fps_dur \S+ min_fps_dur \S+",
        "What the new nvstreammux prints of its rates, in nanoseconds: an incomplete batch waits for min_fps_dur.",
        "Nothing has to be done. Without config-file-path it is 2e+08, a fifth of a second, whatever "
        "batched-push-timeout says; ReIDStream writes that file.",
        "max_fps_dur 8.33333e+06 min_fps_dur 4e+07",
        harmless=True,
    ),
)
