"""Traces hold what the model does, small files hold the traces, and the site gets the files."""

import doctest
import functools
import gzip
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.spatial
import scipy.special
import traces as extension  # book/_ext/traces.py
from libraries import close

import lmmath.traces
from lmmath.chat import chat_tokens
from lmmath.experiments import (
    gift_sentences,
    load_kept,
    pronoun_attention,
    pronoun_sentences,
    sink_shares,
    tokens_of,
)
from lmmath.experiments.head_roles import (
    N_GIFTS,
    THRESHOLDS,
    gift_attention,
    head_names,
    head_scores,
)
from lmmath.language_models import (
    RecurrentConfig,
    forward,
    init,
    lens,
    trace,
)
from lmmath.tokenization import BPETokenizer
from lmmath.traces import (
    SENTENCES,
    Trace,
    last_probabilities,
    pack,
    read_trace,
    unpack,
)
from lmmath.transformer import GPTConfig, LlamaConfig
from lmmath.weights import load_smollm2

MARK = "<|endoftext|>"
LETTERS = BPETokenizer([(b"h", b"e"), (b" ", b"M")], [MARK, "<|im_start|>"])
MANY = BPETokenizer([], [MARK, *(f"<{i}>" for i in range(743))])
CONFIGS = {
    "gpt": (GPTConfig(260, n_positions=90, d_model=8, n_layers=2, n_heads=4), LETTERS),
    "llama": (LlamaConfig(260, 90, 8, n_layers=3, n_heads=4, d_ff=6, n_kv_heads=2), LETTERS),
    "many": (LlamaConfig(1000, 30, 8, n_layers=1, n_heads=2, d_ff=6), MANY),
}  # fmt: skip


def random_model(name):
    config, tokenizer = CONFIGS[name]
    rng = np.random.default_rng(11)
    params = init(config, rng, np.float64)
    params = {n: a + 0.5 * rng.normal(size=a.shape) for n, a in params.items()}
    return params, config, tokenizer


@pytest.fixture(params=CONFIGS)
def model(request):
    return random_model(request.param)


# What a trace holds


def test_a_trace_is_what_the_model_does(model):
    params, config, tokenizer = model
    text = "the moon, é"
    seen = read_trace(*model, text)
    tokens = tokens_of(text, tokenizer)
    n = len(tokens)
    assert seen.text == text
    assert seen.tokens.tolist() == tokens.tolist()
    assert seen.pieces[0] == MARK
    assert seen.pieces[-2:] == ["�", "�"]
    assert "".join(seen.pieces[1:-2]) == "the moon, "
    residuals, attention = trace(config, params, tokens)
    close(seen.attention, np.stack(attention), 1e-6)
    for stage, x in enumerate(residuals):
        probabilities = scipy.special.softmax(lens(config, params, x), axis=1)
        for i in range(n):
            order = np.argsort(-probabilities[i])
            assert seen.lens_ids[stage, i].tolist() == order[:5].tolist()
            close(seen.lens_probabilities[stage, i], probabilities[i, order[:5]], 1e-6)
            rank = 1 + order.tolist().index(tokens[i + 1]) if i + 1 < n else 0
            assert seen.lens_ranks[stage, i] == rank
    logits = forward(config, params, tokens)
    rows = scipy.special.log_softmax(logits, axis=1)
    for i in range(n):
        order = np.argsort(-rows[i])
        assert seen.next_ids[i].tolist() == order[:20].tolist()
        close(seen.next_probabilities[i], np.exp(rows[i, order[:20]]), 1e-6)
    close(seen.losses, [-rows[i, tokens[i + 1]] for i in range(n - 1)], 1e-6)
    order = np.argsort(-logits[-1])
    assert seen.last_ids.tolist() == order[:400].tolist()
    close(seen.last_logits, (logits[-1] - logits[-1].max())[order[:400]], 1e-6)
    for stage, x in enumerate(residuals):
        at = np.unravel_index(np.argmax(np.abs(x)), x.shape)
        assert seen.largest_features[stage] == at[1]
        close(seen.largest_sizes[stage], np.abs(x[at]), 1e-6)
        others = np.where(np.arange(config.d_model) == at[1], 0, x)
        for found, rows in zip(seen.cosines[:, stage], (x, others), strict=True):
            distances = scipy.spatial.distance.cdist(rows, rows, "cosine")
            close(found, 1 - distances, 1e-6)


def test_the_other_logits_are_counted_in_bins():
    params, config, tokenizer = model = random_model("many")
    seen = read_trace(*model, "the moon")
    row = forward(config, params, tokens_of("the moon", tokenizer))[-1]
    others = np.sort(row - row.max())[:600]
    assert seen.tail_counts.sum() == 600
    edges = np.linspace(others[0], others[-1], 65)
    for k, (mean, count) in enumerate(
        zip(seen.tail_logits, seen.tail_counts, strict=True)
    ):
        above = others <= edges[k + 1] if k == 63 else others < edges[k + 1]
        inside = others[(others >= edges[k]) & above]
        assert count == len(inside)
        close(mean, inside.mean() if count else 0, 1e-6)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0, 30.0])
@pytest.mark.parametrize("name", CONFIGS)
def test_the_tail_tells_the_probabilities_at_any_temperature(name, temperature):
    params, config, tokenizer = model = random_model(name)
    text = "a wheel of the old mill"
    row = forward(config, params, tokens_of(text, tokenizer))[-1]
    expected = scipy.special.softmax(row / temperature)
    exact = read_trace(*model, text)
    packed, _ = unpack(pack(exact, tokenizer))
    for seen in (exact, packed):
        probabilities, rest = last_probabilities(seen, temperature)
        close(probabilities, expected[seen.last_ids], 3e-3)
        close(rest, 1 - expected[seen.last_ids].sum(), 3e-3)
        close(probabilities.sum() + rest, 1)


def test_a_chat_is_read_as_the_model_learned_it():
    params, config, tokenizer = random_model("llama")
    seen = read_trace(params, config, tokenizer, "<|im_start|>hey")
    assert seen.pieces == ["<|im_start|>", "he", "y"]
    typed = read_trace(params, config, tokenizer, "say <|im_start|>")
    assert len(typed.tokens) == 17


@pytest.mark.parametrize("temperature", [0, -1, float("nan"), float("inf"), "1"])
def test_a_bad_temperature_is_named(temperature):
    seen = read_trace(*random_model("llama"), "the")
    with pytest.raises(
        ValueError, match="temperature must be a finite number above 0, got"
    ):
        last_probabilities(seen, temperature)


def test_what_cannot_be_read_is_named():
    params, config, tokenizer = random_model("llama")
    with pytest.raises(ValueError, match="text must hold at least one character"):
        read_trace(params, config, tokenizer, "")
    with pytest.raises(ValueError, match="tokens must fit into 90 positions, got 91"):
        read_trace(params, config, tokenizer, 90 * "a")
    with pytest.raises(ValueError, match="tokenizer must have the model's vocab_size"):
        read_trace(params, config, MANY, "a")
    recurrent = RecurrentConfig(260, 20, 4)
    params = init(recurrent, np.random.default_rng(0))
    with pytest.raises(TypeError, match="config must be of a model with heads"):
        read_trace(params, recurrent, tokenizer, "a")


# Files


def check_round_trip(seen, found):
    """Compare what was packed with what came back, within what the format promises."""
    n = len(seen.tokens)
    assert np.abs(found.attention - seen.attention).max() <= 1 / 510 + 1e-6
    assert not np.triu(found.attention, k=1).any()
    assert np.abs(found.attention.sum(axis=-1) - 1).max() <= n / 510
    halved = ("lens_probabilities", "next_probabilities", "last_logits")
    for name in halved:
        close_to = np.maximum(np.abs(getattr(seen, name)) * 2**-11, 2**-25)
        assert np.all(np.abs(getattr(found, name) - getattr(seen, name)) <= close_to)
    assert np.abs(found.cosines - seen.cosines).max() <= 1 / 254 + 1e-6
    assert np.array_equal(found.cosines, found.cosines.swapaxes(-1, -2))
    for name in set(Trace._fields) - {"attention", "cosines", *halved}:
        here, there = getattr(found, name), getattr(seen, name)
        assert np.array_equal(here, there), name
        assert type(here) is type(there), name
        assert getattr(here, "dtype", None) == getattr(there, "dtype", None), name


def test_what_was_packed_comes_back(model):
    tokenizer = model[2]
    for text in ("h", "the moon, é", '\n\t"quoted" 🌙 <|endoftext|>'):
        seen = read_trace(*model, text)
        packed = pack(seen, tokenizer)
        found, words = unpack(packed)
        check_round_trip(seen, found)
        assert pack(found, tokenizer) == packed
        ids = {*seen.tokens, *seen.lens_ids.flat, *seen.next_ids.flat, *seen.last_ids}
        assert words == {i: tokenizer.decode([i]) for i in ids}


def test_the_same_trace_makes_the_same_file(monkeypatch):
    seen = read_trace(*random_model("llama"), "the moon")
    first = pack(seen, LETTERS)
    monkeypatch.setattr("time.time", lambda: 1e9)
    assert pack(seen, LETTERS) == first


def test_a_vocabulary_too_large_or_another_is_named():
    seen = read_trace(*random_model("many"), "the")
    with pytest.raises(
        ValueError, match="tokenizer must have at most 65536 tokens, got 65537"
    ):
        pack(seen, SimpleNamespace(vocab_size=65_537))
    with pytest.raises(
        ValueError,
        match="tokenizer must be that of the trace, got one of 260 tokens",
    ):
        pack(seen, LETTERS)


def with_header(content, change):
    """Damage a file by a change to its header."""
    whole = gzip.decompress(content)
    end = 4 + int.from_bytes(whole[:4], "little")
    header = json.loads(whole[4:end])
    change(header)
    text = json.dumps(header).encode()
    return gzip.compress(len(text).to_bytes(4, "little") + text + whole[end:])


def with_whole(change):
    return lambda content: gzip.compress(change(gzip.decompress(content)))


def with_field(**fields):
    return lambda content: with_header(content, lambda header: header.update(fields))


def with_place(**fields):
    return lambda c: with_header(c, lambda h: h["arrays"]["lens_ids"].update(fields))


DAMAGES = {
    "empty": (lambda c: b"", "it (has only 0 bytes|is no whole gzip file)"),
    "a page": (lambda c: b"<!DOCTYPE html><title>404</title>", "it is no whole gzip"),
    "half": (lambda c: c[: len(c) // 2], "it is no whole gzip file"),
    "one wrong byte": (lambda c: c[:-9] + bytes([c[-9] ^ 1]) + c[-8:], "it is no whole gzip"),
    "wrong sum": (lambda c: c[:-8] + b"\0\0\0\0" + c[-4:], "it is no whole gzip file"),
    "nothing": (with_whole(lambda w: b""), "it has only 0 bytes"),
    "short": (with_whole(lambda w: w[:3]), "it has only 3 bytes"),
    "no header": (with_whole(lambda w: w[:4]), "it ends within its header"),
    "half a header": (with_whole(lambda w: w[:90]), "it ends within its header"),
    "no JSON": (with_whole(lambda w: b"\2\0\0\0[}"), "its header cannot be read"),
    "no UTF-8": (with_whole(lambda w: b"\2\0\0\0\xff\xfe"), "its header cannot be read"),
    "a list": (with_whole(lambda w: b"\2\0\0\0[]"), "its header cannot be read"),
    "null": (with_whole(lambda w: b"\4\0\0\0null"), "its header cannot be read"),
    "an object": (with_whole(lambda w: b"\2\0\0\0{}"), "its format is null"),
    "other kind": (with_field(format="x"), 'its format is "x"'),
    "no vocabulary": (with_field(vocab_size=None), "its sizes are no sizes"),
    "no layers": (with_field(n_layers=0), "its sizes are no sizes"),
    "half a head": (with_field(n_heads=1.5), "its sizes are no sizes"),
    "more layers": (with_field(n_layers=4), "its list of arrays does not fit its sizes"),
    "far too many": (with_field(n_heads=2**50), "its list of arrays does not fit its sizes"),
    "no token": (with_field(tokens=[]), "its tokens are no list of integers"),
    "text": (with_field(tokens="abc"), "its tokens are no list of integers"),
    "half a token": (with_field(tokens=[1.5, 2]), "its tokens are no list of integers"),
    "fewer pieces": (with_field(pieces=["a"]), "its text and its pieces are not those"),
    "no pieces": (with_field(pieces=None), "its text and its pieces are not those"),
    "other pieces": (with_field(pieces=9 * [1]), "its text and its pieces are not those"),
    "no text": (with_field(text=None), "its text and its pieces are not those"),
    "more tokens": (with_field(tokens=10 * [0], pieces=10 * [""]), "its list of arrays does not"),
    "no words": (with_field(words=None), "its words are not those of its ids"),
    "other words": (with_field(words={"1": "a"}), "its words are not those of its ids"),
    "listed words": (with_field(words=["a"]), "its words are not those of its ids"),
    "numbers": (lambda c: with_header(c, lambda h: h["words"].update(dict.fromkeys(h["words"], 1))), "its words"),
    "no arrays": (with_field(arrays=None), "its list of arrays does not fit its sizes"),
    "one fewer": (lambda c: with_header(c, lambda h: h["arrays"].pop("losses")), "its list of arrays"),
    "one more": (lambda c: with_header(c, lambda h: h["arrays"].update(x=None)), "its list of arrays"),
    "dtype": (with_place(dtype="float64"), "its list of arrays does not fit its sizes"),
    "shape": (with_place(shape=[5, 9, 4]), "its list of arrays does not fit its sizes"),
    "no shape": (with_place(shape=None), "its list of arrays does not fit its sizes"),
    "place": (with_place(offset=1), "its list of arrays does not fit its sizes"),
    "truncated": (with_whole(lambda w: w[:-1]), "its header speaks of \\d+ bytes of numbers, it has"),
    "too long": (with_whole(lambda w: w + b"\0"), "its header speaks of \\d+ bytes of numbers, it has"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_told(name):
    damage, problem = DAMAGES[name]
    content = pack(read_trace(*random_model("llama"), "the moon,"), LETTERS)
    assert len(unpack(content)[0].tokens) == 9
    with pytest.raises(ValueError, match=rf"^The trace cannot be read: {problem}.*\.$"):
        unpack(damage(content))


# The sentences, read by the real model


@functools.cache
def real():
    return load_smollm2()


@functools.cache
def read(label):
    return read_trace(*real(), SENTENCES[label])


def after(seen, piece, which=-1):
    """Give what the model expects after a piece of the text, from text to probability."""
    at = [i for i, other in enumerate(seen.pieces) if other == piece][which]
    words = map(real().tokenizer.decode, seen.next_ids[at, :, None])
    return dict(zip(words, seen.next_probabilities[at], strict=True))


def best(expected):
    return max(expected, key=expected.get)


@pytest.mark.parametrize("label", SENTENCES)
def test_a_sentence_of_a_dozen_fits_into_a_small_file(label):
    seen = read(label)
    packed = pack(seen, real().tokenizer)
    assert len(packed) < 100_000
    check_round_trip(seen, unpack(packed)[0])
    assert 12 <= len(seen.tokens) <= 26
    assert seen.attention.shape[:2] == (30, 9)
    assert seen.lens_ids.shape[0] == 31
    first = "<|im_start|>" if label == "a chat" else MARK
    assert seen.pieces[0] == first
    # What the model expects is what the last stage of the lens says.
    assert np.array_equal(seen.lens_ids[-1], seen.next_ids[:, :5])
    rows = np.log(seen.next_probabilities.astype(float))
    for i, (rank, token) in enumerate(
        zip(seen.lens_ranks[-1], seen.tokens[1:], strict=False)
    ):
        if rank <= 20:
            assert seen.next_ids[i, rank - 1] == token
            close(seen.losses[i], -rows[i, rank - 1], 1e-4)


def test_there_are_a_dozen_and_the_first_has_a_pronoun():
    assert len(SENTENCES) == 12
    assert next(iter(SENTENCES.values())).startswith(
        "The cat sat on the mat because it"
    )


def test_the_new_name_comes_back_and_so_does_what_followed_it():
    seen = read("a new name that comes back")
    assert seen.pieces.count("vik") == 2
    assert best(after(seen, "or")) == "vik"
    assert best(after(seen, " the")) == " mill"
    second = np.flatnonzero(np.asarray(seen.pieces) == "vik")[1]
    assert np.all(seen.losses[[second - 2, second - 1]] < 0.1)


def test_the_fact_is_known_and_found_in_late_layers():
    seen = read("a fact")
    assert best(after(seen, " of", 0)) == " Paris"
    assert best(after(seen, " of")) == " France"
    ranks = seen.lens_ranks[:, seen.pieces.index(" Paris") - 1]
    assert ranks[-1] == 1
    assert ranks[:15].min() > 20


def test_every_sum_is_right():
    for line in SENTENCES["sums"].split("\n"):
        left, right = line.split(" = ")
        assert sum(map(int, left.split(" + "))) == int(right)
    seen = read("sums")
    results = [
        i for i, piece in enumerate(seen.pieces) if i > 1 and seen.pieces[i - 2] == " ="
    ]
    assert [seen.pieces[i] for i in results] == ["7", "4", "8"]
    # From two examples the model sees what is wanted.
    first, second, third = seen.losses[np.asarray(results) - 1]
    assert max(second, third) < first / 2
    assert best(after(seen, " ")) == "8"


def test_the_code_runs_and_is_foreseen():
    names = {}
    exec(SENTENCES["code"], names)
    assert names["area"](3, 4) == 12
    seen = read("code")
    assert best(after(seen, " *")) == " height"
    assert np.median(seen.losses) < 0.5


def test_spanish_takes_more_tokens_and_knows_less():
    seen = read("Spanish")
    words = SENTENCES["Spanish"].split()
    assert len(seen.tokens) - 1 > 1.3 * len(words)
    assert best(after(seen, " es")) != " Roma"
    english = "The capital of France is Paris and the capital of Italy is"
    known = read_trace(*real(), english)
    assert real().tokenizer.decode(known.last_ids[:1]) == " Rome"


def test_the_other_one_of_two_names_is_given_the_key():
    expected = after(read("two names"), " to")
    assert best(expected) == " Peter"
    assert expected[" Peter"] > 5 * expected.get(" Mark", 0)


def test_the_verb_agrees_with_the_keys():
    expected = after(read("agreement over a distance"), " kitchen")
    assert best(expected) == " are"
    assert expected[" are"] > 3 * expected.get(" is", 0)


def test_the_bracket_is_closed():
    assert best(after(read("a bracket to close"), " apples")) == ")"


def test_the_model_counts():
    seen = read("counting")
    assert best(after(seen, ",")) == " eight"
    for number, following in (("three", "four"), ("five", "six"), ("six", "seven")):
        at = seen.pieces.index(f" {number}") + 1
        assert real().tokenizer.decode(seen.next_ids[at, :1]) == f" {following}"


def test_what_is_said_again_is_foreseen_better():
    losses = read("a sentence three times").losses.reshape(3, 7).mean(axis=1)
    assert losses[0] > losses[1] > losses[2]


def test_the_chat_is_in_the_models_template():
    question = SENTENCES["a chat"].split("\n")[1].removesuffix("<|im_end|>")
    chat = [{"role": "user", "content": question}]
    tokens = chat_tokens(chat, real().tokenizer, system=None)
    assert read("a chat").tokens.tolist() == tokens.tolist()


# What heads are called


def test_gift_attention_equals_a_loop():
    params, config, tokenizer = random_model("gpt")
    sentences = gift_sentences(4, np.random.default_rng(3))
    receiver, giver = gift_attention(params, config, tokenizer, sentences)
    for i, sentence in enumerate(sentences):
        tokens = tokens_of(sentence.text, tokenizer)
        letters = "".join(
            {MARK: "#"}.get(piece, piece)
            for piece in map(tokenizer.decode, tokens[:, None])
        )
        of_letter = np.repeat(
            np.arange(len(tokens)),
            [1, *(len(tokenizer.decode([t])) for t in tokens[1:])],
        )
        _, attention = trace(config, params, tokens)
        for name, found in ((sentence.receiver, receiver), (sentence.giver, giver)):
            places, at = set(), letters.find(f" {name}")
            while at >= 0:
                places |= set(of_letter[at : at + 1 + len(name)].tolist())
                at = letters.find(f" {name}", at + 1)
            for layer, weights in enumerate(attention):
                close(
                    found[i, layer], weights[:, -1, sorted(places)].sum(axis=-1), 1e-12
                )
    recurrent = RecurrentConfig(260, 20, 4)
    with pytest.raises(TypeError, match="config must be of a model with heads"):
        gift_attention(
            init(recurrent, np.random.default_rng(0)), recurrent, LETTERS, sentences
        )


SCORES = ("first token", "previous token", "induction", "right name", "wrong name", "receiver", "giver")  # fmt: skip


def test_scores_stand_beside_those_of_even_attention():
    rng = np.random.default_rng(5)
    params, config, _ = random_model("gpt")
    texts = [tokens_of(text, LETTERS) for text in ("the moon", "a wheel is here")]
    gifts = gift_sentences(2, rng)
    drawn_from = np.arange(100, 250)
    config = replace(config, n_positions=110)
    params["wpe.weight"] = rng.normal(size=(110, 8))
    zeros = {name: 0 * array for name, array in params.items()}
    scores, even = (
        head_scores(p, config, LETTERS, texts, gifts, drawn_from, rng)
        for p in (params, zeros)
    )
    assert tuple(scores) == SCORES
    for name, score in scores.items():
        assert score["weight"].shape == (2, 4)
        assert score["chance"] == even[name]["chance"]
        close(even[name]["weight"], np.full((2, 4), score["chance"]), 1e-6)
    right, wrong = pronoun_attention(params, config, LETTERS, pronoun_sentences())
    close(scores["right name"]["weight"], right.mean(axis=0))
    close(scores["wrong name"]["weight"], wrong.mean(axis=0))
    shares, _ = sink_shares(params, config, texts)
    close(scores["first token"]["weight"], shares.mean(axis=0))


def test_a_head_is_called_what_it_passes_first():
    weights = dict(zip(SCORES, np.zeros((7, 1, 6)), strict=True))
    weights["first token"][0] = [0.5, 0.49, 0.9, 0.9, 0.9, 0.9]
    weights["previous token"][0, 2] = weights["induction"][0, 2] = 0.3
    weights["previous token"][0, 3] = 0.3
    weights["right name"][0, 4] = weights["wrong name"][0, 5] = weights["receiver"][
        0, 5
    ] = 0.06
    names = head_names({name: {"weight": weight} for name, weight in weights.items()})
    assert names == [
        ["first token", None, "induction", "previous token", "names", "names"]
    ]


def test_kept_scores_are_what_the_command_would_make():
    kept = load_kept("head_roles")
    assert kept["command"] == "python -m lmmath.experiments.head_roles"
    scores = kept["scores"]
    assert tuple(scores) == SCORES
    weights = {name: np.asarray(score["weight"]) for name, score in scores.items()}
    for name, weight in weights.items():
        assert weight.shape == (30, 9)
        assert np.all((weight >= 0) & (weight <= 1))
        assert 0 < scores[name]["chance"] < weight.max()
    for name in ("induction", "previous token", "first token"):
        assert THRESHOLDS[name] > 5 * scores[name]["chance"]
    gifts = gift_sentences(N_GIFTS, np.random.default_rng(kept["seed"]))
    found = gift_attention(*real(), gifts)
    for name, weight in zip(("receiver", "giver"), found, strict=True):
        close(weight.mean(axis=0), weights[name], 1e-3)


def test_the_real_models_heads_have_names_of_all_kinds():
    names = np.asarray(head_names(load_kept("head_roles")["scores"]))
    counts = {name: int(np.sum(names == name)) for name in (*THRESHOLDS, None)}
    assert counts == {"induction": 12, "previous token": 8, "names": 14, "first token": 68, None: 168}  # fmt: skip


def test_heads_do_in_the_sentences_what_they_are_called_after():
    names = np.asarray(head_names(load_kept("head_roles")["scores"]))
    seen = read("a new name that comes back")
    first, second = np.flatnonzero(np.asarray(seen.pieces) == "or")
    copying = seen.attention[:, :, second, first + 1]
    assert copying[names == "induction"].mean() > 0.2
    assert copying[names != "induction"].mean() < 0.05
    later = np.arange(3, len(seen.tokens))
    back = seen.attention[:, :, later, later - 1].mean(axis=-1)
    assert (
        back[names == "previous token"].mean()
        > 0.3
        > 2 * back[names != "previous token"].mean()
    )
    at_first = seen.attention[:, :, later, 0].mean(axis=-1)
    assert at_first[names == "first token"].mean() > 0.5


# The site


def app_of(folder, name="html"):
    builder = SimpleNamespace(name=name, format="html")
    return SimpleNamespace(outdir=folder / name, builder=builder)


@pytest.fixture
def small(monkeypatch):
    """Let a small model read two sentences in place of the real one."""
    sentences = {"a wheel": "the moon", "two lines": "é\n</script>"}
    monkeypatch.setattr(lmmath.traces, "SENTENCES", sentences)
    loads = []

    def load():
        loads.append(1)
        return SimpleModel(*random_model("llama"))

    monkeypatch.setattr(extension, "load_smollm2", load)
    return loads


class SimpleModel(tuple):
    def __new__(cls, *parts):
        return super().__new__(cls, parts)

    tokenizer = property(lambda self: self[2])


def test_the_site_gets_the_files_and_their_index(tmp_path, small):
    extension.write_traces(app_of(tmp_path), None)
    folder = tmp_path / "html" / "_static" / "traces"
    index = json.loads((folder / "index.json").read_text("utf-8"))
    assert index.keys() == {"model", "heads", "sentences"}
    assert index["model"] == "SmolLM2-135M-Instruct"
    assert [len(layer) for layer in index["heads"]] == [9] * 30
    assert {path.name for path in folder.iterdir()} == {
        "index.json",
        *(entry["file"] for entry in index["sentences"]),
    }
    for entry, (label, text) in zip(
        index["sentences"], lmmath.traces.SENTENCES.items(), strict=True
    ):
        content = (folder / entry["file"]).read_bytes()
        assert entry == {
            "label": label,
            "text": text,
            "file": entry["file"],
            "size": len(content),
        }
        assert unpack(content)[0].text == text


def test_nothing_is_computed_twice(tmp_path, small, monkeypatch):
    extension.write_traces(app_of(tmp_path), None)
    (tmp_path / "html" / "_static" / "traces" / "old.bin").write_bytes(b"")
    extension.write_traces(app_of(tmp_path), None)
    assert len(small) == 1
    folder = tmp_path / "html" / "_static" / "traces"
    assert len(list(folder.iterdir())) == 3
    monkeypatch.setattr(lmmath.traces, "SENTENCES", {"another": "a wheel"})
    extension.write_traces(app_of(tmp_path), None)
    assert len(small) == 2
    assert len(list(folder.iterdir())) == 2
    assert len(list((tmp_path / "traces").iterdir())) == 1


def test_a_computation_that_stopped_leaves_nothing_to_be_taken_for_whole(
    tmp_path, small, monkeypatch
):
    with monkeypatch.context() as broken:
        broken.setattr(lmmath.traces, "pack", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            extension.write_traces(app_of(tmp_path), None)
    extension.write_traces(app_of(tmp_path), None)
    assert len(small) == 2
    assert len(list((tmp_path / "html" / "_static" / "traces").iterdir())) == 3


@pytest.mark.parametrize(
    ("name", "error"), [("latex", None), ("epub", None), ("linkcheck", None), ("html", OSError())]
)  # fmt: skip
def test_other_formats_and_failed_builds_get_nothing(tmp_path, small, name, error):
    extension.write_traces(app_of(tmp_path, name), error)
    assert not list(tmp_path.iterdir())
    assert small == []


def test_the_example_is_right():
    failed, tried = doctest.testmod(extension)
    assert (failed, tried) == (0, 1)
