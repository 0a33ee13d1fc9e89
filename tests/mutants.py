"""Every small change of a function: what a test should notice.

A change turns one operator, comparison, constant, name, argument or bound into another, or drops
a term, an argument or a statement.
"""

import ast
import copy
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_OTHER_OPERATORS = {
    ast.Add: [ast.Sub],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.Div, ast.Add],
    ast.Div: [ast.Mult, ast.FloorDiv],
    ast.FloorDiv: [ast.Div],
    ast.Mod: [ast.FloorDiv],
    ast.Pow: [ast.Mult],
    ast.BitAnd: [ast.BitOr],
    ast.BitOr: [ast.BitAnd],
}
_OTHER_COMPARISONS = {
    ast.Lt: [ast.LtE, ast.Gt],
    ast.LtE: [ast.Lt, ast.GtE],
    ast.Gt: [ast.GtE, ast.Lt],
    ast.GtE: [ast.Gt, ast.LtE],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
}
_OTHER_NAMES = {
    "max": "min",
    "maximum": "minimum",
    "argmax": "argmin",
    "sin": "cos",
    "sum": "mean",
    "zeros": "ones",
    "append": "insert",
}
_OTHER_NAMES |= {other: name for name, other in _OTHER_NAMES.items()}
_ORDER_IS_NOTHING = ast.Add | ast.Mult | ast.BitAnd | ast.BitOr
_CAN_BE_DROPPED = ast.AugAssign | ast.Assign | ast.Expr | ast.If | ast.For | ast.Break


@dataclass(frozen=True)
class Mutant:
    """A changed function, and the statement that was changed, as it reads now."""

    function: Callable
    statement: str


def mutants(function: Callable) -> Iterator[Mutant]:
    """Make every changed version of a function, each once."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    definition = tree.body[0]
    if ast.get_docstring(definition) is not None:
        del definition.body[0]
    seen = {ast.unparse(tree)}
    statements = [n for n in ast.walk(definition) if isinstance(n, ast.stmt)]
    for statement in statements[1:]:  # the first is the definition
        for node in _own_nodes(statement):
            for field, new in _changes(node):
                old = getattr(node, field)
                setattr(node, field, new)
                text, line = ast.unparse(tree), ast.unparse(statement).split("\n")[0]
                setattr(node, field, old)
                if text not in seen:
                    seen.add(text)
                    yield Mutant(_compiled(text, function), line)
        if isinstance(statement, _CAN_BE_DROPPED):
            text = _without(tree, statement)
            if text not in seen:
                seen.add(text)
                line = ast.unparse(statement).split("\n")[0]
                yield Mutant(_compiled(text, function), f"without {line}")


def _compiled(text, function):
    names = dict(function.__globals__)
    exec(compile(text, f"<mutant of {function.__name__}>", "exec"), names)
    return names[function.__name__]


def _without(tree, statement):
    """Write the code with ``pass`` for a statement."""
    at = [node is statement for node in ast.walk(tree)].index(True)
    changed = copy.deepcopy(tree)
    target = list(ast.walk(changed))[at]
    for parent in ast.walk(changed):
        for _, value in ast.iter_fields(parent):
            if isinstance(value, list) and target in value:
                value[value.index(target)] = ast.Pass()
    return ast.unparse(changed)


def _own_nodes(statement):
    """Give the nodes of a statement, without those of the statements inside it."""
    yield statement
    waiting = [statement]
    while waiting:
        for child in ast.iter_child_nodes(waiting.pop()):
            if not isinstance(child, ast.stmt):
                yield child
                waiting.append(child)


def _changes(node):
    """Give what can change in one node: a field, and its new value."""
    for field, value in ast.iter_fields(node):
        if isinstance(value, ast.expr):
            for new in _other_expressions(value):
                yield field, new
        elif isinstance(value, list):
            for i, item in enumerate(value):
                if isinstance(item, ast.expr):
                    for new in _other_expressions(item):
                        yield field, [*value[:i], new, *value[i + 1 :]]
    if isinstance(node, ast.Call):
        yield from (
            ("keywords", [k for k in node.keywords if k is not dropped])
            for dropped in node.keywords
        )
        if isinstance(node.func, ast.Name) and node.func.id == "range":
            for i, bound in enumerate(node.args):
                for new in _one_off(bound):
                    yield "args", [*node.args[:i], new, *node.args[i + 1 :]]
    if isinstance(node, ast.Slice):
        for field in ("lower", "upper"):
            bound = getattr(node, field)
            if bound is not None:
                yield field, None
                yield from ((field, new) for new in _one_off(bound))
    if isinstance(node, ast.AugAssign):
        for other in _OTHER_OPERATORS.get(type(node.op), []):
            yield "op", other()


def _one_off(bound):
    return [
        ast.BinOp(bound, operator(), ast.Constant(1)) for operator in (ast.Add, ast.Sub)
    ]


def _other_expressions(node):
    """Give what can stand in the place of an expression."""
    if isinstance(node, ast.BinOp):
        for other in _OTHER_OPERATORS.get(type(node.op), []):
            yield ast.BinOp(node.left, other(), node.right)
        if not isinstance(node.op, _ORDER_IS_NOTHING):
            yield ast.BinOp(node.right, node.op, node.left)
        yield node.left
        yield node.right
    elif isinstance(node, ast.Compare):
        for other in _OTHER_COMPARISONS.get(type(node.ops[0]), []):
            yield ast.Compare(node.left, [other(), *node.ops[1:]], node.comparators)
    elif isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield ast.BoolOp(other, node.values)
        yield from node.values
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse
        yield ast.IfExp(node.test, node.orelse, node.body)
    elif isinstance(node, ast.Name) and node.id in _OTHER_NAMES:
        yield ast.Name(_OTHER_NAMES[node.id], node.ctx)
    elif isinstance(node, ast.Attribute) and node.attr in _OTHER_NAMES:
        yield ast.Attribute(node.value, _OTHER_NAMES[node.attr], node.ctx)
    elif isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
        yield node.args[0]
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        for value in (node.value + 1, node.value - 1, node.value * 2):
            yield ast.Constant(value)
