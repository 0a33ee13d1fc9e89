"""The Llama that a page computes with gives what lmmath's gives, and a damaged file says so."""

import base64
import functools
import json
import re
import struct
from dataclasses import asdict, replace
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import gguf
import numpy as np
import pytest

from lmmath.chat import chat_tokens
from lmmath.language_models import without_heads
from lmmath.sampling import generate, sample, top_k_filter, top_p_filter
from lmmath.transformer import (
    LlamaConfig,
    init_llama,
    llama,
    llama_lens,
    llama_residual,
    llama_trace,
    load_llama,
)
from lmmath.transformer.published import _LLAMA_TENSORS
from lmmath.weights import load_smollm2
from lmmath.weights.smollm2 import find_smollm2

WIDGETS = Path(__file__).parents[2] / "lmmath" / "widgets"

# Vectors are rounded to 16 bits before each product. How far that may lead, as a part of the largest
# number, in a model of random numbers; and for the logits of the real one.
CLOSE = 2e-3
CLOSE_REAL = 1e-2

SETUP = """
async () => {
  const { parseGGUF } = await import("/engines/gguf_file.js");
  const { Llama } = await import("/engines/llama.js");
  const { Workbench } = await import("/engines/quantized.js");
  const { BPETokenizer } = await import("/engines/bpe.js");
  const { chatTokens } = await import("/engines/chat.js");
  const bytesOf = (data) => Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
  function open(bytes, options) {
    const workbench = new Workbench(bytes.length, options);
    workbench.file.set(bytes);
    window.workbench = workbench;
    window.model = new Llama(workbench);
  }
  // Logits at each position, from a text read in chunks.
  function read(tokens, sizes, edits) {
    const [attention, stream] = [[], []];
    const observe = {
      attention(layer, head, position, weights) {
        ((attention[layer] ??= [])[head] ??= [])[position] = Array.from(weights);
      },
      stream(stage, position, x) {
        (stream[stage] ??= [])[position] = Array.from(x);
      },
    };
    const reader = model.reader({ edits, observe });
    for (let begin = 0, i = 0; begin < tokens.length; begin += sizes[i % sizes.length], i += 1) {
      reader.read(tokens.slice(begin, begin + sizes[i % sizes.length]));
    }
    const logits = stream.at(-1).map((x) => Array.from(model.logits(Float32Array.from(x))));
    return { attention, stream, logits, last: Array.from(reader.logits()), tokens: reader.tokens };
  }
  const problemOf = (act) => {
    try {
      return act() ?? null;
    } catch (error) {
      return `${error.name}: ${error.message}`;
    }
  };
  Object.assign(window, { parseGGUF, Llama, Workbench, BPETokenizer, chatTokens });
  Object.assign(window, { bytesOf, open, read, problemOf });
}
"""


class Handler(SimpleHTTPRequestHandler):
    """Serves the widgets' files, and the real model beside them."""

    def translate_path(self, path):
        if path == "/smollm2.gguf":
            return str(find_smollm2())
        return super().translate_path(path)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def run(chromium, serving):
    """Run a function in a page, one for all tests of this file."""
    problems = []
    context = chromium.new_context()
    with serving(WIDGETS, Handler) as address:
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(f"{address}/kit/shared.css")  # any page of that server will do
        page.evaluate(SETUP)
        yield page.evaluate
        context.close()
    assert problems == []


def encoded(content):
    return base64.b64encode(content).decode()


def open_model(run, path, **options):
    script = "([data, options]) => open(bytesOf(data), options)"
    run(script, [encoded(Path(path).read_bytes()), options])


def read(run, tokens, sizes=(1000,), edits=None):
    heads, zeros = edits or ([], [])
    script = """
    ([tokens, sizes, heads, zeros]) =>
      JSON.stringify(read(tokens, sizes, { heads: new Set(heads), zeros }))
    """
    tokens = [int(token) for token in tokens]
    return json.loads(run(script, [tokens, list(sizes), heads, zeros]))


# Models of random numbers


def random_model(config, seed=0):
    """Draw a model in which every parameter matters, with attention that is not flat."""
    rng = np.random.default_rng(seed)
    params = init_llama(config, rng)
    for name, array in params.items():
        if array.ndim == 2:
            d_in = array.shape[name == "embed_tokens.weight"]
            scale = 2 / np.sqrt(d_in)
            params[name] = rng.normal(scale=scale, size=array.shape).astype("f4")
        else:
            params[name] = rng.normal(1, 0.3, array.shape).astype("f4")
    return params


def write_model(path, config, params, kinds=("Q4_1", "Q8_0"), spoil=None):
    """Write a GGUF file as llama.cpp's converter does, its matrices in these kinds in turn.

    ``spoil(tensors, metadata)`` may change what is written.
    """
    metadata = {
        "context_length": config.n_positions,
        "embedding_length": config.d_model,
        "block_count": config.n_layers,
        "feed_forward_length": config.d_ff,
        "attention.head_count": config.n_heads,
        "attention.head_count_kv": config.n_kv_heads,
        "attention.key_length": config.d_head,
        "rope.dimension_count": config.d_head,
        "rope.freq_base": config.rotary_base,
        "attention.layer_norm_rms_epsilon": config.eps,
    }
    tensors = {}
    for i, (name, array) in enumerate(params.items()):
        kind = kinds[i % len(kinds)] if array.ndim == 2 else "F32"
        if array.ndim == 2 and name != "embed_tokens.weight":
            array = np.ascontiguousarray(array.T)
        tensors[their_name(name)] = (array.astype("f4"), kind)
    if spoil:
        spoil(tensors, metadata)
    writer = gguf.GGUFWriter(path, metadata.pop("architecture", "llama"))
    for name, value in metadata.items():
        if isinstance(value, float):
            writer.add_float32(f"llama.{name}", value)
        elif isinstance(value, str):
            writer.add_string(f"llama.{name}", value)
        else:
            writer.add_uint32(f"llama.{name}", value)
    for name, (array, kind) in tensors.items():
        kind = gguf.GGMLQuantizationType[kind]
        writer.add_tensor(name, gguf.quants.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def their_name(name):
    if name.startswith("layers."):
        _, layer, rest = name.split(".", 2)
        prefix = f"blk.{layer}."
    else:
        prefix, rest = "", name
    return prefix + next(
        theirs for theirs, ours in _LLAMA_TENSORS.items() if ours == rest
    )


def config(n_heads, n_kv_heads, d_model, d_ff, **others):
    sizes = {"vocab_size": 61, "n_positions": 80, "n_layers": 2}
    sizes |= {"n_heads": n_heads, "n_kv_heads": n_kv_heads}
    return LlamaConfig(**(sizes | {"d_model": d_model, "d_ff": d_ff} | others))


CONFIGS = {
    "one key": config(4, 1, 64, 96),
    "three keys": config(9, 3, 288, 64, tied=True, rotary_base=100_000.0),
    "nine keys": config(9, 9, 288, 32, n_layers=1, eps=0.1),
    "as SmolLM2": config(9, 3, 576, 1536, n_layers=1, tied=True),
    "heads of their own width": config(4, 2, 32, 64, d_head=24, rotary_base=50.0),
    "heads of two features": config(16, 4, 32, 160, n_layers=5, d_head=2),
    "heads of six features": config(16, 8, 64, 32, d_head=6, eps=1e-8),
    "one head": config(1, 1, 32, 32, vocab_size=1),
    "many words": config(2, 1, 64, 32, vocab_size=1000, tied=True),
}  # fmt: skip
KINDS = [("Q4_1",), ("Q8_0",), ("Q4_1", "Q8_0")]


@functools.cache
def model_file(folder, name, kinds=("Q4_1", "Q8_0")):
    """Write one of the models: its path, and the parameters that lmmath reads from the file."""
    path = folder / f"{name} {' '.join(kinds)}.gguf"
    write_model(path, CONFIGS[name], random_model(CONFIGS[name]), kinds)
    params, found = load_llama(path)
    assert {array.dtype for array in params.values()} == {np.dtype("f4")}
    return path, {n: array.astype("f8") for n, array in params.items()}, found


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return functools.partial(model_file, tmp_path_factory.mktemp("models"))


def tokens_for(config, n=40, seed=1):
    return np.random.default_rng(seed).integers(config.vocab_size, size=n)


def close(actual, expected, tolerance=CLOSE):
    """Compare with a tolerance relative to the largest number."""
    atol = tolerance * np.abs(expected).max()
    np.testing.assert_allclose(np.asarray(actual, float), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("kinds", KINDS, ids=" ".join)
@pytest.mark.parametrize("name", CONFIGS)
def test_any_model_has_the_logits_of_lmmath(run, small, name, kinds):
    path, params, config = small(name, kinds)
    open_model(run, path)
    assert run("workbench.hasKernel") is True
    assert run("model.config") == pytest.approx(asdict(config))
    tokens = tokens_for(config)
    expected = llama(params, tokens, config)
    found = read(run, tokens)
    assert config.vocab_size == 1 or np.ptp(expected) > 3  # there is something to miss
    close(found["logits"], expected)
    assert found["last"] == found["logits"][-1]
    assert found["tokens"] == tokens.tolist()


@pytest.mark.parametrize("name", CONFIGS)
def test_without_fast_instructions_the_numbers_are_the_same(run, small, name):
    path, params, config = small(name)
    tokens = tokens_for(config)
    open_model(run, path)
    fast = read(run, tokens)["logits"]
    open_model(run, path, simd=False)
    assert run("workbench.hasKernel") is False
    plain = read(run, tokens)["logits"]
    # Nothing is rounded to 16 bits here.
    close(plain, llama(params, tokens, config), 1e-5)
    close(plain, fast)
    assert config.vocab_size == 1 or plain != fast


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_inside_is_what_is_inside_in_lmmath(run, small, name):
    path, params, config = small(name)
    open_model(run, path)
    tokens = tokens_for(config)
    found = read(run, tokens, (7,))
    residuals, attention = llama_trace(params, tokens, config)
    close(found["stream"], residuals)
    assert np.max(attention) > 0.2 or config.vocab_size == 1
    for layer, heads in enumerate(found["attention"]):
        for head, rows in enumerate(heads):
            for position, weights in enumerate(rows):
                expected = attention[layer][head, position, : position + 1]
                np.testing.assert_allclose(weights, expected, rtol=0, atol=CLOSE)
    # The logit lens at every stage.
    x = found["stream"][0][3]
    logits = run("(x) => Array.from(model.logits(Float32Array.from(x)))", x)
    close(logits, llama_lens(np.asarray(x), params, config))


@pytest.mark.parametrize("name", ["one key", "three keys", "heads of two features"])
def test_heads_that_are_switched_off(run, small, name):
    path, params, config = small(name)
    open_model(run, path)
    tokens = tokens_for(config, 12)
    whole = llama(params, tokens, config)
    last = config.n_heads - 1
    for off in ([(0, 0)], [(1, last)], [(0, last), (1, 0), (1, 2)]):
        heads = [f"{layer}.{head}" for layer, head in off]
        expected = llama(without_heads(config, params, off), tokens, config)
        assert np.abs(expected - whole).max() > 0.05
        close(read(run, tokens, (5,), (heads, []))["logits"], expected)


@pytest.mark.parametrize("name", ["one key", "nine keys"])
def test_features_that_are_set_to_zero(run, small, name):
    path, params, config = small(name)
    open_model(run, path)
    tokens = tokens_for(config, 12)
    whole = llama(params, tokens, config)
    for stage in range(config.n_layers + 1):
        for position in (None, 4, 11):

            def edit(here, x, stage=stage, position=position):
                x = x.copy()
                if here == stage:
                    rows = range(len(x)) if position is None else [position]
                    for row in rows:
                        x[row, 3] = x[row, 5] = 0
                return x

            residuals, _ = llama_trace(params, tokens, config, edit=edit)
            place = {} if position is None else {"position": position}
            zeros = [{"stage": stage, "feature": f, **place} for f in (3, 5)]
            found = read(run, tokens, (5,), ([], zeros))
            close(found["stream"], residuals)
            logits = llama_lens(residuals[-1], params, config)
            assert np.abs(logits - whole).max() > 0.01
            close(found["logits"], logits)


def test_however_a_text_is_cut_it_is_read_alike(run, small):
    path, _, config = small("three keys")
    open_model(run, path)
    tokens = tokens_for(config, 80)
    at_once = read(run, tokens)
    for sizes in ((1,), (5,), (31,), (32,), (33,), (40, 1, 2)):
        in_parts = read(run, tokens, sizes)
        for part in ("logits", "stream", "last", "tokens"):
            assert in_parts[part] == at_once[part], sizes


def test_readers_do_not_disturb_each_other(run, small):
    path, _, config = small("one key")
    open_model(run, path)
    script = """
    ([first, second]) => {
      const readers = [model.reader(), model.reader()];
      first.forEach((token, i) => {
        readers[0].read([token]);
        readers[1].read([second[i]]);
      });
      return readers.map((reader) => Array.from(reader.logits()));
    }
    """
    texts = [tokens_for(config, 9, seed).tolist() for seed in (1, 2)]
    assert run(script, texts) == [read(run, text)["last"] for text in texts]


def test_what_cannot_be_read(run, small):
    path, _, _ = small("one key")
    open_model(run, path)
    script = """
    ([before, tokens]) => {
      const reader = model.reader();
      reader.read(before);
      const problem = problemOf(() => reader.read(tokens));
      return [problem, reader.tokens.length];
    }
    """
    most = "RangeError: The model sees at most 80 tokens, got "
    wrong = "RangeError: A token must be an integer from 0 to 60, got "
    for before, tokens, problem in (
        ([], [1] * 81, f"{most}81."),
        ([1] * 79, [1, 1], f"{most}81."),
        ([1], [2, -1], f"{wrong}-1."),
        ([1], [61, 2], f"{wrong}61."),
        ([], [1.5], f"{wrong}1.5."),
        ([], [None], f"{wrong}null."),
        ([], ["1"], f"{wrong}1."),
    ):
        # Nothing of the text is read then.
        assert run(script, [before, tokens]) == [problem, len(before)]
    assert run(script, [[1] * 79, [1]]) == [None, 80]
    assert run(script, [[1], []]) == [None, 1]
    nothing = run("problemOf(() => model.reader().logits())")
    assert nothing == "RangeError: No token was read."


def test_a_product_that_has_no_room_is_refused(run, small):
    path, _, _ = small("one key")
    open_model(run, path, mostIn=96, mostOut=4000)
    script = "([length, n]) => problemOf(() => (model.unembedding.times(new Float32Array(length), n), null))"
    assert run(script, [64, 1]) is None
    assert run(script, [64 * 32, 32]) is None
    # 61 rows for 33 vectors, and vectors of another length.
    for length, n in ((64 * 33, 33), (63, 1), (64, 2), (128, 1)):
        assert "has no room" in run(script, [length, n])
    path, _, _ = small("many words")
    open_model(run, path, mostIn=64, mostOut=1000)
    assert run(script, [64 * 2, 2]) is None
    assert "has no room" in run(
        script, [64 * 3, 3]
    )  # at most 64 numbers for each of 32 vectors
    assert run("problemOf(() => open(bytesOf(''), { mostIn: 64 }))").startswith("Error")
    for options, name in (({"mostOut": 999}, "token_embd"), ({"mostIn": 63}, "embd")):
        content = encoded(path.read_bytes())
        script = "([data, options]) => problemOf(() => open(bytesOf(data), options))"
        assert name in run(script, [content, options])


def test_memory_that_a_device_does_not_have(run):
    for size in ("2 ** 33", "2 ** 50", "Infinity"):
        said = run(f"problemOf(() => (new Workbench({size}), null))")
        assert re.fullmatch(
            r"Error: This device cannot give the .* MB that the model needs\.", said
        )


# The real model

TEXTS = [
    "The quick brown fox jumps over the lazy dog, and then",
    "def fibonacci(n):\n    if n < 2:\n        return n\n    return",
    "En un lugar de la Mancha, de cuyo nombre no quiero acordarme, no ha mucho tiempo "
    "que vivía un hidalgo de los de lanza en astillero, 1605.",
]
PROMPTS = [
    "The capital of France is",
    "Once upon a time there was",
    "1, 2, 3, 4,",
    "Water boils at",
    "import numpy as np\n",
    "The opposite of hot is",
    "My favourite food is",
    "In the year 1969",
    "Q: Who wrote Hamlet?\nA:",
    "¿Qué hora es?",
]
WRITE = """
([prompt, count]) => {
  const reader = model.reader();
  reader.read(prompt);
  for (let i = 0; i < count; i += 1) {
    const logits = reader.logits();
    reader.read([logits.indexOf(logits.reduce((a, b) => Math.max(a, b)))]);
  }
  return reader.tokens.slice(prompt.length);
}
"""


@pytest.fixture(scope="module")
def smollm2():
    return load_smollm2()


@pytest.fixture
def real(run):
    """Have the page hold the real model, which it gets once."""
    run("""
    async () => {
      if (!window.real) {
        const bytes = new Uint8Array(await (await fetch("/smollm2.gguf")).arrayBuffer());
        open(bytes);
        window.real = model;
        const said = (name) => model.metadata[`tokenizer.ggml.${name}`];
        window.tokenizer = BPETokenizer.fromLists({
          tokens: said("tokens"), merges: said("merges"), types: said("token_type"), pattern: "smollm2",
        });
      }
      window.model = window.real;
    }
    """)
    return run


@pytest.mark.parametrize("i", range(len(TEXTS)))
def test_the_real_model_has_the_logits_of_lmmath(real, smollm2, i):
    params, config, tokenizer = smollm2
    assert real("model.config") == pytest.approx(asdict(config))
    tokens = tokenizer.encode(TEXTS[i])
    assert real("(text) => tokenizer.encode(text)", TEXTS[i]) == tokens
    expected = llama(params, np.asarray(tokens), config)[-1]
    last = real(
        """
        (tokens) => {
          const reader = model.reader();
          reader.read(tokens);
          return Array.from(reader.logits());
        }
        """,
        tokens,
    )
    np.testing.assert_allclose(last, expected, rtol=0, atol=CLOSE_REAL)


def test_the_real_model_writes_what_lmmath_writes(real, smollm2):
    params, config, tokenizer = smollm2
    prompts = [tokenizer.encode(prompt) for prompt in PROMPTS]
    texts = [prompt + real(WRITE, [prompt, 20]) for prompt in prompts]
    # One pass over the whole texts gives what `generate` would choose after each of their beginnings.
    # What fills them up to one length comes later, and so changes nothing.
    longest = max(map(len, texts))
    padded = np.asarray([text + [0] * (longest - len(text)) for text in texts])
    x, _ = llama_residual(params, padded, config)
    for i, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        written = np.asarray(text[len(prompt) :])
        assert len(written) == 20
        logits = llama_lens(x[i, len(prompt) - 1 : len(text) - 1], params, config)
        chosen = np.take_along_axis(logits, written[:, None], -1)[:, 0]
        # Where two logits are closer than twice the tolerance, either may be chosen, and the text
        # goes on with it. Elsewhere no difference is allowed.
        assert (logits.max(-1) - chosen < 2 * CLOSE_REAL).all(), PROMPTS[i]
    prompt = tokenizer.encode(PROMPTS[0])
    rng = np.random.default_rng(0)
    expected = generate(params, np.asarray(prompt), config, 5, rng, top_k=1)
    assert real(WRITE, [prompt, 5]) == expected[len(prompt) :].tolist()


CHATS = [
    [("user", "Hi")],
    [("user", "What is 12 + 30?\n\nSay it <|im_end|> short.")],
    [("user", "Hello"), ("assistant", "Hi! How are you?"), ("user", "¿Qué tal? 你好 😀")],
    [("system", "You speak like a pirate."), ("user", "Hello")],
    [("user", "")],
]  # fmt: skip


def test_a_chat_has_the_tokens_of_lmmath(real, smollm2):
    tokenizer = smollm2[2]
    for chat in CHATS:
        messages = [{"role": role, "content": content} for role, content in chat]
        found = real("(messages) => chatTokens(messages, tokenizer)", messages)
        assert found == chat_tokens(messages, tokenizer).tolist()
    lacking = "problemOf(() => chatTokens([], new BPETokenizer({ merges: [] })))"
    assert "lacks <|im_start|>" in real(lacking)


# What is drawn from many logits


class Fixed(np.random.Generator):
    """A generator whose only number is known."""

    def __init__(self, u):
        super().__init__(np.random.PCG64())
        self.u = u

    def random(self, size=None):
        return np.full(size, self.u)


def many_logits(seed):
    """Draw the logits of a large vocabulary, float32 as the engine has them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=3, size=20_000)
    if seed % 3 == 1:
        logits = np.round(logits)  # some thousands are equal, also at the top
    if seed % 3 == 2:
        logits = np.round(logits, 2)
        logits[rng.random(len(logits)) < 0.4] = -np.inf
        logits[:3] = [0.0, -0.0, 0.0]
    return logits.astype("f4")


DRAW = """
async ([data, cases]) => {
  const s = await import("/engines/sampler.js");
  const logits = new Float32Array(bytesOf(data).buffer);
  const kept = (filtered) =>
    Array.from(filtered, (x, i) => [x, i]).filter(([x]) => x > -Infinity).map(([, i]) => i);
  return JSON.stringify(cases.map(([settings, u]) => [
    s.largest(logits, settings.topK),
    kept(s.topKFilter(logits, settings.topK)),
    kept(s.topPFilter(Float64Array.from(logits), settings.topP)),
    s.drawFrom(logits, settings, u),
  ]));
}
"""


@pytest.mark.parametrize("seed", range(6))
def test_tokens_are_drawn_from_many_as_lmmath_draws_them(run, seed):
    logits = many_logits(seed)
    rng = np.random.default_rng(100 + seed)
    cases = []
    for k in (1, 2, 7, 50, 400, 5000, 19_999, 20_000, 30_000):
        rules = {"temperature": float(np.exp(rng.uniform(-2, 2))), "topK": k}
        rules |= {"topP": float(rng.choice([1, rng.uniform(0.01, 1)]))}
        rules |= {"minP": float(rng.choice([0, rng.uniform(0, 0.3)]))}
        cases += [[rules, float(rng.random())], [rules | {"temperature": 0}, 0.5]]
    found = json.loads(run(DRAW, [encoded(logits.tobytes()), cases]))
    order = np.argsort(-logits.astype("f8"), kind="stable")
    exact = logits.astype("f8")
    probabilities = np.exp(exact - exact.max())
    probabilities /= probabilities.sum()
    for (rules, u), (first, by_k, by_p, drawn) in zip(cases, found, strict=True):
        temperature, k, p, min_p = rules.values()
        assert first == order[:k].tolist()
        finite = np.flatnonzero(np.isfinite(top_k_filter(exact, k)))
        assert by_k == finite.tolist()
        finite = np.flatnonzero(np.isfinite(top_p_filter(exact, p)))
        assert by_p == finite.tolist()
        if temperature == 0:
            expected = order[0]
        else:
            expected = sample(exact, Fixed(u), temperature, k, p, min_p)
        assert drawn["token"] == expected
        chosen = probabilities[drawn["token"]]
        assert drawn["probability"] == pytest.approx(chosen, rel=1e-5)


# Files that are no model

UNREADABLE = "The model’s file cannot be read: "


@pytest.fixture(scope="module")
def content(small):
    """The bytes of a small model that is whole."""
    return small("one key")[0].read_bytes()


def text(words):
    words = words.encode() if isinstance(words, str) else words
    return struct.pack("<Q", len(words)) + words


def value(name, kind, content):
    return text(name) + struct.pack("<I", kind) + content


def tensor(name, shape, kind=0, place=0, n_axes=None):
    n_axes = len(shape) if n_axes is None else n_axes
    axes = struct.pack(f"<{len(shape)}Q", *shape[::-1])
    return text(name) + struct.pack("<I", n_axes) + axes + struct.pack("<IQ", kind, place)  # fmt: skip


def header(values=(), tensors=(), magic=b"GGUF", version=3, counts=None):
    n_tensors, n_values = counts or (len(tensors), len(values))
    begin = magic + struct.pack("<IQQ", version, n_tensors, n_values)
    return begin + b"".join(values) + b"".join(tensors)


def a_list(kind, count, content=b""):
    return value("list", 9, struct.pack("<IQ", kind, count) + content)


ROOM = bytes(400)
NO_ROOM = "it speaks of .* things, for which there is no room"
BAD_FILES = {
    "nothing": (b"", "it ends too early"),
    "magic": (header(magic=b"GGML") + ROOM, "it is no GGUF file"),
    "version 1": (header(version=1) + ROOM, "its version is 1, not 2 or 3"),
    "version 4": (header(version=4) + ROOM, "its version is 4, not 2 or 3"),
    "big-endian": (header(version=3 << 24) + ROOM, "its version is 50331648, not 2 or 3"),
    "tensors": (header(counts=(2**63, 0)) + ROOM, NO_ROOM),
    "some tensors": (header(counts=(20, 0)) + ROOM, NO_ROOM),
    "values": (header(counts=(0, 2**64 - 1)) + ROOM, NO_ROOM),
    "one tensor": (header(counts=(1, 0)) + bytes(24), " has 0 axes"),
    "long text": (header([text("").replace(b"\0", b"\xff")] * 2) + ROOM, NO_ROOM),
    "value type": (header([value("a", 13, b"")]) + ROOM, "a value of the unknown type 13"),
    "list type": (header([a_list(99, 1)]) + ROOM, "a value of the unknown type 99"),
    "lists": (header([a_list(9, 1)]) + ROOM, "a value of the unknown type 9"),
    "long list": (header([a_list(5, 2**60)]) + ROOM, NO_ROOM),
    "list": (header([a_list(5, 101)]) + ROOM, NO_ROOM),
    "bytes": (header([a_list(0, 2**40)]) + ROOM, NO_ROOM),
    "texts": (header([a_list(8, 51)]) + ROOM, NO_ROOM),
    "many texts": (header([a_list(8, 2**50)]) + ROOM, NO_ROOM),
    "no UTF-8": (header([value(b"\xff\xfe", 4, bytes(4))]) + ROOM, "a text that is not UTF-8"),
    "no UTF-8 inside": (header([value("a", 8, text(b"a\xc3"))]) + ROOM, "a text that is not UTF-8"),
    "no axes": (header([], [tensor("w", ())]) + ROOM, "w has 0 axes"),
    "axes": (header([], [tensor("w", (1,), n_axes=2**32 - 1)]) + ROOM, "w has 4294967295 axes"),
    "five axes": (header([], [tensor("w", (1,) * 5)]) + ROOM, "w has 5 axes"),
    "tensor type": (header([], [tensor("w", (32,), 2)]) + ROOM, "w is of type 2, which is not read here"),
    "no numbers": (header([], [tensor("w", (4, 0))]) + ROOM, "w holds nothing"),
    "huge": (header([], [tensor("w", (2**63,) * 4)]) + ROOM, "it ends before w does"),
    "too much": (header([], [tensor("w", (101,))]) + ROOM, "it ends before w does"),
    "too far": (header([], [tensor("w", (32,), 0, 2**63)]) + ROOM, "it ends before w does"),
    "blocks": (header([], [tensor("w", (4, 48), 3)]) + ROOM, "the rows of w are no whole blocks"),
    "twice": (header([], [tensor("w", (1,))] * 2) + ROOM, "two tensors are called w"),
    "alignment 0": (header([value("general.alignment", 4, bytes(4))]) + ROOM, "its alignment is 0"),
    "alignment": (header([value("general.alignment", 8, text("32"))]) + ROOM, "its alignment is 32"),
    "alignment below 0": (header([value("general.alignment", 5, b"\xff" * 4)]) + ROOM, "its alignment is -1"),
    "alignment beyond": (
        header([value("general.alignment", 4, b"\xff" * 4)], [tensor("w", (1,))]) + ROOM,
        "it ends before w does",
    ),
}  # fmt: skip
PARSE = "(data) => problemOf(() => (parseGGUF(bytesOf(data)), null))"


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_contradicts_itself(run, name):
    bytes_, problem = BAD_FILES[name]
    said = run(PARSE, encoded(bytes_))
    assert re.fullmatch(f"Error: {UNREADABLE}.*{problem}.*\\.", said)


def test_all_kinds_of_metadata(run):
    numbers = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 10: "Q", 11: "q", 12: "d"}  # fmt: skip
    values = [
        value(f"{kind}", kind, struct.pack(f"<{code}", 7))
        for kind, code in numbers.items()
    ]
    values += [
        value(
            f"list {kind}", 9, struct.pack("<IQ", kind, 3) + struct.pack(f"<3{code}", 1, 2, 3)
        )
        for kind, code in numbers.items()
    ]  # fmt: skip
    values += [
        value("texts", 9, struct.pack("<IQ", 8, 2) + text("é") + text("\ufeffa")),
        value("__proto__", 8, text("x")),
        value("constructor", 7, b"\1"),
    ]
    script = """
    (data) => {
      const { metadata, tensors } = parseGGUF(bytesOf(data));
      const shown = (v) => (typeof v === "object" ? Array.from(v, (one) => `${one}`) : v);
      return [Object.entries(metadata).map(([name, v]) => [name, shown(v)]), Array.from(tensors)];
    }
    """
    tensors = [tensor("w", (2, 3), 0, 32), tensor("v", (1, 64), 3, 0)]
    bytes_ = header(values, tensors)
    begin = -(-len(bytes_) // 32) * 32
    metadata, found = run(script, encoded(bytes_ + ROOM))
    expected = {f"{kind}": 7 for kind in numbers}
    expected |= {f"list {kind}": ["1", "2", "3"] for kind in numbers}
    expected |= {"texts": ["é", "\ufeffa"], "__proto__": "x", "constructor": 1}
    assert dict(metadata) == expected
    assert dict(found) == {
        "w": {"name": "w", "type": 0, "shape": [2, 3], "offset": begin + 32},
        "v": {"name": "v", "type": 3, "shape": [1, 64], "offset": begin},
    }


def test_a_file_that_was_cut_short(run, content):
    script = """
    ([data, cuts]) => {
      const bytes = bytesOf(data);
      return cuts.map((end) => problemOf(() => (parseGGUF(bytes.slice(0, end)), null)));
    }
    """
    # The last tensor is filled up to a multiple of 32 bytes.
    cuts = [*range(3000), *range(3000, len(content) - 32, 997), len(content) - 33]
    for end, said in zip(cuts, run(script, [encoded(content), cuts]), strict=True):
        assert said is not None, end
        assert said.startswith(f"Error: {UNREADABLE}"), (end, said)
    assert run(PARSE, encoded(content)) is None


def header_length(content):
    end = content.rindex(b"output_norm.weight") + 40
    return max(end, content.rindex(b"blk.1.ffn_down.weight") + 50)


DAMAGE = """
([data, damages]) => {
  const bytes = bytesOf(data);
  const workbench = new Workbench(bytes.length, { mostIn: 96, mostOut: 96 });
  const byTask = { parse: parseGGUF, build: (file) => new Llama({ ...methods, file }) };
  const methods = { vector: (one) => workbench.vector(one), matrix: (one) => workbench.matrix(one) };
  return damages.map(([task, changes]) => {
    workbench.file.set(bytes);
    for (const [at, byte] of changes) workbench.file[at] = byte;
    return problemOf(() => (byTask[task](workbench.file), null));
  });
}
"""
SAID = re.compile(
    f"Error: ({UNREADABLE}|The model|.*(blk|token_embd|output)|.*(heads|turn))"
)


def test_a_file_with_damaged_bytes(run, content):
    rng = np.random.default_rng(8)
    end = header_length(content)
    assert end < len(content) / 2
    damages = []
    for _ in range(3000):
        places = rng.integers(end, size=rng.integers(1, 4))
        bytes_ = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)], len(places))
        damages.append(np.stack([places, bytes_], 1).tolist())
    for task, pattern in (("parse", f"Error: {UNREADABLE}"), ("build", SAID)):
        said = run(DAMAGE, [encoded(content), [[task, one] for one in damages]])
        problems = [one for one in said if one is not None]
        assert len(problems) > 500
        assert [one for one in problems if not re.match(pattern, one)] == []


def changed(**values):
    names = {name.replace("__", "."): v for name, v in values.items()}
    return lambda tensors, metadata: metadata.update(names)


def dropped(name):
    return lambda tensors, metadata: metadata.pop(name)


def lacking(name):
    return lambda tensors, metadata: tensors.pop(name)


def with_tensor(name, shape, kind="F32"):
    return lambda tensors, metadata: tensors.update(
        {name: (np.ones(shape, "f4"), kind)}
    )


MODELS = {
    "family": (changed(architecture="qwen2"), "The model must be of Llama’s family, got qwen2."),
    "no layers": (dropped("block_count"), "The model’s file does not say its block_count."),
    "no eps": (dropped("attention.layer_norm_rms_epsilon"), "does not say its attention.layer_norm_rms_eps"),
    "zero": (changed(context_length=0), "The model’s context_length must be a number above 0, got 0."),
    "text": (changed(block_count="2"), "The model’s block_count must be a number above 0, got 2."),
    "half a layer": (changed(block_count=1.5), "The model’s block_count must be an integer, got 1.5."),
    "nan": (changed(rope__freq_base=float("nan")), "rope.freq_base must be a number above 0, got NaN."),
    "infinite": (changed(rope__freq_base=float("inf")), "rope.freq_base must be a number above 0, got Inf"),
    "more layers": (changed(block_count=3), "The model’s file lacks blk.2.attn_norm.weight."),
    "far too many": (changed(block_count=2**32 - 1), "The model’s file lacks blk.2.attn_norm.weight."),
    "fewer layers": (changed(block_count=1), "The model’s file holds blk.1.*, which is not read here."),
    "sizes": (changed(embedding_length=32), r"token_embd.weight must have shape \(61,32\), got \(61,64\)."),
    "hidden": (changed(feed_forward_length=64), r"ffn_gate.weight must have shape \(64,64\), got \(96,64\)."),
    "heads": (changed(attention__head_count_kv=3), "3 keys cannot be shared by 4 heads."),
    "odd": (changed(attention__key_length=15), "The features of a head turn in pairs, got 15."),
    "turn": (changed(rope__dimension_count=8), "All 16 features of a head must turn, got 8."),
    "scaled": (changed(rope__scaling__type="yarn"), "says rope.scaling.type, which is not read here."),
    "experts": (changed(expert_count=8), "says expert_count, which is not read here."),
    "no embedding": (lacking("token_embd.weight"), "The model’s file lacks token_embd.weight."),
    "no norm": (lacking("output_norm.weight"), "The model’s file lacks output_norm.weight."),
    "no value": (lacking("blk.1.attn_v.weight"), "The model’s file lacks blk.1.attn_v.weight."),
    "frequencies": (with_tensor("rope_freqs.weight", 8), "holds rope_freqs.weight, which is not read here."),
    "matrix kind": (with_tensor("blk.0.attn_q.weight", (64, 64)), "blk.0.attn_q.weight must .* got type 0."),
    "vector kind": (with_tensor("output_norm.weight", 64, "Q8_0"), "output_norm.weight must .* got type 8."),
    "other kind": (with_tensor("output.weight", (61, 64), "F16"), "output.weight is of type 1, which is not"),
    "vector": (with_tensor("output_norm.weight", (1, 64)), r"must have shape \(64\), got \(1,64\)."),
}  # fmt: skip
OPEN_OR_SAY = "(data) => problemOf(() => (open(bytesOf(data)), null))"


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_another_kind(run, tmp_path, name):
    spoil, problem = MODELS[name]
    config = CONFIGS["one key"]
    write_model(tmp_path / "model.gguf", config, random_model(config), ("Q8_0",), spoil)
    said = run(OPEN_OR_SAY, encoded((tmp_path / "model.gguf").read_bytes()))
    assert re.match(f"Error: .*{problem}", said or "nothing")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("attention.head_count_kv", {"n_kv_heads": 4}),
        ("attention.key_length", {}),
        ("rope.dimension_count", {}),
        ("rope.freq_base", {}),
    ],
)
def test_what_a_file_need_not_say(run, tmp_path, name, changes):
    config = replace(CONFIGS["one key"], **changes)
    path = tmp_path / "model.gguf"
    write_model(path, config, random_model(config), spoil=dropped(name))
    params, found = load_llama(path)
    open_model(run, path)
    assert run("model.config") == pytest.approx(asdict(config))
    tokens = tokens_for(config, 9)
    close(read(run, tokens)["logits"], llama(params, tokens, found))
