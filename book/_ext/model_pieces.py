"""Put the real model on the site, in pieces, for readers who ask for it.

No page loads it unasked. A piece has a name made of its content, so a browser may keep it for ever,
and a download that was cut short goes on with the next piece. ``index.json`` lists them in order.
"""

import hashlib
import json
from pathlib import Path

from lmmath.weights.smollm2 import find_smollm2

MOST_BYTES = 16 * 2**20  # of a piece


def write_pieces(folder, file, most_bytes=MOST_BYTES):
    """Write a file in pieces, and the list of them; what is there already stays.

    Parameters
    ----------
    folder : path
        Becomes a folder with these pieces, ``index.json`` and nothing else.
    file : path
    most_bytes : int
        The size of a piece; the last may be smaller.
    """
    folder, pieces = Path(folder), []
    folder.mkdir(parents=True, exist_ok=True)
    with Path(file).open("rb") as whole:
        while content := whole.read(most_bytes):
            sha256 = hashlib.sha256(content).hexdigest()
            piece = folder / f"{sha256[:16]}.bin"
            if not piece.exists() or piece.stat().st_size != len(content):
                piece.write_bytes(content)
            pieces.append({"file": piece.name, "size": len(content), "sha256": sha256})
    index = {"size": sum(piece["size"] for piece in pieces), "pieces": pieces}
    folder.joinpath("index.json").write_text(json.dumps(index), "utf-8")
    current = {"index.json", *(piece["file"] for piece in pieces)}
    for old in folder.iterdir():
        if old.name not in current:
            old.unlink()


def _write(app, error):
    if not error and app.builder.format == "html":
        write_pieces(Path(app.outdir, "_static", "model"), find_smollm2())


def setup(app):
    """Register the extension."""
    app.connect("build-finished", _write)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
