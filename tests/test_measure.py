"""The benchmarks' arithmetic and their table, on contenders whose times are known."""

import measure  # bench/measure.py
import pytest


def contender(clock, seconds):
    def prepare(size):
        def run():
            clock[0] += seconds(size)

        return run

    return prepare


def test_a_table_of_known_times(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(measure.time, "process_time", lambda: clock[0])
    contenders = {
        "ours": contender(clock, lambda size: 0.001 * size),
        "theirs": contender(clock, lambda size: 0.005 * size**2),
        "nobody's": None,
    }
    table = measure.compare("A task", "metres", [1, 2, 4], contenders)
    assert table.splitlines() == [
        "**A task**",
        "",
        "| metres | ours | theirs | nobody's |",
        "|---|---|---|---|",
        "| 1 | 1 ms | 5 ms (0.20) | not installed |",
        "| 2 | 2 ms | 20 ms (0.10) | not installed |",
        "| 4 | 4 ms | 80 ms (0.05) | not installed |",
        "| grows with the power | 1.00 | 2.00 |  |",
    ]


def test_the_text_is_fable_or_a_file(tmp_path, monkeypatch):
    file = tmp_path / "text.txt"
    file.write_text("élève", encoding="utf-8")
    monkeypatch.setenv("TEXT", str(file))
    assert measure.text() == "élève"
    monkeypatch.delenv("TEXT")
    assert 1_000_000 < len(measure.text()) < 1_300_000


@pytest.mark.parametrize(("package", "there"), [("numpy", True), ("no-such", False)])
def test_what_is_installed(package, there):
    assert measure.installed("numpy", package) == there
