"""The scaling experiment in small: its rows, and that it goes on where it stopped."""

from dataclasses import replace

import numpy as np
import pytest

from lmmath.fable import entropy_rate
from lmmath.scaling import sweep as module
from lmmath.scaling.sweep import (
    COLUMNS,
    N_TOKENS,
    SIZES,
    Run,
    main,
    read_sweep,
    sweep,
    train_one,
)
from lmmath.transformer import GPTConfig, count_parameters, gpt_shapes
from lmmath.weights import load_fable_gpt

TINY = Run((4, 1, 1), 2_000, n_positions=64, least_read=20_000, valid_words=600)


@pytest.fixture(autouse=True)
def _one_thread_as_before():
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_sweep_spans_two_and_a_half_decades_of_text_and_nearly_so_of_size():
    n_params = [
        count_parameters(gpt_shapes(GPTConfig(512, 128, *size))) for size in SIZES
    ]
    assert len(SIZES) * len(N_TOKENS) >= 40
    assert np.log10(n_params[-1] / n_params[0]) > 2.4
    assert np.log10(N_TOKENS[-1] / N_TOKENS[0]) > 2.5


def test_a_row_says_what_was_trained_and_what_it_reached():
    row = train_one(TINY)
    assert tuple(row) == COLUMNS
    config = GPTConfig(512, 64, 4, 1, 1)
    assert row["n_params"] == count_parameters(gpt_shapes(config))
    assert (row["d_model"], row["n_layers"], row["n_heads"]) == TINY.size
    assert (row["n_tokens"], row["n_steps"]) == (2_000, 40)
    # It has learned something, and cannot know more than there is to know.
    assert row["floor"] < row["loss"] < np.log(512)
    assert abs(row["floor"] - entropy_rate(load_fable_gpt().tokenizer)) < 0.2
    assert 0 <= row["fact_exact"] < 0.5
    assert row["fact_loss"] > 1
    again = train_one(TINY)
    assert {**again, "seconds": 0} == {**row, "seconds": 0}


def test_more_text_is_read_twice_and_little_text_more_often():
    assert Run((4, 1, 1), 10_000).n_steps * 8 * 128 >= 1_500_000
    assert Run((4, 1, 1), 3_200_000).n_steps == 6_400_000 // (8 * 128)


def test_a_sweep_goes_on_with_what_is_missing(tmp_path):
    runs = [TINY, replace(TINY, n_tokens=3_000), replace(TINY, seed=1)]
    path = tmp_path / "sweep.csv"
    first = list(sweep(runs[:1], path))
    rest = list(sweep(runs, path))
    assert [row["n_tokens"] for row in first] == [2_000]
    assert {(row["n_tokens"], row["seed"]) for row in rest} == {(3_000, 0), (2_000, 1)}
    assert read_sweep(path) == [*first, *rest]
    assert list(sweep(runs, path)) == []


def test_the_command_prints_and_writes_each_row(tmp_path, monkeypatch, capsys):
    rows = []

    def pretend(runs, path, n_processes):
        rows.extend([len(runs), path, n_processes])
        yield dict.fromkeys(COLUMNS, 7)

    monkeypatch.setattr(module, "sweep", pretend)
    assert main(["--out", str(tmp_path / "a.csv"), "--processes", "3"]) == 0
    assert rows == [42, tmp_path / "a.csv", 3]
    assert capsys.readouterr().out.startswith("d_model 7, n_layers 7")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n", "must have the columns d_model, .* got a, b"),
        ("", "must have the columns d_model, .* got none"),
        (",".join(COLUMNS) + "\n" + ",".join(["x"] * 12) + "\n", "must hold numbers"),
        (",".join(COLUMNS) + "\n1,2\n", "must hold numbers"),
    ],
)
def test_a_file_of_something_else_is_refused_and_left_alone(
    tmp_path, content, message, capsys
):
    path = tmp_path / "sweep.csv"
    path.write_text(content, "utf-8")
    with pytest.raises(ValueError, match=message):
        read_sweep(path)
    with pytest.raises(SystemExit) as stop:
        main(["--out", str(path)])
    assert stop.value.code == 2
    assert path.read_text("utf-8") == content
    assert "sweep.csv must" in capsys.readouterr().err
