"""What a page's widgets need: their models, the models they refer to, the links between them."""

import base64
import re

from live_widgets.assets import modules_within

_REFERENCE = re.compile(r"^(?:IPY_MODEL_|anywidget:)(\w+)$")
# The core models that link two traits, and whether both ways.
_LINKS = {"LinkModel": True, "DirectionalLinkModel": False}
_OWN_TRAITS = re.compile(  # what only a notebook's widget manager reads
    r"_esm|_css|_(model|view)_(name|module|module_version)|_view_count|_dom_classes|"
    r"layout|tabbable|tooltip"
)
_OUTSIDE_IMPORT = re.compile(r"""\b(?:from|import)\s*\(?\s*["'`](https?:)?//""")
_OUTSIDE_STYLE = re.compile(
    r"""(?:@import|\burl\()\s*(?:url\()?["']?(https?:)?//""", re.IGNORECASE
)


class CannotHost(Exception):
    """A widget that cannot live on a static page, by name and with the reason."""


def page_data(models, shown, assets):
    """Collect what the host needs for the widgets shown on one page.

    Parameters
    ----------
    models : dict
        The notebook's saved widget state, by model id.
    shown : list of str
        The ids of the models that the page displays.
    assets : Assets
        Receives modules, style sheets and buffers.

    Returns
    -------
    dict
        ``models`` by id, each ``{module, css, state, buffers}``; ``links``, each
        ``{source: [id, trait], target: [id, trait], both}``.

    Raises
    ------
    CannotHost
        If a widget shown, or one that it refers to, is not an anywidget, has no saved state, or
        loads code or styles from another site.
    """
    links = [_link(entry["state"], _LINKS[entry["model_name"]]) for entry in models.values()
             if entry["model_name"] in _LINKS]  # fmt: skip
    hosted = {}
    waiting = list(shown)
    while waiting:
        model_id = waiting.pop()
        if model_id in hosted:
            continue
        entry = models.get(model_id)
        if entry is None:
            raise CannotHost(
                f"the widget {model_id} was saved without its state; run the notebook"
            )
        hosted[model_id] = _hosted(entry, assets)
        waiting += _references(hosted[model_id]["state"])
        waiting += _linked_to(model_id, links)
    return {
        "models": hosted,
        "links": [link for link in links if link["source"][0] in hosted],
    }


def _hosted(entry, assets):
    state = entry["state"]
    if entry["model_module"] != "anywidget":
        raise CannotHost(
            f"the widget {entry['model_name'].removesuffix('Model')} of {entry['model_module']} "
            "needs a kernel and cannot live on a static page; only an anywidget can"
        )
    name = state["_anywidget_id"]
    module, style = state["_esm"], state.get("_css", "")
    if module.startswith(("http:", "https:")) or any(
        map(_OUTSIDE_IMPORT.search, modules_within(module))
    ):
        raise CannotHost(f"the widget {name} loads JavaScript from another site")
    if style.startswith(("http:", "https:")) or _OUTSIDE_STYLE.search(style):
        raise CannotHost(f"the widget {name} loads styles from another site")
    return {
        "module": assets.add_module(module),
        "css": assets.add(style.encode(), ".css") if style else None,
        "state": {
            key: value for key, value in state.items() if not _OWN_TRAITS.fullmatch(key)
        },
        "buffers": [
            {
                "path": buffer["path"],
                "file": assets.add(base64.b64decode(buffer["data"]), ".bin"),
            }
            for buffer in entry.get("buffers", [])
            if _lacks(state, buffer["path"])
        ],
    }


def _lacks(state, path):
    """Tell whether the state has a gap at the path of a buffer.

    A notebook also saves what filled such gaps in earlier values of a trait. (A trait that is
    itself binary may keep its earlier value in the state: its buffer is taken for the later.)
    """
    *inner, last = path
    if not inner:
        return True
    try:
        for key in inner:
            state = state[key]
        return state[last] is None if isinstance(state, list) else last not in state
    except (KeyError, IndexError, TypeError):  # no longer a container of this shape
        return False


def _references(value):
    """Find the model ids that a state refers to, however deep."""
    if isinstance(value, str):
        found = _REFERENCE.match(value)
        return [found[1]] if found else []
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [model_id for item in value for model_id in _references(item)]
    return []


def _link(state, both):
    source, target = ([_references(model)[0], trait] for model, trait in
                      (state["source"], state["target"]))  # fmt: skip
    return {"source": source, "target": target, "both": both}


def _linked_to(model_id, links):
    for link in links:
        ends = [link["source"][0], link["target"][0]]
        if model_id in ends:
            yield from ends
