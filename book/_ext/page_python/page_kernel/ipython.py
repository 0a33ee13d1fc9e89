"""The few names of IPython that ipywidgets imports and notebooks use, without IPython.

IPython itself would be three megabytes and three seconds.
"""

import sys
from types import ModuleType

from page_kernel import display


class HTML:
    """A text that the page shows as HTML."""

    def __init__(self, data):
        self.data = data

    def _repr_html_(self):
        return self.data


class Markdown:
    """A text that the page shows as Markdown."""

    def __init__(self, data):
        self.data = data

    def _repr_markdown_(self):
        return self.data


class SVG:
    """A text that the page shows as a picture."""

    def __init__(self, data):
        self.data = data

    def _repr_svg_(self):
        return self.data


class InteractiveShell:
    """The class of a shell; no page has one."""

    @staticmethod
    def initialized():
        """Say that there is none."""
        return False


def get_ipython():
    """Give the shell of IPython: there is none."""
    return None


def provide():
    """Put these names where programs look for them."""
    names = {
        "IPython": {"get_ipython": get_ipython},
        "IPython.core": {},
        "IPython.core.getipython": {"get_ipython": get_ipython},
        "IPython.core.interactiveshell": {"InteractiveShell": InteractiveShell},
        "IPython.display": {
            "HTML": HTML,
            "Markdown": Markdown,
            "SVG": SVG,
            "clear_output": display.clear_output,
            "display": display.display,
        },
    }
    for name, attributes in names.items():
        module = ModuleType(name, "What a published page has of IPython.")
        module.__path__ = []
        vars(module).update(attributes)
        sys.modules[name] = module
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, module)
