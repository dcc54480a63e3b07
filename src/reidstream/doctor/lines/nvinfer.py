"""Known lines: nvinfer."""

from __future__ import annotations

from reidstream.doctor.lines.known_line import KnownLine

_CHECK = "`reidstream deepstream check FILES…` names the line"

NVINFER_LINES: tuple[KnownLine, ...] = (
    KnownLine(
        "engine-path-stray",
        "nvinfer",
        r"engine failed because file path: ?(\S*/)?[=\x22';].*open error",
        "A stray character (=, a quote, a blank) stands in the path: in these files the value is all "
        "behind the first =, without quotes.",
        "Write key=path with one = and no quotes; `reidstream deepstream check FILES…` names the line.",
        "Deserialize engine failed because file path: /srv/models/=/srv/other/new.engine open error",
    ),
    KnownLine(
        "engine-not-there",
        "nvinfer",
        r"engine failed because file path:.{0,400}open error|Failed to open (engine|TLT encoded|model) "
        r"file|engine file .{0,200}(does not exist|not found)",
        "There is no engine under that path, so it is built anew from the ONNX file.",
        "At the first start that is right, and takes minutes. At every start: the name is not the one "
        "that nvinfer writes; `reidstream deepstream check FILES…` names the line.",
        "WARNING: Deserialize engine failed because file path: /srv/models/osnet.engine open error",
    ),
    KnownLine(
        "class-count",
        "nvinfer",
        r"Num classes mismatch|num-detected-classes.{0,60}(mismatch|differs|does not match)",
        "num-detected-classes says another number than the network gives.",
        "Set it to the number of the network's classes (and lines of the labels file), and see that the "
        "right model is named.",
        "WARNING: Num classes mismatch. Configured:80, detected by network: 4",
    ),
    KnownLine(
        "infer-queue",
        "nvinfer",
        r"Failed to queue input batch|queueInputBatch.{0,80}(fail|error)|Failed to (infer|enqueue|run "
        r"inference)|Failed to dequeue output|enqueueBuffer.{0,40}fail|Failed to (add|process) .{0,30}to "
        r"inference",
        "An inference failed, and the pipeline with it: the GPU's memory is full, the engine does not "
        "fit, or an earlier CUDA error.",
        "Look for the first error above; then build the engine anew for this batch-size and look at `nvidia-smi`.",
        "gstnvinfer.cpp: error: Failed to queue input batch for inferencing",
    ),
    KnownLine(
        "mux-padding",
        "GStreamer",
        r"Padding is not supported on this platform",
        "nvstreammux cannot keep the aspect ratio with black bars on this platform and stretches instead.",
        "Set enable-padding=0, and give the mux the sources' own size so that nothing is stretched.",
        "nvstreammux: Padding is not supported on this platform",
    ),
    KnownLine(
        "surface-mapping",
        "GStreamer",
        r"mapping of memory type|NvBufSurfaceMap.{0,40}(fail|error)|Failed to map (buffer|surface)|"
        r"surface.{0,20}not mapped",
        "The picture lies in memory of the GPU that the CPU cannot reach.",
        "Set nvbuf-memory-type=3 (unified) on nvstreammux and nvvideoconvert; reading metadata alone, as "
        "ReIDStream does, needs no mapping.",
        "nvbufsurface: mapping of memory type (0) not supported",
    ),
    KnownLine(
        "surface-memory",
        "GStreamer",
        r"NvBufSurface(Create|Allocate).{0,40}(fail|error)|Failed to allocate .{0,40}(surface|buffer)|"
        r"Unable to allocate .{0,30}(surface|buffer)|nvbufsurface: Error|Could not (allocate|"
        r"create) .{0,30}buffer pool",
        "A pool of pictures could not be made: the GPU's memory is full, or the kind of memory is not "
        "for this platform.",
        "Fewer sources or a smaller mux; nvbuf-memory-type 0 or 2 for discrete GPUs, 4 for Jetson.",
        "nvbufsurface: Error(-1) in allocating buffer",
    ),
    KnownLine(
        "nvinfer-good",
        "nvinfer",
        r"Use deserialized engine model|\[(FullDims|Implicit) Engine Info\]|Load new model:.*sucessfully|"
        r"deserialized trt engine from",
        "What nvinfer says in a good run.",
        "Nothing has to be done.",
        "Use deserialized engine model: /srv/models/osnet.onnx_b16_gpu0_fp16.engine",
        harmless=True,
    ),
    KnownLine(
        "engine-batch",
        "nvinfer",
        r"maxBatchSize:? ?\d+ ?(whereas|but|while) ?\d+ ?(has been |was |is )?requested",
        "The engine was built for a smaller batch than batch-size asks for, so nvinfer throws it away and rebuilds.",
        "Build it for the batch of the configuration (`reidstream models build`), rather than lowering batch-size; "
        f"{_CHECK}.",
        "WARNING: checkBackendParams(): Backend has maxBatchSize 1 whereas 16 has been requested",
    ),
    KnownLine(
        "engine-params",
        "nvinfer",
        r"backend context.{0,300}failed to match config param",
        "The engine does not fit the configuration (the line before says in what) and is built anew.",
        f"Build it from the configuration: `reidstream models build`; {_CHECK}.",
        "deserialized backend context :/srv/models/osnet.engine failed to match config params, trying rebuild",
    ),
    KnownLine(
        "engine-unreadable",
        "nvinfer",
        r"deserialize (backend context|engine) from (engine )?(from )?file|Deserialize engine failed",
        "The engine file is not there, or of another TensorRT, and is built anew from the ONNX file.",
        "At the first start that is right, and takes minutes. At every start: the name is not the one that nvinfer "
        f"writes; {_CHECK}.",
        "WARNING: deserialize engine from file :/srv/models/osnet.engine failed",
    ),
    KnownLine(
        "engine-building",
        "nvinfer",
        r"Trying to create engine from model files",
        "TensorRT builds the engine, silently and for minutes.",
        "Wait; build it beforehand with `reidstream models build`.",
        "INFO: buildModel(): Trying to create engine from model files",
        harmless=True,
    ),
    KnownLine(
        "engine-not-stored",
        "nvinfer",
        r"failed to serialize cude engine to file|Serialize engine failed",
        "The folder of the ONNX file cannot be written, so the engine is lost and built again at every start.",
        "Set deepstream.models to a writable folder; models are copied there.",
        "WARNING: failed to serialize cude engine to file: /srv/models/osnet.onnx_b16_gpu0_fp16.engine",
    ),
    KnownLine(
        "engine-build-failed",
        "nvinfer",
        r"failed to build network\.|build engine file failed|build backend context failed|"
        r"failed to build trt engine|Build engine failed",
        "TensorRT could not build the engine; an earlier line says why (no ONNX file, fixed batch, memory).",
        "Look for the first [TRT] line above; `reidstream models build` builds it alone, with its log.",
        "ERROR: build engine file failed",
    ),
    KnownLine(
        "no-onnx",
        "nvinfer",
        r"Cannot access ONNX file|Failed to open file:? ?\S*\.onnx\b|failed to build network since there is no model",
        "The ONNX file is not where nvinfer looks: paths count from the folder of the configuration file.",
        f"Write an absolute path; {_CHECK} and shows how the path resolves.",
        "ERROR: Cannot access ONNX file '/srv/configs/models/osnet/osnet.onnx'",
    ),
    KnownLine(
        "context-failed",
        "nvinfer",
        r"Failed to create NvDsInferContext|NvDsInfer Error:",
        "nvinfer could not start; the real reason stands a few lines above.",
        f"Give the whole log to this command, and the files to the checker: {_CHECK}.",
        "error: Failed to create NvDsInferContext instance",
    ),
    KnownLine(
        "parsing-failed",
        "nvinfer",
        r"Configuration file parsing failed|Failed to parse group property|Could not find group property|"
        r"Config file not (given|specified)|"
        r"Failed to load config file",
        "The configuration file is refused: a missing [property], a value that cannot be read, a line that is no key.",
        f"{_CHECK}.",
        "gstnvinfer.cpp: error: Configuration file parsing failed",
    ),
    KnownLine(
        "unknown-key",
        "nvinfer",
        r"Unknown or legacy key specified",
        "nvinfer does not know the key and goes on without it: a typing mistake, or a key of another version.",
        f"{_CHECK} and suggests the right one.",
        "Unknown or legacy key specified 'batchsize' for group [property]",
    ),
    KnownLine(
        "unique-id",
        "nvinfer",
        r"Unique ID not set",
        "gie-unique-id is missing from the file.",
        "Give each network its own number: 1 for the detector, 2 for Re-ID.",
        "ERROR: Unique ID not set",
    ),
    KnownLine(
        "offsets-count",
        "nvinfer",
        r"Number of offsets ?\(\d+\) not equal|Maximum\s+length of \d+ is allowed for 'offsets'",
        "offsets needs one number per channel.",
        "Three numbers with ; between them, or none when the normalisation is inside the model.",
        "ERROR: Number of offsets(1) not equal to number of input channels(3)",
    ),
    KnownLine(
        "dims",
        "nvinfer",
        r"backend can not support dims|explict dims\.nbDims in config does not match|array length is \d+\. Should be 3",
        "infer-dims differs from the model's input, or is not c;h;w.",
        "Set infer-dims to the model's input, 3;256;128 for OSNet.",
        "WARNING: backend can not support dims:3x128x64",
    ),
    KnownLine(
        "output-layer",
        "nvinfer",
        r"Could not find output layer|Output layer .{0,80} not found|could not find layer .{0,80} in (engine|network)",
        "output-blob-names names a layer that the engine does not have.",
        f"Use the ONNX file's own name; {_CHECK}.",
        "WARNING: Could not find output layer 'fc1' in engine",
    ),
    KnownLine(
        "labels-file",
        "nvinfer",
        r"Could not open labels? file|Failed to (parse|read|open) labels? file|labels? file.{0,80}(not found|"
        r"does not exist)",
        "labelfile-path does not lead to a readable file.",
        f"{_CHECK} and shows how the path resolves.",
        "ERROR: Could not open labels file:/srv/configs/labels.txt",
    ),
    KnownLine(
        "class-beyond",
        "nvinfer",
        r"Attributes specified for class \d+ while element has been configured",
        "A [class-attrs-N] group is beyond num-detected-classes.",
        "Correct the number, or remove the group.",
        "Attributes specified for class 4 while element has been configured with num-detected-classes=4",
    ),
    KnownLine(
        "custom-library",
        "nvinfer",
        r"Could not open custom lib|dlsym failed to get func|Could not find (output )?(coverage|bbox|NMS|\w+) layer|"
        r"Could not find Custom Engine|Failed to parse (bboxes|outputs?) using|custom parse function|"
        r"(No|Unable to find) (bbox|custom) pars\w+ func|Unsupported function pointer",
        "nvinfer cannot read the detector's output: no parser library, or not the function that the file names.",
        "Set custom-lib-path and parse-bbox-func-name to a parser for this model.",
        "ERROR: Could not open custom lib: /srv/lib/libyolox.so: cannot open shared object file",
    ),
    KnownLine(
        "async-off",
        "nvinfer",
        r"asynchronous mode is applicable for secondary",
        "classifier-async-mode works for secondary classifiers only and was turned off.",
        "Remove classifier-async-mode; with it, embeddings would never be attached.",
        "NvInfer asynchronous mode is applicable for secondary classifiers only. Turning off asynchronous mode",
    ),
    KnownLine(
        "int8-calibration",
        "nvinfer",
        r"INT8 calibration file not specified",
        "network-mode=1 is INT8, and without calibration nvinfer builds FP16 (and names the file so).",
        "Set network-mode=2 for FP16, or give int8-calib-file; a quantised model needs an engine from "
        "`reidstream models build`.",
        "INT8 calibration file not specified/accessible. INT8 calibration can be done through setDynamicRange",
    ),
    KnownLine(
        "opencv-clustering",
        "nvinfer",
        r"OpenCV has been deprecated\. Using NMS",
        "cluster-mode 0 was replaced by NMS with 20 boxes and an IoU of 0.5.",
        "Set cluster-mode=2 with your own nms-iou-threshold and topk.",
        "Warning, OpenCV has been deprecated. Using NMS for clustering instead of cv::groupRectangles with topK = 20",
    ),
    KnownLine(
        "source-unknown",
        "nvinfer",
        r"Source info not found for source",
        "nvinfer did not see the source being added and skips all of it; only a real nvstreammux tells it.",
        "Feed sources through nvstreammux's request pads, one sink_N each.",
        "Source info not found for source 3",
    ),
    KnownLine(
        "transform",
        "nvinfer",
        r"NvBufSurf(ace)?Transform failed|Memory Compatibility Error|Failed to convert input batch|"
        r"nvbufsurftransform.{0,60}(error|fail)",
        "Crops cannot be scaled: memory of another GPU or kind, or a box of no size.",
        "Use one gpu-id in all elements, and set input-object-min-width and -height.",
        "NvBufSurfTransform failed with error -2 while converting buffer",
    ),
    KnownLine(
        "bad-value",
        "nvinfer",
        r"Error[.:]\s+(Invalid|Negative) .{0,60}(specified|value|'\S+':|for group)|Error[.:]\s+Invalid value for\b|"
        r"Error: [\w-]+ ?\(-?\d+\) should be\b|Error[.:]\s+Maximum\s+length of \d+ is allowed|"
        r"Number of Color params should be|Invalid group \[.{1,60}\]",
        "A key of nvinfer's file has a value that it does not take; with it the file is refused as a whole.",
        f"Correct it: {_CHECK}.",
        "Error. Invalid value for scaling-filter:'9'",
    ),
    KnownLine(
        "path-of-key",
        "nvinfer",
        r"Error: Could not parse .{1,60}path\b",
        "A key of nvinfer's file names a file whose folder does not exist. Relative paths count from the folder of "
        "nvinfer's file, not from where the program was started.",
        f"Give absolute paths that exist inside the container: {_CHECK}.",
        "Error: Could not parse ONNX file path",
    ),
    KnownLine(
        "deprecated-key",
        "nvinfer",
        r"'[\w-]+' parameter has been deprecated|Ignoring '[\w-]+' parameter since|"
        r"Deprecated params \w+ is being used",
        "The file has a key of an older DeepStream beside, or instead of, the one that counts now.",
        f"It still works; {_CHECK} and what it is called now.",
        "Warn: 'threshold' parameter has been deprecated. Use 'pre-cluster-threshold' instead.",
        harmless=True,
    ),
    KnownLine(
        "mean-file",
        "nvinfer",
        r"mean image file|Failed to (read|copy) .{0,40}mean (data|file)|ppm mean image|PPM identifier",
        "The file of mean-file cannot be used: it has to be a PPM picture of exactly the network's size.",
        "Leave it out: our models subtract the mean themselves (`offsets` says one value a channel for others).",
        "Could not open mean image file '/models/mean.ppm'",
    ),
    KnownLine(
        "larger-batch",
        "nvinfer",
        r"Not inferring on batch since it's size|Mismatch in input tensor batch sizes|"
        r"Batch-size \(\d+\) more than maximum allowed",
        "More frames or crops came at once than the network's batch-size allows; they go without inference.",
        f"Set batch-size of the PGIE to that of the mux, and build the engine for it: {_CHECK}.",
        "Not inferring on batch since it's size(32) exceeds max batch size(16)",
    ),
    KnownLine(
        "gpu-of-key",
        "nvinfer",
        r"Unable to set (cuda )?device in\b|Failed to set cuda device|Invalid gpu device ID|GPU ID mismatch|"
        r"configured with gpu-id \d+ but received",
        "gpu-id names a GPU that this container does not see, or elements name different ones.",
        "Use one gpu-id everywhere (deepstream.gpu_id); with `--gpus device=1` the only one is number 0 inside.",
        "Error: Invalid gpu device ID (1). CUDA device count (1)",
    ),
)
