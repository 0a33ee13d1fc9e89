// The worker in which a page's Python runs.
//
// It starts Pyodide and answers the calls of `kernel.js`: one after
// the other, as Python has one thread. What cells print and show goes to the page as events.

const fileUrl = (name) => new URL(`../pyodide/${name}`, import.meta.url).href;
const EIGHT_BYTES = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]); // the smallest WebAssembly module

let pyodide, running, comms;

async function start(soon, interrupt) {
  await requireWebAssembly();
  const index = await fetchChecked("index.json").then((response) => response.json());
  const early = index.layers.filter(({ name }) => soon.includes(name));
  say({ event: "loading", name: "Python", size: index.core.size });
  const fetched = new Map(early.map(({ file }) => [file, fetchChecked(file).then((response) => response.arrayBuffer())]));
  const core = fileUrl(index.core.folder);
  const { loadPyodide } = await import(`${core}pyodide.mjs`);
  pyodide = await loadPyodide({ indexURL: core, env: { HOME: "/home/pyodide", MPLBACKEND: "svg" } });
  if (interrupt) pyodide.setInterruptBuffer(interrupt);
  const here = new Map();
  for (const [file, content] of fetched) here.set(file, new Uint8Array(await content));
  pyodide.registerJsModule("page_of_worker", {
    send: (json, buffers) => say(JSON.parse(json), takeBuffers(buffers)),
  });
  const page = index.layers.find(({ name }) => name === "page");
  pyodide.unpackArchive(here.get(page.file), "zip", { extractDir: sitePackages() });
  const fetchLayer = (file) => pyodide.toPy(takeFrom(here, file) ?? fetchNow(file)); // one copy
  pyodide.pyimport("page_kernel.layers").install(pyodide.toPy(index.layers), fetchLayer, loadLibrary);
  running = pyodide.pyimport("page_kernel.running");
  running.prepare();
}

// Under a policy that forbids WebAssembly, Pyodide would wait for ever.
async function requireWebAssembly() {
  try {
    await WebAssembly.compile(EIGHT_BYTES);
  } catch (cause) {
    throw new Error(
      "WebAssembly may not run here. The site has to send the header that its README names for *.worker.js.",
      { cause },
    );
  }
}

async function fetchChecked(name) {
  const response = await fetch(fileUrl(name));
  if (!response.ok) throw new Error(`${name} did not arrive: ${response.status} ${response.statusText}`);
  return response;
}

// Python imports without waiting, so what an import brings is fetched without waiting too.
function fetchNow(file) {
  const request = new XMLHttpRequest();
  request.open("GET", fileUrl(file), false);
  request.responseType = "arraybuffer";
  request.send();
  if (request.status !== 200) throw new Error(`${file} did not arrive: ${request.status} ${request.statusText}`);
  return new Uint8Array(request.response);
}

// An extension module names the libraries that it needs without their folders, and the loader looks
// for that very name among those that are loaded.
function loadLibrary(path) {
  const fs = { findObject: () => true, readFile: () => pyodide.FS.readFile(path) };
  const flags = { loadAsync: false, nodelete: true, allowUndefined: true, global: false, fs };
  pyodide._module.loadDynamicLibrary(path.split("/").pop(), flags, {});
}

function takeFrom(map, key) {
  const value = map.get(key);
  map.delete(key);
  return value;
}

function takeBuffers(proxy) {
  const buffers = proxy.toJs().map((bytes) => bytes.slice().buffer);
  proxy.destroy();
  return buffers;
}

const sitePackages = () => pyodide.runPython("import sysconfig; sysconfig.get_path('purelib')");

function say(event, buffers = []) {
  postMessage({ ...event, buffers }, buffers);
}

function plain(value) {
  if (typeof value?.toJs !== "function") return value ?? null;
  const copy = value.toJs({ dict_converter: Object.fromEntries });
  value.destroy();
  return copy;
}

const calls = {
  start,
  needed: (sources, index) => plain(running.cells_needed(pyodide.toPy(sources), index)),
  run: (cell, source) => plain(running.run(cell, source)),
  complete: (source, position) => plain(running.completions(source, position)),
  comm(id, data, buffers) {
    comms ??= pyodide.pyimport("page_kernel.comms");
    comms.receive(id, pyodide.toPy(data), pyodide.toPy(buffers));
  },
};

onmessage = async ({ data: { id, call, given } }) => {
  try {
    postMessage({ id, result: await calls[call](...given) });
  } catch (error) {
    postMessage({ id, error: error.message });
  }
};
