"""Find a Chromium or Chrome for the tests, or install one.

``python tools/browser.py`` prints the path of the browser that the tests will use. It takes one
that is there; else, as root on Debian, it installs one with ``apt-get``; else it lets Playwright
download its own. If nothing works it says what to do, and fails.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

# The first is the same engine with no windows around it, and starts in a third of the time.
NAMES = (
    "chromium-headless-shell",
    "chromium",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "chromium-browser",
)
APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
HELP = """\
No Chromium or Chrome was found, and none could be installed. Either
  - install Chromium or Google Chrome with your system's package manager, or
  - run `.venv/bin/playwright install --with-deps chromium`,
and run this again."""


def find() -> str | None:
    """Give the path of a browser that starts, or None."""
    candidates = [path for name in NAMES if (path := shutil.which(name))]
    candidates += [
        path for path in (*APPLICATIONS, _playwrights_own()) if Path(path).exists()
    ]
    return next(filter(_starts, candidates), None)


def install() -> None:
    """Try to install a browser, the lighter way first."""
    if sys.platform == "linux" and os.geteuid() == 0 and shutil.which("apt-get"):
        print("Installing Debian's chromium ...", file=sys.stderr)
        _apt_get("update")
        for package in ("chromium-headless-shell", "chromium"):
            if find() is None:
                _apt_get("install", "--yes", "--no-install-recommends", package)
    if find() is None:
        print("Installing Playwright's chromium ...", file=sys.stderr)
        command = [sys.executable, "-m", "playwright", "install", "chromium"]
        subprocess.run(command, stdout=sys.stderr)


def _apt_get(*arguments):
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "--quiet=2", *arguments]
    subprocess.run(command, env=environment, stdout=sys.stderr)


def _playwrights_own():
    with sync_playwright() as playwright:
        return playwright.chromium.executable_path


def _starts(path):
    command = [path, "--version"]
    try:
        return subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


if __name__ == "__main__":
    if find() is None:
        install()
    sys.exit(HELP) if (path := find()) is None else print(path)
