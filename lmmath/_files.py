"""Files that are written whole or not at all."""

import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def replacing(path):
    """Give a path to write to; once that is complete, it takes the place of ``path``.

    >>> with TemporaryDirectory() as directory:
    ...     with replacing(f"{directory}/a.txt") as draft:
    ...         _ = draft.write_text("complete", "utf-8")
    ...     Path(directory, "a.txt").read_text("utf-8")
    'complete'
    """
    path = Path(path)
    # Beside its destination, so that the last step is one renaming on one file system.
    with TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        draft = Path(folder, path.name)
        yield draft
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
