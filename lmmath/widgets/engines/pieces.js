// A large file that comes in pieces from the site, each checked, and stays in the browser.
//
// Beside the pieces lies index.json: {size, pieces: [{file, size, sha256}]}, in their order. What has
// arrived is kept in the browser's cache, piece by piece, so a download that ended early goes on where
// it was, and the next visit asks for the list alone.
const CACHE = "lmmath-model";
const TRIES = 2; // for a piece that arrives damaged
// Only who loads needs it.
const sha256 = async (bytes) => (await import("./sha256.js")).sha256(bytes);

// Read the list of pieces in a folder of the site. An old list would name pieces that are gone.
export async function readIndex(folder) {
  const response = await fetchFile(new URL("index.json", folder), { cache: "no-cache" });
  const index = await response.json().catch(() => null);
  const sizes = Array.isArray(index?.pieces) ? index.pieces.map((piece) => piece.size) : [];
  const isSound = sizes.every((size) => Number.isInteger(size) && size > 0);
  if (!isSound || sizes.reduce((a, b) => a + b, 0) !== index?.size) {
    throw new Error("The list of the model’s pieces cannot be read.");
  }
  const pieces = index.pieces.map((piece) => ({ ...piece, url: new URL(piece.file, folder).href }));
  return { ...index, pieces };
}

// How many bytes of the file this browser has already.
export async function bytesKept(index) {
  const cache = await openCache();
  const found = await Promise.all(index.pieces.map(({ url }) => orNothing(() => cache?.match(url))));
  return index.pieces.reduce((sum, { size }, i) => sum + (found[i] ? size : 0), 0);
}

// Bring all pieces into `target`, a Uint8Array of the whole size. `onProgress(bytes)` is told how much
// of it is there. Gives whether all of it is kept for the next time.
export async function loadPieces(index, target, { onProgress = () => {}, signal } = {}) {
  const cache = await openCache();
  await dropOthers(cache, index);
  let isKept = cache !== undefined;
  let begin = 0;
  for (const piece of index.pieces) {
    signal?.throwIfAborted();
    const part = target.subarray(begin, begin + piece.size);
    if (!(await takeKept(cache, piece, part))) {
      const before = begin;
      await fetchPiece(piece, part, (n) => onProgress(before + n), signal);
      isKept = isKept && (await keep(cache, piece, part));
    }
    begin += piece.size;
    onProgress(begin);
  }
  return isKept;
}

// Remove what is kept.
export async function forgetPieces() {
  await orNothing(() => globalThis.caches?.delete(CACHE));
}

// There is no cache where the connection is not secure, or the reader's settings refuse it.
function openCache() {
  return orNothing(() => globalThis.caches?.open(CACHE));
}

// What a cache gives; nothing if it fails, for all goes on without it.
async function orNothing(ask) {
  try {
    return await ask();
  } catch {
    return undefined;
  }
}

async function takeKept(cache, piece, part) {
  const kept = await orNothing(async () => (await cache?.match(piece.url))?.arrayBuffer());
  if (!kept) return false;
  const bytes = new Uint8Array(kept);
  const isSound = bytes.length === piece.size && (await sha256(bytes)) === piece.sha256;
  if (isSound) part.set(bytes);
  return isSound;
}

async function fetchPiece(piece, part, onProgress, signal) {
  for (let attempt = 1; ; attempt += 1) {
    const length = await fetchInto(piece, part, onProgress, signal);
    if (length === piece.size && (await sha256(part)) === piece.sha256) return;
    if (attempt === TRIES) throw new Error("A piece of the model arrived damaged, twice. Try again later.");
  }
}

// Gives how many bytes came, at most one more than there should be.
async function fetchInto(piece, part, onProgress, signal) {
  const response = await fetchFile(piece.url, { signal, cache: "no-store" }); // its own cache keeps it
  let length = 0;
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return length;
      if (length + value.length > piece.size) {
        await reader.cancel(); // another file has its name
        return piece.size + 1;
      }
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
  const all = (await orNothing(() => cache?.keys())) ?? [];
  const others = all.filter(({ url }) => !own.has(url));
  await Promise.all(others.map((request) => orNothing(() => cache.delete(request))));
}

async function fetchFile(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (cause) {
    options.signal?.throwIfAborted();
    throw lost(cause);
  }
  if (!response.ok) throw new Error(`The model’s file is not where it should be (${response.status}).`);
  return response;
}

function lost(cause) {
  return new Error("The connection was lost. What has arrived is kept; try again to go on.", { cause });
}
