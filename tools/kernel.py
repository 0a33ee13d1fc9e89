"""Assemble the WebAssembly kernels of the widgets' engines into JavaScript modules.

The texts are ``kernel.wat``, for the real model, and ``training_kernel.wat``, for a model that
learns, in ``lmmath/widgets/engines``. What each assembles to, less than a kilobyte, is a string
in a module beside it, so that a widget needs no other file.
"""

import base64
from pathlib import Path

import wasmtime

ENGINES = Path(__file__).parents[1] / "lmmath" / "widgets" / "engines"
SOURCES = (ENGINES / "kernel.wat", ENGINES / "training_kernel.wat")


def assembled(source):
    """Give the text of the JavaScript module that belongs beside a WebAssembly text."""
    code = wasmtime.wat2wasm(source.read_text("utf-8"))
    return (
        f"// Made by tools/kernel.py from {source.name}: the WebAssembly module, in base64.\n"
        f'export const KERNEL =\n  "{base64.b64encode(code).decode()}";\n'
    )


if __name__ == "__main__":
    for source in SOURCES:
        module, text = source.with_suffix(".js"), assembled(source)
        if not module.exists() or module.read_text("utf-8") != text:
            module.write_text(text, "utf-8", newline="\n")
