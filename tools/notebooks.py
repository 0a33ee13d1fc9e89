"""Keep committed notebooks clean: text outputs stay, pictures and widget state go.

``python tools/notebooks.py FILE ...`` cleans; with ``--check`` it only says which are not clean.
It also writes each notebook's set-up cell, from the repository's address in ``_config.yml``. A
fork that changed the address and not yet the cells is clean all the same.
"""

import argparse
import sys
from pathlib import Path

import nbformat
import yaml

ROOT = Path(__file__).parents[1]
# What nbval compares, and what a reader without pictures sees.
KEPT_OUTPUT = "text/plain"
KEPT_CELL_METADATA = {"jupyter", "mystnb", "tags"}
KEPT_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def clean(notebook, address):
    """Clean a notebook in place; without an address (None), leave its set-up cell alone."""
    notebook.metadata = nbformat.from_dict(KEPT_METADATA)
    code_cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for count, cell in enumerate(code_cells, start=1):
        cell.execution_count = count
        for key in set(cell.metadata) - KEPT_CELL_METADATA:
            del cell.metadata[key]
        if "setup" in cell.metadata.get("tags", []):
            cell.outputs = []
            if address is not None:
                cell.source = setup_cell(address)
        for output in cell.outputs:
            if "data" in output:
                output.data = {KEPT_OUTPUT: output.data.get(KEPT_OUTPUT, "")}
                output.metadata = {}
            if "execution_count" in output:
                output.execution_count = count
        cell.outputs = _merged(cell.outputs)


def setup_cell(address):
    """Write the cell that makes a notebook run where the package is not installed."""
    if not address:
        return "# This notebook needs the package lmmath: see the README of the book."
    package = f"lmmath[notebooks,torch] @ git+{address}"
    return (
        "# Outside a clone of the book, in Colab for one, install its package first.\n"
        "import importlib.util\n"
        "\n"
        'if importlib.util.find_spec("lmmath") is None:\n'
        f'    %pip install --quiet "{package}"'
    )


def _merged(outputs):
    """Join pieces of one stream, which arrive in any number."""
    merged = []
    for output in outputs:
        last = merged[-1] if merged else None
        if (
            last
            and output.output_type == last.output_type == "stream"
            and output.name == last.name
        ):
            last.text += output.text
        else:
            merged.append(output)
    return merged


def main():
    """Clean or check the notebooks named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="change nothing, fail if unclean"
    )
    parser.add_argument("files", nargs="+", type=Path)
    arguments = parser.parse_args()
    settings = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    address = settings["repository"]["url"]
    unclean = []
    for path in arguments.files:
        before = path.read_text("utf-8")
        notebook = nbformat.reads(before, as_version=4)
        clean(notebook, None if arguments.check else address)
        after = nbformat.writes(notebook) + "\n"
        if after != before:
            unclean.append(str(path))
            if not arguments.check:
                path.write_text(after, "utf-8")
    if arguments.check and unclean:
        sys.exit(f"not clean, run `make notebooks`: {', '.join(unclean)}")


if __name__ == "__main__":
    main()
