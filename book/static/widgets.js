// Brings widgets in a page to life, without Python and without a network.
//
// A page holds the state of its widgets, and a script where each is to be seen, as ipywidgets embeds
// them and as saved notebooks have them. An anywidget's state has its code with it, so that this is
// all that it takes: what it reads and sets, and who is told when a value changes.

const STATE = "application/vnd.jupyter.widget-state+json";
const VIEW = "application/vnd.jupyter.widget-view+json";

class Model {
  listeners = new Map();
  constructor(state) {
    this.state = state;
  }
  get(name) {
    return this.state[name];
  }
  set(name, value) {
    this.state[name] = value;
    this.listeners.get(`change:${name}`)?.forEach((listener) => listener());
  }
  on(event, listener) {
    this.listeners.set(event, (this.listeners.get(event) ?? new Set()).add(listener));
  }
  off(event, listener) {
    this.listeners.get(event)?.delete(listener);
  }
  save_changes() {} // there is no Python to tell
  send() {}
}

/** The values of a widget, its bytes put back to where they were. */
function unpacked({ state, buffers = [] }) {
  for (const { path, data } of buffers) {
    const holder = path.slice(0, -1).reduce((part, key) => part[key], state);
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    holder[path.at(-1)] = new DataView(bytes.buffer);
  }
  return state;
}

/** Show a widget where its script stands. */
async function show(script, widgets) {
  const widget = widgets[JSON.parse(script.textContent).model_id];
  if (widget?.model_module !== "anywidget") return; // the picture or text beside it stays
  const state = unpacked(widget);
  const source = URL.createObjectURL(new Blob([state._esm], { type: "text/javascript" }));
  const { default: made } = await import(source);
  const { initialize, render } = typeof made === "function" ? await made() : made;
  const style = document.createElement("style");
  style.textContent = state._css ?? "";
  const el = document.createElement("div");
  script.after(style, el);
  const model = new Model(state);
  await initialize?.({ model });
  await render({ model, el });
}

const widgets = {};
for (const script of document.querySelectorAll(`script[type="${STATE}"]`)) {
  Object.assign(widgets, JSON.parse(script.textContent).state);
}
for (const script of document.querySelectorAll(`script[type="${VIEW}"]`)) {
  show(script, widgets);
}
