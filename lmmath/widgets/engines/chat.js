// A chat as tokens after which a model answers, in the template ChatML: lmmath.chat.
const [START, END] = ["<|im_start|>", "<|im_end|>"];
const SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face";

// `messages` is a list of {role, content}. What SmolLM2's own template says as the system comes first, if
// the chat does not begin with words of the system.
export function chatTokens(messages, tokenizer) {
  const marks = tokenizer.specialTokens;
  if (!(START in marks && END in marks)) throw new Error(`The tokenizer lacks ${START} or ${END}.`);
  const all = messages[0]?.role === "system" ? messages : [{ role: "system", content: SYSTEM }, ...messages];
  const tokens = [];
  for (const { role, content } of all) {
    tokens.push(marks[START], ...tokenizer.encode(`${role}\n${content}`), marks[END]);
    tokens.push(...tokenizer.encode("\n"));
  }
  return [...tokens, marks[START], ...tokenizer.encode("assistant\n")];
}
