"""The tests' browser is one that starts, and without one there is a clear word."""

import os

import browser  # tools/browser.py
import pytest


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with nothing but the programs that a test puts there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(browser, "APPLICATIONS", ())
    monkeypatch.setattr(
        browser, "_playwrights_own", lambda: str(tmp_path / "playwright")
    )

    def put(name, script):
        path = tmp_path / name
        path.write_text(script, "utf-8")
        os.chmod(path, 0o755)
        return str(path)

    return put


def test_without_a_browser_there_is_none(machine):
    assert browser.find() is None


def test_a_browser_that_does_not_start_is_passed_over(machine):
    machine("chromium", "#!/bin/sh\nexit 1\n")
    machine("google-chrome", "#!/no/such/interpreter\n")
    assert browser.find() is None
    working = machine("playwright", "#!/bin/sh\nexit 0\n")
    assert browser.find() == working


def test_the_systems_browser_comes_before_playwrights(machine):
    machine("playwright", "#!/bin/sh\nexit 0\n")
    systems = machine("chromium", "#!/bin/sh\nexit 0\n")
    assert browser.find() == systems
