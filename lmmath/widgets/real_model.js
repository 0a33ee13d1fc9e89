// SmolLM2 reads a sentence: one of five views on what it does, of which a page loads only its own.
import { fill } from "./kit/shared.js";

const VIEWS = {
  attention: async () => (await import("./kit/real_attention.js")).realAttention,
  lens: async () => (await import("./kit/real_lens.js")).realLens,
  next: async () => (await import("./kit/real_next.js")).realNext,
  tokens: async () => (await import("./kit/real_tokens.js")).realTokens,
  angles: async () => (await import("./kit/real_angles.js")).realAngles,
};

async function render({ model, el, signal }) {
  fill(el, signal);
  const show = await VIEWS[model.get("view")]();
  return show({ model, el, signal });
}

export default { render };
