"""Let pages show how the real model reads some sentences, without the model.

When the site is built, ``_static/traces/`` gets a file for each of ``lmmath.traces.SENTENCES``, and
``index.json``, which lists them and says what each head of the model is called. What was computed
is kept in a folder ``traces`` beside the site, for as long as nothing changes that it depends on.
"""

import hashlib
import json
import shutil
from pathlib import Path

import lmmath.traces
from lmmath.experiments import load_kept
from lmmath.experiments.head_roles import head_names
from lmmath.weights import load_smollm2

MODEL = "SmolLM2-135M-Instruct"


def state(sentences, scores):
    """Give a name to what the files depend on, made of its content.

    >>> len(state({"a greeting": "Hello"}, {}))
    16
    """
    source = Path(lmmath.traces.__file__).read_text("utf-8")
    content = json.dumps([source, sentences, scores])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def compute(folder, sentences, scores):
    """Let the model read the sentences, and write the files into a folder."""
    model = load_smollm2()
    entries = []
    for label, text in sentences.items():
        trace = lmmath.traces.read_trace(*model, text)
        content = lmmath.traces.pack(trace, model.tokenizer)
        file = f"{hashlib.sha256(content).hexdigest()[:16]}.bin"
        Path(folder, file).write_bytes(content)
        entries.append(
            {"label": label, "text": text, "file": file, "size": len(content)}
        )
    index = {"model": MODEL, "heads": head_names(scores), "sentences": entries}
    Path(folder, "index.json").write_text(
        json.dumps(index, ensure_ascii=False), "utf-8"
    )


def kept_files(cache):
    """Give the folder of the files as they are now, and compute them if it is not there."""
    sentences, scores = lmmath.traces.SENTENCES, load_kept("head_roles")["scores"]
    folder = Path(cache, state(sentences, scores))
    if not folder.exists():
        shutil.rmtree(cache, ignore_errors=True)
        draft = cache / "draft"  # until it is complete
        draft.mkdir(parents=True)
        compute(draft, sentences, scores)
        draft.rename(folder)
    return folder


def write_traces(app, error):
    """Write the files of a site; other formats have no use for them."""
    if error or app.builder.name not in ("html", "dirhtml"):
        return
    site = Path(app.outdir)
    folder = kept_files(site.parent / "traces")
    target = site / "_static" / "traces"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target)


def setup(app):
    """Register the extension."""
    app.connect("build-finished", write_traces)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
