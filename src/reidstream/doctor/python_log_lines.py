"""Known error lines of pip, Python, PyTorch and ONNX Runtime.

``sample`` is such a line with made-up names; a test matches each of them.
"""

from __future__ import annotations

from reidstream.doctor.log_lines import KnownLine

_PREPARE = "`reidstream models prepare MODEL.onnx -o NEW.onnx`"

PYTHON_LINES: tuple[KnownLine, ...] = (
    # Python and pip
    KnownLine(
        "externally-managed",
        "Python and pip",
        r"externally[- ]managed[- ]environment|environment is externally managed",
        "Debian and Ubuntu keep pip away from the system's own Python.",
        "Make an environment: `python3 -m venv --system-site-packages .venv` (inside the DeepStream container it must "
        "see the system's gi), then install there.",
        "error: externally-managed-environment",
    ),
    KnownLine(
        "no-pyds",
        "Python and pip",
        r"No module named '?pyds",
        "NVIDIA's bindings are in no package registry and in no image.",
        "Install the wheel of your DeepStream version (8.0: pyds 1.2.2) from NVIDIA's deepstream_python_apps releases; "
        "docker/Dockerfile.deepstream does it.",
        "ModuleNotFoundError: No module named 'pyds'",
    ),
    KnownLine(
        "no-gi",
        "Python and pip",
        r"No module named '?gi\b",
        "The environment does not see the system's PyGObject.",
        "`apt-get install python3-gi python3-gst-1.0`, and an environment with --system-site-packages.",
        "ModuleNotFoundError: No module named 'gi'",
    ),
    KnownLine(
        "no-pyservicemaker",
        "Python and pip",
        r"No module named '?pyservicemaker",
        "The wheel comes with DeepStream, but is not installed.",
        "Not needed here, ReIDStream uses pyds. Elsewhere: pip install the wheel in "
        "/opt/nvidia/deepstream/deepstream/service-maker/python.",
        "ModuleNotFoundError: No module named 'pyservicemaker'",
    ),
    KnownLine(
        "torchreid-undeclared",
        "Python and pip",
        r"No module named '?(gdown|tensorboard|scipy|cv2|onnxscript|onnx|yacs|h5py|Cython|sklearn|matplotlib)\b",
        "torchreid needs packages that it does not declare, and so does the export of new PyTorch versions.",
        "Not needed here: `reidstream models export` reads torchreid checkpoints without torchreid. Elsewhere: install "
        "the package that is named (cv2 is opencv-python-headless).",
        "ModuleNotFoundError: No module named 'tensorboard'",
    ),
    KnownLine(
        "no-torchreid",
        "Python and pip",
        r"No module named '?torchreid",
        "torchreid is not installed, or a version whose modules lie elsewhere (torchreid.reid).",
        "Not needed here: `reidstream models export CHECKPOINT` reads its checkpoints.",
        "ModuleNotFoundError: No module named 'torchreid.metrics'",
    ),
    KnownLine(
        "no-torch",
        "Python and pip",
        r"No module named '?torch\b",
        "PyTorch is not part of the run-time environment; only exporting a checkpoint needs it.",
        'Install the export extra: `python -m pip install "reidstream[export]"`.',
        "ModuleNotFoundError: No module named 'torch'",
    ),
    KnownLine(
        "no-chromadb",
        "Python and pip",
        r"No module named '?chromadb",
        "ChromaDB is not installed in the environment that runs.",
        "Install ReIDStream itself, which brings it: `python -m pip install reidstream`.",
        "ModuleNotFoundError: No module named 'chromadb'",
    ),
    KnownLine(
        "numpy-abi",
        "Python and pip",
        r"compiled using NumPy 1\.x cannot be run|numpy\.core\.multiarray failed to import|numpy\.dtype size changed",
        "A native package (pyds, for instance) was built for NumPy 1, and NumPy 2 is installed.",
        'Inside the DeepStream container: `python -m pip install "numpy==1.26.*"`; ReIDStream runs with both.',
        "A module that was compiled using NumPy 1.x cannot be run in NumPy 2.2.0 as it may crash.",
    ),
    KnownLine(
        "no-distribution",
        "Python and pip",
        r"No matching distribution found for|Could not find a version that satisfies the requirement",
        "No package of that name fits this Python, or the registry cannot be reached.",
        "Use Python 3.11 to 3.13; without a network, install from a folder of wheels (`pip install --no-index "
        "--find-links FOLDER`).",
        "ERROR: No matching distribution found for onnxruntime==1.20",
    ),
    KnownLine(
        "no-wheel",
        "Python and pip",
        r"Failed building wheel for|Could not build wheels for",
        "There is no ready wheel for this Python, and building one needs compilers and headers.",
        "Use a Python for which there is a wheel (3.11 to 3.13), or install build-essential and python3-dev.",
        "ERROR: Failed building wheel for torchreid",
    ),
    KnownLine(
        "opencv-display",
        "Python and pip",
        r"libGL\.so\.1: cannot open shared object|libgthread-2\.0\.so\.0: cannot open",
        "OpenCV's package with windows needs libraries of a desktop, which containers lack.",
        "`python -m pip uninstall -y opencv-python && python -m pip install opencv-python-headless`.",
        "ImportError: libGL.so.1: cannot open shared object file: No such file or directory",
    ),
    KnownLine(
        "sqlite-old",
        "Python and pip",
        r"unsupported version of sqlite3",
        "ChromaDB wants SQLite 3.35 or newer than this Python was built with.",
        "Use a newer Python (3.11 to 3.13 from a current distribution or from uv).",
        "RuntimeError: Your system has an unsupported version of sqlite3. Chroma requires sqlite3 >= 3.35.0.",
    ),
    KnownLine(
        "kernel-died",
        "Python and pip",
        r"kernel (appears to have )?died|Kernel Restarting|Segmentation fault|core dumped",
        "Native code crashed: often pyds of another DeepStream version, or a TensorRT engine of another TensorRT.",
        "`reidstream doctor --engine deepstream` compares the versions; run long work in a child process "
        "(`reidstream run`), so that the notebook stays alive.",
        "The kernel appears to have died. It will restart automatically.",
    ),
    KnownLine(
        "gallery-owned",
        "Python and pip",
        r"is being written by|GalleryLocked",
        "Another process owns the gallery for writing; two writers would lose vectors.",
        "Wait until it has finished, or stop it. Reading and searching go on meanwhile.",
        "error: gallery people is being written by process 4711 on camera-host",
    ),
    # PyTorch and export
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
        r"external[ _]data.*(onnx|saved|location)|weights? (were |was )?saved to .*\.onnx\.data",
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
        r"CUDA out of memory|torch\.OutOfMemoryError",
        "The GPU's memory is full, often because another process holds it.",
        "`nvidia-smi` shows who; use a smaller batch, or export on the CPU, which is enough.",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
    ),
    # ONNX Runtime
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
        r"Got invalid dimensions for input",
        "The graph has a fixed batch or size, and was given another.",
        f"Make the batch open: {_PREPARE}.",
        "InvalidArgument: Got invalid dimensions for input: input, index: 0 Got: 4 Expected: 16",
    ),
)
