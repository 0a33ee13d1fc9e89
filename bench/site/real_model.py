"""Measure the real model in the browser: loading, a prompt, one more token; beside wllama.

``python bench/site/real_model.py`` opens the engine's scripts in Chromium and prints medians. With
``--wllama FOLDER``, the unpacked npm package ``@wllama/wllama``, which is llama.cpp in WebAssembly,
both write on from the same prompt in the same run, one thread each. It prints, and judges nothing.
"""

import argparse
import sys
from contextlib import ExitStack
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright
from widgets import ROOT, browsers, serving

from lmmath.english import long_texts
from lmmath.tokenization import BPETokenizer
from lmmath.weights.smollm2 import find_smollm2

N_WRITTEN = 40
OPEN = """
async () => {
  const folder = "/widgets/engines";
  const [{ Workbench }, { Llama }] = await Promise.all(
    ["quantized", "llama"].map((name) => import(`${folder}/${name}.js`)),
  );
  const begin = performance.now();
  const bytes = new Uint8Array(await (await fetch("/model.gguf")).arrayBuffer());
  const workbench = new Workbench(bytes.length);
  workbench.file.set(bytes);
  window.model = new Llama(workbench);
  return performance.now() - begin;
}
"""
WRITE = """
([tokens, count]) => {
  const reader = model.reader();
  const begin = performance.now();
  reader.read(tokens);
  let logits = reader.logits();
  const read = performance.now() - begin;
  const times = [];
  for (let i = 0; i < count; i += 1) {
    const start = performance.now();
    reader.read([logits.indexOf(logits.reduce((a, b) => Math.max(a, b)))]);
    logits = reader.logits();
    times.push(performance.now() - start);
  }
  return { read, times };
}
"""
OPEN_WLLAMA = """
async () => {
  const { Wllama } = await import("/wllama/esm/index.js");
  window.wllama = new Wllama({ default: "/wllama/esm/wasm/wllama.wasm" });
  const begin = performance.now();
  const file = await (await fetch("/model.gguf")).blob();
  await wllama.loadModel([file], { n_threads: 1, n_ctx: 1024 });
  return performance.now() - begin;
}
"""
WRITE_WLLAMA = """
async ([prompt, count]) => {
  const times = [];
  const begin = performance.now();
  let last;
  const stream = await wllama.createCompletion({
    prompt, max_tokens: count + 1, temperature: 0, stream: true, cache_prompt: false,
  });
  for await (const _ of stream) {
    const now = performance.now();
    times.push(now - (last ?? begin));
    last = now;
  }
  return { read: times[0], times: times.slice(1) };
}
"""


def main():
    """Run the command, and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--wllama", type=Path, help="the unpacked package")
    folder = parser.parse_args().wllama
    executable = browsers.find()
    if executable is None:
        print(browsers.HELP, file=sys.stderr)
        return 1
    tokenizer = BPETokenizer.from_gguf(find_smollm2())
    ids = tokenizer.encode(long_texts()[0].text)
    print(f"{'':34}{'load':>8}{'prompt':>9}{'token':>8}  ms")
    with ExitStack() as stack:
        playwright = stack.enter_context(sync_playwright())
        address = stack.enter_context(serving(ROOT, _handler(folder)))
        chromium = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox"]
        )
        page = chromium.new_page()
        page.goto(f"{address}/widgets/kit/shared.css")  # any page of that server
        loaded = page.evaluate(OPEN)
        loaded_theirs = page.evaluate(OPEN_WLLAMA) if folder else None
        for n in (30, 200):
            prompt = [int(i) for i in ids[:n]]
            found = page.evaluate(WRITE, [prompt, N_WRITTEN])
            _print_row(f"lmmath, prompt of {n} tokens", loaded, found)
            if folder:
                text = tokenizer.decode(prompt)
                theirs = page.evaluate(WRITE_WLLAMA, [text, N_WRITTEN])
                _print_row(f"wllama, prompt of {n} tokens", loaded_theirs, theirs)
        chromium.close()
    return 0


def _handler(wllama):
    places = {
        "/widgets/": ROOT / "lmmath" / "widgets",
        "/wllama/": wllama,
        "/model.gguf": find_smollm2(),
    }

    class Handler(SimpleHTTPRequestHandler):
        def translate_path(self, path):
            for prefix, place in places.items():
                if path.startswith(prefix):
                    return str(Path(place, path.removeprefix(prefix)))
            return str(ROOT / "nothing")

        def log_message(self, *args):
            pass

    return Handler


def _print_row(name, loaded, found):
    token = np.median(found["times"])
    print(f"{name:34}{loaded:8.0f}{found['read']:9.0f}{token:8.1f}")


if __name__ == "__main__":
    sys.exit(main())
