// One run of a model that learns, kept by the browser for this site alone (IndexedDB). A browser may
// refuse to keep anything: then each of these fails.
const [DATABASE, STORE, KEY] = ["lmmath-learning", "runs", "latest"];

// Keep this, in the place of what was kept before.
export function keepRun(run) {
  return inStore("readwrite", (store) => store.put(run, KEY));
}

// What is kept, or undefined.
export function keptRun() {
  return inStore("readonly", (store) => store.get(KEY));
}

export function forgetRun() {
  return inStore("readwrite", (store) => store.delete(KEY));
}

async function inStore(mode, ask) {
  const opening = indexedDB.open(DATABASE, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
  const database = await settled(opening);
  try {
    return await settled(ask(database.transaction(STORE, mode).objectStore(STORE)));
  } finally {
    database.close();
  }
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = request.onblocked = () => reject(request.error ?? new Error("The storage is in use."));
  });
}
