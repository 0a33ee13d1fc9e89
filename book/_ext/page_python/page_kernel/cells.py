"""Which earlier cells a cell needs: those that made, or changed, the names that it uses.

So a reader who presses Run on one cell, or answers one exercise, need not wait for the whole
chapter. The build uses the same rules to tell which cells need what a browser does not have.
"""

import ast
from dataclasses import dataclass

_GENERATORS = {"default_rng", "Generator", "RandomState"}


@dataclass(frozen=True)
class Names:
    """The names of one cell, as the rest of the notebook sees them.

    Attributes
    ----------
    uses : frozenset of str
        What it needs from before: read before it is bound here, however deep.
    binds : frozenset of str
        What it binds for certain: by a statement that stands in no branch or loop.
    changes : frozenset of str
        What it may bind, and what it may change in place: ``a[0] = 1``, ``a.append(1)``.
    imports : frozenset of str
        What it imports. A call such as ``figures.show()`` changes no module.
    generators : frozenset of str
        What it binds to a random generator. Whoever draws from one changes it.
    """

    uses: frozenset = frozenset()
    binds: frozenset = frozenset()
    changes: frozenset = frozenset()
    imports: frozenset = frozenset()
    generators: frozenset = frozenset()


def names_of(source: str) -> Names:
    r"""Find the names of a cell.

    A cell that is not Python, as while it is being written, has none.

    Examples
    --------
    >>> names = names_of("x = y + 1\nz[0] = x")
    >>> sorted(names.uses), sorted(names.binds), sorted(names.changes)
    (['y', 'z'], ['x'], ['z'])
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return Names()
    reader = _Reader()
    for statement in tree.body:
        reader.in_branch = isinstance(statement, _BRANCHES)
        reader.visit(statement)
    return Names(
        uses=frozenset(reader.uses),
        binds=frozenset(reader.certain),
        changes=frozenset(reader.changes),
        imports=frozenset(reader.imports),
        generators=frozenset(reader.generators),
    )


def needed(cells: list[Names], index: int) -> dict[int, frozenset]:
    """Give the earlier cells that a cell needs, in order, each with the names wanted of it.

    Parameters
    ----------
    cells : list of Names
        Of all cells, in their order.
    index : int
        Which of them.

    Examples
    --------
    >>> cells = list(map(names_of, ["x = 1", "print(1)", "y = x", "print(y)"]))
    >>> list(needed(cells, 3))
    [0, 2]
    """
    generators = frozenset().union(*(cell.generators for cell in cells))
    modules = frozenset().union(*(cell.imports for cell in cells))
    wanted, found = set(cells[index].uses), {}
    for i in reversed(range(index)):
        cell = cells[i]
        changes = (cell.changes - modules) | (cell.uses & generators)
        makes = wanted & (cell.binds | changes)
        if makes:
            found[i] = frozenset(makes)
            wanted -= cell.binds
            wanted |= cell.uses
    return dict(sorted(found.items()))


def imports_of(source: str, names: frozenset) -> str | None:
    r"""Give the part of a cell that imports some names, if it does nothing else but import.

    A chapter's first cell imports what all of it needs. One exercise needs less, and in a browser
    each package takes its time.

    Examples
    --------
    >>> imports_of("import numpy as np\nfrom lmmath import figures, handmade", {"handmade"})
    'from lmmath import handmade'
    >>> imports_of("import math\nprint(math.pi)", {"math"}) is None
    True
    """
    tree = ast.parse(source)
    if not all(isinstance(one, ast.Import | ast.ImportFrom) for one in tree.body):
        return None
    for statement in tree.body:
        statement.names = [one for one in statement.names if _bound_by(one) in names]
    tree.body = [statement for statement in tree.body if statement.names]
    return ast.unparse(tree)


_BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.TryStar, ast.Match)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class _Reader(ast.NodeVisitor):
    """Walk through a cell in the order in which Python runs it."""

    def __init__(self):
        self.uses, self.bound, self.certain = set(), set(), set()
        self.changes, self.imports, self.generators = set(), set(), set()
        self.in_branch = False
        self.local = []  # the names of each function or comprehension around

    # --- reading and binding ---

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Load):
            self._use(node.id)
        else:
            self._bind(node.id)

    def _use(self, name):
        if name not in self.bound and not any(name in names for names in self.local):
            self.uses.add(name)

    def _bind(self, name):
        if self.local:
            self.local[-1].add(name)
            return
        self.bound.add(name)
        (self.changes if self.in_branch else self.certain).add(name)

    def _change(self, node):
        """Note that what a name stands for is changed: ``name.x = 1``, ``name[0][1] = 1``."""
        while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
            node = node.value
        if isinstance(node, ast.Name):
            self._use(node.id)
            if not any(node.id in names for names in self.local):
                self.changes.add(node.id)

    # --- statements whose parts run in another order than they are written ---

    def visit_Assign(self, node):
        self.visit(node.value)
        for target in node.targets:
            self.visit(target)
            if isinstance(target, ast.Name) and _makes_a_generator(node.value):
                self.generators.add(target.id)

    def visit_AnnAssign(self, node):
        self.visit(node.annotation)
        if node.value:
            self.visit(node.value)
            self.visit(node.target)

    def visit_AugAssign(self, node):
        self.visit(node.value)
        self._change(node.target)
        self.visit(node.target)

    def visit_NamedExpr(self, node):
        self.visit(node.value)
        self.visit(node.target)

    def visit_For(self, node):
        self.visit(node.iter)
        self.visit(node.target)
        for statement in [*node.body, *node.orelse]:
            self.visit(statement)

    visit_AsyncFor = visit_For  # noqa: N815

    def visit_Attribute(self, node):
        self._visit_part(node)

    def visit_Subscript(self, node):
        self._visit_part(node)

    def _visit_part(self, node):
        if not isinstance(node.ctx, ast.Load):
            self._change(node)
        self.generic_visit(node)

    def visit_Expr(self, node):
        """See a call whose result nobody keeps as a change: ``names.append("Anna")``."""
        call = node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            self._change(call.func)
        self.generic_visit(node)

    def visit_Import(self, node):
        for alias in node.names:
            self._bind(_bound_by(alias))
            if not self.local:
                self.imports.add(_bound_by(alias))

    visit_ImportFrom = visit_Import  # noqa: N815

    def visit_ExceptHandler(self, node):
        if node.type:
            self.visit(node.type)
        if node.name:
            self._bind(node.name)
        for statement in node.body:
            self.visit(statement)

    # --- what has names of its own ---

    def visit_FunctionDef(self, node):
        for part in [*node.decorator_list, *_defaults(node.args)]:
            self.visit(part)
        self._bind(node.name)
        self._visit_inside(_parameters(node.args) | _stored(node.body), node.body)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_Lambda(self, node):
        for part in _defaults(node.args):
            self.visit(part)
        self._visit_inside(_parameters(node.args), [node.body])

    def visit_ClassDef(self, node):
        for part in [*node.decorator_list, *node.bases, *node.keywords]:
            self.visit(part)
        self._bind(node.name)
        self._visit_inside(set(), node.body)

    def visit_ListComp(self, node):
        first, *others = node.generators
        self.visit(first.iter)  # outside, as Python has it
        self.local.append(set())
        self.visit(first.target)
        for part in first.ifs:
            self.visit(part)
        for generator in others:
            for part in [generator.iter, generator.target, *generator.ifs]:
                self.visit(part)
        results = (
            [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        )
        for part in results:
            self.visit(part)
        self.local.pop()

    visit_SetComp = visit_GeneratorExp = visit_DictComp = visit_ListComp  # noqa: N815

    def _visit_inside(self, names, body):
        self.local.append(names)
        for part in body:
            self.visit(part)
        self.local.pop()


def _bound_by(alias):
    return alias.asname or alias.name.partition(".")[0]


def _makes_a_generator(node):
    return isinstance(node, ast.Call) and (
        getattr(node.func, "attr", None) in _GENERATORS
        or getattr(node.func, "id", None) in _GENERATORS
    )


def _parameters(arguments):
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [one for one in (arguments.vararg, arguments.kwarg) if one]
    return {one.arg for one in every}


def _defaults(arguments):
    return [one for one in [*arguments.defaults, *arguments.kw_defaults] if one]


def _stored(body):
    """Find what a function's body binds, which is local in all of it."""
    found, waiting = set(), list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= set(map(_bound_by, node.names))
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            found |= {node.name} if hasattr(node, "name") else set()
        else:
            waiting += ast.iter_child_nodes(node)
    return found
