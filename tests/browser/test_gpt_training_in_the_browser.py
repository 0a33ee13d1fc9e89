"""A GPT that learns in the browser learns as one does in lmmath: losses, gradients, updates, file."""

import base64
import json
from dataclasses import asdict
from math import prod

import kernel  # tools/kernel.py
import numpy as np
import pytest
import torch

from lmmath.checkpoints import load_model, save_model
from lmmath.training import (
    adamw_init,
    adamw_update,
    clip_by_global_norm,
    cross_entropy,
)
from lmmath.transformer import GPTConfig, gpt, gpt_shapes, init_gpt

SMALL = GPTConfig(vocab_size=11, n_positions=7, d_model=6, n_layers=2, n_heads=3)
MATRICES = {name for name, shape in gpt_shapes(SMALL).items() if len(shape) > 1}

# What the scripts share: params come as lists, and numbers go as lists.
SETUP = """
async () => {
  const names = ["gpt_gradients", "adamw", "learner", "gpt_saving"];
  const modules = await Promise.all(names.map((name) => import(`/engines/${name}.js`)));
  window.training = Object.assign({}, ...modules);
  window.random = await import("/engines/random.js");
  const all = (change) => (named) =>
    Object.fromEntries(Object.entries(named).map(([name, value]) => [name, change(value)]));
  window.doubles = all((values) => Float64Array.from(values));
  window.singles = all((values) => Float32Array.from(values));
  window.lists = all((values) => Array.from(values));
  window.said = (action) => {
    try { action(); } catch (error) { return `${error.name}: ${error.message}`; }
    return null;
  };
}
"""


@pytest.fixture
def run(page, call):
    page.evaluate(SETUP)
    return page.evaluate


def random_params(config, seed=0):
    """Draw params in float64, of which every one matters."""
    rng = np.random.default_rng(seed)
    params = init_gpt(config, rng, dtype=np.float64)
    return {name: w + rng.normal(scale=0.3, size=w.shape) for name, w in params.items()}


def lists(params):
    return {name: w.ravel().tolist() for name, w in params.items()}


def arrays(named, like):
    assert named.keys() == like.keys()
    return {name: np.reshape(named[name], like[name].shape) for name in like}


def loss_and_gradients(params, config, inputs, targets):
    """Compute what is expected, by torch's differentiation of lmmath's own functions."""
    tensors = {name: torch.tensor(w, requires_grad=True) for name, w in params.items()}
    loss = cross_entropy(gpt(tensors, inputs, config), targets)
    loss.backward()
    gradients = {name: tensor.grad.numpy() for name, tensor in tensors.items()}
    return float(loss.detach()), gradients


def all_close(actual, expected, tolerance):
    """Compare dicts of arrays, relative to the largest number of each array."""
    assert actual.keys() == expected.keys()
    for name, wanted in expected.items():
        size = np.max(np.abs(wanted))
        np.testing.assert_allclose(
            actual[name], wanted, tolerance, tolerance * size, err_msg=name
        )


# The first parameters


def test_first_params_have_the_distributions_of_init_gpt(run):
    config = GPTConfig(300, n_positions=50, d_model=64, n_layers=3, n_heads=4, d_ff=100)
    script = "(config) => lists(training.initParams(config, random.randomNumbers(5)))"
    found = arrays(
        run(script, asdict(config)), init_gpt(config, np.random.default_rng(0))
    )
    for name, w in found.items():
        if w.ndim == 1:
            assert np.all(w == name.endswith("weight")), name
            continue
        deviation = 0.02 / np.sqrt(6) if name.endswith("c_proj.weight") else 0.02
        z = w.ravel() / deviation
        assert abs(np.mean(z)) < 4 / np.sqrt(z.size), name
        assert abs(np.mean(z**2) - 1) < 4 * np.sqrt(2 / z.size), name
        assert abs(np.mean(z**4) - 3) < 4 * np.sqrt(96 / z.size), name
        assert abs(np.corrcoef(z[1:], z[:-1])[0, 1]) < 4 / np.sqrt(z.size), name


def test_first_params_depend_on_the_seed_alone(run):
    script = "([config, seed]) => lists(training.initParams(config, random.randomNumbers(seed)))"
    one, same, other = (run(script, [asdict(SMALL), seed]) for seed in (1, 1, 2))
    assert one == same
    assert one["wte.weight"] != other["wte.weight"]


# Losses and gradients

LOSS = """
([params, config, inputs, targets, kind, simd]) => {
  const { loss, gradients } =
    training.lossAndGradients(window[kind](params), config, inputs, targets, { simd });
  return [loss, lists(gradients), gradients["wte.weight"].constructor.name];
}
"""


def in_the_browser(run, params, config, inputs, targets, kind="doubles", simd=True):
    texts = inputs.tolist(), targets.tolist()
    loss, gradients, name = run(
        LOSS, [lists(params), asdict(config), *texts, kind, simd]
    )
    assert name == {"doubles": "Float64Array", "singles": "Float32Array"}[kind]
    return loss, arrays(gradients, params)


# Each with the batch and the length of its texts.
CASES = [
    (GPTConfig(1, n_positions=1, d_model=1, n_layers=1, n_heads=1), 1, 1),
    (SMALL, 1, 7),
    (SMALL, 3, 7),
    (SMALL, 2, 1),
    (SMALL, 4, 5),
    (GPTConfig(9, n_positions=8, d_model=8, n_layers=1, n_heads=4, eps=0.5), 5, 8),
    (GPTConfig(30, n_positions=12, d_model=15, n_layers=3, n_heads=3, d_ff=7), 2, 9),
    (GPTConfig(5, n_positions=17, d_model=10, n_layers=2, n_heads=1, d_ff=33), 3, 17),
    (GPTConfig(40, n_positions=16, d_model=16, n_layers=3, n_heads=2, d_ff=1), 1, 16),
    (GPTConfig(64, n_positions=32, d_model=32, n_layers=2, n_heads=4), 4, 32),
]


def texts_of(config, batch, length):
    rng = np.random.default_rng(batch)
    windows = rng.integers(config.vocab_size, size=(batch, length + 1))
    return windows[:, :-1], windows[:, 1:]


@pytest.mark.parametrize(("config", "batch", "length"), CASES)
def test_losses_and_gradients_are_those_of_lmmath(run, config, batch, length):
    params = random_params(config, config.d_model)
    texts = texts_of(config, batch, length)
    expected, slopes = loss_and_gradients(params, config, *texts)
    loss, gradients = in_the_browser(run, params, config, *texts)
    np.testing.assert_allclose(loss, expected, 1e-12, 1e-12)
    all_close(gradients, slopes, 1e-9)


@pytest.mark.parametrize("simd", [True, False])
@pytest.mark.parametrize(("config", "batch", "length"), CASES)
def test_single_precision_is_close_with_webassembly_and_without(
    run, config, batch, length, simd
):
    params = random_params(config, config.d_model)
    params = {name: w.astype("f4").astype("f8") for name, w in params.items()}
    texts = texts_of(config, batch, length)
    expected, slopes = loss_and_gradients(params, config, *texts)
    loss, gradients = in_the_browser(run, params, config, *texts, "singles", simd)
    np.testing.assert_allclose(loss, expected, 1e-5, 1e-5)
    largest = max(np.max(np.abs(slope)) for slope in slopes.values())
    for name, slope in slopes.items():
        np.testing.assert_allclose(gradients[name], slope, 0, 1e-5 * largest)


def test_the_loss_changes_as_its_gradient_says(run):
    params = random_params(SMALL)
    texts = texts_of(SMALL, 2, 7)
    _, gradients = in_the_browser(run, params, SMALL, *texts)
    rng = np.random.default_rng(7)
    h = 1e-5
    for name, w in params.items():
        way = rng.normal(size=w.shape)
        there, back = (
            in_the_browser(run, params | {name: w + s * h * way}, SMALL, *texts)[0]
            for s in (1, -1)
        )
        slope = np.sum(gradients[name] * way)
        np.testing.assert_allclose((there - back) / (2 * h), slope, 1e-6, 1e-8)


def test_the_texts_may_be_typed_arrays_and_nothing_that_comes_is_changed(run):
    script = """
    ([params, config, inputs, targets]) => {
      const given = doubles(params);
      const typed = (texts) => texts.map((text) => Int32Array.from(text));
      const plain = training.lossAndGradients(given, config, inputs, targets);
      const other = training.lossAndGradients(given, config, typed(inputs), typed(targets));
      const same = JSON.stringify(lists(given)) === JSON.stringify(params);
      return [same, plain.loss === other.loss];
    }
    """
    texts = (text.tolist() for text in texts_of(SMALL, 2, 5))
    params = lists(random_params(SMALL))
    assert run(script, [params, asdict(SMALL), *texts]) == [True, True]


# Updates


def gradients_for(params, step, scale=1.0):
    rng = np.random.default_rng([9, step])
    return {name: rng.normal(scale=scale, size=w.shape) for name, w in params.items()}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"betas": [0.9, 0.95], "weightDecay": 0.1},
        {"betas": [0.0, 0.5], "eps": 0.1},
        {"weightDecay": 0.0},
        {"weightDecay": 0.3, "decayed": sorted(MATRICES)},
        {"weightDecay": 0.3, "decayed": []},
    ],
)
def test_adamw_is_that_of_lmmath(run, options):
    script = """
    ([given, all, rates, options]) => {
      const [params, state] = [doubles(given), training.adamwInit(doubles(given))];
      const decayed = options.decayed && new Set(options.decayed);
      all.forEach((gradients, i) => {
        const rest = { ...options, decayed, learningRate: rates[i] };
        training.adamw(params, doubles(gradients), state, rest);
      });
      return [lists(params), state.step, lists(state.m), lists(state.v)];
    }
    """
    params, rates = random_params(SMALL), [0.1, 0.02, 0.3, 0.004, 0.05]
    all_gradients = [gradients_for(params, step) for step in range(5)]
    given = [lists(gradients) for gradients in all_gradients]
    found, step, m, v = run(script, [lists(params), given, rates, options])
    names = {"weightDecay": "weight_decay"}
    options = {names.get(name, name): value for name, value in options.items()}
    expected, state = params, adamw_init(params)
    for gradients, rate in zip(all_gradients, rates, strict=True):
        expected, state = adamw_update(expected, gradients, state, rate, **options)
    assert step == state["step"] == 5
    all_close(arrays(found, params), expected, 1e-12)
    all_close(arrays(m, params), state["m"], 1e-12)
    all_close(arrays(v, params), state["v"], 1e-12)


CLIP = """
([given, maxNorm]) => {
  const gradients = doubles(given);
  const norm = training.clipByGlobalNorm(gradients, maxNorm);
  return [norm, lists(gradients)];
}
"""


@pytest.mark.parametrize("scale", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize("limit", [0.5, 1.0, 1000.0])
def test_clipping_is_that_of_lmmath(run, scale, limit):
    gradients = gradients_for(random_params(SMALL), 1, scale)
    norm, clipped = run(CLIP, [lists(gradients), limit])
    expected, its_norm = clip_by_global_norm(gradients, limit)
    np.testing.assert_allclose(norm, its_norm, 1e-13)
    all_close(arrays(clipped, gradients), expected, 1e-13)
    if its_norm <= limit:
        assert clipped == lists(gradients)


def test_gradients_that_are_not_finite_are_named(run):
    script = """
    () => said(() => training.clipByGlobalNorm({ a: [1], b: [0, NaN], c: [Infinity] }, 1))
    """
    assert run(script) == (
        "Error: The gradients must have a finite norm, got NaN: see b, c."
    )


# Learning

TEXT = ("one fish two fish red fish blue fish. " * 40).encode()
IDS = {byte: i for i, byte in enumerate(sorted(set(TEXT)))}
TOKENS = [IDS[byte] for byte in TEXT]
READER = GPTConfig(len(IDS), n_positions=16, d_model=16, n_layers=2, n_heads=2)

CURVE = """
([config, tokens, n, options]) => {
  const learner = new training.Learner({ config, tokens: Int32Array.from(tokens), ...options });
  return Array.from({ length: n }, () => learner.step(0.01));
}
"""


def losses_of(run, n, **options):
    curve = run(CURVE, [asdict(READER), TOKENS, n, options])
    assert [row["step"] for row in curve] == list(range(1, n + 1))
    return [row["loss"] for row in curve]


def test_a_repeated_text_is_learned(run):
    losses = losses_of(run, 120, seed=3)
    shares = np.bincount(TOKENS) / len(TOKENS)
    entropy = -np.sum(shares * np.log(shares))
    assert abs(losses[0] - np.log(len(IDS))) < 0.1  # it begins with an even guess
    assert np.mean(losses[-5:]) < entropy / 4


def test_the_seed_decides_the_curve(run):
    one, same, other = (losses_of(run, 4, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert set(one).isdisjoint(other)


def test_webassembly_changes_nothing_but_the_last_digits(run):
    fast, plain = (losses_of(run, 20, seed=1, simd=simd) for simd in (True, False))
    np.testing.assert_allclose(fast, plain, 1e-3)
    script = """
    ([config, tokens, simd]) => new training.Learner({ config, tokens, simd }).hasKernel
    """
    assert [run(script, [asdict(READER), TOKENS, simd]) for simd in (True, False)] == [
        True,
        False,
    ]


@pytest.mark.parametrize("source", kernel.SOURCES, ids=lambda source: source.name)
def test_a_kernel_is_what_its_text_assembles_to(source):
    assert source.with_suffix(".js").read_text("utf-8") == kernel.assembled(source)


LEARN = """
([config, tokens, given, rates, options]) => {
  const params = doubles(given);
  const learner = new training.Learner({ config, tokens, params, ...options });
  const losses = rates.map((rate) => learner.step(rate).loss);
  const { m, v, ...rest } = learner.state();
  return { losses, params: lists(rest.params), m: lists(m), v: lists(v), step: rest.step };
}
"""


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batchSize": 3, "weightDecay": 0.5},
        {"batchSize": 2, "betas": [0.5, 0.9], "maxNorm": 0.05, "weightDecay": 0},
    ],
)
def test_a_step_is_the_loss_the_clipping_and_the_update_of_lmmath(run, options):
    # A text of one window alone: then it does not matter what is drawn.
    rng = np.random.default_rng(4)
    window = rng.integers(SMALL.vocab_size, size=SMALL.n_positions + 1)
    rates = [0.01, 0.03, 0.002]
    first = random_params(SMALL)
    found = run(LEARN, [asdict(SMALL), window.tolist(), lists(first), rates, options])
    params, state, losses = first, adamw_init(first), []
    for rate in rates:
        loss, gradients = loss_and_gradients(params, SMALL, window[:-1], window[1:])
        gradients, _ = clip_by_global_norm(gradients, options.get("maxNorm", 1.0))
        decay, betas = (
            options.get("weightDecay", 0.1),
            options.get("betas", (0.9, 0.95)),
        )
        params, state = adamw_update(
            params, gradients, state, rate, betas,
            weight_decay=decay, decayed=MATRICES,
        )  # fmt: skip
        losses.append(loss)
    assert found["step"] == 3
    np.testing.assert_allclose(found["losses"], losses, 1e-10)
    all_close(arrays(found["params"], first), params, 1e-6)
    all_close(arrays(found["m"], first), state["m"], 1e-6)
    all_close(arrays(found["v"], first), state["v"], 1e-6)


def test_windows_are_drawn_from_the_whole_text_with_equal_odds(run):
    # A rate so low that no parameter moves: then the loss tells which window was drawn.
    script = """
    ([config, tokens, given, seed]) => {
      const params = doubles(given);
      const length = config.n_positions;
      const windows = tokens.slice(length).map((_, i) => tokens.slice(i, i + length + 1));
      const losses = windows.map((window) =>
        training.lossAndGradients(params, config, [window.slice(0, -1)], [window.slice(1)]).loss);
      const learner = new training.Learner({ config, tokens, params, seed, batchSize: 1 });
      return Array.from({ length: 500 }, () => losses.indexOf(learner.step(1e-300).loss));
    }
    """
    config = GPTConfig(8, n_positions=3, d_model=4, n_layers=1, n_heads=1)
    arguments = [asdict(config), list(range(8)), lists(random_params(config))]
    for seed in (0, 1, 2**40):
        drawn = run(script, [*arguments, seed])
        counts = np.bincount(
            drawn, minlength=5
        )  # of -1 there is none: it would be refused
        assert counts.shape == (5,)
        assert np.all(abs(counts - 100) < 40)  # more than four standard deviations
        pairs = np.bincount(5 * np.array(drawn[1:]) + drawn[:-1], minlength=25)
        assert np.all(abs(pairs - 20) < 20)  # one step says nothing of the next


RESUME = """
async ([config, tokens, before, after, options]) => {
  const learner = new training.Learner({ config, tokens, ...options });
  for (let i = 0; i < before; i += 1) learner.step(0.01);
  const saved = structuredClone(learner.state());
  const copy = JSON.stringify([lists(saved.params), lists(saved.m), lists(saved.v)]);
  const losses = (one) => Array.from({ length: after }, (_, i) => one.step(0.01 / (i + 1)));
  const expected = losses(learner);
  const resumed = training.Learner.from(saved, tokens);
  const found = losses(resumed);
  const states = [learner, resumed].map((one) => one.state());
  const text = ({ params, m, v, ...rest }) =>
    JSON.stringify([lists(params), lists(m), lists(v), rest]);
  return {
    same: JSON.stringify(found) === JSON.stringify(expected),
    bits: text(states[0]) === text(states[1]),
    kept: copy === JSON.stringify([lists(saved.params), lists(saved.m), lists(saved.v)]),
    step: found.at(-1).step,
    size: saved.params["wte.weight"].buffer.byteLength,
  };
}
"""


@pytest.mark.parametrize("before", [0, 1, 7])
def test_a_learner_that_was_stopped_goes_on_as_if_it_had_not(run, before):
    options = {"seed": 5, "batchSize": 3, "weightDecay": 0.2, "maxNorm": 0.7}
    found = run(RESUME, [asdict(READER), TOKENS, before, 6, options])
    assert found == {
        "same": True,
        "bits": True,
        "kept": True,
        "step": before + 6,
        "size": 4 * READER.vocab_size * READER.d_model,
    }


def test_the_model_as_it_is_now_can_be_read_with(run):
    script = """
    ([config, tokens]) => {
      const learner = new training.Learner({ config, tokens });
      for (let i = 0; i < 5; i += 1) learner.step(0.01);
      const [model, { params }] = [learner.gpt(), learner.state()];
      learner.step(0.01);
      const reader = model.reader();
      return [tokens.slice(0, 9).map((token) => Array.from(reader.read(token))), lists(params)];
    }
    """
    logits, params = run(script, [asdict(READER), TOKENS])
    shapes = gpt_shapes(READER)
    params = {name: np.reshape(params[name], shapes[name]) for name in shapes}
    expected = gpt(params, np.asarray(TOKENS[:9]), READER)
    np.testing.assert_allclose(logits, expected, 1e-9, 1e-9)


def test_a_learner_works_in_a_worker(run):
    script = """
    async ([config, tokens]) => {
      const text = `
        import { Learner } from "${location.origin}/engines/learner.js";
        onmessage = ({ data }) => {
          const learner = new Learner(data);
          for (let i = 0; i < 3; i += 1) postMessage(learner.step(0.01).loss);
          postMessage(learner.state());
        };
      `;
      const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
      const worker = new Worker(address, { type: "module" });
      const heard = [];
      await new Promise((resolve, reject) => {
        worker.onerror = reject;
        worker.onmessage = ({ data }) => (heard.push(data), heard.length === 4 && resolve());
        worker.postMessage({ config, tokens, seed: 3 });
      });
      worker.terminate();
      return [heard.slice(0, 3), training.Learner.from(heard[3], tokens).step(0.01)];
    }
    """
    losses, goes_on = run(script, [asdict(READER), TOKENS])
    assert [*losses, goes_on["loss"]] == losses_of(run, 4, seed=3)


# Files

FILE = """
([config, params]) => {
  const bytes = new Uint8Array(training.toFile(config, singles(params)));
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}
"""


@pytest.mark.parametrize("config", [config for config, _, _ in CASES])
def test_a_file_is_read_by_lmmath(run, tmp_path, config):
    params = {name: w.astype("f4") for name, w in random_params(config).items()}
    content = base64.b64decode(run(FILE, [asdict(config), lists(params)]))
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    loaded, its_config = load_model(path)
    assert its_config == config
    assert loaded.keys() == params.keys()
    for name, w in params.items():
        np.testing.assert_array_equal(loaded[name], w)
    save_model(path, params, config)
    assert header_of(content).keys() == header_of(path.read_bytes()).keys()


def header_of(content):
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0
    header = json.loads(content[8 : 8 + length])
    return header | header["__metadata__"]


def test_a_file_is_read_in_the_browser(run):
    script = """
    async ([config, params]) => {
      const { parseGPT } = await import("/engines/gpt_file.js");
      const model = parseGPT(training.toFile(config, singles(params)));
      return [model.config, lists(model.params)];
    }
    """
    params = {name: w.astype("f4") for name, w in random_params(SMALL).items()}
    assert run(script, [asdict(SMALL), lists(params)]) == [
        asdict(SMALL),
        lists(params),
    ]


# Bad input


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("tokens: tokens.slice(0, 16)", "tokens must be at least 17 ids, got 16"),
        ("tokens: undefined", "tokens must be at least 17 ids, got undefined"),
        ("tokens: [...tokens, 99]", "tokens must be integers from 0 to {}, got 99"),
        ("tokens: [-1, ...tokens]", "tokens must be integers from 0 to {}, got -1"),
        ("tokens: [0.5, ...tokens]", "tokens must be integers from 0 to {}, got 0.5"),
        ("config: undefined", "vocab_size must be an integer of at least 1, got undefined"),
        ("config: { ...config, n_layers: 0 }", "n_layers must be an integer of at least 1, got 0"),
        ("config: { ...config, n_heads: 3 }", "n_heads must divide d_model = 16, got 3"),
        ("config: { ...config, eps: 0 }", "eps must be a finite number above 0, got 0"),
        ("config: { ...config, d_ff: 1.5 }", "d_ff must be an integer of at least 1, got 1.5"),
        ("seed: -1", "seed must be an integer of at least 0, got -1"),
        ("seed: 0.5", "seed must be an integer of at least 0, got 0.5"),
        ("batchSize: 0", "batchSize must be an integer of at least 1, got 0"),
        ("betas: [0.9]", "betas must be two numbers from 0 to below 1, got 0.9"),
        ("betas: [0.9, 1]", "betas must be two numbers from 0 to below 1, got 0.9,1"),
        ("weightDecay: -1", "weightDecay must be a finite number of at least 0, got -1"),
        ("maxNorm: 0", "maxNorm must be a finite number above 0, got 0"),
        ("params: {}", 'params["wte.weight"] must be a Float32Array, got undefined'),
        ("params: { ...params, x: params['ln_f.bias'] }", "params must have the names of a GPT's parameters, got x"),
        ("params: { ...params, 'ln_f.bias': [1] }", 'params["ln_f.bias"] must be a Float32Array, got Array'),
        ("params: { ...params, 'ln_f.bias': new Float32Array(3) }", 'params["ln_f.bias"] must have 16 numbers, got 3'),
        ("params: { ...params, 'ln_f.bias': new Float32Array(16).fill(NaN) }", 'params["ln_f.bias"] must hold finite numbers, got NaN'),
    ],
)  # fmt: skip
def test_a_learner_needs_sound_arguments(run, change, problem):
    script = f"""
    ([config, tokens]) => {{
      const params = training.initParams(config, random.randomNumbers(0));
      return said(() => new training.Learner({{ config, tokens, {change} }}));
    }}
    """
    expected = f"RangeError: {problem.replace('{}', str(len(IDS) - 1))}."
    assert run(script, [asdict(READER), TOKENS]) == expected


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        ("[], []", "inputs must hold at least one text, got 0"),
        ("[[]], [[]]", "inputs must have from 1 to 7 tokens, got 0"),
        ("[[1, 1, 1, 1, 1, 1, 1, 1]], [[1]]", "inputs must have from 1 to 7 tokens, got 8"),
        ("[[1, 2]], []", "targets must be 1 texts, got 0"),
        ("[[1, 2]], [[1]]", "targets must have 2 tokens in each text, got 1"),
        ("[[1, 2], [1]], [[1, 2], [1]]", "inputs must have 2 tokens in each text, got 1"),
        ("[[1, 11]], [[1, 2]]", "inputs must be integers from 0 to 10, got 11"),
        ("[[1, 2]], [[1, -1]]", "targets must be integers from 0 to 10, got -1"),
    ],
)  # fmt: skip
def test_a_loss_needs_sound_texts(run, texts, problem):
    script = f"""
    (config) => {{
      const params = training.initParams(config, random.randomNumbers(0));
      return said(() => training.lossAndGradients(params, config, {texts}));
    }}
    """
    assert run(script, asdict(SMALL)) == f"RangeError: {problem}."


# What a learner says to a step, and whether it was left as it was.
STEP = """
([config, tokens, scale, rate]) => {
  const params = training.initParams(config, random.randomNumbers(0));
  for (let i = 0; i < params["wte.weight"].length; i += 1) params["wte.weight"][i] *= scale;
  const learner = new training.Learner({ config, tokens, params });
  const text = () => {
    const { step, params, m, v } = learner.state();
    return JSON.stringify([step, lists(params), lists(m), lists(v)]);
  };
  const before = text();
  return [said(() => learner.step(rate)), text() === before];
}
"""


@pytest.mark.parametrize("rate", [0, -0.1, None, "fast"])
def test_a_bad_learning_rate_changes_nothing(run, rate):
    came = "null" if rate is None else rate
    said, same = run(STEP, [asdict(READER), TOKENS, 1, rate])
    assert (
        said == f"RangeError: learningRate must be a finite number above 0, got {came}."
    )
    assert same


def test_a_loss_that_is_not_finite_changes_nothing(run):
    said, same = run(STEP, [asdict(READER), TOKENS, 1e39, 0.01])
    assert same
    assert said == "Error: The loss must be finite, got NaN at step 1."


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("step: -1", "step must be an integer of at least 0, got -1"),
        ("m: {}", 'm["wte.weight"] must be a Float32Array, got undefined'),
        ("v: { ...state.v, 'ln_f.bias': new Float32Array(2) }", 'v["ln_f.bias"] must have 16 numbers, got 2'),
        ("config: { ...state.config, n_layers: 1 }", "params must have the names of a GPT's parameters, got h.1"),
        ("settings: { ...state.settings, seed: null }", "seed must be an integer of at least 0, got null"),
    ],
)  # fmt: skip
def test_a_damaged_state_is_told(run, change, problem):
    script = f"""
    ([config, tokens]) => {{
      const state = new training.Learner({{ config, tokens }}).state();
      return said(() => training.Learner.from({{ ...state, {change} }}, tokens));
    }}
    """
    said = run(script, [asdict(READER), TOKENS])
    assert said.startswith(f"RangeError: {problem}")


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ("{}", "must be a Float32Array, got undefined"),
        ("{ ...params, 'ln_f.bias': new Float32Array(6).fill(Infinity) }", "must hold finite numbers, got Infinity"),
    ],
)  # fmt: skip
def test_a_file_needs_sound_params(run, params, problem):
    script = f"""
    (config) => {{
      const params = training.initParams(config, random.randomNumbers(0));
      return said(() => training.toFile(config, {params}));
    }}
    """
    assert problem in run(script, asdict(SMALL))


def test_the_params_of_the_book_can_be_trained_further(run):
    """Every parameter that lmmath has takes part: none keeps its value over a step."""
    params = random_params(SMALL)
    window = list(range(8))
    found = run(LEARN, [asdict(SMALL), window, lists(params), [0.01], {}])
    for name, w in params.items():
        assert prod(w.shape) == len(found["params"][name])
        assert np.any(np.ravel(w) != found["params"][name]), name
