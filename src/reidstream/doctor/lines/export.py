"""Known lines: PyTorch and export."""

from __future__ import annotations

from reidstream.doctor.lines.known_line import KnownLine

_PREPARE = "`reidstream models prepare MODEL.onnx -o NEW.onnx`"

EXPORT_LINES: tuple[KnownLine, ...] = (
    KnownLine(
        "export-operator",
        "PyTorch and export",
        r"Exporting the operator|UnsupportedOperatorError|Unsupported: ONNX export of operator|is not "
        r"supported in opset|opset version \d+ is not supported|No ONNX function found",
        "PyTorch's exporter has no translation of this operator for the opset that it was told.",
        "Ask for a higher opset (opset_version=17 knows attention), or, for OSNet and the models that it "
        "knows, use `reidstream models export`, which writes the graph itself.",
        "torch.onnx.errors.UnsupportedOperatorError: Exporting the operator "
        "'aten::scaled_dot_product_attention' to ONNX opset version 13 is not supported.",
    ),
    KnownLine(
        "onnx-ir-checker",
        "PyTorch and export",
        r"ir_version \d+ is higher than the checker|IR version \d+ is higher",
        "The file was written by a newer onnx package than the one that looks at it.",
        "`python -m pip install -U onnx`, or write an older one: `reidstream models prepare MODEL.onnx -o NEW.onnx`.",
        "onnx.onnx_cpp2py_export.checker.ValidationError: Your model ir_version 11 is higher than the checker's (10)",
    ),
    KnownLine(
        "onnx-invalid",
        "PyTorch and export",
        r"checker\.ValidationError|onnx\.\w*\.?InferenceError|Nodes in a graph must be topologically "
        r"sorted|No Op registered for",
        "The ONNX file breaks the format's rules; the words behind it say where.",
        "Export it again, or see what `reidstream models prepare MODEL.onnx -o NEW.onnx` can mend.",
        "onnx.onnx_cpp2py_export.checker.ValidationError: Nodes in a graph must be topologically sorted",
    ),
    KnownLine(
        "protobuf-version",
        "PyTorch and export",
        r"Descriptors cannot (not )?be created directly|module 'google\.protobuf\S* has no attribute|"
        r"incompatible Protobuf|Detected incompatible Protobuf",
        "protobuf is of another major version than the package's generated code.",
        'Update that package (onnx, most often), or `python -m pip install "protobuf<5"` in its environment.',
        "TypeError: Descriptors cannot be created directly.",
    ),
    KnownLine(
        "protobuf-size",
        "PyTorch and export",
        r"exceeds maximum protobuf size|larger than 2GB|exceeded maximum protobuf",
        "An ONNX file of more than 2 GB cannot hold its weights inside.",
        "Keep the weights in the second file, beside it; Re-ID models are far smaller, so look whether "
        "it is the right one.",
        "ValueError: Message onnx.ModelProto exceeds maximum protobuf size of 2GB: 2365587468",
    ),
    KnownLine(
        "checkpoint-damaged",
        "PyTorch and export",
        r"PytorchStreamReader failed|invalid load key|Ran out of input|failed finding central directory|"
        r"unexpected EOF|corrupt(ed)? (checkpoint|zip)|HeaderTooLarge|MetadataIncompleteBuffer",
        "The checkpoint is cut short, or no checkpoint: a web page or a Git LFS pointer saved under its name.",
        "Look at its size and first bytes (`head -c 100 FILE`), and load it again; `git lfs pull` for a pointer.",
        "RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory",
    ),
    KnownLine(
        "gdown",
        "PyTorch and export",
        r"Cannot retrieve the public link|gdown.*(Access denied|Permission denied)|Too many users have "
        r"viewed or downloaded|Failed to retrieve file url",
        "The file's host refuses to hand it to a program: too many downloads, or no permission.",
        "Load it with a browser and give the path; `reidstream models list` names checkpoints with a checksum.",
        "Cannot retrieve the public link of the file. You may need to change the permission to 'Anyone with the link'",
    ),
    KnownLine(
        "checkpoint-device",
        "PyTorch and export",
        r"Attempting to deserialize object on a CUDA device|Torch not compiled with CUDA|Found no NVIDIA "
        r"driver on your system|Expected all tensors to be on the same device",
        "The checkpoint or the program wants a GPU that PyTorch here does not see.",
        "Load it with map_location='cpu'; `reidstream models export` needs no GPU.",
        "RuntimeError: Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False.",
    ),
    KnownLine(
        "torchvision-version",
        "PyTorch and export",
        r"operator torchvision::nms does not exist|Couldn't load custom C\+\+ ops|torchvision.*undefined "
        r"symbol",
        "torchvision belongs to another version of PyTorch than the one installed.",
        "Install both together from one index, in one command.",
        "RuntimeError: operator torchvision::nms does not exist",
    ),
    KnownLine(
        "torch-remark",
        "PyTorch and export",
        r"TracerWarning|FutureWarning: You are using `?torch\.load|UserWarning: (The parameter "
        r"'pretrained'|Cython evaluation)|Arguments other than a weight enum",
        "A remark of PyTorch or torchreid while it loads or traces a model.",
        "Nothing has to be done; `reidstream models export` compares what comes out with the original.",
        "TracerWarning: Converting a tensor to a Python boolean might cause the trace to be incorrect.",
        harmless=True,
    ),
    KnownLine(
        "imagenet-only",
        "PyTorch and export",
        r"loaded imagenet pretrained weights",
        "torchreid's pretrained=True gives weights for ImageNet's classes, which tell no two people apart.",
        "Use a checkpoint that was trained on people: `reidstream models list`; `models export` asks for "
        "--yes-imagenet before it takes such weights.",
        'Successfully loaded imagenet pretrained weights from "osnet_x1_0_imagenet.pth"',
    ),
    KnownLine(
        "unsafe-pickle",
        "PyTorch and export",
        r"Weights only load failed|Unsupported (global|class|operand).*weights_only|UnpicklingError",
        "The checkpoint holds Python objects beside numbers, and loading them could run code.",
        "Ask its author for the bare state_dict or a safetensors file; `reidstream models export` never runs pickles.",
        "_pickle.UnpicklingError: Weights only load failed.",
    ),
    KnownLine(
        "state-dict",
        "PyTorch and export",
        r"Error\(s\) in loading state_dict|size mismatch for|Missing key\(s\) in state_dict",
        "The checkpoint belongs to another architecture (width, IBN, AIN) or has other names.",
        "`reidstream models export` finds the architecture by itself and lists what does not fit.",
        "RuntimeError: Error(s) in loading state_dict for OSNet:",
    ),
    KnownLine(
        "export-external",
        "PyTorch and export",
        r"(saved|writing|written|exported).{0,80}external[ _]data|external[ _]data.{0,80}(saved|written|location)|"
        r"weights? (were |was )?saved to .*\.onnx[._]data",
        "The exporter put the weights into a second file beside the ONNX file.",
        f"Keep both together, or merge them: {_PREPARE}.",
        "The model weights were saved to osnet_x1_0.onnx.data",
    ),
    KnownLine(
        "onnxscript",
        "PyTorch and export",
        r"requires onnxscript|torch\.onnx\.errors\.OnnxExporterError|Failed to export the model",
        "PyTorch's new exporter needs onnxscript, or cannot translate the model.",
        "Use `reidstream models export`, which writes the graph itself.",
        "torch.onnx.errors.OnnxExporterError: Module onnx is not installed!",
    ),
    KnownLine(
        "torch-memory",
        "PyTorch and export",
        r"CUDA out of memory|torch\.(cuda\.)?OutOfMemoryError",
        "The GPU's memory is full, often because another process holds it.",
        "`nvidia-smi` shows who; use a smaller batch, or export on the CPU, which is enough.",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
    ),
)
