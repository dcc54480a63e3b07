"""With this folder on PYTHONPATH a Python process has the stand-in elements, and ``import pyds`` finds the stand-in."""

from __future__ import annotations

import os

if os.environ.get("REIDSTREAM_STANDINS") == "1":
    import nvds
    import standin_elements

    nvds.libraries()
    standin_elements.register()
