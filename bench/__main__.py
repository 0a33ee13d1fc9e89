"""Run every benchmark of this folder, and keep what they print in ``results.md``.

A benchmark is a script here that prints Markdown. ``TEXT=FILE make bench`` measures on a text
of your own.
"""

import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PEERS = "numpy", "torch", "tokenizers", "tiktoken", "transformers"


def main():
    """Run them one after the other, each in a process of its own."""
    parts = [_machine()]
    for script in sorted(HERE.glob("*.py")):
        if (
            "def main(" in script.read_text("utf-8")
            and script.name != Path(__file__).name
        ):
            print(f"bench/{script.name} ...", file=sys.stderr, flush=True)
            run = subprocess.run(
                [sys.executable, script], stdout=subprocess.PIPE, text=True, check=True
            )
            parts.append(run.stdout.strip())
    text = "\n\n".join(parts) + "\n"
    (HERE / "results.md").write_text(text, encoding="utf-8")
    print(text)


def _machine():
    versions = ", ".join(f"{name} {_version(name)}" for name in PEERS)
    return (
        f"Measured on {_processor()}, Python {platform.python_version()}, {versions}."
    )


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return f"{len(names)} cores of {names[0]}" if names else platform.machine()


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    main()
