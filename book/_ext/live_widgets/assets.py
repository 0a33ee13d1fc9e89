"""Files under names made of their content: written once, kept by browsers for ever."""

import base64
import hashlib
import re

# An import from a data: address, as a widget's text holds a module that it imports, or the address
# of a module that becomes a worker.
_EMBEDDED_MODULE = re.compile(
    r"""(\b(?:from|import|new URL)\s*\(?\s*)(["'])data:text/javascript;base64,([\w+/=]+)\2""",
    re.ASCII,
)


def modules_within(source: str):
    """Give the text of a JavaScript module, and of each module inside it."""
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

    def add_module(self, source: str, suffix: str = ".js") -> str:
        """Add a JavaScript module, and each module inside it as a file of its own.

        What becomes a worker has a name of its own kind, for it may need rights that no page has.
        """

        def as_file(found):
            kind = ".worker.js" if "URL" in found[1] else ".js"
            return f'{found[1]}"./{self.add_module(_text(found), kind)}"'

        return self.add(_EMBEDDED_MODULE.sub(as_file, source).encode(), suffix)
