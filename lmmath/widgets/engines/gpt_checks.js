// What is asked of the arguments of a GPT and of its training.
import { product } from "./named.js";

export function requireConfig(config) {
  const { vocab_size, n_positions, d_model, n_layers, n_heads } = config ?? {};
  requireSizes({ vocab_size, n_positions, d_model, n_layers, n_heads });
  const { d_ff = 4 * d_model, eps = 1e-5 } = config;
  requireSizes({ d_ff });
  requirePositive({ eps });
  require(d_model % n_heads === 0, `n_heads must divide d_model = ${d_model}, got ${n_heads}`);
  return { vocab_size, n_positions, d_model, n_layers, n_heads, d_ff, eps };
}

// Gives the kind of array that they all are.
export function requireParams(params, shapes, label = "params") {
  const kinds = [Float32Array, Float64Array];
  const Numbers = kinds.find((kind) => params?.["wte.weight"] instanceof kind);
  for (const [name, shape] of Object.entries(shapes)) {
    const values = params?.[name];
    const came = values?.constructor?.name ?? String(values);
    const kind = Numbers?.name ?? "Float32Array";
    require(Numbers && values instanceof Numbers, `${label}["${name}"] must be a ${kind}, got ${came}`);
    const size = product(shape);
    const counts = `${size} numbers, got ${values.length}`;
    require(values.length === size, `${label}["${name}"] must have ${counts}`);
    const wrong = values.find((value) => !Number.isFinite(value));
    require(wrong === undefined, `${label}["${name}"] must hold finite numbers, got ${wrong}`);
  }
  const unknown = Object.keys(params).filter((name) => !Object.hasOwn(shapes, name));
  require(unknown.length === 0, `${label} must have the names of a GPT's parameters, got ${unknown}`);
  return Numbers;
}

// Gives the length that they all have.
export function requireTexts({ inputs, targets }, { vocab_size, n_positions }) {
  require(inputs?.length > 0, `inputs must hold at least one text, got ${inputs?.length ?? inputs}`);
  const { length } = inputs;
  require(targets?.length === length, `targets must be ${length} texts, got ${targets?.length ?? targets}`);
  const n = inputs[0].length;
  require(n > 0 && n <= n_positions, `inputs must have from 1 to ${n_positions} tokens, got ${n}`);
  for (const [name, texts] of Object.entries({ inputs, targets })) {
    for (const text of texts) {
      require(text.length === n, `${name} must have ${n} tokens in each text, got ${text.length}`);
      requireIds(name, text, vocab_size);
    }
  }
  return n;
}

export function requireTokens(tokens, { vocab_size, n_positions }) {
  const came = tokens?.length ?? tokens;
  require(came > n_positions, `tokens must be at least ${n_positions + 1} ids, got ${came}`);
  requireIds("tokens", tokens, vocab_size);
  return Int32Array.from(tokens);
}

export function requireIds(name, ids, vocab_size) {
  for (let i = 0; i < ids.length; i += 1) {
    const good = Number.isInteger(ids[i]) && ids[i] >= 0 && ids[i] < vocab_size;
    require(good, `${name} must be integers from 0 to ${vocab_size - 1}, got ${ids[i]}`);
  }
}

export function requireSizes(sizes) {
  for (const [name, size] of Object.entries(sizes)) {
    const good = Number.isSafeInteger(size) && size >= 1;
    require(good, `${name} must be an integer of at least 1, got ${size}`);
  }
}

export function requireCount(counts) {
  for (const [name, count] of Object.entries(counts)) {
    const good = Number.isSafeInteger(count) && count >= 0;
    require(good, `${name} must be an integer of at least 0, got ${count}`);
  }
}

export function requireBetas(betas) {
  const good = Array.isArray(betas) && betas.length === 2 && betas.every((b) => b >= 0 && b < 1);
  require(good, `betas must be two numbers from 0 to below 1, got ${betas}`);
}

export function requirePositive(numbers) {
  for (const [name, number] of Object.entries(numbers)) {
    const good = Number.isFinite(number) && number > 0;
    require(good, `${name} must be a finite number above 0, got ${number}`);
  }
}

export function requireNotNegative(numbers) {
  for (const [name, number] of Object.entries(numbers)) {
    const good = Number.isFinite(number) && number >= 0;
    require(good, `${name} must be a finite number of at least 0, got ${number}`);
  }
}

function require(condition, problem) {
  if (!condition) throw new RangeError(`${problem}.`);
}
