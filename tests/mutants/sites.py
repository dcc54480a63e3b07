"""Where a module can be made wrong in a small way, and the module made wrong there."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_BOUNDARIES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
# What only speaks to people or to developers: no behaviour that a test should pin.
_WORDS = {"debug", "info", "warning", "error", "warn", "print", "log", "spend"}
_WORDY = {"__repr__", "__str__", "_repr_html_"}
_GUARDS = {"TYPE_CHECKING", "__name__ == '__main__'"}
# Faults that were written by hand have no number.
_BY_HAND = -1


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault. line: where it is, from 1. was, now: the code before and after, of faults by hand the whole of it."""

    path: Path
    line: int
    number: int
    was: str
    now: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.was}  →  {self.now}"


def mutants_of(path: Path) -> list[Mutant]:
    """Every fault that can be put into a module, in the order of its lines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = []
    for number, (node, change) in enumerate(_places(tree)):
        was = _words(node)
        undo = change()
        found.append(Mutant(path, node.lineno, number, was, _words(node)))
        undo()
    return found


def source_of(mutant: Mutant, text: str) -> str:
    """The module's text with the fault in it. Raises ValueError if it cannot be put there."""
    if mutant.number == _BY_HAND:
        if text.count(mutant.was) != 1:
            raise ValueError(
                f"{mutant.path} should hold {mutant.was!r} once and holds it {text.count(mutant.was)} times"
            )
        return text.replace(mutant.was, mutant.now)
    tree = ast.parse(text)
    for number, (_, change) in enumerate(_places(tree)):
        if number == mutant.number:
            change()
            return ast.unparse(tree)
    raise ValueError(f"{mutant} is not in that text")


def edits_in(file: Path, root: Path) -> list[Mutant]:
    """Faults written by hand; see ``tests.mutants``. Raises ValueError for one that does not fit the code."""
    found = []
    for fault in tomllib.loads(file.read_text(encoding="utf-8"))["fault"]:
        path = root / fault["path"]
        text = path.read_text(encoding="utf-8")
        line = text[: text.find(fault["was"]) + len(fault["was"]) - len(fault["was"].lstrip())].count("\n") + 1
        mutant = Mutant(path, line, _BY_HAND, fault["was"], fault["now"])
        ast.parse(source_of(mutant, text))
        found.append(mutant)
    return found


Undo = Callable[[], None]
Located = ast.expr | ast.stmt


def _places(tree: ast.Module) -> Iterator[tuple[Located, Callable[[], Undo]]]:
    skipped = _not_behaviour(tree)
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Compare):
            for place, operator in enumerate(node.ops):
                if type(operator) in _BOUNDARIES:
                    yield node, _setter(node.ops, place, _BOUNDARIES[type(operator)]())
        elif isinstance(node, ast.BoolOp):
            yield node, _attribute(node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
        elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _OPERATORS:
            yield node, _attribute(node, "op", _OPERATORS[type(node.op)]())
        elif isinstance(node, ast.If | ast.While | ast.IfExp):
            yield node, _negation(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield node, _attribute(node, "value", ast.Constant(None))


def _not_behaviour(tree: ast.Module) -> set[ast.AST]:
    """What lies in annotations, in error messages, in constants of a module and in guards for type checkers."""
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        inner: list[ast.AST | None] = []
        if isinstance(node, ast.arg | ast.AnnAssign):
            inner.append(node.annotation)
        elif isinstance(node, ast.FunctionDef):
            inner.append(node if node.name in _WORDY else node.returns)
        elif (
            isinstance(node, ast.Raise | ast.JoinedStr | ast.Assert)
            or (isinstance(node, ast.stmt) and _is_words(node))
            or (isinstance(node, ast.If) and (ast.unparse(node.test) in _GUARDS or _only_words(node)))
        ):
            inner.append(node)
        for each in inner:
            skipped |= set(ast.walk(each)) if each is not None else set()
    # Tuned constants and type aliases stand at the top of their modules.
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            skipped |= set(ast.walk(statement))
    return skipped


def _only_words(branch: ast.If) -> bool:
    """Whether a condition decides about nothing but what is said."""
    return all(_is_words(each) for each in [*branch.body, *branch.orelse])


def _is_words(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) and _name(statement.value) in _WORDS
    )


def _setter(operators: list[ast.cmpop], place: int, new: ast.cmpop) -> Callable[[], Undo]:
    def change() -> Undo:
        old = operators[place]
        operators[place] = new
        return lambda: operators.__setitem__(place, old)

    return change


def _attribute(node: ast.AST, name: str, new: ast.AST) -> Callable[[], Undo]:
    def change() -> Undo:
        old = getattr(node, name)
        setattr(node, name, new)
        return lambda: setattr(node, name, old)

    return change


def _negation(node: ast.If | ast.While | ast.IfExp) -> Callable[[], Undo]:
    def change() -> Undo:
        old = node.test
        new = ast.UnaryOp(ast.Not(), old)
        node.test = ast.copy_location(new, old)
        return lambda: setattr(node, "test", old)

    return change


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _words(node: Located) -> str:
    """The code, of a branch or loop only its condition, on one line."""
    if isinstance(node, ast.If | ast.While):
        text = f"{'if' if isinstance(node, ast.If) else 'while'} {ast.unparse(node.test)}"
    else:
        text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 100 else text[:97] + "..."
