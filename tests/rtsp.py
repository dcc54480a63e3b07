"""A camera for tests: a real RTSP server in a child process."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

SERVER = Path(__file__).parent / "sources" / "rtsp_server.py"
PROBE = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
PASSWORD = "hunter2"


def self_signed(path: Path, name: str) -> Path:
    """A certificate that nobody has signed and its key, in one PEM file. name: whose it is, as openssl writes it."""
    key = path.with_suffix(".key")
    words = ["-subj", "/CN=camera", "-addext", f"subjectAltName={name}", "-days", "2", "-nodes"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    made = ["openssl", "req", "-x509", *curve, "-keyout", str(key), "-out", str(path), *words]
    subprocess.run(made, check=True, capture_output=True)
    path.write_text(path.read_text() + key.read_text())
    return path


class Server:
    """The child process that serves ``url``; it can be killed, started again on its port, frozen and thawed.

    certificate: a PEM file with a certificate and its key; with one it speaks TLS.
    """

    def __init__(self, python: str, certificate: Path | None = None) -> None:
        self._python = python
        self._certificate = certificate
        self._port = 0
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def url(self) -> str:
        scheme = "rtsp" if self._certificate is None else "rtsps"
        return f"{scheme}://cam:{PASSWORD}@127.0.0.1:{self._port}/live"

    @property
    def port(self) -> int:
        return self._port

    def start(self) -> None:
        command = [self._python, str(SERVER), str(self._port), PASSWORD]
        command += [] if self._certificate is None else [str(self._certificate)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
