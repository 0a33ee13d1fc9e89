"""What notebooks need besides the mathematics: the source of a function, shown where it is used."""

import ast
import inspect
import textwrap


class show_source:  # noqa: N801  (used as a verb, at the end of a cell)
    """Show the source of functions as Python has it, each docstring cut to its first line.

    Parameters
    ----------
    *functions : function
        Functions or classes defined in a file.

    Examples
    --------
    >>> from lmmath.attention import softmax
    >>> show_source(softmax)
    Source of lmmath.attention.softmax. More: help(softmax)
    """

    def __init__(self, *functions):
        self.functions = functions
        self.source = "\n\n".join(map(_brief_source, functions))

    def __repr__(self):
        names = [
            f"{function.__module__}.{function.__qualname__}"
            for function in self.functions
        ]
        helps = [f"help({function.__qualname__})" for function in self.functions]
        return f"Source of {', '.join(names)}. More: {', '.join(helps)}"

    def _repr_markdown_(self):
        return f"```python\n{self.source}```"


def _brief_source(function):
    lines = textwrap.dedent(inspect.getsource(function)).splitlines(keepends=True)
    definition = ast.parse("".join(lines)).body[0]
    if ast.get_docstring(definition) is not None:
        docstring = definition.body[0]
        first, last = docstring.lineno - 1, docstring.end_lineno
        if last - first > 1:
            lines[first:last] = [lines[first].rstrip("\n") + '"""\n']
    return "".join(lines)
