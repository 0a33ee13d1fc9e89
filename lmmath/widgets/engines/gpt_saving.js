// The file of a GPT that was trained in the browser.
import { requireConfig, requireParams } from "./gpt_checks.js";
import { gptShapes } from "./gpt_file.js";

// What lmmath.checkpoints.save_model writes, with 32 bits for each number: an ArrayBuffer.
export function toFile(config, params) {
  const sizes = requireConfig(config);
  const shapes = gptShapes(sizes);
  requireParams(params, shapes);
  const names = Object.keys(shapes).sort();
  const tensors = names.map((name) => littleEndian(params[name]));
  const metadata = { config: JSON.stringify(sizes), format: "lmmath.model 1" };
  const checksum = hex(checksumOf(metadata, names, tensors));
  const header = { __metadata__: { checksum, ...metadata } };
  let end = 0;
  names.forEach((name, i) => {
    const data_offsets = [end, (end += tensors[i].length)];
    header[name] = { dtype: "F32", shape: shapes[name], data_offsets };
  });
  const json = JSON.stringify(header);
  const text = new TextEncoder().encode(json + " ".repeat(-json.length & 7)); // a multiple of 8 bytes
  const file = new Uint8Array(8 + text.length + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  names.forEach((name, i) => file.set(tensors[i], 8 + text.length + header[name].data_offsets[0]));
  return file.buffer;
}

function littleEndian(values) {
  const view = new DataView(new ArrayBuffer(4 * values.length));
  values.forEach((value, i) => view.setFloat32(4 * i, value, true));
  return new Uint8Array(view.buffer);
}

// Of the metadata, as Python's json.dumps would write it, and of each tensor's name and bytes.
function checksumOf({ config, format }, names, tensors) {
  const bytes = (text) => new TextEncoder().encode(text);
  const quoted = `{"config": ${JSON.stringify(config)}, "format": ${JSON.stringify(format)}}`;
  const parts = names.flatMap((name, i) => [bytes(name), tensors[i]]);
  return [bytes(quoted), ...parts].reduce((total, part) => crc32(part, total), 0);
}

const CRC_TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit += 1) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  return rest;
});

// zlib's: the remainder of the bits, as a polynomial over the integers modulo 2.
function crc32(bytes, before) {
  let rest = ~before;
  for (let i = 0; i < bytes.length; i += 1) rest = CRC_TABLE[(rest ^ bytes[i]) & 255] ^ (rest >>> 8);
  return ~rest;
}

function hex(number) {
  return (number >>> 0).toString(16).padStart(8, "0");
}
