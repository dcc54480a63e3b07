"""SciPy's solver of the assignment problem (Crouse 2016), without the rest of ``scipy.optimize``.

The package imports some five hundred modules for it, which every process that reads a camera would pay with a third of
a second and 50 MB. The solver itself is one compiled module that needs none of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

_NAME = "scipy.optimize._lsap"


def solver() -> Callable[..., Any]:
    """``scipy.optimize.linear_sum_assignment``; where this SciPy keeps it elsewhere, by way of the whole package."""
    try:
        return _alone()
    except (ImportError, AttributeError):
        from scipy.optimize import linear_sum_assignment

        found: Callable[..., Any] = linear_sum_assignment
        return found


def _alone() -> Callable[..., Any]:
    # Under its own name, so that whoever imports the package later finds this one instead of a second.
    module = sys.modules.get(_NAME)
    if module is None:
        package = find_spec("scipy")
        places = [str(Path(place) / "optimize") for place in (package and package.submodule_search_locations) or ()]
        spec = PathFinder.find_spec(_NAME, places)
        if spec is None or spec.loader is None:
            raise ImportError(f"no {_NAME}", name=_NAME)
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[_NAME] = module
    found: Callable[..., Any] = module.linear_sum_assignment
    return found
