"""Assemble the WebAssembly kernel of the real model's engine into a JavaScript module.

The text is ``lmmath/widgets/engines/kernel.wat``. What it assembles to, half a kilobyte, is a
string in ``kernel.js`` beside it, so that a widget needs no other file.
"""

import base64
from pathlib import Path

import wasmtime

ENGINES = Path(__file__).parents[1] / "lmmath" / "widgets" / "engines"
SOURCE = ENGINES / "kernel.wat"
MODULE = ENGINES / "kernel.js"


def assembled():
    """Give the text of ``kernel.js``."""
    code = wasmtime.wat2wasm(SOURCE.read_text("utf-8"))
    return (
        "// Made by tools/kernel.py from kernel.wat: the WebAssembly module, in base64.\n"
        f'export const KERNEL =\n  "{base64.b64encode(code).decode()}";\n'
    )


if __name__ == "__main__":
    MODULE.write_text(assembled(), "utf-8", newline="\n")
