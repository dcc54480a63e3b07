"""Known lines: ONNX Runtime."""

from __future__ import annotations

from reidstream.doctor.lines.known_line import KnownLine

_PREPARE = "`reidstream models prepare MODEL.onnx -o NEW.onnx`"

ONNX_RUNTIME_LINES: tuple[KnownLine, ...] = (
    KnownLine(
        "ort-weights",
        "ONNX Runtime",
        r"(External data|external initializer).{0,200}(not exist|not found|No such|escapes|fail)|"
        r"model_path must not be empty",
        "The ONNX file holds the structure only; its weights lie in a second file that is not beside it.",
        "Copy both under the names they had, or merge them: `reidstream models prepare MODEL.onnx -o NEW.onnx`.",
        "External data path does not exist: /srv/models/reid.onnx.data",
    ),
    KnownLine(
        "ort-ir-version",
        "ONNX Runtime",
        r"Unsupported model IR version",
        "The file was written by a newer onnx package than this ONNX Runtime knows.",
        "Update onnxruntime, or write an older one: `reidstream models prepare MODEL.onnx -o NEW.onnx`.",
        "Load model from m.onnx failed: Unsupported model IR version: 12, max supported IR version: 10",
    ),
    KnownLine(
        "ort-opset",
        "ONNX Runtime",
        r"official(ly)? support(ed)? for domain|is under development and support for this is limited|"
        r"opset \d+ is (not|under)",
        "The file uses an opset that is newer than this ONNX Runtime knows.",
        "Update onnxruntime, or export with a lower opset (17 is read everywhere).",
        "ONNX Runtime only *guarantees* support for models stamped with official released onnx opset "
        "versions. Current official support for domain ai.onnx is till opset 21.",
    ),
    KnownLine(
        "ort-not-implemented",
        "ONNX Runtime",
        r"NOT_IMPLEMENTED|Could not find an implementation for|is not a registered function/op",
        "ONNX Runtime has no code for an operator of this model, or not for its type (half precision on "
        "the CPU, for one).",
        "Use the model in float32, or a provider that has the operator.",
        "[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation for Conv(11) node "
        "with name 'conv1'",
    ),
    KnownLine(
        "ort-no-file",
        "ONNX Runtime",
        r"NO_?SUCHFILE|Load model .{0,300}File doesn't exist",
        "The model is not at that path, which counts from the working directory.",
        "Write an absolute path; in a container, see that the folder is mounted.",
        "[ONNXRuntimeError] : 3 : NO_SUCHFILE : Load model from reid.onnx failed. File doesn't exist",
    ),
    KnownLine(
        "ort-damaged",
        "ONNX Runtime",
        r"INVALID_PROTOBUF|Protobuf parsing failed|onnx.*DecodeError",
        "The file is cut short, or no ONNX file: a web page or a Git LFS pointer saved under its name.",
        "Look at its size and first bytes, and load it again; `reidstream models show` compares the checksum.",
        "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from reid.onnx failed:Protobuf parsing failed.",
    ),
    KnownLine(
        "ort-invalid-graph",
        "ONNX Runtime",
        r"INVALID_GRAPH|This is an invalid model|Type Error: Type",
        "The graph contradicts itself: types or shapes that do not fit, or an operator that does not exist.",
        "Export it again, or see what `reidstream models prepare MODEL.onnx -o NEW.onnx` can mend.",
        "[ONNXRuntimeError] : 10 : INVALID_GRAPH : This is an invalid model.",
    ),
    KnownLine(
        "ort-remark",
        "ONNX Runtime",
        r"not assigned to the preferred execution providers|GPU device discovery failed|Memcpy nodes are "
        r"added|pthread_setaffinity_np failed|Removing initializer|can be (safely )?ignored.*onnxruntime|"
        r"VerifyEachNodeIsAssignedToAnEp|MergeShapeInfo",
        "A remark of ONNX Runtime about where it runs what.",
        "Nothing has to be done.",
        "[W:onnxruntime:, session_state.cc:1162 VerifyEachNodeIsAssignedToAnEp] Some nodes were not "
        "assigned to the preferred execution providers",
        harmless=True,
    ),
    KnownLine(
        "ort-memory",
        "ONNX Runtime",
        r"onnxruntime.{0,200}Failed to allocate memory|BFCArena.*(Failed|exceed)|Available memory of \d+ "
        r"is smaller than requested",
        "The GPU's memory does not suffice for this batch.",
        "Use a smaller batch, or see with `nvidia-smi` what else runs there.",
        "onnxruntime::BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 536870912",
    ),
    KnownLine(
        "provider-missing",
        "ONNX Runtime",
        r"is not in available provider names|Failed to create CUDAExecutionProvider|"
        r"libonnxruntime_providers_cuda\.so.*(fail|error)",
        "ONNX Runtime's CUDA provider is not there or cannot be loaded, and it goes on with the CPU.",
        "`reidstream setup cuda` installs it with all libraries; `reidstream doctor --set local.device=cuda` says what "
        "is missing.",
        "UserWarning: Specified provider 'CUDAExecutionProvider' is not in available provider names.",
    ),
    KnownLine(
        "library-missing",
        "ONNX Runtime",
        r"lib(cudnn|cublas|cudart|cufft|curand|nvrtc)\S*\.so\S*: cannot open shared object",
        "A library of CUDA or cuDNN is missing, or of another major version.",
        "`reidstream setup cuda` installs those of ONNX Runtime, in the version that it wants.",
        "libcudnn.so.9: cannot open shared object file: No such file or directory",
    ),
    KnownLine(
        "input-shape",
        "ONNX Runtime",
        r"Got invalid dimensions for input|Invalid rank for input|Unexpected input data type|"
        r"Invalid (Feed )?Input Name",
        "The graph has a fixed batch or size, and was given another.",
        f"Make the batch open: {_PREPARE}.",
        "InvalidArgument: Got invalid dimensions for input: input, index: 0 Got: 4 Expected: 16",
    ),
)
