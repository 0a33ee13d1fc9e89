"""The GPT that widgets run in the browser gives what lmmath's gives, and never holds up a page."""

import base64
import json
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from lmmath.checkpoints import save_model
from lmmath.language_models import RecurrentConfig, init_recurrent
from lmmath.neurons import dense, gelu
from lmmath.transformer import (
    GPTConfig,
    causal_self_attention,
    gpt,
    gpt_trace,
    init_gpt,
    layer_norm,
    logit_lens,
)
from lmmath.transformer.parameters import subset
from lmmath.weights import DIRECTORY, load_fable_gpt

PACKAGE = Path(__file__).parents[2] / "lmmath"
SHIPPED = (DIRECTORY / "model.safetensors").read_bytes()
SMALL = GPTConfig(vocab_size=11, n_positions=7, d_model=6, n_layers=2, n_heads=3)

OPEN = """
async (data) => {
  const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
  const { parseGPT } = await import("/widgets/engines/gpt_file.js");
  window.gpt = parseGPT(bytes);
}
"""


@pytest.fixture
def run(page, serving):
    """Run a function in the page, which has ``gpt`` once ``open_model`` gave it one."""
    with serving(PACKAGE) as address:
        page.goto(
            f"{address}/widgets/kit/shared.css"
        )  # any page of that server will do
        yield page.evaluate


def open_model(run, content):
    run(OPEN, base64.b64encode(content).decode())


@pytest.fixture
def shipped(run):
    open_model(run, SHIPPED)
    return load_fable_gpt()


def random_model(config, seed=0):
    """Draw a model in which every parameter matters: at first all gains are 1, all biases 0."""
    rng = np.random.default_rng(seed)
    params = init_gpt(config, rng)
    for name, array in params.items():
        array += rng.normal(scale=0.3, size=array.shape).astype(array.dtype)
        params[name] = array
    return params


def file_of(tmp_path, params, config, dtype=None):
    save_model(tmp_path / "model.safetensors", params, config, dtype)
    return (tmp_path / "model.safetensors").read_bytes()


def close(actual, expected):
    np.testing.assert_allclose(np.asarray(actual, float), expected, rtol=0, atol=1e-4)


READ = """
(tokens) => {
  const reader = gpt.reader();
  return tokens.map((token) => Array.from(reader.read(token)));
}
"""
READ_ALL = "async (tokens) => Array.from(await gpt.reader().readAll(tokens))"


# The numbers


def test_texts_of_every_length_have_the_logits_of_lmmath(run, shipped):
    params, config, _ = shipped
    tokens = np.random.default_rng(1).integers(config.vocab_size, size=128)
    logits = np.asarray(run(READ, tokens.tolist()))
    assert logits.shape == (128, 512)
    close(logits, gpt(params, tokens, config))
    for n in (1, 2, 127):  # the last row of a shorter text, read alone
        close(logits[n - 1], gpt(params, tokens[:n], config)[-1])


def test_the_model_goes_on_as_lmmath_does(run, shipped):
    _, _, tokenizer = shipped
    most_likely = """
    (prompt) => {
      const reader = gpt.reader();
      let logits;
      for (const token of prompt) logits = reader.read(token);
      for (let i = 0; i < 4; i += 1) logits = reader.read(logits.indexOf(Math.max(...logits)));
      return reader.tokens;
    }
    """
    tokens = run(most_likely, tokenizer.encode("\nLeka the"))
    assert tokenizer.decode(tokens) == "\nLeka the mouse lived in the"


CONFIGS = [
    GPTConfig(vocab_size=1, n_positions=1, d_model=1, n_layers=1, n_heads=1),
    SMALL,
    GPTConfig(9, n_positions=30, d_model=8, n_layers=1, n_heads=8, eps=0.5),
    GPTConfig(300, n_positions=12, d_model=15, n_layers=5, n_heads=5, d_ff=7),
    GPTConfig(40, n_positions=20, d_model=32, n_layers=11, n_heads=2, d_ff=1),
    GPTConfig(5, n_positions=64, d_model=10, n_layers=2, n_heads=1, d_ff=33, eps=1e-8),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_any_model(run, tmp_path, config):
    params = random_model(config, config.d_model)
    rng = np.random.default_rng(config.vocab_size)
    tokens = rng.integers(config.vocab_size, size=config.n_positions)
    for dtype in ("float16", "float32", "float64"):
        open_model(run, file_of(tmp_path, params, config, dtype))
        assert run("gpt.config") == asdict(config)
        stored = {name: w.astype(dtype).astype("f4") for name, w in params.items()}
        expected = gpt(stored, tokens, config)
        assert config.d_model == 1 or np.ptp(expected) > 1  # there is something to miss
        close(run(READ, tokens.tolist()), expected)
        close(run(READ_ALL, tokens.tolist()), expected[-1])


def test_every_float16(run):
    script = "async (all) => all.map((await import('/widgets/engines/float16.js')).float16).map(String)"
    numbers = np.arange(2**16, dtype=np.uint16)
    got = np.array([float(text.replace("Infinity", "inf"))
                    for text in run(script, numbers.tolist())])  # fmt: skip
    np.testing.assert_array_equal(got, numbers.view(np.float16))
    assert np.signbit(got[0x8001])


def test_gelu_of_numbers_far_out(run):
    x = np.asarray([-1e200, -1e3, -9, -1, -0.0, 0.5, 3, 9, 1e3, 1e200])
    script = "async (x) => x.map((await import('/widgets/engines/gpt.js')).gelu)"
    got = run(script, x.tolist())
    np.testing.assert_allclose(got, gelu(x, approximate="tanh"), 1e-12, 1e-12)


TRACE = """
(tokens) => {
  const reader = gpt.reader();
  tokens.forEach((token) => reader.read(token));
  return tokens.map((_, position) =>
    reader.trace(position).map(({ before, query, key, value, attention, between, after }) => ({
      before: Array.from(before),
      together: [query, key, value].map((vector) => Array.from(vector)),
      attention: attention.map((weights) => Array.from(weights)),
      between: Array.from(between),
      after: Array.from(after),
      lens: [before, between, after].map((x) => Array.from(gpt.logits(x))),
    })),
  );
}
"""


@pytest.mark.parametrize("which", ["shipped", "random"])
def test_a_trace_shows_what_is_inside(run, tmp_path, which):
    if which == "shipped":
        open_model(run, SHIPPED)
        params, config, tokenizer = load_fable_gpt()
        tokens = np.asarray(tokenizer.encode("\nLeka the mouse lived in the desert."))
    else:
        config = SMALL
        params, tokens = random_model(config), np.asarray([3, 1, 4, 1, 5, 9, 2])
        open_model(run, file_of(tmp_path, params, config))
    residuals, attention = gpt_trace(params, tokens, config)
    trace = run(TRACE, tokens.tolist())
    for i in range(config.n_layers):
        block, before = subset(params, f"h.{i}."), residuals[i]
        normal = layer_norm(before, **subset(block, "ln_1."), eps=config.eps)
        attended, _ = causal_self_attention(
            normal, subset(block, "attn."), config.n_heads
        )
        w, b = block["attn.c_attn.weight"], block["attn.c_attn.bias"]
        together = np.split(dense(normal, w, b), 3, axis=-1)
        close(np.swapaxes([layers[i]["together"] for layers in trace], 0, 1), together)
        stream = {"before": before, "between": before + attended}
        stream["after"] = residuals[i + 1]
        for name, x in stream.items():
            close([layers[i][name] for layers in trace], x)
        for position, layers in enumerate(trace):
            seen = attention[i][:, position, : position + 1]
            close(layers[i]["attention"], seen)
        lens = [layers[i]["lens"] for layers in trace]
        expected = [logit_lens(x, params, config) for x in stream.values()]
        close(np.swapaxes(lens, 0, 1), expected)


@pytest.mark.parametrize("offset", [0, 1, 2, 8])
def test_the_bytes_may_lie_anywhere_in_a_buffer(run, offset):
    script = """
    async ([data, offset]) => {
      const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
      const padded = new Uint8Array(bytes.length + offset + 3).fill(255);
      padded.set(bytes, offset);
      const { parseGPT } = await import("/widgets/engines/gpt_file.js");
      const view = new DataView(padded.buffer, offset, bytes.length);
      const models = [parseGPT(bytes), parseGPT(bytes.buffer), parseGPT(view)];
      return models.map((gpt) => Array.from(gpt.reader().read(7)));
    }
    """
    data = base64.b64encode(SHIPPED).decode()
    first, *others = run(script, [data, offset])
    assert others == [first, first]


# Reading


@pytest.fixture
def small(run, tmp_path):
    """Open a small model, count the tokens that it computes, and give a function to run."""
    open_model(run, file_of(tmp_path, random_model(SMALL), SMALL))
    run("""() => {
      window.count = 0;
      const pass = gpt.pass.bind(gpt);
      gpt.pass = (...all) => ((count += 1), pass(...all));
      window.alone = (tokens) => {  // what a new reader says, and does not count
        const before = count;
        const reader = gpt.reader();
        const logits = tokens.map((token) => reader.read(token)).at(-1) ?? null;
        count = before;
        return String(logits);
      };
    }""")
    return run


def test_what_texts_have_in_common_at_the_beginning_is_read_once(small):
    texts = [[3, 1, 4], [3, 1, 4, 1, 5], [3, 1, 4, 1, 5], [3, 1], [3, 2, 6], [], [3]]
    script = """
    async (texts) => {
      const reader = gpt.reader();
      const counts = [];
      for (const text of texts) {
        count = 0;
        const logits = await reader.readAll(text);
        counts.push([count, String(logits) === alone(text), String(reader.tokens) === String(text)]);
      }
      return counts;
    }
    """
    expected = [[n, True, True] for n in (3, 2, 0, 0, 2, 0, 1)]
    assert small(script, texts) == expected


def test_a_reader_goes_back(small):
    script = """
    () => {
      const reader = gpt.reader();
      for (const token of [3, 1, 4, 1]) reader.read(token);
      const second = String(reader.logits(1));
      reader.rewind(2);
      const same = [second === String(reader.logits()), second === alone([3, 1])];
      same.push(String(reader.read(5)) === alone([3, 1, 5]));
      reader.rewind(9);
      same.push(reader.tokens.length === 3);
      reader.rewind();
      same.push(String(reader.read(5)) === alone([5]));
      return same;
    }
    """
    assert small(script) == [True] * 5


def test_readers_of_one_model_do_not_meet(small):
    script = """
    () => {
      const [one, two] = [gpt.reader(), gpt.reader()];
      one.read(1);
      two.read(2);
      return [String(one.read(3)) === alone([1, 3]), String(two.read(3)) === alone([2, 3])];
    }
    """
    assert small(script) == [True, True]


@pytest.mark.parametrize(
    ("tokens", "problem"),
    [
        ([11], "from 0 to 10, got 11"),
        ([-1], "from 0 to 10, got -1"),
        ([0, 1.5], "got 1.5"),
        (["1"], "from 0 to 10, got 1"),
        ([0, None], "got null"),
        ([1] * 8, "at most 7 tokens, got 8"),
    ],
)
def test_what_cannot_be_read_changes_nothing(small, tokens, problem):
    script = """
    async (tokens) => {
      const reader = gpt.reader();
      const logits = String(reader.read(3));
      const said = [];
      await reader.readAll([3, ...tokens]).catch((error) => said.push(error.message));
      await reader.readAll(tokens).catch((error) => said.push(error.message));
      try {
        for (const token of tokens) reader.read(token);
      } catch (error) {
        said.push(error.message);
      }
      reader.rewind(1);
      return [said, logits === String(reader.logits())];
    }
    """
    said, same = small(script, tokens)
    assert same
    assert len(said) == 3
    assert problem in said[1]


def test_there_is_no_trace_of_what_was_not_read(small):
    script = """
    (position) => {
      const reader = gpt.reader();
      reader.read(3);
      try { reader.trace(position); } catch (error) { return error.message; }
    }
    """
    assert small(script, 1) == "No token was read at position 1."


def test_the_end_of_a_long_text_fits(small):
    window = "(tokens) => gpt.window(tokens)"
    assert small(window, list(range(10))) == [3, 4, 5, 6, 7, 8, 9]
    assert small(window, [1, 2]) == [1, 2]
    assert small(window, []) == []


# Staying out of the page's way

# A clock on which a token takes 3 ms, and a note of what was done in each of the page's tasks.
CLOCK = """
() => {
  window.time = 0;
  performance.now = () => time;
  window.tasks = [0];
  const pass = gpt.pass.bind(gpt);
  gpt.pass = (...all) => ((time += 3), (tasks[tasks.length - 1] += 1), pass(...all));
  const timeout = window.setTimeout.bind(window);
  window.setTimeout = (callback, ...all) => timeout(() => (tasks.push(0), callback()), ...all);
}
"""


def test_a_long_text_leaves_the_page_its_turn_every_8_milliseconds(small):
    small(CLOCK)
    small("async () => gpt.reader().readAll([1, 2, 3, 4, 5, 6, 7])")
    assert small("tasks") == [2, 2, 2, 1]


def test_a_reading_ends_when_the_signal_says_so(small):
    small(CLOCK)
    script = """
    async () => {
      const reader = gpt.reader();
      const end = new AbortController();
      setTimeout(() => end.abort());
      const name = await reader.readAll([1, 2, 3, 4, 5, 6, 7], { signal: end.signal })
        .catch((error) => error.name);
      const { length } = reader.tokens;
      const early = await reader.readAll([], { signal: end.signal }).catch((error) => error.name);
      if (reader.tokens.length !== length) throw new Error("it began all the same");
      const logits = String(await reader.readAll([1, 2, 3, 4, 5]));
      return [name, early, length < 7, logits === alone([1, 2, 3, 4, 5])];
    }
    """
    assert small(script) == ["AbortError", "AbortError", True, True]


@pytest.mark.parametrize(
    "other",
    ["reader.readAll([1, 2, 9])", "reader.read(9)", "reader.rewind(1)"],
)
def test_a_reading_ends_when_another_begins(small, other):
    small(CLOCK)
    script = """
    async (other) => {
      const reader = gpt.reader();
      const first = reader.readAll([1, 2, 3, 4, 5, 6, 7]).catch((error) => error.name);
      await new Promise((resolve) => setTimeout(resolve));
      const logits = await eval(other);
      const name = await first;
      return [name, reader.tokens, String(reader.logits()) === alone(reader.tokens)];
    }
    """
    name, tokens, right = small(script, other)
    assert name == "AbortError"
    assert right
    assert tokens == [1] if "rewind" in other else tokens[-1] == 9


def test_a_text_that_changes_while_it_is_read_is_read_as_it_was(small):
    small(CLOCK)
    script = """
    async () => {
      const text = [1, 2, 3, 4, 5];
      const reading = gpt.reader().readAll(text);
      text[4] = 9;
      return String(await reading) === alone([1, 2, 3, 4, 5]);
    }
    """
    assert small(script)


# Damaged files


def header_of(content):
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def with_header(header, body):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def changed(change):
    """Damage a file by a change to its header."""

    def damage(content):
        header, body = header_of(content)
        change(header)
        return with_header(header, body)

    return damage


def configured(**fields):
    def change(header):
        config = json.loads(header["__metadata__"]["config"]) | fields
        header["__metadata__"]["config"] = json.dumps(config)

    return changed(change)


def entry(name, **fields):
    return changed(lambda header: header[name].update(fields))


DAMAGES = {
    "empty": (lambda c: b"", "it has only 0 bytes"),
    "short": (lambda c: c[:7], "it has only 7 bytes"),
    "no header": (lambda c: c[:8], "it ends within its header"),
    "half a header": (lambda c: c[:500], "it ends within its header"),
    "no numbers": (lambda c: with_header(header_of(c)[0], b""), "cannot lie from byte 0"),
    "truncated": (lambda c: c[:-1], "cannot lie from byte"),
    "too long": (lambda c: c + b"\0", "its header speaks of"),
    "a page": (lambda c: b"<!DOCTYPE html><title>404</title>", "no safetensors file"),
    "no JSON": (lambda c: with_header(b"{nonsense", header_of(c)[1]), "its header cannot"),
    "no UTF-8": (lambda c: with_header(b"\xff\xfe", header_of(c)[1]), "its header cannot"),
    "a list": (lambda c: with_header([], b"x"), "its header speaks of 0 bytes"),
    "null": (lambda c: with_header(b"null", b""), "its header cannot be read"),
    "nothing": (lambda c: with_header({}, b""), "its format is undefined"),
    "other kind": (changed(lambda h: h["__metadata__"].update(format="x")), 'its format is "x"'),
    "no metadata": (changed(lambda h: h.pop("__metadata__")), "its format is undefined"),
    "null metadata": (changed(lambda h: h.update(__metadata__=None)), "its format is undefined"),
    "no config": (changed(lambda h: h["__metadata__"].pop("config")), "its configuration cannot"),
    "bad config": (changed(lambda h: h["__metadata__"].update(config="[")), "its configuration"),
    "no sizes": (changed(lambda h: h["__metadata__"].update(config="{}")), "vocab_size must be"),
    "half a layer": (configured(n_layers=1.5), "n_layers must be an integer of at least 1, got 1.5"),
    "no layer": (configured(n_layers=0), "n_layers must be an integer"),
    "text": (configured(d_ff="24"), "d_ff must be an integer"),
    "heads": (configured(n_heads=4), "n_heads must divide d_model = 6, got 4"),
    "eps": (configured(eps=0), "eps must be a number above 0, got 0"),
    "eps null": (configured(eps=None), "eps must be a number above 0, got null"),
    "more layers": (configured(n_layers=3), r"it lacks h.2.ln_1.\S+"),
    "fewer layers": (configured(n_layers=1), r"it holds h.1.\S+, which no GPT of its size has"),
    "far too many": (configured(n_layers=10**12), "it has 28 tensors for 1000000000000 layers"),
    "sizes": (configured(n_positions=9), r"wpe.weight must have shape \(9,6\), got \(7,6\)"),
    "transposed": (entry("wte.weight", shape=[6, 11]), r"must have shape \(11,6\), got \(6,11\)"),
    "renamed": (changed(lambda h: h.update(x=h.pop("ln_f.bias"))), "it lacks ln_f.bias"),
    "dtype": (entry("wte.weight", dtype="BF16"), "wte.weight holds numbers of an unknown kind, BF16"),
    "other dtype": (entry("wte.weight", dtype="F32"), "wte.weight of shape"),
    "no dtype": (changed(lambda h: h["wte.weight"].pop("dtype")), "an unknown kind, undefined"),
    "no shape": (changed(lambda h: h["wte.weight"].pop("shape")), "wte.weight has no shape"),
    "bad shape": (entry("wte.weight", shape=[-11, -6]), "wte.weight has no shape"),
    "bigger": (entry("wte.weight", shape=[11, 7]), "cannot lie from byte"),
    "huge": (entry("wte.weight", shape=[2**50, 2**50]), "cannot lie from byte"),
    "no place": (changed(lambda h: h["wte.weight"].pop("data_offsets")), "from byte undefined"),
    "bad place": (entry("wte.weight", data_offsets=5), "cannot lie from byte undefined"),
    "behind": (entry("wte.weight", data_offsets=[10**6, 10**6 + 132]), "cannot lie"),
    "elsewhere": (entry("wte.weight", data_offsets=[2, 134]), "cannot lie from byte"),
    "reversed": (entry("wte.weight", data_offsets=[132, 0]), "cannot lie from byte 132 to 0"),
    "null entry": (changed(lambda h: h.update({"wte.weight": None})), "an unknown kind"),
    "NaN": (lambda c: c[:-2] + b"\x00\x7e", "holds a number that is not finite"),
}  # fmt: skip


def test_a_damaged_file_is_told(run, tmp_path):
    content = file_of(tmp_path, init_gpt(SMALL, np.random.default_rng(0)), SMALL, "f2")
    for name, (damage, problem) in DAMAGES.items():
        said = problem_with(run, damage(content))
        pattern = f"The model’s file cannot be read: .*{problem}.*\\."
        assert re.fullmatch(pattern, said), name


def problem_with(run, content):
    said = f"async (data) => ({OPEN.strip()})(data).catch((error) => error.message)"
    return run(said, base64.b64encode(content).decode())


def test_a_recurrent_model_is_no_gpt(run, tmp_path):
    config = RecurrentConfig(vocab_size=9, n_positions=8, d_model=4)
    params = init_recurrent(config, np.random.default_rng(0))
    said = problem_with(run, file_of(tmp_path, params, config))
    assert "it is a recurrent model, not a GPT" in said


# What widgets call

LOAD = """
async ([files, tokenizers]) => {
  const { loadModel } = await import("/widgets/kit/language_model.js");
  const bytes = (data) => Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
  const models = files.map((data, i) => {
    const traits = { weights: data && new DataView(bytes(data).buffer), tokenizer: tokenizers[i] };
    return { get: (name) => traits[name] };
  });
  const load = (model) => {
    try { return loadModel(model); } catch (error) { return { error: error.message }; }
  };
  const loaded = models.map(load);
  return loaded.map(({ gpt, tokenizer, config, error }, i) => error ?? {
    same: loaded.findIndex((other) => other.gpt === gpt),
    again: load(models[i]).gpt === gpt,
    size: config.vocab_size,
    text: tokenizer.decode(tokenizer.encode("\\nLeka")),
  });
}
"""


def test_widgets_with_the_same_weights_share_one_model(run, tmp_path):
    config = GPTConfig(256, n_positions=7, d_model=6, n_layers=2, n_heads=3)
    other = base64.b64encode(file_of(tmp_path, random_model(config), config)).decode()
    shipped = base64.b64encode(SHIPPED).decode()
    tokenizer = json.loads((DIRECTORY / "tokenizer.json").read_text("utf-8"))
    tokenizers = [tokenizer, tokenizer, {"merges": []}]
    expected = {"again": True, "text": "\nLeka"}
    assert run(LOAD, [[shipped, shipped, other], tokenizers]) == [
        expected | {"same": 0, "size": 512},
        expected | {"same": 0, "size": 512},
        expected | {"same": 2, "size": 256},
    ]


@pytest.mark.parametrize(
    ("weights", "tokenizer", "problem"),
    [
        (None, {"merges": []}, "The model’s weights did not arrive."),
        (b"", {"merges": []}, "The model’s weights did not arrive."),
        (SHIPPED[:-2], {"merges": []}, "file cannot be read: .* cannot lie from byte"),
        (SHIPPED, {"merges": []}, "knows 512 tokens, the tokenizer 256: they do not belong"),
        (SHIPPED, {"merges": ["a"]}, "A merge must be two tokens and a space"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_shown_says_why(run, weights, tokenizer, problem):
    data = weights and base64.b64encode(weights).decode()
    (said,) = run(LOAD, [[data], [tokenizer]])
    assert re.search(problem, said)
