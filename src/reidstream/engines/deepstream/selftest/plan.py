"""What the self-test runs, handed to a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from reidstream.children import python_child
from reidstream.config import Config

Kind = Literal["clip", "swaps"]
PLACES = 2
"""Of the mux, in the run that swaps cameras."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """One run of the engine in a process of its own.

    kind: "clip" reads the clip once, "swaps" lets one camera after the other take a place of two. config, overrides:
    the settings, as on the command line. folder: for the rendered files and what the run finds out. times: how many
    swaps.
    """

    kind: Kind
    clip: str
    folder: str
    config: str | None = None
    overrides: tuple[str, ...] = ()
    times: int = 0

    @property
    def facts(self) -> Path:
        """Where the run writes what it found out, as JSON."""
        return Path(self.folder) / f"{self.kind}.json"

    @property
    def samples(self) -> Path:
        """Where it writes embeddings with their boxes, as NumPy arrays."""
        return Path(self.folder) / f"{self.kind}.npz"

    @property
    def log(self) -> Path:
        return Path(self.folder) / f"{self.kind}.log"

    def text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> RunPlan:
        values = json.loads(text)
        return cls(**(values | {"overrides": tuple(values["overrides"])}))


def for_swaps(config: Config) -> Config:
    """The settings of the run that swaps cameras."""
    mux = config.deepstream.mux.model_copy(update={"batch": PLACES})
    return config.model_copy(update={"deepstream": config.deepstream.model_copy(update={"mux": mux})})


def run(plan: RunPlan, limit: float) -> tuple[dict[str, Any] | None, str]:
    """Runs it in a process of its own: what it found out, None with the reason where it did not come to its end.

    limit: seconds after which a run counts as hanging. What it prints is in the plan's log.
    """
    plan.facts.unlink(missing_ok=True)
    with plan.log.open("w", encoding="utf-8") as log:
        child = python_child(f"{__package__}.running", plan.text(), stdout=log, stderr=subprocess.STDOUT)
        try:
            code = child.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            child.kill()
            child.wait()
    words = [
        line.strip() for line in plan.log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()
    ]
    last = f"; its last words: {words[-1][:200]}" if words else ""
    if code is None:
        return None, f"no end within {limit:.0f} s{last}"
    if code < 0:
        return None, f"it was ended by {signal.Signals(-code).name}, in native code most often{last}"
    if code or not plan.facts.is_file():
        return None, f"exit code {code}{last}"
    facts: dict[str, Any] = json.loads(plan.facts.read_text(encoding="utf-8"))
    return facts, ""
