"""A camera for tests: a real RTSP server in a child process."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

SERVER = Path(__file__).parent / "sources" / "rtsp_server.py"
PROBE = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
PASSWORD = "hunter2"


class Server:
    """The child process that serves ``url``; it can be killed, started again on its port, frozen and thawed."""

    def __init__(self, python: str) -> None:
        self._python = python
        self._port = 0
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"rtsp://cam:{PASSWORD}@127.0.0.1:{self._port}/live"

    @property
    def port(self) -> int:
        return self._port

    def start(self) -> None:
        command = [self._python, str(SERVER), str(self._port), PASSWORD]
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
