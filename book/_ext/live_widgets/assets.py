"""Files under names made of their content: written once, kept by browsers for ever."""

import base64
import hashlib
import json
import re

# An import from a data: address, as a widget's text may hold a module that it imports.
_EMBEDDED_MODULE = re.compile(
    r"""(\b(?:from|import)\s*\(?\s*)(["'])data:text/javascript;base64,([\w+/=]+)\2""",
    re.ASCII,
)
# The text that lmmath.widgets.kit.bundle makes: sources by name, and which of them is the widget.
_BUNDLE = re.compile(r"const SOURCES = (\{.*\});\nconst ENTRY = (\".*\");\n")
# What a source in it imports, or starts as a worker.
_NAME = re.compile(r'(new URL\()?"@([\w/-]+\.js)"')


def modules_within(source: str):
    """Give the text of a JavaScript module, and of each module inside it."""
    if bundle := _BUNDLE.match(source):
        yield from json.loads(bundle[1]).values()
        return
    yield source
    for found in _EMBEDDED_MODULE.finditer(source):
        yield from modules_within(_text(found))


def _text(embedded):
    return base64.b64decode(embedded[3]).decode()


class Assets:
    """A set of files, by name."""

    def __init__(self):
        self.files: dict[str, bytes] = {}

    def add(self, content: bytes, suffix: str) -> str:
        """Add a file, and give its name."""
        name = hashlib.sha256(content).hexdigest()[:16] + suffix
        self.files[name] = content
        return name

    def add_module(self, source: str) -> str:
        """Add a JavaScript module, and each module inside it as a file of its own."""
        if bundle := _BUNDLE.match(source):
            return self._add_named(json.loads(bundle[1]), json.loads(bundle[2]), ".js")

        def as_file(found):
            return f'{found[1]}"./{self.add_module(_text(found))}"'

        return self.add(_EMBEDDED_MODULE.sub(as_file, source).encode(), ".js")

    def _add_named(self, sources, name, suffix):
        """Add a module of a bundle, and those that it leads to.

        What becomes a worker has a name of its own kind, for it may need rights that no page has.
        """

        def as_file(found):
            start, inner = found[1] or "", found[2]
            kind = ".worker.js" if start else ".js"
            return f'{start}"./{self._add_named(sources, inner, kind)}"'

        return self.add(_NAME.sub(as_file, sources[name]).encode(), suffix)
