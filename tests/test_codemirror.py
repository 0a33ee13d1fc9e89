"""The vendored CodeMirror is what its lock says, and its licence comes with it."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "tools" / "codemirror"
FILE = ROOT / "book" / "_ext" / "page_python" / "static" / "python" / "codemirror.js"
BANNER = FILE.read_text("utf-8").partition("*/")[0]


def locked():
    lock = json.loads((SOURCE / "package-lock.json").read_text("utf-8"))
    return {
        path.removeprefix("node_modules/"): package
        for path, package in lock["packages"].items()
        if path
    }


def test_the_file_has_the_versions_of_the_lock():
    packages = locked()
    named = re.findall(r"^(\S+) (\d+\.\d+\.\d+) \((\S+)\)$", BANNER, re.MULTILINE)
    assert {name for name, *_ in named} >= {
        "@codemirror/view",
        "@lezer/python",
        "style-mod",
    }
    for name, version, licence in named:
        assert (version, licence) == (
            packages[name]["version"],
            packages[name]["license"],
        )


def test_the_lock_has_the_versions_that_are_asked_for():
    package = json.loads((SOURCE / "package.json").read_text("utf-8"))
    asked = package["dependencies"] | package["devDependencies"]
    assert asked == {name: locked()[name]["version"] for name in asked}


def asked():
    entry = (SOURCE / "entry.js").read_text("utf-8")
    lists = re.findall(r"export {([^}]*)}", entry)
    return {name for names in lists for name in re.findall(r"\w+", names)}


def test_the_file_has_what_is_asked_of_it():
    exported = FILE.read_text("utf-8").rpartition("export{")[2]
    assert set(re.findall(r"as (\w+)", exported)) == asked()


def test_the_editor_uses_all_that_the_file_has():
    sources = [FILE.with_name(name) for name in ("editor.js", "highlight.js")]
    code = " ".join(path.read_text("utf-8") for path in sources)
    assert {name for name in asked() if not re.search(rf"\b{name}\b", code)} == set()


def test_the_licence_is_in_the_file():
    assert BANNER.startswith("/*!")
    assert "Permission is hereby granted, free of charge" in BANNER
    assert "Copyright (C) 2018-2021 by Marijn Haverbeke" in BANNER
