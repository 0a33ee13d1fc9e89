// A large file that comes in pieces from the site, each checked, and stays in the browser.
//
// Beside the pieces lies index.json: {size, pieces: [{file, size, sha256}]}, in their order. What has
// arrived is kept in the browser's cache, piece by piece, so a download that ended early goes on where
// it was, and the next visit needs no network.
import { sha256 } from "./sha256.js";

const CACHE = "lmmath-model";
const TRIES = 2; // for a piece that arrives damaged

// Read the list of pieces in a folder of the site.
export async function readIndex(folder) {
  const index = await (await fetchFile(new URL("index.json", folder))).json();
  const pieces = index.pieces.map((piece) => ({ ...piece, url: new URL(piece.file, folder).href }));
  return { ...index, pieces };
}

// How many bytes of the file this browser has already.
export async function bytesKept(index) {
  const cache = await openCache();
  const found = await Promise.all(index.pieces.map((piece) => cache?.match(piece.url)));
  return index.pieces.reduce((sum, { size }, i) => sum + (found[i] ? size : 0), 0);
}

// Bring all pieces into `target`, a Uint8Array of the whole size. `onProgress(bytes)` is told how much
// of it is there. Gives whether all of it is kept for the next time.
export async function loadPieces(index, target, { onProgress = () => {}, signal } = {}) {
  const cache = await openCache();
  let isKept = cache !== undefined;
  let begin = 0;
  for (const piece of index.pieces) {
    const part = target.subarray(begin, begin + piece.size);
    if (!(await takeKept(cache, piece, part))) {
      await fetchPiece(piece, part, (n) => onProgress(begin + n), signal);
      isKept = isKept && (await keep(cache, piece, part));
    }
    begin += piece.size;
    onProgress(begin);
    signal?.throwIfAborted();
  }
  await dropOthers(cache, index);
  return isKept;
}

// Remove what is kept.
export async function forgetPieces() {
  await globalThis.caches?.delete(CACHE);
}

async function openCache() {
  try {
    return await globalThis.caches?.open(CACHE); // there is none where the connection is not secure
  } catch {
    return undefined; // the reader's settings refuse it
  }
}

async function takeKept(cache, piece, part) {
  const kept = await cache?.match(piece.url);
  if (!kept) return false;
  const bytes = new Uint8Array(await kept.arrayBuffer());
  const isSound = bytes.length === piece.size && (await sha256(bytes)) === piece.sha256;
  if (isSound) part.set(bytes);
  else await cache.delete(piece.url);
  return isSound;
}

async function fetchPiece(piece, part, onProgress, signal) {
  for (let attempt = 1; ; attempt += 1) {
    const length = await fetchInto(piece, part, onProgress, signal, attempt > 1);
    if (length === piece.size && (await sha256(part)) === piece.sha256) return;
    if (attempt === TRIES) throw new Error("A piece of the model arrived damaged, twice. Try again later.");
  }
}

async function fetchInto(piece, part, onProgress, signal, anew) {
  const response = await fetchFile(piece.url, { signal, cache: anew ? "reload" : "no-store" });
  let length = 0;
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return length;
      if (length + value.length > piece.size) return Infinity; // another file has its name
      part.set(value, length);
      length += value.length;
      onProgress(length);
    }
  } catch (cause) {
    signal?.throwIfAborted();
    throw lost(cause);
  }
}

// Keep a piece. Gives false where there is no room for it, or the reader's settings refuse it.
async function keep(cache, piece, part) {
  try {
    await cache.put(piece.url, new Response(part.slice()));
    return true;
  } catch {
    return false;
  }
}

// An earlier edition's pieces would take room for nothing.
async function dropOthers(cache, index) {
  const own = new Set(index.pieces.map(({ url }) => url));
  const all = (await cache?.keys()) ?? [];
  await Promise.all(all.filter(({ url }) => !own.has(url)).map((request) => cache.delete(request)));
}

async function fetchFile(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (cause) {
    options?.signal?.throwIfAborted();
    throw lost(cause);
  }
  if (!response.ok) throw new Error(`The model’s file is not where it should be (${response.status}).`);
  return response;
}

function lost(cause) {
  return new Error("The connection was lost. What has arrived is kept; try again to go on.", { cause });
}
