"""What can be said of a line by its form alone, when no other entry knows it."""

from __future__ import annotations

from reidstream.doctor.lines.known_line import KnownLine

_WHOLE = "give the whole log to this command, since the first error counts"

GENERAL_LINES: tuple[KnownLine, ...] = (
    KnownLine(
        "no-module",
        "Anything else",
        r"No module named ['\"‘`]?[\w.]+|ModuleNotFoundError",
        "The environment that runs does not have this Python package.",
        "Install it there (`python -m pip install NAME`, with the python that runs); in notebooks see that the kernel "
        "is that environment's. ReIDStream itself needs only what `python -m pip install reidstream` brings.",
        "ModuleNotFoundError: No module named 'ultralytics'",
    ),
    KnownLine(
        "library-lacking",
        "Anything else",
        r"lib[\w+.-]+\.so[\d.]*: cannot open shared object file|"
        r"error while loading shared libraries: \S+|cannot open shared object file: No such file",
        "A shared library is not installed or not on the search path (LD_LIBRARY_PATH, ldconfig).",
        "`apt-file search NAME` finds its package; `ldd FILE` shows all that are missing.",
        "error while loading shared libraries: libjansson.so.4: cannot open shared object file",
    ),
    KnownLine(
        "symbol-lacking",
        "Anything else",
        r"undefined symbol:|symbol lookup error|version `[A-Z][\w.]+' not found",
        "Two parts were built against different versions of a library.",
        "Use builds for this DeepStream, TensorRT and distribution; own plugins and parsers have to be built anew.",
        "undefined symbol: _ZN8nvinfer14ILogger3logENS0_8SeverityEPKc",
    ),
    KnownLine(
        "import-name",
        "Anything else",
        r"ImportError: cannot import name|partially initialized module",
        "A package is of another version than the program expects, or a file of yours has the package's name.",
        "`python -m pip show NAME` shows its version; rename own files such as onnx.py or chromadb.py.",
        "ImportError: cannot import name 'Tracker' from partially initialized module 'pyds'",
    ),
    KnownLine(
        "disk-full",
        "Anything else",
        r"No space left on device|Errno 28\b|ENOSPC|Disk quota exceeded|not enough space on the disk",
        "The disk (or the quota, or the container's layer) is full.",
        "Make room (`df -h`, `docker system df`); then run again: what was committed stays, the rest is made up.",
        "OSError: [Errno 28] No space left on device",
    ),
    KnownLine(
        "too-many-files",
        "Anything else",
        r"Too many open files|Errno 24\b|EMFILE",
        "The process may not open more files; every source, engine and connection needs some.",
        "`ulimit -n 65536` before starting, or `--ulimit nofile=65536` for a container.",
        "OSError: [Errno 24] Too many open files",
    ),
    KnownLine(
        "no-memory",
        "Anything else",
        r"Cannot allocate memory|Errno 12\b|std::bad_alloc|\bMemoryError\b|bad allocation",
        "The memory of the machine, or the address space that this process may use, is used up.",
        "Run fewer sources or smaller pools; `ulimit -v` shows a limit of address space, which DeepStream "
        "needs much of.",
        "OSError: [Errno 12] Cannot allocate memory",
    ),
    KnownLine(
        "not-permitted",
        "Anything else",
        r"Permission denied|Errno 13\b|Operation not permitted|Read-only file system|Errno 30\b",
        "The user that runs may not write or read there, or the mount is read-only.",
        "Our image runs as user 10001: `chown -R 10001 FOLDER` on the host, or mount a volume.",
        "PermissionError: [Errno 13] Permission denied: '/models/reid.onnx'",
    ),
    KnownLine(
        "name-resolution",
        "Anything else",
        r"Temporary failure in name resolution|Name or service not known|getaddrinfo failed|Could not resolve host|"
        r"Failed to resolve|nodename nor servname",
        "The name of the other machine is not known: no network, no DNS in the container, or a typing mistake.",
        "Try it with `getent hosts NAME` in the same container; --network host or --dns helps.",
        "socket.gaierror: [Errno -3] Temporary failure in name resolution",
    ),
    KnownLine(
        "certificate",
        "Anything else",
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|SSLCertVerificationError|self[- ]signed certificate|"
        r"Unacceptable TLS certificate",
        "The other side's certificate is not trusted here: a proxy's own, a camera's own, or a wrong clock.",
        "Install the issuer's certificate (ca-certificates), and look at `date`.",
        "ssl.SSLCertVerificationError: certificate verify failed: self-signed certificate",
    ),
    KnownLine(
        "no-connection",
        "Anything else",
        r"Connection (refused|timed out|reset by peer)|Read timed out|ConnectTimeout|No route to host|"
        r"Network is unreachable|Max retries exceeded",
        "Nothing answers at that address and port.",
        "Look whether the other side runs and whether the container sees its network (`curl -v`, `nc -vz HOST PORT`).",
        "requests.exceptions.ConnectionError: Max retries exceeded with url",
    ),
    KnownLine(
        "file-lacking",
        "Anything else",
        r"FileNotFoundError|\[Errno 2\]",
        "A file is not where the program looks; relative paths count from the working directory.",
        "Write an absolute path; in a container, see that the folder is mounted.",
        "FileNotFoundError: [Errno 2] No such file or directory: 'models/reid.onnx'",
    ),
    KnownLine(
        "cuda-error",
        "Anything else",
        r"\bcudaError[A-Z]\w+|\bCUDA_ERROR_[A-Z_]+|CUDA (runtime |driver )?(error|failure):? ?\d+|Cuda Runtime \(|"
        r"CUDNN_STATUS_[A-Z_]+|CUBLAS_STATUS_[A-Z_]+|cuda (runtime )?error",
        "CUDA refused something; its name says what.",
        f"Look at memory and driver with `nvidia-smi`; {_WHOLE}.",
        "Cuda failure: cudaErrorUnsupportedLimit",
    ),
    KnownLine(
        "tensorrt-error",
        "Anything else",
        r"\[TRT\].*\bError Code \d+|Error Code \d+: (API Usage|Internal|Serialization|Cuda|Cask|Myelin)|"
        r"^(ERROR|\[E\])\W.*\[TRT\]|ERROR:? ?\[TRT\]:?",
        "TensorRT refused something; the words behind the number say what.",
        f"`reidstream models build` builds the engine alone, with its log; {_WHOLE}.",
        "ERROR: [TRT]: 2: [weightConvertors.cpp::quantize::31] Error Code 2: Internal Error (Assertion elem failed.)",
    ),
    KnownLine(
        "nvinfer-error",
        "Anything else",
        r"Error (from|in) NvDsInferContext|NVDSINFER_[A-Z_]+",
        "nvinfer could not go on; the words behind it, or the lines above, say why.",
        f"{_WHOLE[0].upper()}{_WHOLE[1:]}; `reidstream deepstream check FILES…` looks at the files.",
        "Error from NvDsInferContextImpl::queueInputBatch()",
    ),
    KnownLine(
        "onnxruntime-error",
        "Anything else",
        r"\[ONNXRuntimeError\] ?: ?\d+",
        "ONNX Runtime refused the model or its input; the words behind the number say why.",
        "`reidstream models prepare MODEL.onnx -o NEW.onnx` mends what can be mended, and says the rest.",
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Resize node.",
    ),
    KnownLine(
        "chroma-error",
        "Anything else",
        r"chromadb\.errors\.\w+|sqlite3\.(Operational|Database|Integrity|Programming)Error",
        "ChromaDB or SQLite refused something; the words behind it say what.",
        "`reidstream gallery check` compares rows and index of a gallery.",
        "sqlite3.OperationalError: no such table: people",
    ),
    KnownLine(
        "gst-error",
        "Anything else",
        r"gst-(resource|stream|core|library)-error-quark",
        "An element of the pipeline stopped; the text before or after says why.",
        f"GST_DEBUG=3 shows more; {_WHOLE}.",
        "gst-core-error-quark: Your application tried to use an element in a wrong state (6)",
    ),
)
