"""Known lines of Docker, NVIDIA's container runtime, the driver and CUDA."""

from __future__ import annotations

from reidstream.doctor.lines.known_line import KnownLine

_SHOWN = "`reidstream doctor --engine deepstream` shows the driver and the GPU"

CONTAINER_LINES: tuple[KnownLine, ...] = (
    KnownLine(
        "driver-changed",
        "Docker and driver",
        r"driver/library version mismatch",
        "The driver was updated while the old kernel module is still loaded, so nothing can use the GPU.",
        "Restart the machine (or unload and load the nvidia modules); then `nvidia-smi` works on the host again.",
        "Failed to initialize NVML: Driver/library version mismatch",
    ),
    KnownLine(
        "gpu-lost",
        "Docker and driver",
        r"Failed to initialize NVML: Unknown Error|GPU is lost|fallen off the bus",
        "The container had the GPU and lost it: systemd reloaded its groups, or the card fell out.",
        "Restart the container; if it comes back after `systemctl daemon-reload`, let Docker use the cgroupfs driver "
        "or name the devices with --device.",
        "Failed to initialize NVML: Unknown Error",
    ),
    KnownLine(
        "no-nvidia-runtime",
        "Docker and driver",
        r"unknown or invalid runtime name:? ?\"?nvidia|Unknown runtime specified:? \"?nvidia|"
        r"could not select device driver|no known GPU vendor|unresolvable CDI devices|"
        r"nvidia-container-(cli|runtime|runtime-hook)\W.*(executable file not found|no such file)",
        "Docker does not know NVIDIA's runtime: the container toolkit is not installed, or Docker was not told.",
        "Install nvidia-container-toolkit, then `nvidia-ctk runtime configure --runtime=docker` and restart Docker.",
        "docker: Error response from daemon: unknown or invalid runtime name: nvidia.",
    ),
    KnownLine(
        "container-no-driver",
        "Docker and driver",
        r"libnvidia-ml\.so|nvml error: driver not loaded|couldn'?t communicate with the NVIDIA driver|"
        r"NVML: Driver Not Loaded|nvidia-modprobe.*fail|No NVIDIA (GPU|driver).*found",
        "There is no NVIDIA driver on the host, or its kernel module is not loaded.",
        "Install the driver on the host (the container brings none) and see that `nvidia-smi` works there first.",
        "nvidia-container-cli: initialization error: load library failed: libnvidia-ml.so.1: cannot open shared object",
    ),
    KnownLine(
        "driver-too-old",
        "Docker and driver",
        r"unsatisfied condition: (cuda|driver|brand)|CUDA driver version is insufficient|cudaErrorInsufficientDriver|"
        r"CUDA initialization failure with error:? 35|forward compatibility was attempted|CUDA error:? 80[34]\b|"
        r"unsupported display driver ?/ ?cuda driver|unsupported toolchain|CUDA_ERROR_SYSTEM_DRIVER_MISMATCH|"
        r"ERROR: This container was built for NVIDIA Driver Release|driver on your system is too old",
        "The host's driver is older than the CUDA in the image or package needs.",
        "Update the driver on the host: DeepStream 8.0 has CUDA 12.8 and wants 570 or newer. Or take an older image.",
        "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.8",
    ),
    KnownLine(
        "no-gpu-in-container",
        "Docker and driver",
        r"NVIDIA Driver was not detected|Could not get cuda device count|no CUDA-capable device|cudaErrorNoDevice|"
        r"CUDA_ERROR_NO_DEVICE|CUDA initialization failure with error:? 100|No CUDA GPUs are available|"
        r"nvidia-smi: (command )?not found|libcuda\.so\.1: cannot open|libcuda\.so: cannot open",
        "No GPU is visible in here: the container was started without it, or there is none.",
        f"Start it with `--gpus all` (compose: the deploy block of docker/compose.yml); {_SHOWN}.",
        "Error: Could not get cuda device count (cudaErrorNoDevice)",
    ),
    KnownLine(
        "gpu-number",
        "Docker and driver",
        r"nvidia-container-cli: device error|invalid device ordinal|cudaErrorInvalidDevice|CUDA_ERROR_INVALID_DEVICE",
        "The GPU with that number or name is not there, or not in this container, where counting starts at 0 again.",
        "`nvidia-smi -L` lists them; correct --gpus, CUDA_VISIBLE_DEVICES or gpu-id.",
        "nvidia-container-cli: device error: GPU-1: unknown device: unknown",
    ),
    KnownLine(
        "decoder-device",
        "Docker and driver",
        r"(Cannot identify|Cannot open|Failed to open|Could not open) (the )?device '?\"?/dev/(nvidia|video|v4l2)|"
        r"Device '/dev/nvidia\d+' (failed|has no|does not)|Could not open resource.*/dev/nvidia\d|"
        r"Failed to open /dev/nvidia|'/dev/nvidia0': No such",
        "The video decoder looks for the device /dev/nvidia0, which this container (or WSL) does not have.",
        "Give the container the GPU with `--gpus all` and NVIDIA_DRIVER_CAPABILITIES with video; with one GPU of "
        "several, pass /dev/nvidia0 as well or choose with gpu-id.",
        "Cannot identify device '/dev/nvidia0'.",
    ),
    KnownLine(
        "gpu-too-new-or-old",
        "Docker and driver",
        r"no kernel image is available|cudaErrorNoKernelImageForDevice|is not compatible with the current PyTorch|"
        r"CUDA_ERROR_NO_BINARY_FOR_GPU|(GPU|SM|compute capability)\b.{0,40}\b(not|no longer) supported",
        "The library was built for other generations of GPUs than this one.",
        "Use a build that names your GPU's compute capability: a newer image for new cards, an older one for old.",
        "CUDA error: no kernel image is available for execution on the device",
    ),
    KnownLine(
        "fabric-manager",
        "Docker and driver",
        r"system not yet initialized|CUDA error:? 802\b|cudaErrorSystemNotReady",
        "The machine joins its GPUs with NVSwitch, and the fabric manager is not running.",
        "On the host: `systemctl start nvidia-fabricmanager`, of the same version as the driver.",
        "CUDA error 802: system not yet initialized",
    ),
    KnownLine(
        "registry-login",
        "Docker and driver",
        r"pull access denied|unauthorized: (authentication|access|not authorized)|denied: requested access|"
        r"unauthorized: <html>|failed to authorize|invalid username/password",
        "The registry wants a login, or the name of the image is wrong.",
        "NVIDIA's registry: `docker login nvcr.io`, user `$oauthtoken`, password an API key of an NGC account; then "
        "accept the image's licence once on its page.",
        "Error response from daemon: unauthorized: authentication required",
    ),
    KnownLine(
        "image-platform",
        "Docker and driver",
        r"exec format error|no matching manifest for|does not match the detected host platform|"
        r"manifest for \S+ not found|manifest unknown",
        "There is no such image for this kind of processor (x86-64 or ARM), or no such tag.",
        "Take a `-multiarch` tag, or build for the machine with --platform linux/amd64 or linux/arm64.",
        "no matching manifest for linux/arm64/v8 in the manifest list entries",
    ),
    KnownLine(
        "docker-permission",
        "Docker and driver",
        r"permission denied while trying to connect to the Docker|Cannot connect to the Docker daemon|"
        r"docker\.sock: connect: permission denied",
        "Docker does not run, or this user may not use it.",
        "Start it (`systemctl start docker`), and add the user to the group docker or use sudo.",
        "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
    ),
    KnownLine(
        "docker-port",
        "Docker and driver",
        r"port is already allocated|Address already in use|bind: address already in use|Errno 98\b",
        "Something else listens on this port, often an earlier run.",
        "Stop it (`docker ps`, `ss -ltnp`) or choose another port.",
        "Bind for 0.0.0.0:8000 failed: port is already allocated",
    ),
    KnownLine(
        "mount-source",
        "Docker and driver",
        r"bind source path does not exist|invalid mount config|error mounting|not a directory: unknown: Are you trying",
        "A folder or file that is to be mounted is not there, or is a file where a folder is expected.",
        "Make it before starting, with an absolute path: Docker makes missing sources as empty folders of root.",
        'invalid mount config for type "bind": bind source path does not exist: /srv/videos',
    ),
    KnownLine(
        "nvidia-container-cli",
        "Docker and driver",
        r"nvidia-container-cli:|nvidia-container-runtime-hook|failed to create NVIDIA Container Runtime",
        "NVIDIA's part of starting the container failed; the words behind it say in what.",
        "See that `nvidia-smi` works on the host and that nvidia-container-toolkit is current; "
        "`nvidia-container-cli -k "
        "-d /dev/tty info` shows more.",
        "nvidia-container-cli: mount error: failed to add device rules: operation not permitted",
    ),
    KnownLine(
        "cuda-crash",
        "Docker and driver",
        r"illegal memory access|cudaErrorIllegalAddress|unspecified launch failure|cudaErrorLaunchFailure|"
        r"device-side assert|misaligned address|CUDA error:? (700|716|719)\b|CUDA_ERROR_ILLEGAL_ADDRESS",
        "A kernel on the GPU read or wrote where it may not; everything after it fails as well.",
        "Rebuild the engines in this image and use one gpu-id throughout; own parser libraries and plugins of another "
        "TensorRT are the usual culprits. CUDA_LAUNCH_BLOCKING=1 shows where.",
        "CUDA error 700: an illegal memory access was encountered",
    ),
    KnownLine(
        "cuda-busy",
        "Docker and driver",
        r"cudaErrorDevicesUnavailable|CUDA-capable device\S* (is|are|is/are) busy|devices?\S* busy or unavailable|"
        r"CUDA_ERROR_UNKNOWN|cudaErrorUnknown|CUDA initialization failure with error:? (46|999)|CUDA unknown error",
        "The GPU is there but gives no context: taken exclusively, asleep after standby, or the driver is in disorder.",
        "Look with `nvidia-smi` (compute mode, processes); reloading nvidia_uvm or restarting the machine helps.",
        "CUDA error: all CUDA-capable devices are busy or unavailable",
    ),
    KnownLine(
        "shared-memory",
        "Docker and driver",
        r"\bbus error\b|SIGBUS|insufficient shared memory|No space left on device.*/dev/shm|"
        r"/dev/shm.*No space left|unable to (open|mmap) shared memory",
        "The shared memory of the container is full (Docker gives 64 MB), or a file was cut while it was mapped.",
        "Start it with `--shm-size=1g` or `--ipc=host`; also see that the disk is not full.",
        "Bus error (core dumped)",
    ),
    KnownLine(
        "killed-memory",
        "Docker and driver",
        r"Out of memory: Killed process|oom-kill|OOMKilled|Memory cgroup out of memory|exited with code 137|"
        r"^(\S+:\s+)?(line \d+:\s+)?(\d+\s+)?Killed(\s*$|\s+(python|reidstream|deepstream|\S*trtexec))",
        "The kernel ended the process because the memory of the machine or container was used up.",
        "Give the container more, run fewer sources, or lower the pools (user-meta-pool-size times batch for "
        "nvtracker).",
        "Out of memory: Killed process 4711 (python3) total-vm:81263104kB",
    ),
)
