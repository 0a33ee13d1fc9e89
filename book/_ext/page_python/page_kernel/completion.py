"""What a name that the reader has begun may become."""

import builtins
import keyword
import re

_MOST = 100
_UNFINISHED = re.compile(r"((?:[^\W\d]\w*\.)*)(\w*)$")


def complete(source, position, namespace):
    """Propose how the name before a position may go on.

    Only names and their attributes are looked up: nothing that the reader wrote is called.

    Parameters
    ----------
    source : str
    position : int
        Where the cursor is.
    namespace : dict
        The names that cells have bound.

    Returns
    -------
    dict
        ``from``, where the unfinished name begins; ``options``, each with a ``label`` and a
        ``type``; and ``more``, if there are others that are not listed.

    Examples
    --------
    >>> complete("items.ap", 8, {"items": []})
    {'from': 6, 'options': [{'label': 'append', 'type': 'method'}], 'more': False}
    """
    path, begun = _UNFINISHED.search(source[:position]).groups()
    if path:
        found = _attributes(path.rstrip(".").split("."), namespace)
    else:
        written = re.findall(r"[^\W\d]\w*", source[: position - len(begun)])
        found = dict.fromkeys(written, "variable")
        found |= dict.fromkeys(keyword.kwlist, "keyword")
        found |= {name: _type(value) for name, value in vars(builtins).items()}
        found |= {name: _type(value) for name, value in namespace.items()}
    names = sorted(
        name
        for name in found
        if name.startswith(begun) and (begun[:1] == "_" or name[:1] != "_")
    )
    return {
        "from": position - len(begun),
        "options": [{"label": name, "type": found[name]} for name in names[:_MOST]],
        "more": len(names) > _MOST,
    }


def _attributes(path, namespace):
    value = namespace.get(path[0], getattr(builtins, path[0], None))
    for name in path[1:]:
        value = _attribute(value, name)
    if value is None:
        return {}
    return {name: _type(_attribute(value, name), "method") for name in dir(value)}


def _attribute(value, name):
    try:
        return getattr(value, name, None)
    except Exception:  # a property may raise anything
        return None


def _type(value, of_function="function"):
    if isinstance(value, type):
        return "class"
    if callable(value):
        return of_function
    return "namespace" if type(value).__name__ == "module" else "variable"
