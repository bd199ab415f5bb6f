"""Small mistakes that a module could have in it: a bound that is off by one, a verdict mixed up.

A mutant is the module with one of them. Types, decorators and texts stay as they are, SQL aside.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

_SWAPS: dict[type[ast.AST], type[ast.AST]] = dict(
    (
        *((ast.Lt, ast.LtE), (ast.LtE, ast.Lt), (ast.Gt, ast.GtE), (ast.GtE, ast.Gt)),
        *((ast.Eq, ast.NotEq), (ast.NotEq, ast.Eq), (ast.Is, ast.IsNot), (ast.IsNot, ast.Is)),
        *((ast.In, ast.NotIn), (ast.NotIn, ast.In), (ast.And, ast.Or), (ast.Or, ast.And)),
        *((ast.Add, ast.Sub), (ast.Sub, ast.Add), (ast.Mult, ast.Add), (ast.Div, ast.Mult)),
        *((ast.FloorDiv, ast.Mult), (ast.Mod, ast.Mult)),
        *((ast.BitOr, ast.BitAnd), (ast.BitAnd, ast.BitOr)),
    )
)
_CALLS = {"min": "max", "any": "all", "bisect_left": "bisect_right", "ceil": "int"}
_CALLS |= {other: one for one, other in _CALLS.items() if other != "int"}
# What is said of an attempt or a run, each mistaken for the next.
_WORDS = {
    "Verdict": (
        *("CONFIRMED", "LOST", "ALTERED", "CLEAN", "CONTRADICTED"),
        *("COMMITTED", "ABSENT", "POSSIBLE", "DUPLICATE", "UNEXPECTED"),
    ),
    "Outcome": ("ACKNOWLEDGED", "REJECTED", "UNSENT", "INDETERMINATE"),
    "RunVerdict": ("HELD", "UNDECIDED", "BROKEN"),
    "Basis": ("ORDER_ID", "KEY", "INFERRED", "NONE"),
    "Method": ("AUTO", "KEY", "INFERRED"),
    "Use": ("ALWAYS", "SOMETIMES", "NEVER"),
}
# Of SQL, of which a text is known by its keywords.
_IS_SQL = re.compile(r"\b(SELECT|WHERE|CASE|AND)\b")
_SQL_SWAPS = {
    " AND ": " OR ",
    " OR ": " AND ",
    ">= ": "> ",
    "<= ": "< ",
    " > ": " >= ",
    " = ": " <> ",
    " IS NOT NULL": " IS NULL",
    " IS NULL": " IS NOT NULL",
    " NOT IN ": " IN ",
    "NOT EXISTS": "EXISTS",
    "FULL JOIN": "LEFT JOIN",
    "max(": "min(",
    "min(": "max(",
    "(1, 2)": "(1)",
    "(200, 201)": "(200)",
    "kind = 0 ": "kind = 3 ",
    "THEN 0": "THEN 3",
}
_NO_BEHAVIOUR = {"annotation", "returns", "decorator_list", "bases"}


@dataclass(slots=True, kw_only=True)
class Mutant:
    """A module with one mistake: in `function`, `was` has become `becomes`."""

    module: str
    function: str
    line: int
    was: str
    becomes: str
    tree: ast.Module
    place: tuple[ast.AST, str, int | None]
    replacement: ast.AST

    def compiled(self) -> CodeType:
        """Return the module's code with the mistake in it."""
        owner, field, at = self.place
        value = getattr(owner, field)
        original = value if at is None else value[at]
        self._put(self.replacement)
        try:
            return compile(ast.fix_missing_locations(self.tree), self.module, "exec")
        finally:
            self._put(original)

    def _put(self, node: object) -> None:
        owner, field, at = self.place
        if at is None:
            setattr(owner, field, node)
        else:
            getattr(owner, field)[at] = node


def mutants_of(source: str, *, module: str) -> list[Mutant]:
    """Return every mutant of a module, in the order of its text."""
    tree = ast.parse(source)
    found = []
    for place, node, function, line in _places(tree, "", 1):
        for replacement in _mistakes(node):
            was, becomes = _change(node, replacement)
            mutant = Mutant(
                module=module,
                function=function,
                line=line,
                was=was,
                becomes=becomes,
                tree=tree,
                place=place,
                replacement=replacement,
            )
            found.append(mutant)
    return found


_Place = tuple[tuple[ast.AST, str, int | None], ast.AST, str, int]


def _places(owner: ast.AST, function: str, line: int) -> Iterator[_Place]:
    for field, value in ast.iter_fields(owner):
        if field in _NO_BEHAVIOUR:
            continue
        is_list = isinstance(value, list)
        for at, node in enumerate(value if is_list else [value]):
            if not isinstance(node, ast.AST) or _is_type(node):
                continue
            where, inside = getattr(node, "lineno", line), function
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                inside = f"{function}.{node.name}".lstrip(".")
            yield (owner, field, at if is_list else None), node, inside, where
            yield from _places(node, inside, where)


def _is_type(node: ast.AST) -> bool:
    """Whether it is `X | None` or the like, which only says what something may be."""
    return isinstance(node, ast.BinOp) and any(
        isinstance(each, ast.Constant) and each.value is None for each in (node.left, node.right)
    )


def _mistakes(node: ast.AST) -> Iterator[ast.AST]:
    yield from _mistakes_in_logic(node)
    yield from _mistakes_in_values(node)


def _mistakes_in_logic(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(left, operators, comparators):
            for at, each in enumerate(operators):
                changed = [*operators[:at], _swapped(each), *operators[at + 1 :]]
                yield ast.Compare(left, changed, comparators)
        case ast.BoolOp(operator, values):
            yield ast.BoolOp(_swapped(operator), values)
            yield from (_without(operator, values, at) for at in range(len(values)))
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield operand
        case ast.If(_, body, orelse):
            yield from (ast.If(ast.Constant(each), body, orelse) for each in (True, False))
        case ast.IfExp(_, body, orelse):
            yield from (ast.IfExp(ast.Constant(each), body, orelse) for each in (True, False))
        case ast.comprehension(target, iterable, [_], is_async):
            yield ast.comprehension(target, iterable, [], is_async)
        case ast.Expr(ast.Constant()):  # a docstring
            return
        case ast.Expr() | ast.AugAssign() | ast.Continue():
            yield ast.Pass()


def _mistakes_in_values(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.BinOp(left, operator, right) if type(operator) in _SWAPS:
            yield ast.BinOp(left, _swapped(operator), right)
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(str() as text) if _IS_SQL.search(text):
            yield from map(ast.Constant, _mistakes_in_sql(text))
        case ast.Call(ast.Name(name), arguments, keywords) if name in _CALLS:
            yield ast.Call(ast.Name(_CALLS[name], ast.Load()), arguments, keywords)
        case ast.Attribute(ast.Name(kind), word, context) if word in _WORDS.get(kind, ()):
            words = _WORDS[kind]
            other = words[(words.index(word) + 1) % len(words)]
            yield ast.Attribute(ast.Name(kind, ast.Load()), other, context)


def _mistakes_in_sql(text: str) -> Iterator[str]:
    for was, becomes in _SQL_SWAPS.items():
        for found in re.finditer(re.escape(was), text):
            yield f"{text[: found.start()]}{becomes}{text[found.end() :]}"


def _swapped(operator: ast.AST) -> Any:
    return _SWAPS[type(operator)]()


def _without(operator: ast.boolop, values: list[ast.expr], at: int) -> ast.AST:
    left = values[:at] + values[at + 1 :]
    return left[0] if len(left) == 1 else ast.BoolOp(operator, left)


def _change(node: ast.AST, replacement: ast.AST) -> tuple[str, str]:
    match node, replacement:
        case ast.Constant(str() as was), ast.Constant(str() as becomes):
            lines = zip(was.splitlines(), becomes.splitlines(), strict=True)
            return next((one.strip(), other.strip()) for one, other in lines if one != other)
    return _text(node), _text(replacement)


def _text(node: ast.AST) -> str:
    """Return its first line, which of a statement is what there is to know it by."""
    return ast.unparse(ast.fix_missing_locations(node)).strip().split("\n")[0]
