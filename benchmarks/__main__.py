"""All benchmarks that this machine can run, one after another: ``python -m benchmarks``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> None:
    failed = []
    for path in sorted(Path(__file__).parent.glob("*.py")):
        # The soak takes an hour and measures no speed: `make soak`.
        if path.stem.startswith(("_", "soak")) or "if __name__" not in path.read_text(encoding="utf-8"):
            continue
        print(f"== benchmarks.{path.stem}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{path.stem}"], check=False).returncode:
            failed.append(path.stem)
    if failed:
        raise SystemExit(f"did not finish: {', '.join(failed)}")


if __name__ == "__main__":
    main()
