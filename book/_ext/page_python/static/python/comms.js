// Widgets that Python makes in the page: their messages to and from the host that starts widgets.
//
// A strict policy lets a page run the site's files only, so a widget's JavaScript is the published
// file of its class; `modules.json` knows which.

const SITE_WIDGETS = new URL("../widgets/", import.meta.url);
const script = document.querySelector('script[src*="_static/widgets/host.js"]');
const host = import(script?.src ?? new URL("host.js", SITE_WIDGETS)); // the one that the page already has
const modules = fetch(new URL("modules.json", SITE_WIDGETS)).then((response) => response.json());
const problems = new Map(); // model id -> why it cannot live here

// Turn gaps in a state into the binary data that travelled beside it.
function withBuffers({ state, buffer_paths: paths = [] }, buffers) {
  paths.forEach((path, i) => {
    const parent = path.slice(0, -1).reduce((value, key) => value[key], state);
    parent[path.at(-1)] = new DataView(buffers[i]);
  });
  return state;
}

// Messages keep their order: each waits for the one before.
let last = Promise.resolve();
const inOrder = (task) => {
  last = last.then(task).catch((error) => console.error(error));
  return last;
};

// Python has opened a comm: it has a new widget.
export function open(id, data, buffers, kernel) {
  return inOrder(async () => {
    const state = withBuffers(data, buffers);
    if (state._model_module !== "anywidget") return; // a layout, a link: nothing to show
    const name = state._anywidget_id;
    const found = (await modules)[name];
    if (!found) {
      problems.set(id, `${name} has JavaScript of its own, and this page may only run the site's.`);
      return;
    }
    const comm = {
      save: (traits) => kernel.call("comm", id, { method: "update", state: traits, buffer_paths: [] }, []),
      send: (content, binary = []) => kernel.call("comm", id, { method: "custom", content }, binary),
    };
    (await host).add(id, { ...found, state, buffers: [], comm });
  });
}

export function receive(id, data, buffers) {
  return inOrder(async () => {
    if (data.method === "update") await (await host).receive(id, { state: withBuffers(data, buffers) });
    else if (data.method === "custom") await (await host).receive(id, { content: data.content }, buffers);
  });
}

export function showWidget(id, place, signal) {
  return inOrder(async () => {
    const live = document.createElement("div");
    live.className = "live-widget-view";
    place.append(live);
    try {
      if (problems.has(id)) throw new Error(problems.get(id));
      await (await host).show(id, live, signal);
      place.dataset.state = "live";
    } catch (error) {
      live.textContent = `This widget could not start: ${error.message}`;
      place.dataset.state = "failed";
    }
  });
}
