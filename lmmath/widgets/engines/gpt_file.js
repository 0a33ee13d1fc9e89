// The file of a GPT, as lmmath.checkpoints.save_model writes it: a safetensors file.
//
// It begins with the length of its header, in 8 bytes. The header is JSON: for each tensor its dtype,
// its shape, and where it begins and ends in the rest of the file, and the model's sizes as metadata.
import { float16 } from "./float16.js";
import { GPT } from "./gpt.js";

// Read a model from the bytes of its file: an ArrayBuffer, or a view of a part of one.
export function parseGPT(data) {
  const { metadata, tensors } = parseSafetensors(data);
  const { format } = metadata;
  requireSound(format === "lmmath.model 1", `its format is ${JSON.stringify(format)}`);
  const config = parseConfig(metadata.config);
  const { n_layers } = config;
  requireSound(n_layers < tensors.size, `it has ${tensors.size} tensors for ${n_layers} layers`);
  const shapes = gptShapes(config);
  for (const [name, shape] of Object.entries(shapes)) {
    requireSound(tensors.has(name), `it lacks ${name}`);
    const came = tensors.get(name).shape;
    requireSound(String(came) === String(shape), `${name} must have shape (${shape}), got (${came})`);
  }
  for (const name of tensors.keys()) {
    requireSound(Object.hasOwn(shapes, name), `it holds ${name}, which no GPT of its size has`);
  }
  const params = Object.fromEntries(Array.from(tensors, ([name, { values }]) => [name, values]));
  return new GPT(config, params);
}

function parseConfig(text) {
  const config = parseJSON(text, "configuration");
  requireSound(!("cell" in config), "it is a recurrent model, not a GPT");
  config.d_ff ??= 4 * config.d_model;
  for (const size of ["vocab_size", "n_positions", "d_model", "n_layers", "n_heads", "d_ff"]) {
    const good = Number.isSafeInteger(config[size]) && config[size] > 0;
    requireSound(good, `${size} must be an integer of at least 1, got ${config[size]}`);
  }
  const { d_model, n_heads, eps } = config;
  requireSound(d_model % n_heads === 0, `n_heads must divide d_model = ${d_model}, got ${n_heads}`);
  requireSound(Number.isFinite(eps) && eps > 0, `eps must be a number above 0, got ${eps}`);
  return config;
}

// The shape of each parameter, by its name.
export function gptShapes({ vocab_size, n_positions, d_model: d, n_layers, d_ff }) {
  const shapes = { "wte.weight": [vocab_size, d], "wpe.weight": [n_positions, d] };
  const layers = {
    ln_1: [d],
    "attn.c_attn": [d, 3 * d],
    "attn.c_proj": [d, d],
    ln_2: [d],
    "mlp.c_fc": [d, d_ff],
    "mlp.c_proj": [d_ff, d],
  };
  for (let i = 0; i < n_layers; i += 1) {
    for (const [name, shape] of Object.entries(layers)) {
      shapes[`h.${i}.${name}.weight`] = shape;
      shapes[`h.${i}.${name}.bias`] = shape.slice(-1);
    }
  }
  return { ...shapes, "ln_f.weight": [d], "ln_f.bias": [d] };
}

// What is in a safetensors file: {metadata, tensors: name -> {shape, values}}.
export function parseSafetensors(data) {
  const view = toView(data);
  requireSound(view.byteLength >= 8, `it has only ${view.byteLength} bytes`);
  const length = Number(view.getBigUint64(0, true));
  requireSound(length <= view.byteLength - 8, "it ends within its header, or is no safetensors file");
  const header = new TextDecoder().decode(part(view, 8, length));
  const { __metadata__: metadata, ...entries } = parseJSON(header, "header");
  const body = part(view, 8 + length, view.byteLength - 8 - length);
  const begin = ([, entry]) => entry?.data_offsets?.[0];
  const inOrder = Object.entries(entries).sort((a, b) => begin(a) - begin(b));
  const tensors = new Map();
  let end = 0; // of the tensors so far: there are no gaps between them
  for (const [name, entry] of inOrder) {
    tensors.set(name, parseTensor(name, entry, body, end));
    end = entry.data_offsets[1];
  }
  const came = body.byteLength;
  requireSound(end === came, `its header speaks of ${end} bytes of numbers, it has ${came}`);
  return { metadata: metadata ?? {}, tensors };
}

const DTYPES = {
  F16: [2, (view, at) => float16(view.getUint16(at, true))],
  F32: [4, (view, at) => view.getFloat32(at, true)],
  F64: [8, (view, at) => view.getFloat64(at, true)],
};

function parseTensor(name, entry, body, expectedBegin) {
  const { dtype, shape, data_offsets } = entry ?? {};
  const [begin, end] = Array.isArray(data_offsets) ? data_offsets : [];
  requireSound(Object.hasOwn(DTYPES, dtype), `${name} holds numbers of an unknown kind, ${dtype}`);
  const [size, read] = DTYPES[dtype];
  const isShape = Array.isArray(shape) && shape.every((n) => Number.isSafeInteger(n) && n >= 0);
  requireSound(isShape, `${name} has no shape`);
  const count = shape.reduce((product, n) => product * n, 1);
  const fits = begin === expectedBegin && end === begin + count * size && end <= body.byteLength;
  const place = `from byte ${begin} to ${end} of ${body.byteLength}`;
  requireSound(fits, `${name} of shape (${shape}) cannot lie ${place}`);
  const values = new Float32Array(count);
  for (let i = 0; i < count; i += 1) values[i] = read(body, begin + i * size);
  requireSound(values.every(Number.isFinite), `${name} holds a number that is not finite`);
  return { shape, values };
}

function toView(data) {
  if (ArrayBuffer.isView(data)) return new DataView(data.buffer, data.byteOffset, data.byteLength);
  requireSound(data instanceof ArrayBuffer, `bytes were expected, got ${data}`);
  return new DataView(data);
}

function part(view, begin, length) {
  return new DataView(view.buffer, view.byteOffset + begin, length);
}

function parseJSON(text, what) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    value = null;
  }
  requireSound(value !== null && typeof value === "object", `its ${what} cannot be read`);
  return value;
}

function requireSound(condition, problem) {
  if (!condition) throw new Error(`The model’s file cannot be read: ${problem}.`);
}
