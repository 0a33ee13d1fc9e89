"""Kept results: what takes longer than a chapter may, with the command that makes it again.

Each is a JSON file in the folder ``kept``, written by an experiment's own module:
``python -m lmmath.experiments.NAME``.
"""

import json
from pathlib import Path

from lmmath._files import replacing

DIRECTORY = Path(__file__).parent / "kept"


def keep(name, results):
    """Write results, numbers and lists under names, with the command that made them.

    Parameters
    ----------
    name : str
        That of the experiment's module.
    results : dict
        What JSON can write.
    """
    command = f"python -m lmmath.experiments.{name}"
    with replacing(DIRECTORY / f"{name}.json") as draft:
        text = json.dumps({"command": command, **results}, indent=1)
        draft.write_text(f"{text}\n", encoding="utf-8", newline="\n")


def load_kept(name):
    """Read the results of an experiment that ran before.

    Parameters
    ----------
    name : str
        That of the experiment's module.

    Returns
    -------
    dict
        What ``keep`` was given, and the ``command`` that makes it again.

    Raises
    ------
    FileNotFoundError
        If there are no results of that name.
    """
    return json.loads((DIRECTORY / f"{name}.json").read_text(encoding="utf-8"))
