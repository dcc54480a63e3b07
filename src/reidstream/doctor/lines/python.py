"""Known lines: Python and pip."""

from __future__ import annotations

from reidstream.doctor.lines.known_line import KnownLine

PYTHON_LINES: tuple[KnownLine, ...] = (
    KnownLine(
        "illegal-instruction",
        "Python and pip",
        r"Illegal instruction|SIGILL",
        "A native package uses instructions that this processor does not have.",
        "Install the package's build for older processors, or build it here (`pip install --no-binary NAME NAME`).",
        "Illegal instruction (core dumped)",
    ),
    KnownLine(
        "python-version",
        "Python and pip",
        r"requires a different Python|requires Python ['\\\"]?[<>=]|Requires-Python|Python \S+ is not "
        r"supported|not a supported wheel on this platform",
        "The package wants another version of Python than the one that runs pip; a wheel's cp312 is Python 3.12.",
        "ReIDStream runs with Python 3.11 to 3.13, DeepStream 8.0's pyds with 3.12: make an environment with that one.",
        "ERROR: Package 'reidstream' requires a different Python: 3.10.12 not in '>=3.11'",
    ),
    KnownLine(
        "pyds-python",
        "Python and pip",
        r"libpython3\.\d+\S*: cannot open shared object",
        "A binding (pyds, most often) was built for another version of Python, whose library is not here.",
        "Install the wheel for this DeepStream and Python: 1.2.2 with Python 3.12 for DeepStream 8.0, "
        "1.1.11 with 3.10 for 7.0, 1.1.8 with 3.8 for 6.3.",
        "ImportError: libpython3.8.so.1.0: cannot open shared object file: No such file or directory",
    ),
    KnownLine(
        "libstdcxx-old",
        "Python and pip",
        r"version `?['\\\"]?(GLIBCXX|CXXABI|GLIBC)_[\d.]+'? not found",
        "The binary was built on a newer distribution than this one: its C or C++ library is too old for it.",
        "Take the wheel that was made for this distribution, or build it here; in conda, its own "
        "libstdc++ may come first (conda install -c conda-forge libstdcxx-ng).",
        "ImportError: /usr/lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.32' not found "
        "(required by pyds.so)",
    ),
    KnownLine(
        "pyds-attribute",
        "Python and pip",
        r"module 'pyds' has no attribute|pyds\.\w+' object has no attribute|type object 'pyds\.",
        "This pyds has no such name: it is of another version, or the name belongs to the sample "
        "programs beside it (MODE_GPU is of the old OSD examples).",
        "Compare its version with DeepStream's (`reidstream doctor --engine deepstream`), and take the "
        "examples of the same release.",
        "AttributeError: module 'pyds' has no attribute 'MODE_GPU'",
    ),
    KnownLine(
        "pyds-surface",
        "Python and pip",
        r"get_nvds_buf_surface|only support RGBA|Unable to convert function return value to a Python type",
        "pyds hands out pictures in RGBA only, from memory that the CPU can reach.",
        "Put nvvideoconvert and a capsfilter video/x-raw(memory:NVMM),format=RGBA before the probe, with "
        "nvbuf-memory-type=3 on a discrete GPU. Not needed here: crops come from the object encoder.",
        "RuntimeError: get_nvds_buf_Surface: Currently we only support RGBA/RGB color Format",
    ),
    KnownLine(
        "pyds-arguments",
        "Python and pip",
        r"incompatible function arguments.*pyds|pyds.*incompatible function arguments|Unregistered type : "
        r"_?NvDs|cast\(\): incompatible",
        "pyds was given something else than it expects: a buffer without metadata, a list's end, or "
        "another version's type.",
        "Test for None before casting, advance the list in every branch, and attach the probe behind nvstreammux.",
        "TypeError: cast(): incompatible function arguments. The following argument types are supported: "
        "pyds.NvDsFrameMeta",
    ),
    KnownLine(
        "static-tls",
        "Python and pip",
        r"cannot allocate memory in static TLS block",
        "A library was loaded too late to get its thread-local memory.",
        "Load it first: LD_PRELOAD with the path in this line (libgomp or libGLdispatch), or import it "
        "before the others.",
        "ImportError: /lib/aarch64-linux-gnu/libGLdispatch.so.0: cannot allocate memory in static TLS block",
    ),
    KnownLine(
        "gi-namespace",
        "Python and pip",
        r"Namespace (Gst\w*|GLib) not available|cannot import name '?_gi\b|Requiring namespace|No module "
        r"named ['‘`]?cairo",
        "PyGObject is there, but not GStreamer's descriptions for it, or it was built for another Python.",
        "`apt-get install python3-gi python3-gst-1.0 gir1.2-gst-plugins-base-1.0`, and the distribution's own Python.",
        "ValueError: Namespace Gst not available",
    ),
    KnownLine(
        "numpy-removed",
        "Python and pip",
        r"module 'numpy' has no attribute|np\.(bool|float|int|object|product)\w* was (removed|a "
        r"deprecated)",
        "Old code uses a name that NumPy has removed.",
        "Update that package, or use the NumPy of its time in an environment of its own.",
        "AttributeError: module 'numpy' has no attribute 'bool'",
    ),
    KnownLine(
        "setuptools-removed",
        "Python and pip",
        r"No module named ['\"‘`]?(distutils|pkg_resources|imp|setuptools)\b",
        "Python 3.12 has no distutils and no imp any more, and new environments no setuptools.",
        '`python -m pip install "setuptools<81"`, or a newer release of the package that asks for it.',
        "ModuleNotFoundError: No module named 'pkg_resources'",
    ),
    KnownLine(
        "pip-conflict",
        "Python and pip",
        r"ResolutionImpossible|conflicting dependencies|dependency resolver does not currently|"
        r"has requirement .* but you have|\S+ requires \S+, (but you have|which is not installed)",
        "Two packages ask for different versions of a third.",
        "Give each its own environment; `python -m pip check` lists what does not fit.",
        "ERROR: pip's dependency resolver does not currently take into account all the packages that are installed.",
    ),
    KnownLine(
        "pip-hash",
        "Python and pip",
        r"DO NOT MATCH THE HASHES|Hashes are required in --require-hashes",
        "What was loaded is not what the list of requirements promises: a broken cache, another mirror, "
        "or a changed file.",
        "`python -m pip cache purge` and again; if it stays, do not install it.",
        "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
    ),
    KnownLine(
        "python-headers",
        "Python and pip",
        r"Python\.h: No such file|command '?\S*(gcc|g\+\+|cc)'? failed|Microsoft Visual C\+\+|CMake must "
        r"be installed|error: subprocess-exited-with-error|metadata-generation-failed",
        "pip builds the package from source and lacks a compiler or headers.",
        "`apt-get install build-essential python3-dev cmake`, or use a Python for which there is a wheel "
        "(3.11 to 3.13).",
        "fatal error: Python.h: No such file or directory",
    ),
    KnownLine(
        "pip-remark",
        "Python and pip",
        r"Running pip as the '?root|new release of pip (is )?available|You are using pip version|WARNING: "
        r"The script .* is installed in .* not on PATH",
        "A remark of pip.",
        "Nothing has to be done.",
        "WARNING: Running pip as the 'root' user can result in broken permissions",
        harmless=True,
    ),
    KnownLine(
        "opencv-empty",
        "Python and pip",
        r"cv2\.error.*(_src\.empty|empty\(\)|size\.width>0)|OpenCV.*_src\.empty",
        "OpenCV was given an empty picture: the file was not found or cannot be decoded, or a crop lies "
        "outside the frame.",
        "Check the path (cv2.imread gives None without a word) and clip boxes to the frame.",
        "cv2.error: OpenCV(4.10.0) error: (-215:Assertion failed) !_src.empty() in function 'cvtColor'",
    ),
    KnownLine(
        "opencv-window",
        "Python and pip",
        r"qt\.qpa|Qt platform plugin|The function is not implemented\. Rebuild the library with Windows|"
        r"cannot connect to X server|could not connect to display",
        "A window is to be opened where there is no display.",
        "Write a file instead (`reidstream run … --render out.mp4`), or start with a display and its permission.",
        "qt.qpa.xcb: could not connect to display",
    ),
    KnownLine(
        "jupyter-root",
        "Python and pip",
        r"Running as root is not recommended\. Use --allow-root",
        "Jupyter refuses to run as root, which is the user of many containers.",
        "Start it with --allow-root inside the container, or as another user.",
        "Running as root is not recommended. Use --allow-root to bypass.",
    ),
    KnownLine(
        "spawn-main",
        "Python and pip",
        r"before the current process has finished its bootstrapping phase|freeze_support\(\)",
        "A script starts processes while it is being imported by them.",
        'Put what it does behind `if __name__ == "__main__":`.',
        "RuntimeError: An attempt has been made to start a new process before the current process has "
        "finished its bootstrapping phase.",
    ),
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
        r"No module named ['\"‘`]?pyds",
        "NVIDIA's bindings are in no package registry and in no image, and from DeepStream 9.0 on there is no wheel.",
        "Not needed here: ReIDStream reads out of memory where it is missing (deepstream.metadata=memory). Elsewhere: "
        "the wheel of your DeepStream version (8.0: pyds 1.2.2) from NVIDIA's deepstream_python_apps releases.",
        "ModuleNotFoundError: No module named 'pyds'",
    ),
    KnownLine(
        "no-gi",
        "Python and pip",
        r"No module named ['\"‘`]?gi\b",
        "The environment does not see the system's PyGObject.",
        "`apt-get install python3-gi python3-gst-1.0`, and an environment with --system-site-packages.",
        "ModuleNotFoundError: No module named 'gi'",
    ),
    KnownLine(
        "no-pyservicemaker",
        "Python and pip",
        r"No module named ['\"‘`]?pyservicemaker",
        "The wheel comes with DeepStream, but is not installed.",
        "Not needed here. Elsewhere: pip install the wheel in /opt/nvidia/deepstream/deepstream/service-maker/python.",
        "ModuleNotFoundError: No module named 'pyservicemaker'",
    ),
    KnownLine(
        "torchreid-undeclared",
        "Python and pip",
        r"No module named ['\"‘`]?(gdown|tensorboard|scipy|cv2|onnxscript|onnx|yacs|h5py|Cython|sklearn|matplotlib)\b",
        "torchreid needs packages that it does not declare, and so does the export of new PyTorch versions.",
        "Not needed here: `reidstream models export` reads torchreid checkpoints without torchreid. Elsewhere: install "
        "the package that is named (cv2 is opencv-python-headless).",
        "ModuleNotFoundError: No module named 'tensorboard'",
    ),
    KnownLine(
        "no-torchreid",
        "Python and pip",
        r"No module named ['\"‘`]?torchreid",
        "torchreid is not installed, or a version whose modules lie elsewhere (torchreid.reid).",
        "Not needed here: `reidstream models export CHECKPOINT` reads its checkpoints.",
        "ModuleNotFoundError: No module named 'torchreid.metrics'",
    ),
    KnownLine(
        "no-torch",
        "Python and pip",
        r"No module named ['\"‘`]?torch\b",
        "PyTorch is not part of the run-time environment; only exporting a checkpoint needs it.",
        'Install the export extra: `python -m pip install "reidstream[export]"`.',
        "ModuleNotFoundError: No module named 'torch'",
    ),
    KnownLine(
        "no-chromadb",
        "Python and pip",
        r"No module named ['\"‘`]?chromadb",
        "ChromaDB is not installed in the environment that runs.",
        "Install ReIDStream itself, which brings it: `python -m pip install reidstream`.",
        "ModuleNotFoundError: No module named 'chromadb'",
    ),
    KnownLine(
        "numpy-abi",
        "Python and pip",
        r"compiled using NumPy 1\.x cannot be run|multiarray failed to import|numpy\.dtype size changed|"
        r"_ARRAY_API not found|numpy\.ndarray size changed|compiled against (NumPy )?(C-)?A[PB]I version|"
        r"No module named ['\"‘`]?numpy\._core|Numpy is not available",
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
        "kernel-died",
        "Python and pip",
        r"kernel (appears to have )?died|Kernel Restarting|Segmentation fault|SIGSEGV|core dumped|"
        r"Fatal Python error|exit(ed with)? code 139",
        "Native code crashed: often pyds of another DeepStream version, or a TensorRT engine of another TensorRT.",
        "`reidstream doctor --engine deepstream` compares the versions; run long work in a child process "
        "(`reidstream run`), so that the notebook stays alive.",
        "The kernel appears to have died. It will restart automatically.",
    ),
)
