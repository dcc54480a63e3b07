"""The table in docs/architecture.md says what may import what; the code does just that."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "reidstream"
# The package's front door names where its public names live, and `python -m reidstream` is the command line.
DOORS = {"__init__", "__main__"}


@cache
def rows() -> list[tuple[list[str], str]]:
    """The packages of each row, and what they may import."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    cells = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    return [(re.findall(r"`(\w+)`", row[0]), row[2].strip()) for row in cells]


@cache
def allowed() -> dict[str, set[str]]:
    """Package → all packages that it may import: the ground floor, those named in its row, and theirs."""
    names = [package for packages, _ in rows() for package in packages]
    assert len(names) == len(set(names)), "a package has two rows"
    named = {package: words for packages, words in rows() for package in packages}
    ground = {package for package, words in named.items() if words == "ground floor"}
    whole: dict[str, set[str]] = {package: set(ground) for package in ground}

    def close(package: str, above: tuple[str, ...]) -> set[str]:
        assert package not in above, f"a circle: {' → '.join([*above, package])}"
        assert package in named, f"{above[-1]} may import {package}, which has no row"
        if package not in whole:
            words = re.sub(r"\(.*\)", "", named[package])
            below = set(names) - {package} if words == "everything" else set(re.findall(r"\w+", words))
            whole[package] = below.union(ground, *(close(each, (*above, package)) for each in below))
        return whole[package]

    for package in names:
        close(package, ())
    return whole


def when_asked(package: str) -> set[str]:
    """What a package may import inside its functions although it lies above."""
    (words,) = [words for packages, words in rows() if package in packages]
    return set(re.findall(r"\w+", " ".join(re.findall(r"\((.*)\)", words))))


@cache
def parsed(path: Path) -> ast.Module:
    """A module as Python reads it."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> list[tuple[int, str]]:
    """(line, first package of ours) of every import in a module, those inside functions included."""
    found = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, name.name.split(".")) for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            parts = node.module.split(".")
            found += [(node.lineno, [*parts, name.name] if len(parts) == 1 else parts) for name in node.names]
    return [(line, parts[1]) for line, parts in found if parts[0] == "reidstream" and len(parts) > 1]


def packages() -> set[str]:
    return {
        entry.stem for entry in SOURCE.iterdir() if entry.suffix == ".py" or (entry / "__init__.py").is_file()
    } - DOORS


def test_every_package_has_a_row_and_every_row_a_package() -> None:
    assert set(allowed()) == packages()


@pytest.mark.parametrize("package", sorted(packages()))
def test_a_package_imports_only_what_its_row_allows(package: str) -> None:
    may = allowed()[package] | {package, "__version__"} | when_asked(package)
    place = SOURCE / package
    modules = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    wrong = [
        f"{module.relative_to(SOURCE)}:{line} imports {other}"
        for module in modules
        for line, other in imports(module)
        if other not in may
    ]
    assert not wrong


def test_a_row_names_nothing_that_is_not_imported() -> None:
    for row, words in rows():
        if words in {"ground floor", "everything"}:
            continue
        used = set()
        for package in row:
            place = SOURCE / package
            modules = place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]
            used |= {other for module in modules for _, other in imports(module)}
        assert set(re.findall(r"\w+", words)) <= used, row


def test_no_two_modules_import_each_other() -> None:
    """Circles of files, by what is imported when a module is loaded."""
    graph: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        parts = ["reidstream", *path.relative_to(SOURCE).with_suffix("").parts]
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        graph[name] = set()
        for node in parsed(path).body:
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                graph[name] |= {f"{node.module}.{each.name}" for each in node.names} | {node.module}
    for name, others in graph.items():
        # `from package import module` loads the module; what the package itself holds is not asked for.
        packages_only = {other.rpartition(".")[0] for other in others if other in graph}
        graph[name] = (others & set(graph)) - packages_only
    done: set[str] = set()

    def walk(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, f"a circle: {' → '.join([*above, name])}"
        if name in done:
            return
        for other in graph[name]:
            walk(other, (*above, name))
        done.add(name)

    for name in graph:
        walk(name, ())
