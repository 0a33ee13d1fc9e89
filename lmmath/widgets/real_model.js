// SmolLM2 reads a sentence: one of five views on what it does.
import { realAngles } from "./kit/real_angles.js";
import { realAttention } from "./kit/real_attention.js";
import { realLens } from "./kit/real_lens.js";
import { realNext } from "./kit/real_next.js";
import { realTokens } from "./kit/real_tokens.js";
import { fill } from "./kit/shared.js";

const VIEWS = {
  attention: realAttention,
  lens: realLens,
  next: realNext,
  tokens: realTokens,
  angles: realAngles,
};

function render({ model, el, signal }) {
  fill(el, signal);
  return VIEWS[model.get("view")]({ model, el, signal });
}

export default { render };
