"""The model that comes with the book: small, whole, and near the floor."""

import csv
import json

import numpy as np
import pytest

from lmmath.experiments import loss_by_distance, story_loss
from lmmath.fable import ANIMALS, entropy_rate, sample, surprisals, to_words
from lmmath.language_models import shapes
from lmmath.sampling import generate
from lmmath.training.__main__ import _parser
from lmmath.transformer import count_parameters, gpt_shapes
from lmmath.weights import DIRECTORY, load_fable_gpt, load_fable_recurrent


@pytest.fixture(scope="module")
def model():
    return load_fable_gpt()


def test_the_weights_are_small():
    assert (DIRECTORY / "model.safetensors").stat().st_size < 2_000_000


def test_the_settings_describe_the_model_and_make_it_again(model):
    settings = json.loads((DIRECTORY / "settings.json").read_text("utf-8"))
    assert settings["config"] == vars(model.config)
    options = _parser().parse_args(settings["command_line"])
    for name, value in settings["settings"].items():
        assert getattr(options, name) in (value, None), name
    assert options.fable == 8_000_000


def test_the_log_ends_where_the_training_ended():
    settings = json.loads((DIRECTORY / "settings.json").read_text("utf-8"))["settings"]
    with (DIRECTORY / "log.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert int(rows[-1]["step"]) == settings["n_steps"]
    losses = [float(row["valid_loss"]) for row in rows if row["valid_loss"]]
    assert losses[-1] == min(losses)


def test_the_loss_is_within_three_hundredths_of_the_floor(model):
    result = story_loss(*model, sample(15_000, np.random.default_rng(99)))
    excess = result.loss - result.floor
    assert 0 < excess < 0.03 + 4 * result.standard_error
    # The stories are a sample: their own floor is not exactly the language's.
    assert abs(result.floor - entropy_rate(model.tokenizer)) < 0.05


def test_what_it_writes_is_fable(model):
    params, config, tokenizer = model
    start = np.asarray(tokenizer.encode("\n"))
    rows = np.broadcast_to(start, (8, 1))
    tokens = generate(params, rows, config, 127, np.random.default_rng(5))
    stories = [
        [*to_words(text), "\n"]
        for row in tokens
        for text in tokenizer.decode(row).split("\n")[1:-1]  # the last may not be whole
    ]
    assert len(stories) > 10
    n_possible = 0
    for story in stories:
        try:
            surprisals(story)
        except ValueError:
            continue
        n_possible += 1
    assert n_possible > 0.7 * len(stories)


def test_float16_loses_little(model):
    assert count_parameters(gpt_shapes(model.config)) == sum(
        array.size for array in model.params.values()
    )
    assert all(array.dtype == np.float32 for array in model.params.values())
    halves = load_fable_gpt(np.float16)
    assert all(array.dtype == np.float16 for array in halves.params.values())


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_the_recurrent_models_have_the_size_and_the_data_of_the_gpt(model, cell):
    other = load_fable_recurrent(cell)
    ratio = count_parameters(shapes(other.config)) / count_parameters(
        shapes(model.config)
    )
    assert 0.95 < ratio < 1.05
    assert other.tokenizer.merges == model.tokenizer.merges
    settings = [
        json.loads((folder / "settings.json").read_text("utf-8"))
        for folder in (DIRECTORY, DIRECTORY.with_name(f"fable-{cell}"))
    ]
    assert settings[0]["settings"] == settings[1]["settings"]
    for name in ("fable", "valid_fraction", "seed", "n_positions", "vocab_size"):
        assert settings[0]["options"][name] == settings[1]["options"][name]
    assert settings[1]["config"] == vars(other.config)


def test_what_lies_far_back_is_lost_by_the_rnn_first_and_by_the_gpt_last(model):
    near_and_far = [0, 8]
    losses = [
        loss_by_distance(
            *any_model, near_and_far, np.random.default_rng(0), ANIMALS[::16]
        ).loss.mean(axis=1)
        for any_model in (
            load_fable_recurrent("rnn"),
            load_fable_recurrent("lstm"),
            model,
        )
    ]
    rnn, lstm, gpt = losses
    assert np.all(rnn > 4 * lstm)
    assert np.all(lstm > 4 * gpt)
    assert rnn[1] > rnn[0] + 1
    assert lstm[1] > lstm[0]


def test_there_is_no_third_recurrent_model():
    with pytest.raises(ValueError, match="cell must be 'rnn' or 'lstm', got 'gru'"):
        load_fable_recurrent("gru")
