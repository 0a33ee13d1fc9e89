"""A large model comes in pieces: stopped, lost, damaged, kept, and shared by the widgets of a page."""

import hashlib
import json
import re
import socket
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import gguf
import numpy as np
import pytest
from model_pieces import write_pieces  # book/_ext/model_pieces.py

from lmmath.tokenization import BPETokenizer
from lmmath.traces import read_trace
from lmmath.transformer import load_llama

WIDGETS = Path(__file__).parents[2] / "lmmath" / "widgets"
PIECE = 8000  # bytes
MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = [("t", "h"), ("th", "e"), ("Ġ", "the")]
SIZES = {"context_length": 300, "embedding_length": 64, "block_count": 2}
SIZES |= {"feed_forward_length": 96, "attention.head_count": 4}
SIZES |= {"attention.head_count_kv": 2, "rope.dimension_count": 16}


def write_model(path, seed=0, **spoiled):
    """Write a small Llama with a tokenizer: bytes, three merges and three marks."""
    words = [*gpt2_alphabet(), *("".join(pair) for pair in MERGES), *MARKS]
    marks = spoiled.get("marks", MARKS)
    words[-len(MARKS) :] = marks
    rng = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, spoiled.get("architecture", "llama"))
    writer.add_name("a small model")
    for name, size in SIZES.items():
        writer.add_uint32(f"llama.{name}", size)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    writer.add_tokenizer_model(spoiled.get("tokenizer", "gpt2"))
    writer.add_tokenizer_pre(spoiled.get("pre", "smollm"))
    writer.add_token_list(words[: spoiled.get("n_words")])
    types = [1] * (len(words) - len(marks)) + [3] * len(marks)
    writer.add_token_types(types[: spoiled.get("n_words")])
    writer.add_token_merges([" ".join(pair) for pair in MERGES])
    shapes = {"token_embd": (len(words), 64), "output_norm": (64,)}
    for i in range(2):
        layer = {"attn_norm": (64,), "attn_q": (64, 64), "attn_k": (32, 64)}
        layer |= {"attn_v": (32, 64), "attn_output": (64, 64), "ffn_norm": (64,)}
        layer |= {"ffn_gate": (96, 64), "ffn_up": (96, 64), "ffn_down": (64, 96)}
        shapes |= {f"blk.{i}.{name}": shape for name, shape in layer.items()}
    for name, shape in shapes.items():
        kind = gguf.GGMLQuantizationType["F32" if len(shape) == 1 else "Q8_0"]
        array = rng.normal(1 if len(shape) == 1 else 0, 0.3, shape).astype("f4")
        stored = gguf.quants.quantize(array, kind)
        writer.add_tensor(f"{name}.weight", stored, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gpt2_alphabet():
    """List GPT-2's signs for the 256 bytes."""
    others = iter(range(0x100, 0x200))
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(byte if byte in visible else next(others)) for byte in range(256)]


class Site:
    """A folder with the widgets' files and the model, and what its server does."""

    def __init__(self, folder):
        self.folder = folder
        self.reset()

    def reset(self):
        self.asked = []  # the names of the model's files that were asked for
        self.rules = {}  # name -> function of the handler and its content, once each
        self.arrived = threading.Event()
        self.go_on = threading.Event()

    @property
    def index(self):
        return json.loads((self.folder / "index.json").read_text("utf-8"))

    @property
    def names(self):
        return [piece["file"] for piece in self.index["pieces"]]

    def pieces_asked(self):
        return [name for name in self.asked if name.endswith(".bin")]

    def rule(self, name, *rules):
        """Say how the server answers, the first time, the second, ..."""
        self.rules.setdefault(name, []).extend(rules)


class Handler(SimpleHTTPRequestHandler):
    site = None

    def do_GET(self):
        path = self.path.split("?")[0]
        if not path.startswith("/model/"):
            if path == "/missing/engines/llama_worker.js":
                return self.send_error(404)
            self.path = path.removeprefix("/missing")
            return super().do_GET()
        name = path.removeprefix("/model/")
        self.site.asked.append(name)
        file = self.site.folder / name
        content = file.read_bytes() if file.exists() else None
        rules = self.site.rules.get(name)
        if rules:
            return rules.pop(0)(self, content)
        return send(self, content)

    def log_message(self, *args):
        pass


def send(handler, content, length=None):
    if content is None:
        return handler.send_error(404)
    handler.send_response(200)
    handler.send_header("Content-Type", "application/octet-stream")
    handler.send_header(
        "Content-Length", str(len(content) if length is None else length)
    )
    handler.end_headers()
    handler.wfile.write(content)
    handler.wfile.flush()
    return None


def damaged(handler, content):
    send(handler, content[:-1] + bytes([content[-1] ^ 1]))


def longer(handler, content):
    send(handler, content + b"more")


def shorter(handler, content):
    send(handler, content[:-1])


def missing(handler, content):
    send(handler, None)


def cut_off(handler, content):
    """Send a half, and lose the connection."""
    send(handler, content[: len(content) // 2], len(content))
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def text_of(words):
    return lambda handler, content: send(handler, words.encode())


def waiting(site):
    """Send a half, and the rest when the test says so."""

    def rule(handler, content):
        half = len(content) // 2
        send(handler, content[:half], len(content))
        site.arrived.set()
        site.go_on.wait(20)
        try:
            handler.wfile.write(content[half:])
        except OSError:
            handler.close_connection = True

    return rule


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.gguf"
    write_model(path)
    return path


@pytest.fixture(scope="module")
def address(tmp_path_factory, serving, model_path):
    site = Site(tmp_path_factory.mktemp("pieces"))
    write_pieces(site.folder, model_path, PIECE)
    handler = type("OfSite", (Handler,), {"site": site})
    with serving(WIDGETS, handler) as address:
        yield address, site


@pytest.fixture
def site(address, model_path):
    _, site = address
    write_pieces(site.folder, model_path, PIECE)
    site.reset()
    yield site
    site.go_on.set()


@contextmanager
def open_page(chromium, address, before=None, prefix=""):
    """Open a page of a browser that has kept nothing, with the module's functions."""
    context = chromium.new_context()
    context.set_default_timeout(20_000)
    page = context.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    if before:
        page.add_init_script(before)
    visit(page, address, prefix)
    yield page
    context.close()
    assert problems == []


def visit(page, address, prefix=""):
    page.goto(f"{address}/kit/shared.css")  # any page of that server will do
    page.evaluate(SETUP, prefix)


SETUP = """
async (prefix) => {
  const { realModel } = await import(`${prefix}/kit/real_model.js`);
  const pieces = await import("/engines/pieces.js");
  window.model = realModel();
  window.events = [];
  window.bytes = [];
  model.addEventListener("progress", ({ detail }) => bytes.push(detail));
  for (const type of ["ready", "problem"]) {
    model.addEventListener(type, ({ detail }) => events.push([type, detail.message ?? detail.name]));
  }
  const settled = (promise) => promise.then(
    (result) => ({ result: result ?? null }),
    (error) => ({ name: error.name, message: error.message }),
  );
  const never = () => new Promise((resolve) => setTimeout(resolve, 20_000, { name: "never settled" }));
  window.outcome = (promise) => Promise.race([settled(promise), never()]);
  window.folder = new URL("/model/", location.href);
  // Bring the pieces without a worker, so that a test can change what they meet.
  window.bring = async ({ signal } = {}) => {
    const index = await pieces.readIndex(folder);
    const target = new Uint8Array(index.size);
    const told = [];
    const isKept = await pieces.loadPieces(index, target, { onProgress: (n) => told.push(n), signal });
    const digest = await (await import("/engines/sha256.js")).sha256(target);
    return { isKept, digest, told, kept: await pieces.bytesKept(index) };
  };
  Object.assign(window, { pieces });
}
"""


@pytest.fixture
def page(chromium, address, site):
    with open_page(chromium, address[0]) as page:
        yield page


def bring(page):
    return page.evaluate("outcome(bring())")


def whole(model_path):
    return hashlib.sha256(model_path.read_bytes()).hexdigest()


DAMAGED = "A piece of the model arrived damaged, twice. Try again later."
LOST = "The connection was lost. What has arrived is kept; try again to go on."


# Pieces


def test_all_pieces_come_in_order_and_progress_reaches_the_whole(
    page, site, model_path
):
    found = bring(page)["result"]
    size = model_path.stat().st_size
    assert len(site.names) > 5
    assert site.asked == ["index.json", *site.names]
    assert found["digest"] == whole(model_path)
    assert found["isKept"] is True
    assert found["kept"] == size
    assert found["told"] == sorted(found["told"])
    assert found["told"][-1] == size
    assert set(range(PIECE, size, PIECE)) < set(found["told"])


def test_the_next_visit_asks_for_no_piece(page, address, site, model_path):
    bring(page)
    site.reset()
    visit(page, address[0])
    found = bring(page)["result"]
    assert site.pieces_asked() == []
    assert found["digest"] == whole(model_path)
    assert found["isKept"] is True
    assert found["told"][-1] == model_path.stat().st_size


@pytest.mark.parametrize("rule", [cut_off, missing], ids=["cut off", "missing"])
def test_a_download_that_failed_goes_on_where_it_was(page, site, model_path, rule):
    site.rule(site.names[3], rule)
    problem = LOST if rule is cut_off else "The model’s file is not where it should be (404)."  # fmt: skip
    assert bring(page) == {"name": "Error", "message": problem}
    kept = page.evaluate("pieces.readIndex(folder).then(pieces.bytesKept)")
    assert kept == 3 * PIECE
    site.asked.clear()
    assert bring(page)["result"]["digest"] == whole(model_path)
    assert site.pieces_asked() == site.names[3:]


def test_no_connection_at_all(page, site):
    page.context.set_offline(True)
    assert bring(page) == {"name": "Error", "message": LOST}
    page.context.set_offline(False)
    assert "result" in bring(page)


def test_a_download_that_was_stopped_goes_on_where_it_was(page, site, model_path):
    site.rule(site.names[2], waiting(site))
    page.evaluate("""() => {
      window.controller = new AbortController();
      window.stopped = outcome(bring({ signal: controller.signal }));
    }""")
    assert site.arrived.wait(20)
    page.evaluate("controller.abort()")
    assert page.evaluate("stopped")["name"] == "AbortError"
    site.go_on.set()
    assert site.pieces_asked() == site.names[:3]
    site.asked.clear()
    assert bring(page)["result"]["digest"] == whole(model_path)
    assert site.pieces_asked() == site.names[2:]


@pytest.mark.parametrize("rule", [damaged, longer, shorter])
def test_a_damaged_piece_is_fetched_anew(page, site, model_path, rule):
    name = site.names[1]
    site.rule(name, rule)
    found = bring(page)["result"]
    assert found["digest"] == whole(model_path)
    assert site.pieces_asked() == [site.names[0], name, *site.names[1:]]


@pytest.mark.parametrize("rules", [(damaged, damaged), (longer, shorter)])
def test_a_piece_that_is_damaged_twice_is_told(page, site, model_path, rules):
    site.rule(site.names[1], *rules)
    assert bring(page) == {"name": "Error", "message": DAMAGED}
    site.asked.clear()
    assert bring(page)["result"]["digest"] == whole(model_path)
    assert site.pieces_asked() == site.names[1:]


def test_what_is_kept_is_checked(page, site, model_path):
    bring(page)
    spoil = """
    async (wrong) => {
      const cache = await caches.open("lmmath-model");
      for (const [url, content] of wrong) await cache.put(url, new Response(content));
    }
    """
    wrong = [[f"/model/{site.names[1]}", "short"], [f"/model/{site.names[2]}", "x" * PIECE]]  # fmt: skip
    page.evaluate(spoil, wrong)
    site.asked.clear()
    assert bring(page)["result"]["digest"] == whole(model_path)
    assert site.pieces_asked() == site.names[1:3]
    site.asked.clear()
    assert bring(page)["result"]["isKept"] is True
    assert site.pieces_asked() == []


def test_pieces_of_an_older_edition_are_dropped(page, site, tmp_path, model_path):
    bring(page)
    old = site.names
    content = model_path.read_bytes()
    other = tmp_path / "other.gguf"
    other.write_bytes(content[: 2 * PIECE] + bytes(reversed(content[2 * PIECE : -100])))
    write_pieces(site.folder, other, PIECE)
    new = site.names
    assert old[:2] == new[:2]
    site.asked.clear()
    found = bring(page)["result"]
    assert found["digest"] == whole(other)
    assert site.pieces_asked() == new[2:]
    kept = page.evaluate("""async () => {
      const keys = await (await caches.open("lmmath-model")).keys();
      return keys.map(({ url }) => url.split("/").at(-1));
    }""")
    assert sorted(kept) == sorted(new)


def test_a_model_can_be_forgotten(page, site):
    bring(page)
    assert page.evaluate("caches.keys()") == ["lmmath-model"]
    page.evaluate("pieces.forgetPieces()")
    assert page.evaluate("caches.keys()") == []
    assert page.evaluate("pieces.readIndex(folder).then(pieces.bytesKept)") == 0


@pytest.mark.parametrize(
    "index",
    [
        "",
        "<!doctype html>",
        "null",
        "[]",
        '{"size": 5}',
        '{"size": 5, "pieces": []}',
        '{"size": 5, "pieces": [{"size": 4}]}',
        '{"size": 0, "pieces": [{"size": 4}, {"size": -4}]}',
        '{"size": null, "pieces": [{"size": null}]}',
    ],
)
def test_a_list_of_pieces_that_cannot_be_read(page, site, index):
    site.rule("index.json", text_of(index))
    message = "The list of the model’s pieces cannot be read."
    assert bring(page) == {"name": "Error", "message": message}


def test_a_site_without_the_model(page, site):
    site.rule("index.json", missing)
    message = "The model’s file is not where it should be (404)."
    assert bring(page) == {"name": "Error", "message": message}


NO_CACHE = {
    "none": "delete Object.getPrototypeOf(window).caches; delete window.caches;",
    "refused": "CacheStorage.prototype.open = () => Promise.reject(new DOMException('', 'SecurityError'));",
    "full": "Cache.prototype.put = () => Promise.reject(new DOMException('', 'QuotaExceededError'));",
    "broken": """for (const name of ["put", "match", "keys", "delete"]) {
      Cache.prototype[name] = () => Promise.reject(new DOMException('', 'UnknownError'));
    }""",
}


@pytest.mark.parametrize("kind", NO_CACHE)
def test_without_a_cache_the_model_comes_each_time(
    chromium, address, site, model_path, kind
):
    with open_page(chromium, address[0], NO_CACHE[kind]) as page:
        if kind == "none":
            assert page.evaluate("typeof caches") == "undefined"
        for _ in range(2):
            site.asked.clear()
            found = bring(page)["result"]
            assert found["digest"] == whole(model_path)
            assert found["isKept"] is False
            assert found["kept"] == 0
            assert site.pieces_asked() == site.names
        page.evaluate("pieces.forgetPieces()")


def test_room_for_some_pieces(chromium, address, site, model_path):
    limited = """
    const { put } = Cache.prototype;
    let room = 2;
    Cache.prototype.put = function (...given) {
      if (room === 0) return Promise.reject(new DOMException("", "QuotaExceededError"));
      room -= 1;
      return put.apply(this, given);
    };
    """
    with open_page(chromium, address[0], limited) as page:
        found = bring(page)["result"]
        assert (found["isKept"], found["kept"]) == (False, 2 * PIECE)
        site.asked.clear()
        found = bring(page)["result"]
        assert found["digest"] == whole(model_path)
        assert found["isKept"] is False
        assert site.pieces_asked() == site.names[2:]


NO_SUBTLE = "Object.defineProperty(Crypto.prototype, 'subtle', { get: () => undefined });"  # fmt: skip


def test_where_the_browser_has_no_sha256(chromium, address, site, model_path):
    with open_page(chromium, address[0], NO_SUBTLE) as page:
        assert page.evaluate("crypto.subtle === undefined")
        site.rule(site.names[1], damaged)
        found = bring(page)["result"]
        assert found["digest"] == whole(model_path)
        assert len(site.pieces_asked()) == len(site.names) + 1


SHA256 = """
async (lengths) => {
  const { sha256, digestOf } = await import("/engines/sha256.js");
  const found = [];
  for (const length of lengths) {
    // A part of a larger array, as a piece is.
    const bytes = Uint8Array.from({ length: length + 7 }, (_, i) => (i * 151 + length) % 256).subarray(3, -4);
    const own = Array.from(digestOf(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
    found.push([own, await sha256(bytes)]);
  }
  return found;
}
"""


def test_sha256_is_that_of_hashlib(page):
    lengths = [*range(260), 1000, 4095, 4096, 4097, 100_000]
    for length, found in zip(lengths, page.evaluate(SHA256, lengths), strict=True):
        content = bytes((i * 151 + length) % 256 for i in range(3, length + 3))
        expected = hashlib.sha256(content).hexdigest()
        assert found == [expected, expected], length


# The worker, and widgets that share it

LOADED = {"name": "a small model", "isKept": True, "isFast": True}


def load(page):
    return page.evaluate("outcome(model.load())")


def test_widgets_share_one_download_and_one_worker(page, site, model_path):
    workers = []
    page.on("worker", lambda worker: workers.append(worker))
    first, second = page.evaluate(
        "Promise.all([outcome(model.load()), outcome(model.load())])"
    )
    assert first == second
    config = first["result"].pop("config")
    assert first["result"] == LOADED
    assert config["d_model"] == 64
    assert load(page)["result"]["isKept"] is True  # a third, who comes later
    assert site.asked == ["index.json", *site.names]
    assert len(workers) == 1
    assert page.evaluate("bytes.at(-1)") == model_path.stat().st_size
    assert page.evaluate("events") == [["ready", "a small model"]]
    assert page.evaluate("[model.isLoading, model.description.name]") == [
        False,
        "a small model",
    ]


def test_a_download_is_stopped_for_all_and_tried_again(page, site):
    page.evaluate("model.stop()")  # nothing is coming yet
    site.rule(site.names[2], waiting(site))
    page.evaluate(
        "() => { window.all = [outcome(model.load()), outcome(model.load())]; }"
    )
    assert site.arrived.wait(20)
    assert page.evaluate("model.isLoading") is True
    page.evaluate("model.stop()")
    for outcome in page.evaluate("Promise.all(all)"):
        assert outcome["name"] == "AbortError"
    assert page.evaluate("[model.isLoading, model.description]") == [False, None]
    assert [kind for kind, _ in page.evaluate("events")] == ["problem"]
    site.go_on.set()
    site.asked.clear()
    assert load(page)["result"]["isKept"] is True
    assert site.pieces_asked() == site.names[2:]
    page.evaluate("model.stop()")  # too late: nothing happens
    assert page.evaluate("outcome(model.read({ text: 'a' }))")["result"]


def test_a_download_that_was_stopped_can_be_tried_again_at_once(page, site):
    site.rule(site.names[0], waiting(site))
    page.evaluate("() => { window.first = outcome(model.load()); }")
    assert site.arrived.wait(20)
    again = """
    async () => {
      model.stop();
      const stopped = await first;
      return [stopped, await outcome(model.load())];
    }
    """
    stopped, loaded = page.evaluate(again)
    assert stopped["name"] == "AbortError"
    assert loaded["result"]["name"] == "a small model"


def test_stopping_a_download_stops_nothing_else(page, site):
    site.rule(site.names[1], waiting(site))
    page.evaluate("""() => {
      window.loading = outcome(model.load());
      window.reading = outcome(model.read({ text: "a" }));
    }""")
    assert site.arrived.wait(20)
    page.evaluate("model.stop()")
    assert page.evaluate("loading")["name"] == "AbortError"
    reading = page.evaluate("reading")
    assert reading == {"name": "Error", "message": "The model is not loaded."}


def test_what_goes_wrong_is_told_and_can_be_tried_again(page, site):
    site.rule(site.names[1], cut_off)
    assert load(page) == {"name": "Error", "message": LOST}
    site.rule(site.names[1], damaged, damaged)
    assert load(page) == {"name": "Error", "message": DAMAGED}
    assert load(page)["result"]["isKept"] is True
    assert page.evaluate("events") == [
        ["problem", LOST],
        ["problem", DAMAGED],
        ["ready", "a small model"],
    ]


def test_without_a_model_nothing_is_read(page):
    for task in ("read({ text: 'a' })", "write({ text: 'a', count: 1 })"):
        found = page.evaluate(f"outcome(model.{task})")
        assert found == {"name": "Error", "message": "The model is not loaded."}


def test_a_worker_that_cannot_start(chromium, address, site):
    with open_page(chromium, address[0], prefix="/missing") as page:
        both = (
            "Promise.all([outcome(model.load()), outcome(model.read({ text: 'a' }))])"
        )
        problem = {"name": "Error", "message": "The model could not start here."}
        assert page.evaluate(both) == [problem, problem]
        assert page.evaluate("[model.isLoading, model.description]") == [False, None]
        assert page.evaluate(both) == [problem, problem]  # and again
        assert page.evaluate("""() => {
          const controller = new AbortController();
          const reading = outcome(model.read({ text: "a" }, { signal: controller.signal }));
          return reading.then(() => controller.abort()).then(() => "nothing happens");
        }""") == "nothing happens"  # fmt: skip
    with open_page(chromium, address[0], "delete window.Worker;") as page:
        assert load(page)["name"] == "ReferenceError"
        assert page.evaluate("model.isLoading") is False


# What the model does


READ = """
async ([asked, positions]) => {
  const told = [];
  const reading = await model.read(asked, { tell: (n) => told.push(n) });
  const { lens, attention, ...shown } = reading;
  const lenses = [];
  for (const position of positions) lenses.push(await lens(position));
  return { ...shown, told, attention: Array.from(attention), lenses };
}
"""


@pytest.mark.parametrize("text", ["the moon", "h", "to the moon and back 12 é"])
def test_a_reading_is_what_lmmaths_trace_is(page, model_path, text):
    load(page)
    params, config = load_llama(model_path)
    tokenizer = BPETokenizer.from_gguf(model_path)
    trace = read_trace(params, config, tokenizer, text)
    n = len(trace.tokens)
    found = page.evaluate(READ, [{"text": text}, list(range(n))])
    assert found["tokens"] == trace.tokens.tolist()
    assert found["pieces"] == list(trace.pieces)
    assert found["told"][-1] == n
    assert [found["n_layers"], found["n_heads"]] == [2, 4]
    weights = iter(found["attention"])
    for layer in range(2):
        for head in range(4):
            for i in range(n):
                row = [next(weights) / 255 for _ in range(i + 1)]
                expected = trace.attention[layer, head, i, : i + 1]
                np.testing.assert_allclose(row, expected, rtol=0, atol=0.006)
    assert next(weights, None) is None
    np.testing.assert_allclose(found["losses"], trace.losses, rtol=0, atol=0.02)
    for shown, ids, probabilities in (
        (found["next"], trace.next_ids, trace.next_probabilities),
        (np.swapaxes(found["lenses"], 0, 1), trace.lens_ids, trace.lens_probabilities),
    ):
        shown = np.asarray(shown)[..., : ids.shape[-1]]
        assert shown.shape == ids.shape[: shown.ndim]
        for one, i, probability in zip(
            shown.flat, ids.flat, probabilities.flat, strict=True
        ):
            assert one["probability"] == pytest.approx(probability, abs=5e-3)
            assert one["id"] == i or probability < 1
    last = found["last"]
    assert last["logits"] == sorted(last["logits"], reverse=True)
    n_others = sum(bin_["count"] for bin_ in last["tail"])
    assert len(last["ids"]) + n_others == config.vocab_size


def test_a_lens_belongs_to_its_own_text(page):
    load(page)
    texts = ["the moon", "a", "of mice and men", "sun", "h"]
    mixed = page.evaluate(
        """
        async (texts) => {
          const readings = [];
          for (const text of texts) readings.push(await model.read({ text }));
          return Promise.all(readings.map((reading) => reading.lens(1)));
        }
        """,
        texts,
    )
    for text, lens in zip(texts, mixed, strict=True):
        assert page.evaluate(READ, [{"text": text}, [1]])["lenses"] == [lens]
    assert len({json.dumps(lens) for lens in mixed}) == len(texts)


def test_what_is_switched_off_is_not_mixed_up(page):
    load(page)
    script = """
    async (all) => {
      const found = [];
      for (const [heads, zeros] of all) {
        const edits = heads ? { heads: new Set(heads), zeros } : undefined;
        found.push(Array.from((await model.read({ text: "the moon", edits })).losses));
      }
      return found;
    }
    """
    zero = {"stage": 1, "feature": 3}
    edits = [
        None,
        [[], []],
        [["0.1"], []],
        [["1.1"], []],
        [[], [zero]],
        [[], [zero | {"position": 2}]],
    ]
    edits = [one or [None, None] for one in edits]
    losses = page.evaluate(script, edits + edits)
    assert losses[: len(edits)] == losses[len(edits) :]
    assert losses[0] == losses[1]
    assert len({tuple(one) for one in losses}) == len(edits) - 1


def test_a_text_that_is_too_long(page):
    load(page)
    found = page.evaluate("outcome(model.read({ text: 'a'.repeat(256) }))")
    assert found["message"].startswith("A text that is looked into has at most 256")
    assert "result" in page.evaluate("outcome(model.read({ text: 'a' }))")
    long = "outcome(model.write({ text: 'a'.repeat(300), count: 1 }))"
    assert page.evaluate(long)["message"].startswith("The model sees at most 300")


def test_who_stops_reading_leaves_the_others_alone(page):
    load(page)
    script = """
    async () => {
      const text = "x".repeat(200);
      const [first, second] = [new AbortController(), new AbortController()];
      const asked = [
        outcome(model.read({ text }, { signal: first.signal, tell: (n) => n > 8 && first.abort() })),
        outcome(model.read({ text: text + "y" }, { signal: second.signal })),
        outcome(model.read({ text: "the" })),
      ];
      second.abort();
      const found = await Promise.all(asked);
      const before = await outcome(model.read({ text: "a" }, { signal: first.signal }));
      first.abort(); // again, when nothing is asked
      return [...found.map(({ name, result }) => name ?? result.tokens.length), before.name];
    }
    """
    expected = ["AbortError", "AbortError", 2, "AbortError"]
    assert page.evaluate(script) == expected


def test_a_long_reading_can_be_stopped_while_it_runs(page):
    load(page)
    script = """
    async () => {
      const controller = new AbortController();
      const told = [];
      const signal = controller.signal;
      const text = "x".repeat(255);
      const stopped = outcome(model.read({ text }, { signal, tell: (n) => { told.push(n); controller.abort(); } }));
      const { name } = await stopped;
      const after = await model.read({ text: "a" });
      // A text that was read to its end stays for a while. This one was not.
      const again = [];
      await model.read({ text }, { tell: (n) => again.push(n) });
      return [name, told.length, after.tokens.length, again.at(-1)];
    }
    """
    assert page.evaluate(script) == ["AbortError", 1, 2, 256]


WRITE = """
async ([asked, settings]) => {
  const told = [];
  const random = Array.from({ length: 100 }, (_, i) => (i * 0.618) % 1);
  const found = await model.write({ ...asked, settings, random }, { tell: (news) => told.push(news) });
  return { ...found, told };
}
"""


def test_a_text_goes_on(page, model_path):
    load(page)
    tokenizer = BPETokenizer.from_gguf(model_path)
    greedy = {"temperature": 0, "topK": None, "topP": 1, "minP": 0}
    found = page.evaluate(WRITE, [{"text": "the moon", "count": 12}, greedy])
    n = len(found["tokens"])
    assert 1 <= n <= 12
    told = found["told"]
    assert [news["token"] for news in told] == found["tokens"]
    assert told[-1]["text"] == found["text"] == tokenizer.decode(found["tokens"])
    again = page.evaluate(READ, [{"text": "the moon"}, []])
    assert told[0]["token"] == again["next"][-1][0]["id"]
    assert told[0]["probability"] == pytest.approx(
        again["next"][-1][0]["probability"], rel=1e-6
    )


def test_a_text_ends_where_the_model_can_see_no_more(page):
    load(page)
    warm = {"temperature": 1, "topK": 1000, "topP": 1, "minP": 0}
    asked = {"text": "a" * 295, "count": 50}
    found = page.evaluate(WRITE, [asked, warm])
    assert len(found["tokens"]) <= 4


BAD_MODELS = {
    "pre-tokenizer": ({"pre": "gpt5"}, "The model’s tokenizer must be gpt2, smollm, got gpt2, gpt5."),
    "known to objects": ({"pre": "constructor"}, "must be gpt2, smollm, got gpt2, constructor."),
    "tokenizer": ({"tokenizer": "llama"}, "must be gpt2, smollm, got llama, smollm."),
    "fewer words": ({"n_words": 261}, "The model knows 262 tokens, its tokenizer 261."),
    "marks": ({"marks": ["<a>", "<b>", "<c>"]}, "The model’s tokenizer lacks <|im_end|>."),
    "family": ({"architecture": "qwen2"}, "The model must be of Llama’s family, got qwen2."),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_MODELS)
def test_a_model_that_the_page_cannot_use(page, site, tmp_path, name):
    spoiled, problem = BAD_MODELS[name]
    write_model(tmp_path / "model.gguf", **spoiled)
    write_pieces(site.folder, tmp_path / "model.gguf", PIECE)
    found = load(page)
    assert re.search(re.escape(problem), found.get("message", "nothing"))
    assert page.evaluate("model.isLoading") is False


def test_a_file_that_is_no_model(page, site, tmp_path):
    (tmp_path / "file").write_bytes(b"GGUF" + bytes(5 * PIECE))
    write_pieces(site.folder, tmp_path / "file", PIECE)
    found = load(page)
    assert found["message"].startswith("The model’s file cannot be read: ")
