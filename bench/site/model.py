"""Measure the trained model in the browser: the time of one more token, and of encoding a text.

``python bench/site/model.py`` opens the widgets' scripts in Chromium and prints, in milliseconds,
the time of one more token at the positions of a full context, and the time to encode 10,000
characters of several kinds, of which some are the worst for byte-pair encoding: one long word with
nothing at which to cut it. It prints, and judges nothing.
"""

import sys

import numpy as np
from playwright.sync_api import sync_playwright
from widgets import ROOT, browsers, serving

LETTERS = np.random.default_rng(3).choice(list("abcdefghijklmnopqrstuvwxyz"), 10_000)
LONG = {
    "one word of random letters": "".join(LETTERS),
    "one letter": "a" * 10_000,
    "one word of many merges": "thesomeLekalivedpatient" * 435,
    "spaces": " " * 10_000,
    "emoji": "🦊" * 5_000,
    "words": "the mouse lived " * 625,
}
OPEN = """
async () => {
  const file = (name) => fetch(`/lmmath/weights/fable/${name}`);
  const [{ parseGPT }, { BPETokenizer }] = await Promise.all(
    ["gpt_file", "bpe"].map((name) => import(`/lmmath/widgets/engines/${name}.js`)),
  );
  window.gpt = parseGPT(new Uint8Array(await (await file("model.safetensors")).arrayBuffer()));
  window.tokenizer = new BPETokenizer(await (await file("tokenizer.json")).json());
}
"""
READ = """
() => {
  const { n_positions, vocab_size } = gpt.config;
  const times = [];
  for (let round = 0; round < 3; round += 1) {
    const reader = gpt.reader();
    for (let i = 0; i < n_positions; i += 1) {
      const begin = performance.now();
      reader.read((7 * i + round) % vocab_size);
      times.push(performance.now() - begin);
    }
  }
  return times;
}
"""
ENCODE = """
(text) => Array.from({ length: 5 }, () => {
  const begin = performance.now();
  tokenizer.encode(text);
  return performance.now() - begin;
})
"""


def main():
    """Run the command, and return its exit code."""
    executable = browsers.find()
    if executable is None:
        print(browsers.HELP, file=sys.stderr)
        return 1
    print(f"{'':52} {'median':>7} {'95 %':>7}  ms")
    with serving(ROOT) as address, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox"]
        )
        page = chromium.new_page()
        page.goto(
            f"{address}/lmmath/widgets/kit/shared.css"
        )  # any page of that server will do
        page.evaluate(OPEN)
        _print_row("the next token", page.evaluate(READ))
        for kind, text in LONG.items():
            _print_row(f"encode 10,000 characters: {kind}", page.evaluate(ENCODE, text))
        chromium.close()
    return 0


def _print_row(name, times):
    print(f"{name:52} {np.median(times):7.2f} {np.quantile(times, 0.95):7.2f}")


if __name__ == "__main__":
    sys.exit(main())
