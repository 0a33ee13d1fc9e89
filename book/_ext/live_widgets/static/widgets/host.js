// Starts the widgets of a static page: a host for anywidget's front-end contract, without a kernel.
//
// The page holds, as JSON, what `page.py` collected. A widget starts when its place comes near the
// view. Until then, and in print, its static picture stands there. A widget that Python makes in the
// page is added, with a comm to Python, and shown where its cell shows it.

const page = JSON.parse(document.getElementById("live-widgets")?.textContent ?? '{"models":{},"links":[]}');
const fileUrl = (name) => new URL(`./${name}`, import.meta.url);
const forever = new AbortController().signal; // a published page never takes a view away

// The model of a widget: traits, and who wants to know when they change.
class Model {
  #state;
  #later; // trait -> what fetches its value when it is first asked for
  #listeners = []; // {event, callback, owner}
  #comm; // to Python, if Python made the widget: {save(traits), send(content, buffers)}
  #unsaved = new Set();

  constructor(state, later = new Map(), comm = undefined) {
    this.#state = state;
    this.#later = later;
    this.#comm = comm;
    this.widget_manager = { get_model: getRunningModel };
  }

  // A large trait that nobody has asked for yet is undefined; when it is there, it changes, and to
  // null if it did not arrive.
  get(name) {
    const fetchValue = this.#later.get(name);
    if (fetchValue) {
      this.#later.delete(name);
      fetchValue().then(
        (value) => this.set(name, value),
        () => this.set(name, null),
      );
    }
    return this.#state[name];
  }

  set(nameOrTraits, value) {
    const traits = typeof nameOrTraits === "string" ? { [nameOrTraits]: value } : nameOrTraits;
    const changed = Object.keys(traits).filter((name) => !Object.is(this.#state[name], traits[name]));
    for (const name of changed) this.#unsaved.add(name);
    Object.assign(this.#state, traits);
    for (const name of changed) this.#emit(`change:${name}`, this, traits[name]);
    if (changed.length > 0) this.#emit("change", this);
  }

  // Take what comes from Python, which need not go back there.
  receive({ state, content }, buffers) {
    if (state) {
      const unsaved = new Set(this.#unsaved);
      this.set(state);
      for (const name in state) if (!unsaved.has(name)) this.#unsaved.delete(name);
    } else this.#emit("msg:custom", content, buffers);
  }

  save_changes() {
    const traits = Object.fromEntries([...this.#unsaved].map((name) => [name, this.#state[name]]));
    this.#unsaved.clear();
    if (Object.keys(traits).length > 0) this.#comm?.save(traits);
  }

  send(content, callbacks, buffers) {
    this.#comm?.send(content, buffers);
  }

  on(events, callback, owner) {
    for (const event of events.split(" ")) this.#listeners.push({ event, callback, owner });
  }

  off(events, callback, owner) {
    const named = events?.split(" ");
    this.#listeners = this.#listeners.filter(
      (listener) =>
        (named && !named.includes(listener.event)) ||
        (callback && listener.callback !== callback) ||
        (owner && listener.owner !== owner),
    );
  }

  // The model as one view has it: `off` ends only what this view listens to, and so does the signal.
  seenBy(signal) {
    const owner = Symbol("view");
    signal.addEventListener("abort", () => this.off(null, null, owner));
    return {
      get: (name) => this.get(name),
      set: (nameOrTraits, value) => this.set(nameOrTraits, value),
      save_changes: () => this.save_changes(),
      send: (...message) => this.send(...message),
      on: (events, callback) => this.on(events, callback, owner),
      off: (events, callback) => this.off(events, callback, owner),
      widget_manager: this.widget_manager,
    };
  }

  #emit(event, ...values) {
    for (const listener of [...this.#listeners]) {
      if (listener.event === event) listener.callback(...values);
    }
  }
}

// Do a thing once for each key, and give the same promise to all who ask.
function once(make) {
  const made = new Map();
  return (key) => {
    if (!made.has(key)) made.set(key, make(key));
    return made.get(key);
  };
}

const getModel = once(async (id) => {
  const { state, buffers, comm } = page.models[id];
  const fetchView = async (file) => new DataView((await fetchBuffer(file)).slice()); // each its own
  const isLater = ({ path }) => path.length === 1 && state._later?.includes(path[0]);
  await Promise.all(
    buffers.filter((buffer) => !isLater(buffer)).map(async ({ path, file }) => {
      const parent = path.slice(0, -1).reduce((value, key) => value[key], state);
      parent[path.at(-1)] = await fetchView(file);
    }),
  );
  const later = buffers.filter(isLater).map(({ path, file }) => [path[0], () => fetchView(file)]);
  return new Model(state, new Map(later), comm);
});

const fetchBuffer = once(async (file) => {
  try {
    const response = await fetch(fileUrl(file));
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    return await response.arrayBuffer();
  } catch (cause) {
    throw new Error(`its data did not arrive (${file}: ${cause.message})`, { cause });
  }
});

const loadStyle = once(
  (file) =>
    new Promise((resolve, reject) => {
      const link = Object.assign(document.createElement("link"), {
        rel: "stylesheet",
        href: fileUrl(file),
        onload: resolve,
        onerror: () => reject(new Error(`${file} did not load`)),
      });
      document.head.append(link);
    }),
);

// A widget, initialized: {model, definition, exports}.
const getWidget = once(async (id) => {
  const { module, css } = page.models[id];
  const [model, loaded] = await Promise.all([
    getModel(id),
    import(fileUrl(module)),
    css && loadStyle(css),
  ]);
  const made = loaded.default ?? { render: loaded.render };
  const definition = typeof made === "function" ? await made() : made;
  const result = await definition.initialize?.({
    model: model.seenBy(forever),
    signal: forever,
    experimental,
  });
  return { model, definition, exports: typeof result === "object" ? result : undefined };
});

const experimental = {
  invoke: () => Promise.reject(new Error("this command needs Python, and a published page has none")),
};

// What jslink and jsdlink do: copy a trait when it changes, one way or both.
const connect = once(async ({ source, target, both }) => {
  const ends = [source[0], target[0]];
  await Promise.allSettled(ends.map(getWidget)); // if one fails, the other works
  const [from, to] = await Promise.all(ends.map(getModel));
  const follow = (a, x, b, y) => a.on(`change:${x}`, () => b.set(y, a.get(x)));
  to.set(target[1], from.get(source[1]));
  follow(from, source[1], to, target[1]);
  if (both) follow(to, target[1], from, source[1]);
  ends.forEach(run);
});

// A widget at work, shown or not: initialized, and linked with others, which then work too.
const run = once(async (id) => {
  const links = page.links.filter(({ source, target }) => [source[0], target[0]].includes(id));
  const [widget] = await Promise.all([getWidget(id), ...links.map(connect)]);
  return widget;
});

function getRunningModel(id) {
  run(id);
  return getModel(id);
}

const referenced = (reference) => reference.replace(/^anywidget:/, "");
const host = {
  getModel: async (reference) => (await getRunningModel(referenced(reference))).seenBy(forever),
  async getWidget(reference) {
    const id = referenced(reference);
    const { exports } = await run(id);
    return { exports, render: ({ el, signal }) => show(id, el, signal) };
  },
};

// Know a widget that Python made: {module, css, state, buffers, comm}.
export function add(id, made) {
  page.models[id] = made;
}

export async function receive(id, data, buffers) {
  (await getModel(id)).receive(data, buffers);
}

export async function show(id, el, signal = forever) {
  const { model, definition } = await run(id);
  const view = { model: model.seenBy(signal), el, signal, host, experimental };
  const end = await definition.render?.(view);
  if (typeof end !== "function") return;
  if (signal.aborted) end();
  else signal.addEventListener("abort", end);
}

async function start(place) {
  const live = document.createElement("div");
  live.className = "live-widget-view";
  place.append(live);
  try {
    await show(place.dataset.model, live);
    place.dataset.state = "live";
  } catch (error) {
    live.textContent = `This widget could not start: ${error.message}`;
    place.dataset.state = "failed";
    console.error(error);
  }
}

const observer = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      observer.unobserve(target);
      start(target);
    }
  },
  { rootMargin: "400px" },
);
for (const place of document.querySelectorAll(".live-widget")) observer.observe(place);
