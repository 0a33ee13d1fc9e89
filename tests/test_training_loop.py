"""The training loop against a plain one of torch's, stopped and resumed, alone and in two."""

import csv
import io
import json
import math
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from libraries import close
from transformers import GPT2Config, GPT2LMHeadModel

import lmmath.training
import lmmath.training.loop as loop
from lmmath.checkpoints import load_checkpoint, load_model
from lmmath.fable import entropy_rate, sample, to_text
from lmmath.language_models import RecurrentConfig
from lmmath.sampling import generate
from lmmath.tokenization import BPETokenizer
from lmmath.training import TrainingConfig, evaluate, train
from lmmath.training.__main__ import main
from lmmath.transformer import GPTConfig, gpt_shapes, init_gpt

CONFIG = GPTConfig(7, n_positions=6, d_model=8, n_layers=2, n_heads=2)
TOKENS = np.random.default_rng(5).integers(7, size=200)
VALID = np.random.default_rng(6).integers(7, size=50)
SETTINGS = {
    "n_steps": 12,
    "batch_size": 4,
    "learning_rate": 0.01,
    "n_warmup": 3,
    "evaluate_every": 4,
    "checkpoint_every": 5,
    "seed": 3,
}


def run(
    directory, tokens=TOKENS, valid=VALID, config=CONFIG, changes=None, **arguments
):
    settings = TrainingConfig(**{**SETTINGS, **(changes or {})})
    return train(tokens, valid, config, settings, directory, **arguments)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Threads that wait for a busy processor take longer than such small models do."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Train once without a stop, for comparison."""
    directory = tmp_path_factory.mktemp("uninterrupted")
    return run(directory), log(directory)


def log(directory):
    with (directory / "log.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def column(rows, name):
    return np.asarray([float(row[name] or "nan") for row in rows])


def same_bits(actual, expected):
    assert list(actual) == list(expected)
    for name, array in expected.items():
        assert actual[name].dtype == array.dtype
        assert actual[name].tobytes() == array.tobytes()


def same_log(actual, expected):
    for row, other in zip(actual, expected, strict=True):
        assert {**row, "seconds": ""} == {**other, "seconds": ""}


# Another implementation


def hugging_face(config, params):
    sizes = GPT2Config(
        vocab_size=config.vocab_size,
        n_positions=config.n_positions,
        n_embd=config.d_model,
        n_layer=config.n_layers,
        n_head=config.n_heads,
        n_inner=config.d_ff,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = GPT2LMHeadModel(sizes)
    state = {f"transformer.{name}": torch.tensor(a) for name, a in params.items()}
    state["lm_head.weight"] = state["transformer.wte.weight"]
    model.load_state_dict(state)
    return model


def plain_loop(tokens, config, s, params, starts, dtype):
    """Train GPT-2 of ``transformers`` with torch's own optimizer, clipping and schedule."""
    model = hugging_face(config, params).to(dtype)
    weights = list(model.parameters())
    groups = [
        {"params": [p for p in weights if p.ndim > 1], "weight_decay": s.weight_decay},
        {"params": [p for p in weights if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=s.learning_rate, betas=s.betas)

    def factor(done):
        step = done + 1
        if step < s.n_warmup:
            return step / s.n_warmup
        progress = (step - s.n_warmup) / (s.n_steps - s.n_warmup)
        floor = s.final_learning_rate / s.learning_rate
        return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    losses, norms, rates = [], [], []
    for step in range(1, s.n_steps + 1):
        rng = np.random.default_rng([s.seed, step])
        windows = []
        for chosen in rng.integers(len(starts), size=s.batch_size):
            first = starts[chosen]
            windows.append(tokens[first : first + config.n_positions + 1])
        windows = torch.tensor(np.stack(windows))
        logits = model(windows[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), windows[:, 1:].flatten()
        )
        optimizer.zero_grad()
        loss.backward()
        norm = float(torch.nn.utils.clip_grad_norm_(weights, math.inf))
        if norm > s.max_norm:
            # torch divides by the norm plus 1e-6, which is taken back here.
            limit = s.max_norm * (norm + 1e-6) / norm
            torch.nn.utils.clip_grad_norm_(weights, limit)
        norms.append(norm)
        losses.append(float(loss.detach()))
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return model.transformer.state_dict(), losses, norms, rates


EXAMPLES = [
    ({}, None),
    ({"max_norm": 0.2, "weight_decay": 0.5, "betas": (0.8, 0.99)}, None),
    ({"n_warmup": 0, "final_learning_rate": 0.01, "max_norm": 1e9}, None),
    ({"seed": 4}, np.asarray([150, 3, 50, 193, 194, 199])),
]


def both_loops(directory, changes, starts, dtype):
    settings = TrainingConfig(**{**SETTINGS, **changes})
    init = init_gpt(CONFIG, np.random.default_rng(9))
    ours = run(directory, changes=changes, init=init, starts=starts)
    # The last window that fits begins at 193.
    usable = range(194) if starts is None else [150, 3, 50, 193]
    theirs = plain_loop(TOKENS, CONFIG, settings, init, usable, dtype)
    return ours, log(directory), *theirs


@pytest.mark.parametrize(("changes", "starts"), EXAMPLES)
def test_training_equals_a_plain_loop_of_torch(tmp_path, monkeypatch, changes, starts):
    def wide(init, *_):
        return {name: array.astype(np.float64) for name, array in init.items()}

    # float64 shows what rounding would hide: a difference of one part in a million million.
    monkeypatch.setattr(loop, "_initial", wide)
    ours, rows, theirs, losses, norms, rates = both_loops(
        tmp_path, changes, starts, torch.float64
    )
    close(column(rows, "train_loss"), losses, 1e-12)
    close(column(rows, "gradient_norm"), norms, 1e-12)
    close(column(rows, "learning_rate"), rates, 1e-15)
    for name, array in ours.items():
        close(array, theirs[name], 1e-10)


@pytest.mark.parametrize(("changes", "starts"), EXAMPLES)
def test_training_in_float32_equals_it_but_for_rounding(tmp_path, changes, starts):
    _, rows, _, losses, norms, _ = both_loops(tmp_path, changes, starts, torch.float32)
    close(column(rows, "train_loss"), losses, 1e-5)
    close(column(rows, "gradient_norm"), norms, 1e-4)


def test_the_loss_falls_on_a_text_that_repeats_itself(tmp_path):
    tokens = np.asarray([0, 1, 1, 2, 3, 5, 6] * 20)
    changes = {"n_steps": 150, "learning_rate": 0.03, "n_warmup": 8}
    params = run(tmp_path, tokens, tokens, changes=changes)
    losses = column(log(tmp_path), "train_loss")
    # It begins with an even guess. What follows the first 1 of a window cannot be known.
    assert abs(losses[0] - math.log(7)) < 0.05
    assert np.mean(losses[-20:]) < 0.1
    assert evaluate(params, tokens, CONFIG) < 0.1
    assert {array.dtype for array in params.values()} == {np.dtype(np.float32)}


def test_the_seed_decides_everything(tmp_path, uninterrupted):
    params, rows = uninterrupted
    same_bits(run(tmp_path / "again"), params)
    same_log(log(tmp_path / "again"), rows)
    other = run(tmp_path / "other", changes={"seed": 4})
    assert not np.array_equal(other["wpe.weight"], params["wpe.weight"])


def test_the_kind_of_integers_and_the_order_of_names_decide_nothing(tmp_path):
    init = init_gpt(CONFIG, np.random.default_rng(9))
    starts = np.arange(190)
    expected = run(tmp_path / "a", init=init, starts=starts, valid_starts=starts[:40])
    small = [array.astype(np.uint8) for array in (TOKENS, VALID, starts, starts[:40])]
    backwards = dict(reversed(init.items()))
    actual = run(
        tmp_path / "b",
        *small[:2],
        init=backwards,
        starts=small[2],
        valid_starts=small[3],
    )
    same_bits(actual, expected)
    same_log(log(tmp_path / "b"), log(tmp_path / "a"))
    # To the checkpoint they are the same as well: nothing is left to do.
    same_bits(run(tmp_path / "b", init=init, starts=starts, valid_starts=starts[:40]), expected)  # fmt: skip


def test_the_arguments_stay_as_they_are(tmp_path):
    init = init_gpt(CONFIG, np.random.default_rng(9))
    before = {name: array.copy() for name, array in init.items()}
    tokens = TOKENS.copy()
    for array in (tokens, *init.values()):
        array.flags.writeable = False
    params = run(tmp_path, tokens, init=init)
    same_bits(init, before)
    assert all(array.flags.writeable for array in params.values())


# The log


def test_the_log_has_a_row_for_each_step(tmp_path, uninterrupted):
    _, rows = uninterrupted
    assert tuple(rows[0]) == loop.LOG_COLUMNS
    assert [row["step"] for row in rows] == [str(step) for step in range(1, 13)]
    assert [row["step"] for row in rows if row["valid_loss"]] == ["4", "8", "12"]
    seconds = column(rows, "seconds")
    assert np.all(np.diff(seconds) >= 0)
    assert 0 <= seconds[0] <= seconds[-1] < 600


def test_the_losses_of_the_log_are_those_of_the_model(tmp_path):
    params = run(tmp_path)
    # In the batches of the training: others would be rounded differently.
    loss = evaluate(params, VALID, CONFIG, SETTINGS["batch_size"])
    assert log(tmp_path)[-1]["valid_loss"] == repr(loss)
    # And NumPy reads it.
    table = np.genfromtxt(tmp_path / "log.csv", delimiter=",", names=True)
    assert table["valid_loss"][-1] == loss
    assert math.isnan(table["valid_loss"][0])


def test_the_validation_stories_are_read_from_their_starts(tmp_path):
    starts = np.asarray([3, 11, 12, 40])
    params = run(tmp_path, valid_starts=starts)
    last = float(log(tmp_path)[-1]["valid_loss"])
    # In the batches of the training: others would be rounded differently.
    batch_size = SETTINGS["batch_size"]
    assert last == evaluate(params, VALID, CONFIG, batch_size, starts)
    assert last != evaluate(params, VALID, CONFIG, batch_size)


# Stopped and resumed


class Stop(Exception):
    """What stops a training in these tests."""


def stop_at(monkeypatch, owner, name, call, error=Stop):
    """Let the n-th call of a function raise."""
    function = getattr(owner, name)
    count = iter(range(1, 1000))

    def stopping(*arguments, **keywords):
        if next(count) == call:
            raise error
        return function(*arguments, **keywords)

    monkeypatch.setattr(owner, name, stopping)


@pytest.mark.parametrize("error", [KeyboardInterrupt, Stop, SystemExit])
@pytest.mark.parametrize(
    ("owner", "name", "call", "saved"),
    [
        (loop, "_draw", 2, 1),
        (loop, "forward", 3, 2),
        (loop, "forward", 6, 3),  # at step 4, which is being validated
        (loop.torch_kernels, "adamw_update", 6, 5),
        (loop._Model, "take", 9, 8),
        (loop, "evaluate", 2, 7),  # at step 8, which is not complete without
        (loop._Recorder, "add", 8, 7),
        (loop.tqdm, "update", 8, 7),  # is logged, but not complete
        (loop, "save_checkpoint", 1, 5),  # is called again on the way out
        (loop, "evaluate", 3, 11),
    ],
)
def test_what_stops_the_training_leaves_the_last_complete_step(
    tmp_path, monkeypatch, uninterrupted, owner, name, call, saved, error
):
    with monkeypatch.context() as context:
        stop_at(context, owner, name, call, error)
        with pytest.raises(error):
            run(tmp_path)
    checkpoint = load_checkpoint(tmp_path / "checkpoint.safetensors")
    assert checkpoint.optimizer["step"] == len(checkpoint.log) == saved
    same_bits(run(tmp_path), uninterrupted[0])
    same_log(log(tmp_path), uninterrupted[1])


@pytest.mark.parametrize(("step", "saved"), [(4, None), (6, 5), (11, 10), (12, 10)])
def test_a_power_cut_leaves_the_last_regular_checkpoint(
    tmp_path, monkeypatch, uninterrupted, step, saved
):
    with monkeypatch.context() as context:
        power_cut(context, step)
        with pytest.raises(Stop):
            run(tmp_path)
    logged = [row["step"] for row in log(tmp_path)]
    assert logged == [str(i) for i in range(1, step)]
    path = tmp_path / "checkpoint.safetensors"
    assert path.exists() == (saved is not None)
    if saved:
        assert load_checkpoint(path).optimizer["step"] == saved
    same_bits(run(tmp_path), uninterrupted[0])
    same_log(log(tmp_path), uninterrupted[1])


def power_cut(context, step):
    """Stop in the middle of a step, and let nothing be written after it."""

    def nothing(*_):
        raise Stop

    def cut(learner, windows):
        if learner.step + 1 == step:
            context.setattr(loop, "save_checkpoint", nothing)
            raise Stop
        return learn(learner, windows)

    learn = loop.Learner.learn
    context.setattr(loop.Learner, "learn", cut)


def test_many_stops_are_as_none(tmp_path, monkeypatch, uninterrupted):
    for _ in range(5):
        with monkeypatch.context() as context:
            stop_at(context, loop, "_draw", 4, KeyboardInterrupt)
            try:
                run(tmp_path)
            except KeyboardInterrupt:
                continue
            break
    else:
        pytest.fail("it never came to the end")
    same_bits(run(tmp_path), uninterrupted[0])
    same_log(log(tmp_path), uninterrupted[1])
    seconds = column(log(tmp_path), "seconds")
    assert np.all(np.diff(seconds) >= 0)


def test_a_finished_training_has_nothing_left_to_do(tmp_path, monkeypatch):
    params = run(tmp_path)
    before = (tmp_path / "log.csv").read_text("utf-8")
    monkeypatch.setattr(loop, "forward", None)
    same_bits(run(tmp_path), params)
    assert (tmp_path / "log.csv").read_text("utf-8") == before


def test_a_stop_before_the_first_step_leaves_no_checkpoint(tmp_path, monkeypatch):
    stop_at(monkeypatch, loop, "forward", 1)
    with pytest.raises(Stop):
        run(tmp_path)
    assert os.listdir(tmp_path) == ["log.csv"]


def contents(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"config": GPTConfig(7, 6, 8, 2, 4)}, "differs in n_heads$"),
        ({"config": GPTConfig(8, 6, 8, 2, 2)}, "differs in vocab_size, init$"),
        ({"changes": {"n_steps": 13}}, "differs in n_steps$"),
        ({"changes": {"seed": 4}}, "differs in seed, init$"),
        ({"changes": {"betas": (0.9, 0.99)}}, "differs in betas$"),
        ({"changes": {"max_norm": 2}}, "differs in max_norm$"),
        ({"tokens": np.roll(TOKENS, 1)}, "differs in train_tokens$"),
        ({"valid": VALID[:-1]}, "differs in valid_tokens$"),
        ({"starts": np.asarray([5])}, "differs in starts$"),
        ({"valid_starts": np.asarray([5])}, "differs in valid_starts$"),
        ({"init": init_gpt(CONFIG, np.random.default_rng(9))}, "differs in init$"),
    ],
)  # fmt: skip
def test_another_training_is_refused_and_left_alone(tmp_path, changed, message):
    run(tmp_path)
    before = contents(tmp_path)
    message = f"must hold no checkpoint of another training, got one that {message}"
    with pytest.raises(ValueError, match=message) as error:
        run(tmp_path, **changed)
    assert str(tmp_path) in str(error.value)
    assert contents(tmp_path) == before


def test_a_damaged_checkpoint_is_named_and_left_alone(tmp_path):
    run(tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r"checkpoint.safetensors holds no checkpoint"):
        run(tmp_path)
    assert contents(tmp_path) == before


def test_gradients_that_explode_stop_the_training(tmp_path):
    init = init_gpt(CONFIG, np.random.default_rng(9))
    init["ln_f.weight"][:] = 1e38
    message = "the training diverged at step 1: gradients must have a finite norm"
    with pytest.raises(ValueError, match=message):
        run(tmp_path, init=init)
    assert os.listdir(tmp_path) == ["log.csv"]


def test_a_training_that_diverges_leaves_the_last_regular_checkpoint(
    tmp_path, monkeypatch, uninterrupted
):
    with monkeypatch.context() as context:
        stop_at(context, loop, "_clipped", 8, ValueError("not finite"))
        with pytest.raises(loop.Diverged, match="diverged at step 8: not finite"):
            run(tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    assert load_checkpoint(path).optimizer["step"] == 5
    same_bits(run(tmp_path), uninterrupted[0])
    same_log(log(tmp_path), uninterrupted[1])


def terminate_at(monkeypatch, step):
    draw, count = loop._draw, iter(range(1, 1000))

    def drawing(*arguments):
        if next(count) == step:
            assert (
                signal.getsignal(signal.SIGTERM) is loop._end
            )  # or all tests end here
            signal.raise_signal(signal.SIGTERM)
        return draw(*arguments)

    monkeypatch.setattr(loop, "_draw", drawing)


def test_sigterm_saves_the_last_complete_step(tmp_path, monkeypatch, uninterrupted):
    with monkeypatch.context() as context:
        terminate_at(context, 8)
        with pytest.raises(SystemExit) as stopped:
            run(tmp_path)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert load_checkpoint(tmp_path / "checkpoint.safetensors").optimizer["step"] == 7
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    same_bits(run(tmp_path), uninterrupted[0])
    same_log(log(tmp_path), uninterrupted[1])


def test_sigterm_is_left_to_who_handles_it_already(tmp_path, monkeypatch):
    came = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        with monkeypatch.context() as context:
            context.setattr(loop, "_end", signal.getsignal(signal.SIGTERM))
            terminate_at(context, 3)
            run(tmp_path)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came == [signal.SIGTERM]


@pytest.mark.parametrize("kind", ["bfloat16", "requires_grad", "float64"])
def test_the_first_parameters_may_be_torchs_of_any_kind(tmp_path, kind):
    init = init_gpt(CONFIG, np.random.default_rng(9))
    tensors = {name: torch.tensor(array) for name, array in init.items()}
    if kind == "requires_grad":
        tensors = {name: t.requires_grad_() for name, t in tensors.items()}
    else:
        tensors = {name: t.to(getattr(torch, kind)) for name, t in tensors.items()}
    arrays = {name: t.detach().float().numpy() for name, t in tensors.items()}
    same_bits(run(tmp_path / "a", init=tensors), run(tmp_path / "b", init=arrays))
    loss = evaluate(tensors, VALID, CONFIG)
    close(loss, evaluate(arrays, VALID, CONFIG), 1e-2 if kind == "bfloat16" else 1e-6)


# The validation


def literal_loss(params, tokens, config, starts=None):
    """Predict each token in turn, from the beginning of its window."""
    model = hugging_face(config, params).double()
    starts = range(len(tokens)) if starts is None else starts
    window, losses = min(starts), []
    for i in range(min(starts) + 1, len(tokens)):
        with torch.no_grad():
            logits = model(torch.tensor(tokens[None, window:i])).logits[0, -1]
        losses.append(-float(torch.log_softmax(logits, -1)[tokens[i]]))
        inner = [start for start in starts if window < start <= window + config.n_positions]  # fmt: skip
        if i == max(inner, default=window + config.n_positions):
            window = i
    return np.mean(losses)


@pytest.mark.parametrize("n_tokens", [2, 6, 7, 8, 13, 50])
@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_evaluate_predicts_each_token_once(n_tokens, batch_size):
    params = noisy()
    tokens = VALID[:n_tokens]
    loss = evaluate(params, tokens, CONFIG, batch_size)
    assert isinstance(loss, float)
    close(loss, literal_loss(params, tokens, CONFIG), 2e-6)


@pytest.mark.parametrize(
    "starts",
    [[0], [3, 5, 8, 9, 17, 40], [0, 6, 12, 18], [9, 0, 9, 30], [48], [0, 49], [10, 49]],
)
def test_evaluate_begins_its_windows_at_starts(starts):
    params = noisy()
    starts = np.asarray(starts)
    loss = evaluate(params, VALID, CONFIG, 3, starts)
    close(loss, literal_loss(params, VALID, CONFIG, starts.tolist()), 2e-6)


def noisy():
    rng = np.random.default_rng(1)
    return {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in gpt_shapes(CONFIG).items()
    }


def test_evaluate_takes_torchs_arrays_and_remembers_no_gradient():
    params = {name: torch.tensor(array).requires_grad_() for name, array in noisy().items()}  # fmt: skip
    assert evaluate(params, VALID, CONFIG) == evaluate(noisy(), VALID, CONFIG)
    wide = {name: array.astype(np.float64) for name, array in noisy().items()}
    close(evaluate(wide, VALID, CONFIG), literal_loss(noisy(), VALID, CONFIG), 1e-13)


# The bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("progress", [True, False])
@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
def test_the_bar_is_for_terminals(tmp_path, monkeypatch, progress, kind):
    screen = kind()
    monkeypatch.setattr(sys, "stderr", screen)
    run(tmp_path, progress=progress)
    if progress and kind is Terminal:
        assert "12/12" in screen.getvalue()
        assert f"loss={float(log(tmp_path)[-1]['train_loss']):.3f}" in screen.getvalue()
    else:
        assert screen.getvalue() == ""


# The command line

TEXT = "One frog sat by a pond. Two frogs sat by a pond. No frog sat there at all. "
OPTIONS = {
    "vocab_size": 270,
    "n_positions": 6,
    "d_model": 8,
    "n_layers": 1,
    "n_heads": 2,
    "n_steps": 7,
    "batch_size": 4,
    "learning_rate": 0.01,
    "evaluate_every": 3,
    "checkpoint_every": 3,
    "seed": 3,
}


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT * 10, encoding="utf-8")
    return path


def command(text, out, /, **changes):
    options = {"text": text, "out": out, **OPTIONS, **changes}
    return [
        word
        for name, value in options.items()
        for word in (f"--{name.replace('_', '-')}", str(value))
        if value is not None
    ]


def test_the_command_writes_all_that_it_takes_to_use_the_model(tmp_path, text, capsys):
    out = tmp_path / "a" / "b"
    assert main(command(text, out, sample=12)) == 0
    assert sorted(os.listdir(out)) == [
        "checkpoint.safetensors",
        "log.csv",
        "model.safetensors",
        "settings.json",
        "tokenizer.json",
    ]
    params, config = load_model(out / "model.safetensors")
    assert config == GPTConfig(270, 6, 8, 1, 2)
    tokenizer = BPETokenizer.load(out / "tokenizer.json")
    n_train = round(0.9 * len(TEXT * 10))
    head, tail = (TEXT * 10)[:n_train], (TEXT * 10)[n_train:]
    assert tokenizer == BPETokenizer.train(head, 270)

    # It is what train makes of the same.
    head, tail = np.asarray(tokenizer.encode(head)), np.asarray(tokenizer.encode(tail))
    names = ("n_steps", "batch_size", "learning_rate", "evaluate_every", "checkpoint_every", "seed")  # fmt: skip
    settings = TrainingConfig(**{name: OPTIONS[name] for name in names})
    same_bits(params, train(head, tail, config, settings, tmp_path / "by hand"))
    same_log(log(out), log(tmp_path / "by hand"))

    sizes, loss, sample = capsys.readouterr().out.split("\n", 2)
    assert sizes.startswith("3096 parameters, 270 tokens in the vocabulary")
    assert loss.startswith(f"validation loss {evaluate(params, tail, config):.4f} nats")
    ids = generate(params, head[:1], config, 12, np.random.default_rng(3))
    assert sample == tokenizer.decode(ids) + "\n"

    made = json.loads((out / "settings.json").read_text("utf-8"))
    assert made["command_line"] == command(text, out, sample=12)
    assert made["config"] == vars(config)
    assert TrainingConfig(**made["settings"]) == settings
    assert made["options"]["text"] == str(text)


def test_the_command_takes_a_tokenizer_and_other_options(tmp_path, text, capsys):
    tokenizer = BPETokenizer.train(TEXT, 260)
    tokenizer.save(tmp_path / "t.json")
    changes = {"vocab_size": None, "tokenizer": tmp_path / "t.json", "sample": 0}
    words = command(text, tmp_path / "out", valid_fraction=0.5, d_ff=3, eps=0.1, **changes)  # fmt: skip
    assert main([*words, "--betas", "0.5", "0.75"]) == 0
    _, config = load_model(tmp_path / "out" / "model.safetensors")
    assert config == GPTConfig(260, 6, 8, 1, 2, d_ff=3, eps=0.1)
    assert BPETokenizer.load(tmp_path / "out" / "tokenizer.json") == tokenizer
    made = json.loads((tmp_path / "out" / "settings.json").read_text("utf-8"))
    assert made["settings"]["betas"] == [0.5, 0.75]
    sizes, loss, rest = capsys.readouterr().out.split("\n", 2)
    n_held_out = len(tokenizer.encode((TEXT * 10)[len(TEXT) * 5 :]))
    assert sizes.endswith(f" {n_held_out} held out")
    assert loss.startswith("validation loss")
    assert rest == ""


def test_the_command_learns_fable_from_story_beginnings(tmp_path, text, capsys):
    out = tmp_path / "out"
    changes = {
        "text": None,
        "fable": 3000,
        "n_positions": 20,
        "n_steps": 3,
        "sample": 0,
    }
    assert main(command(text, out, **changes)) == 0
    params, config = load_model(out / "model.safetensors")
    tokenizer = BPETokenizer.load(out / "tokenizer.json")
    fable = to_text(sample(3000, np.random.default_rng(OPTIONS["seed"])))
    n_train = len(fable) - round(0.1 * len(fable))
    head, tail = (
        np.asarray(tokenizer.encode(t)) for t in (fable[:n_train], fable[n_train:])
    )
    line_break = tokenizer.encode("\n")[0]
    starts = [i for i in range(len(head) - 20) if head[i] == line_break]
    valid_starts = np.asarray(
        [i for i in range(len(tail) - 1) if tail[i] == line_break]
    )
    names = ("n_steps", "batch_size", "learning_rate", "evaluate_every", "checkpoint_every", "seed")  # fmt: skip
    settings = TrainingConfig(**{name: {**OPTIONS, **changes}[name] for name in names})
    expected = train(
        head, tail, config, settings, tmp_path / "by hand",
        starts=np.asarray(starts), valid_starts=valid_starts,
    )  # fmt: skip
    same_bits(params, expected)
    loss = evaluate(params, tail, config, starts=valid_starts)
    output = capsys.readouterr().out
    assert f"validation loss {loss:.4f} nats" in output
    assert f"entropy of Fable {entropy_rate(tokenizer):.4f} nats" in output


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_the_command_trains_a_recurrent_network(tmp_path, text, capsys, cell):
    out = tmp_path / "out"
    assert main(command(text, out, cell=cell, sample=12)) == 0
    assert load_model(out / "model.safetensors")[1] == RecurrentConfig(270, 6, 8, cell)
    losses = column(log(out), "train_loss")
    assert losses[-1] < losses[0]
    assert capsys.readouterr().out.count("\n") == 2


def test_the_command_stores_the_model_in_half_the_size(tmp_path, text):
    assert main(command(text, tmp_path / "whole", sample=0)) == 0
    assert main([*command(text, tmp_path / "half", sample=0), "--half"]) == 0
    whole, half = (
        load_model(tmp_path / name / "model.safetensors")[0]
        for name in ("whole", "half")
    )
    for name, array in whole.items():
        assert np.array_equal(half[name], array.astype(np.float16).astype(np.float32))


def test_a_text_that_runs_out_of_pairs_gives_fewer_tokens(tmp_path, text, capsys):
    assert main(command(text, tmp_path / "out", vocab_size=4000, sample=0)) == 0
    _, config = load_model(tmp_path / "out" / "model.safetensors")
    assert 256 < config.vocab_size < 400
    output = capsys.readouterr()
    assert f" {config.vocab_size} tokens in the vocabulary" in output.out
    assert output.err == ""


def test_the_command_goes_on_where_it_was_stopped(tmp_path, text, monkeypatch, capsys):
    assert main(command(text, tmp_path / "a")) == 0
    expected = capsys.readouterr()
    with monkeypatch.context() as context:
        stop_at(context, loop.torch_kernels, "adamw_update", 5, KeyboardInterrupt)
        assert main(command(text, tmp_path / "b")) == 130
    assert "Stopped. The same command goes on from here." in capsys.readouterr().err
    assert main(command(text, tmp_path / "b")) == 0
    assert capsys.readouterr() == expected
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in "ab"]
    assert models[0] == models[1]
    same_log(log(tmp_path / "b"), log(tmp_path / "a"))


def test_the_command_says_in_one_sentence_that_it_was_terminated(
    tmp_path, text, monkeypatch, capsys
):
    terminate_at(monkeypatch, 3)
    assert main(command(text, tmp_path)) == 143
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "Stopped. The same command goes on from here."
    assert load_checkpoint(tmp_path / "checkpoint.safetensors").optimizer["step"] == 2


def test_the_command_says_in_one_sentence_that_it_diverged(tmp_path, text, capsys):
    assert main(command(text, tmp_path, learning_rate=1e30, n_warmup=0)) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert re.match(
        r"python -m lmmath\.training: the training diverged at step \d+: gradients must .*"
        r"Begin in another directory, with a lower --learning-rate",
        said[0],
    )
    assert not (tmp_path / "model.safetensors").exists()
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_a_mark_at_the_beginning_of_the_file_is_not_learned(tmp_path, text, capsys):
    marked = tmp_path / "marked.txt"
    marked.write_text(text.read_text("utf-8"), "utf-8-sig")
    assert marked.read_bytes() == b"\xef\xbb\xbf" + text.read_bytes()
    for name, file in {"a": text, "b": marked}.items():
        assert main(command(file, tmp_path / name)) == 0
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in "ab"]
    assert models[0] == models[1]


def test_help_names_every_option_and_its_default(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    words = " ".join(capsys.readouterr().out.split())
    fields = {**vars(TrainingConfig()), **vars(GPTConfig(1, 128, 128, 4, 4))}
    del fields["vocab_size"]
    for name, default in fields.items():
        assert f" --{name.replace('_', '-')} {name.upper()}" in words
        if name not in ("n_warmup", "final_learning_rate", "d_ff"):
            shown = "0.9 0.95" if name == "betas" else default
            assert f"(default: {shown})" in words
    for other in ("--text FILE", "--tokenizer FILE", "--out DIRECTORY", "--sample N_TOKENS"):  # fmt: skip
        assert other in words


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": None}, "one of the arguments --text --fable is required"),
        ({"out": None}, "--out"),
        ({"text": "nowhere.txt"}, "No such file or directory: 'nowhere.txt'"),
        ({"text": "."}, "Is a directory"),
        ({"text": "latin.txt"}, "latin.txt is not text in UTF-8: .* in position 3"),
        ({"text": "empty.txt"}, r"train_tokens must have one axis and at least 7 tokens, got shape \(0,\)"),
        ({"valid_fraction": 0.001}, r"valid_tokens must have one axis and at least 7 tokens, got shape \(1,\)"),
        ({"valid_fraction": 0}, "valid_fraction must be above 0 and below 1, got 0.0"),
        ({"valid_fraction": "nan"}, "valid_fraction must be .* got nan"),
        ({"sample": -1}, "sample must be at least 0, got -1"),
        ({"sample": "many"}, "argument --sample: invalid int value: 'many'"),
        ({"vocab_size": 100}, "vocab_size must be at least 256"),
        ({"vocab_size": None, "tokenizer": "text.txt"}, "text.txt holds no tokenizer"),
        ({"vocab_size": None, "tokenizer": "nowhere.json"}, "No such file or directory: 'nowhere.json'"),
        ({"tokenizer": "text.txt"}, "--tokenizer: not allowed with argument --vocab-size"),
        ({"n_heads": 3}, "n_heads must divide d_model = 8, got 3"),
        ({"n_steps": 0}, "n_steps must be an integer of at least 1, got 0"),
        ({"learning_rate": -1}, "learning_rate must be a finite number above 0, got -1.0"),
        ({"betas": "1"}, "argument --betas: expected 2 arguments"),
        ({"out": "text.txt"}, "Not a directory"),
        ({"unknown": 1}, "unrecognized arguments: --unknown 1"),
        ({"n_step": 1}, "unrecognized arguments: --n-step 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(
    tmp_path, text, monkeypatch, capsys, changes, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin.txt").write_bytes("café".encode("latin-1"))
    (tmp_path / "empty.txt").touch()
    before = contents(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(command(text, tmp_path / "out", **changes))
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(f"^python -m lmmath.training: .*{message}", error)
    assert contents(tmp_path) == before
    assert not (tmp_path / "out").exists()


def test_the_command_leaves_another_training_alone(tmp_path, text, capsys):
    main(command(text, tmp_path / "out"))
    before = contents(tmp_path)
    with pytest.raises(SystemExit):
        main(command(text, tmp_path / "out", seed=4, vocab_size=271))
    message = (
        "got one that differs in vocab_size, seed, init, train_tokens, valid_tokens"
    )
    assert message in capsys.readouterr().err
    assert contents(tmp_path) == before


# Two processes


def test_two_processes_reach_the_loss_of_one(tmp_path, text):
    # All that a process might warn of is an error, but that of torchrun itself.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    program = ["--nproc-per-node=2", "--no-python", sys.executable, "-W", "error"]
    words = command(text, tmp_path / "two", n_steps=30, sample=5)
    result = subprocess.run(
        [*launcher, *program, "-m", "lmmath.training", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    # One of them speaks.
    assert result.stdout.count("validation loss") == 1
    assert main(command(text, tmp_path / "one", n_steps=30, sample=0)) == 0
    two, one = log(tmp_path / "two"), log(tmp_path / "one")
    assert len(two) == 30
    for name in ("train_loss", "valid_loss", "gradient_norm"):
        np.testing.assert_allclose(column(two, name), column(one, name), rtol=1e-5)
    assert json.loads((tmp_path / "two" / "settings.json").read_text("utf-8"))["n_processes"] == 2  # fmt: skip
    # And one goes on where two have stopped: here, at the end.
    assert main(command(text, tmp_path / "two", n_steps=30, sample=0)) == 0


# Bad input


def test_torch_is_loaded_when_training_is_asked_for():
    assert lmmath.training.train is loop.train
    assert lmmath.training.evaluate is loop.evaluate
    assert lmmath.training.TrainingConfig is loop.TrainingConfig
    assert "train" not in vars(lmmath.training)
    with pytest.raises(AttributeError, match=r"module 'lmmath.training' has no attribute 'trian'"):  # fmt: skip
        lmmath.training.trian  # noqa: B018


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_steps": 0}, "n_steps must be an integer of at least 1, got 0"),
        ({"n_steps": 2.5}, "n_steps must be an integer of at least 1, got 2.5"),
        ({"batch_size": -1}, "batch_size must be an integer of at least 1, got -1"),
        ({"learning_rate": 0.0}, "learning_rate must be a finite number above 0, got 0.0"),
        ({"learning_rate": "1"}, "learning_rate must be a finite number above 0, got '1'"),
        ({"n_warmup": -1}, "n_warmup must be an integer of at least 0, got -1"),
        ({"n_steps": 5, "n_warmup": 6}, "n_warmup must be a number from 0 to 5, got 6"),
        ({"learning_rate": 0.1, "final_learning_rate": 0.2}, "final_learning_rate must be a number from 0 to 0.1, got 0.2"),
        ({"final_learning_rate": -0.1}, "final_learning_rate must be .* got -0.1"),
        ({"weight_decay": -0.1}, "weight_decay must be a number of at least 0 and below inf, got -0.1"),
        ({"weight_decay": math.nan}, "weight_decay must be .* got nan"),
        ({"betas": 0.9}, "betas must be a pair of numbers, got 0.9"),
        ({"betas": (0.9,)}, r"betas must be a pair of numbers, got \(0.9,\)"),
        ({"betas": (0.9, 1.0)}, r"betas\[1\] must be a number of at least 0 and below 1, got 1.0"),
        ({"max_norm": 0}, "max_norm must be a finite number above 0, got 0"),
        ({"max_norm": math.inf}, "max_norm must be .* got inf"),
        ({"seed": -1}, "seed must be an integer of at least 0, got -1"),
        ({"seed": None}, "seed must be an integer of at least 0, got None"),
        ({"evaluate_every": 0}, "evaluate_every must be an integer of at least 1, got 0"),
        ({"checkpoint_every": True}, "checkpoint_every must be an integer of at least 1, got True"),
    ],
)  # fmt: skip
def test_bad_settings_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**changes)


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (TypeError, {"tokens": TOKENS.tolist()}, "train_tokens must be an array of integers, got list"),
        (TypeError, {"valid": VALID / 2}, "valid_tokens must be an array of integers, got dtype float64"),
        (ValueError, {"tokens": TOKENS[:0]}, r"train_tokens must have one axis and at least 7 tokens, got shape \(0,\)"),
        (ValueError, {"tokens": TOKENS[:6]}, r"train_tokens must .* got shape \(6,\)"),
        (ValueError, {"valid": VALID[:6]}, r"valid_tokens must have one axis and at least 7 tokens, got shape \(6,\)"),
        (ValueError, {"tokens": TOKENS.reshape(20, 10)}, r"train_tokens must .* got shape \(20, 10\)"),
        (ValueError, {"tokens": TOKENS + 1}, "train_tokens must lie between 0 and 6, got 7"),
        (ValueError, {"valid": VALID - 1}, "valid_tokens must lie between 0 and 6, got -1"),
        (TypeError, {"starts": [0]}, "starts must be an array of integers, got list"),
        (ValueError, {"starts": np.asarray([200])}, "starts must lie between 0 and 199, got 200"),
        (ValueError, {"starts": np.asarray([194, 195])}, "starts must leave at least 7 tokens of the text, got 6"),
        (ValueError, {"starts": np.asarray([], int)}, r"starts must have one axis and not be empty, got shape \(0,\)"),
        (ValueError, {"valid_starts": np.asarray([[0]])}, r"valid_starts must have one axis and not be empty, got shape \(1, 1\)"),
        (ValueError, {"valid_starts": np.asarray([49])}, "valid_starts must leave at least 2 tokens of the text, got 1"),
        (ValueError, {"init": {}}, "params must have the names of this model"),
        (ValueError, {"config": GPTConfig(7, 6, 9, 2, 3), "init": init_gpt(CONFIG, np.random.default_rng(0))}, r"wte.weight must have shape \(7, 9\), got \(7, 8\)"),
    ],
)  # fmt: skip
def test_bad_input_is_named_and_nothing_written(tmp_path, error, arguments, message):
    with pytest.raises(error, match=message):
        run(tmp_path / "new", **arguments)
    assert os.listdir(tmp_path) == []


def test_the_processes_must_divide_the_batch(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    message = "batch_size must be divisible by the number of processes, 3, got 4"
    with pytest.raises(ValueError, match=message):
        run(tmp_path / "new")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (ValueError, lambda: evaluate(noisy(), VALID[:1], CONFIG), r"tokens must have one axis and at least 2 tokens, got shape \(1,\)"),
        (ValueError, lambda: evaluate(noisy(), VALID + 7, CONFIG), "tokens must lie between 0 and 6"),
        (ValueError, lambda: evaluate({}, VALID, CONFIG), "params must have the names of this model"),
        (ValueError, lambda: evaluate(noisy(), VALID, CONFIG, 0), "batch_size must be an integer of at least 1, got 0"),
        (ValueError, lambda: evaluate(noisy(), VALID, CONFIG, starts=np.asarray([50])), "starts must lie between 0 and 49, got 50"),
        (ValueError, lambda: evaluate(noisy(), VALID, CONFIG, starts=np.asarray([49])), "starts must leave at least 2 tokens of the text, got 1"),
        (TypeError, lambda: evaluate(noisy(), VALID, CONFIG, starts=np.asarray([0.0])), "starts must be an array of integers, got dtype float64"),
    ],
)  # fmt: skip
def test_bad_input_of_evaluate_is_named(error, call, message):
    with pytest.raises(error, match=message):
        call()
