"""Known lines: TensorRT."""

from __future__ import annotations

from reidstream.doctor.lines.known_line import KnownLine

_PREPARE = "`reidstream models prepare MODEL.onnx -o NEW.onnx`"

TENSORRT_LINES: tuple[KnownLine, ...] = (
    KnownLine(
        "weights-file",
        "TensorRT",
        r"(Failed to|Could not|cannot|can't|Unable to) (open|load|read|find|get).{0,300}\.?onnx[._]data\b|"
        r"\.onnx[._]data.{0,40}(No such file|not found|cannot open|does not exist)|"
        r"No such file.{0,300}\.onnx[._]data|WeightsContext.*(Failed|open)|Failed to open file:? ?\S*\.data\b",
        "The ONNX file holds the structure only; its weights lie in a second file that was not copied along.",
        "Copy both, or get one file with the weights inside: `reidstream models prepare MODEL.onnx -o NEW.onnx`.",
        "[E] Failed to open file: /srv/models/osnet_x1_0.onnx.data",
    ),
    KnownLine(
        "trt-plugin",
        "TensorRT",
        r"IPluginCreator not found|Serialization assertion creator failed|getPluginCreator could not find|"
        r"Plugin not found, are the plugin name|Cannot deserialize plugin|PluginRegistry.*not found",
        "The model uses a plugin (a layer of the detector's own) that is not loaded here.",
        "Name the library that has it in custom-lib-path, built against this TensorRT, or give trtexec "
        "--staticPlugins; an engine needs it again when it is loaded.",
        "[TRT]: 1: [pluginV2Runner.cpp::load::292] Error Code 1: Serialization (Serialization assertion "
        "creator failed.Cannot deserialize plugin since corresponding IPluginCreator not found in Plugin "
        "Registry)",
    ),
    KnownLine(
        "trt-profile",
        "TensorRT",
        r"no optimization profile has been defined|no optimization profile|optimization profile (is "
        r"missing|has not been)|does not have any optimization profiles",
        "The model's input is open in height, width or batch, and nobody said which sizes to build for.",
        "Set infer-dims=3;height;width in the nvinfer file, or give trtexec --minShapes, --optShapes and "
        "--maxShapes: `reidstream models build` does both.",
        "ERROR: [TRT]: 4: [network.cpp::validate::2738] Error Code 4: Internal Error (Network has "
        "dynamic or shape inputs, but no optimization profile has been defined.)",
    ),
    KnownLine(
        "trt-old-format",
        "TensorRT",
        r"UffParser|uff-file|CaffeParser|\.(uff|caffemodel|prototxt)\b.{0,60}(not supported|fail|deprecat|"
        r"could not)|(UFF|Caffe) (model|parser|support)|Implicit batch.{0,40}not supported|"
        r"createNetworkV2.*implicit",
        "UFF and Caffe models, and implicit batches, are gone from TensorRT 10.",
        "Export the model to ONNX and name it in onnx-file; remove uff-file, model-file, proto-file and "
        "force-implicit-batch-dim.",
        "ERROR: [TRT]: UffParser: Could not read buffer.",
    ),
    KnownLine(
        "trt-engine-damaged",
        "TensorRT",
        r"serializedEngine.*(size|length|truncat)|plan (file )?(is )?(truncat|corrupt)|"
        r"Assertion.*(blobSize|hostMem)|engine (file )?(is )?(empty|corrupt)|"
        r"deserializeCudaEngine.{0,80}invalid|stdArchiveReader.*(size|Assertion)",
        "The engine file is cut short or empty: its building was interrupted, or the disk was full.",
        "Remove it and build it again: `reidstream models build`.",
        "IRuntime::deserializeCudaEngine: Error Code 1: Serialization (stdArchiveReader.cpp: Assertion "
        "size >= expected failed)",
    ),
    KnownLine(
        "trt-no-tactic",
        "TensorRT",
        r"Could not find any implementation for node|No implementation .* for node|Error Code 10\b",
        "TensorRT found no way to compute a node on this GPU in the memory and precision allowed.",
        "Give more workspace (workspace-size, --memPoolSize), free the GPU, or try network-mode=0; an "
        "int64 or odd-shaped node may need another export.",
        "[E] Error Code 10: Internal Error (Could not find any implementation for node /layer/Conv.)",
    ),
    KnownLine(
        "trt-api-usage",
        "TensorRT",
        r"Parameter check failed at|Error Code 3: API Usage|API Usage Error",
        "TensorRT was called with something that the engine does not have: another shape, batch or tensor name.",
        "The engine and the configuration differ: remove it and build it from the configuration with "
        "`reidstream models build`.",
        "[TRT]: 3: [executionContext.cpp::setInputShape::2278] Error Code 3: API Usage Error (Parameter "
        "check failed at: runtime/api/executionContext.cpp)",
    ),
    KnownLine(
        "trt-int8",
        "TensorRT",
        r"Calibrat(ion|or).{0,80}(fail|missing|cannot|null)|INT8.{0,60}(no calibrator|without calibrat|"
        r"scale factors)|Missing scale and zero-point|platform .{0,30}(INT8|FP16)",
        "INT8 without its table: there is no calibration file, or the model is not quantised.",
        "Use network-mode=2 (FP16); for a quantised model (QDQ) build the engine with `reidstream models "
        "build`, and name it in model-engine-file.",
        "[W] Missing scale and zero-point for tensor input, expect fall back to non-int8 implementation",
    ),
    KnownLine(
        "trt-remark",
        "TensorRT",
        r"CUDA lazy loading is not enabled|getMaxBatchSize\(\) function should not be used|was linked "
        r"against c\w+ [\d.]+ but loaded|Detected invalid timing cache|subnormal|outside the range of "
        r"INT32 was clamped|Using default stream in enqueue|Skipping tactic|Tensor DataType is determined "
        r"at build time|Some tactics do not have sufficient memory|Unable to determine GPU memory usage|"
        r"Local timing cache in use|Unused Input:|no longer works with TensorRT|mixed-precision|layers? "
        r"(is|are) (running|forced) .*FP32|TensorRT encountered issues when converting weights",
        "A remark of TensorRT while it builds or loads an engine.",
        "Nothing has to be done.",
        "WARNING: [TRT]: CUDA lazy loading is not enabled. Enabling it can significantly reduce device memory usage.",
        harmless=True,
    ),
    KnownLine(
        "engine-version",
        "TensorRT",
        r"Version tag does not match|Magic_?tag|Magic ?tag|Serialized Engine Version|serialized engine.*version|"
        r"incompatible serialization version|built (with|by) (a different|another) version of TensorRT|"
        r"older version of TensorRT",
        "The engine was built by another version of TensorRT.",
        "Remove it and build it where it runs: `reidstream models build`, in the same image.",
        "Serialization (Version tag does not match. Note: Current Version: 239, Serialized Engine Version: 237)",
    ),
    KnownLine(
        "engine-device",
        "TensorRT",
        r"engine plan file across different models of devices|compute capability.*(engine|expected)",
        "The engine was built on another kind of GPU: slower at best, wrong at worst.",
        "Build it on the GPU that runs it: `reidstream models build`.",
        "[W] Using an engine plan file across different models of devices is not recommended",
    ),
    KnownLine(
        "trtexec-batch-one",
        "TensorRT",
        r"no shapes were provided\. Automatically overriding shape|Dynamic dimensions required for input",
        "trtexec was not told the shapes and takes a batch of 1, so the engine holds one crop at a time.",
        "`reidstream models build` gives the shapes of your configuration (--minShapes, --optShapes, --maxShapes).",
        "[W] Dynamic dimensions required for input: input, but no shapes were provided.",
    ),
    KnownLine(
        "static-batch",
        "TensorRT",
        r"Static dimension mismatch|Static model does not take explicit shapes|setInputShape.*(mismatch|Error)|"
        r"optimization profile is invalid",
        "The ONNX file has a fixed batch, so no other can be built from it.",
        f"Make the batch open: {_PREPARE}.",
        "[E] Static model does not take explicit shapes ",
    ),
    KnownLine(
        "trtexec-options",
        "TensorRT",
        r"Unknown option:? ?--?(explicitBatch|workspace|batch|maxBatch)",
        "The option is gone from TensorRT 10: batches are always explicit, the workspace is --memPoolSize=workspace:N.",
        "`reidstream models build --dry-run` prints the command that fits.",
        "Unknown option: --workspace 1024",
    ),
    KnownLine(
        "no-trtexec",
        "TensorRT",
        r"trtexec: (command )?not found|trtexec: No such file",
        "trtexec is not on the PATH.",
        "It is /usr/src/tensorrt/bin/trtexec in the DeepStream images; elsewhere `apt-get install libnvinfer-bin`.",
        "bash: trtexec: command not found",
    ),
    KnownLine(
        "trt-memory",
        "TensorRT",
        r"Error Code 2: ?OutOfMemory|OutOfMemory \(|Requested amount of GPU memory|Error Code 2:.*memory|"
        r"cudaErrorMemoryAllocation|CUDA_ERROR_OUT_OF_MEMORY|CUDA error:? 2\b|Cuda.*out of memory|"
        r"insufficient memory on workspace|out of memory",
        "The GPU's memory does not suffice to build or run the engine.",
        "Stop what else runs on the GPU, or use a smaller batch.",
        "[E] Error Code 2: OutOfMemory (Requested size was 4294967296 bytes.)",
    ),
    KnownLine(
        "onnx-parse",
        "TensorRT",
        r"Failed to parse onnx file|ModelImporter\.cpp.*(ERROR|failed)|No importer registered for op",
        "TensorRT cannot read this ONNX file: an operator or opset that it does not know, or a damaged file.",
        f"{_PREPARE} lifts old opsets and checks the result.",
        "ERROR: [TRT]: ModelImporter.cpp:949: While parsing node number 3 [Resize]: ERROR",
    ),
    KnownLine(
        "int64-weights",
        "TensorRT",
        r"ONNX model has been generated with INT64 weights",
        "Only a remark: indices in the graph are narrowed to 32 bits.",
        "Nothing has to be done.",
        "[W] Your ONNX model has been generated with INT64 weights, while TensorRT does not natively support INT64.",
        harmless=True,
    ),
)
