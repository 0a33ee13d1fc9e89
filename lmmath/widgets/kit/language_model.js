// The model that a widget shows: what `ModelWidget` of language_model.py holds in its traits, ready for use.
import { BPETokenizer } from "../engines/bpe.js";
import { parseGPT } from "../engines/gpt_file.js";

const models = []; // {bytes, gpt}, which widgets with the same weights share
const seen = new WeakMap(); // the value of a trait -> its gpt

// Give {gpt, tokenizer, config} from an anywidget model with the traits `weights` and `tokenizer`.
// Throws an Error whose message says to the reader what is wrong.
export function loadModel(model) {
  const gpt = gptOf(model.get("weights"));
  const tokenizer = new BPETokenizer(model.get("tokenizer"));
  const { config } = gpt;
  if (tokenizer.vocabSize !== config.vocab_size) {
    const sizes = `${config.vocab_size} tokens, the tokenizer ${tokenizer.vocabSize}`;
    throw new Error(`The model knows ${sizes}: they do not belong together.`);
  }
  return { gpt, tokenizer, config };
}

function gptOf(weights) {
  if (!weights?.byteLength) throw new Error("The model’s weights did not arrive.");
  if (!seen.has(weights)) {
    const bytes = new Uint8Array(weights.buffer ?? weights, weights.byteOffset ?? 0, weights.byteLength);
    let model = models.find((other) => areEqual(other.bytes, bytes));
    if (!model) models.push((model = { bytes, gpt: parseGPT(bytes) }));
    seen.set(weights, model.gpt);
  }
  return seen.get(weights);
}

function areEqual(a, b) {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
