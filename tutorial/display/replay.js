// Plays a recording: goes from line to line, and shows each value as it was after that line.
//
// The page holds the program, what each line changed in words, and the recording as JSON. What a
// recording has is told in tutorial/unroll/recorder.py. A place in it is the number of a moment; an
// error, at which it ended, has the place after the last one.
(() => {
  // ---- what there is at each moment

  /** For each moment, the index of each name's value: so that one can go back, too. */
  function statesOf(moments) {
    let state = new Map();
    return moments.map(({ set, gone }) => {
      state = new Map([...state, ...Object.entries(set)]);
      for (const name of gone) state.delete(name);
      return state;
    });
  }

  /** What a moment did to a name. */
  function markOf(name, { set, gone }, before) {
    if (gone.includes(name)) return "removed";
    if (!(name in set)) return "";
    return before.has(name) ? "changed" : "new";
  }

  /** Whose gradient it is, by its name: "W.grad" and "d_W" belong to "W". */
  function ownerOf(name) {
    if (name.endsWith(".grad")) return name.slice(0, -".grad".length);
    return name.startsWith("d_") ? name.slice("d_".length) : null;
  }

  // ---- a value: its picture, and its numbers

  const POSITIVE = [200, 90, 10];
  const NEGATIVE = [33, 102, 209];
  const NOT_FINITE = [200, 0, 200, 255];
  const [WIDE, HIGH] = [112, 84]; // a picture has so many pixels, about

  /** Red, green, blue and opacity of a number: no colour is 0, and suits each theme. */
  function colorOf(byte, { low, high }) {
    if (byte === 255) return NOT_FINITE;
    const number = low + (byte / 254) * (high - low);
    const size = Math.abs(number) / Math.max(Math.abs(low), Math.abs(high)) || 0;
    return [...(number < 0 ? NEGATIVE : POSITIVE), 255 * Math.sqrt(size)];
  }

  /** Pixels of an image: grey, or red, green and blue as they come. */
  function pixelOf(bytes, at, channels) {
    const part = [...bytes.slice(at * channels, (at + 1) * channels)];
    if (part.includes(255)) return NOT_FINITE;
    const levels = part.map((byte) => (byte / 254) * 255);
    return channels === 3 ? [...levels, 255] : [levels[0], levels[0], levels[0], 255];
  }

  const DRAWN = {
    images: ({ count, width, height }) => `${count} images of ${height} by ${width}`,
    maps: ({ count, width, height }) => `${count} maps of ${height} by ${width}`,
    matrix: ({ width, height }) => `heat map of ${height} by ${width} cells`,
    bars: ({ width }) => `${width} bars`,
  };

  function draw(picture) {
    const bytes = Uint8Array.from(atob(picture.data), (letter) => letter.charCodeAt(0));
    const canvas = make("canvas", { role: "img", "aria-label": DRAWN[picture.kind](picture) });
    (picture.kind === "bars" ? drawBars : drawTiles)(canvas, bytes, picture);
    return canvas;
  }

  /** Tiles side by side, in about a square. */
  function drawTiles(canvas, bytes, picture) {
    const { kind, width, height, count, channels } = picture;
    const across = Math.min(count, Math.ceil(Math.sqrt((count * height) / width)));
    canvas.width = across * (width + 1) - 1;
    canvas.height = Math.ceil(count / across) * (height + 1) - 1;
    const pen = canvas.getContext("2d");
    for (let tile = 0; tile < count; tile++) {
      const image = new ImageData(width, height);
      for (let i = 0; i < width * height; i++) {
        const at = tile * width * height + i;
        const color = kind === "images" ? pixelOf(bytes, at, channels) : colorOf(bytes[at], picture);
        image.data.set(color, 4 * i);
      }
      pen.putImageData(image, (tile % across) * (width + 1), Math.floor(tile / across) * (height + 1));
    }
    const [x, y] = [WIDE / canvas.width, HIGH / canvas.height].map((n) => Math.min(Math.max(n, 1), 12));
    canvas.style.width = `${canvas.width * (kind === "matrix" ? Math.min(x, 4 * y) : Math.min(x, y))}px`;
    canvas.style.height = kind === "matrix" ? `${canvas.height * Math.min(y, 4 * x)}px` : "auto";
  }

  /** Bars from 0 up and down. */
  function drawBars(canvas, bytes, picture) {
    const { width, low, high } = picture;
    const bar = Math.max(1, Math.min(12, Math.floor(WIDE / width)));
    [canvas.width, canvas.height] = [width * bar, 40];
    const pen = canvas.getContext("2d");
    const [bottom, top] = [Math.min(low, 0), Math.max(high, 0)];
    const y = (number) => (40 * (top - number)) / (top - bottom || 1);
    bytes.forEach((byte, i) => {
      const number = low + (byte / 254) * (high - low);
      pen.fillStyle = `rgb(${byte === 255 ? NOT_FINITE : number < 0 ? NEGATIVE : POSITIVE})`;
      if (byte === 255) pen.fillRect(i * bar, 0, bar, 40);
      else pen.fillRect(i * bar, Math.min(y(number), y(0)), Math.max(bar - 1, 1), Math.abs(y(number) - y(0)));
    });
  }

  /** Four significant digits. NaN and infinities are words already. */
  function short(number) {
    if (typeof number === "string" || number === 0) return String(number);
    const size = Math.abs(number);
    return size < 1e-4 || size >= 1e6 ? number.toExponential(3) : String(Number(number.toPrecision(4)));
  }

  const tuple = (shape) => `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;

  /** What there is to say of a value of numbers, in phrases. */
  function phrasesOf({ shape, dtype, mean, min, max, nan, moved }) {
    if (!shape.length) return [short(mean), dtype];
    const range = [`mean ${short(mean)}`, `min ${short(min)}`, `max ${short(max)}`];
    const share = Number.isFinite(moved?.share) ? `, ${Number((100 * moved.share).toPrecision(2))} %` : "";
    return [
      tuple(shape),
      dtype,
      ...range,
      ...(nan ? [`${nan} NaN or infinite`] : []),
      ...(moved ? [`moved by ${short(moved.size)}${share}`] : []),
    ];
  }

  /** A value: its picture, and what there is to say of it. */
  function valueOf(value) {
    const told = make("p");
    if (value.text !== undefined) told.append(value.text);
    else for (const phrase of phrasesOf(value)) told.append(make("span", {}, phrase), " ");
    return make("div", { class: "value" }, ...(value.picture ? [draw(value.picture)] : []), told);
  }

  // ---- the player

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  function button(label, act) {
    const element = make("button", { type: "button" }, label);
    element.addEventListener("click", () => element.getAttribute("aria-disabled") === "true" || act());
    return element;
  }

  /** Bring an element into view: in its own box alone, so that the page stays where it is. */
  function scrollTo(box, element) {
    const [outer, inner] = [box.getBoundingClientRect(), element.getBoundingClientRect()];
    if (inner.top < outer.top || inner.bottom > outer.bottom) {
      box.scrollTop += inner.top - outer.top - box.clientHeight / 4;
    }
  }

  function play(root) {
    const recording = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
    const { moments, values, error } = recording;
    const states = statesOf(moments);
    const told = [...root.querySelectorAll(".told li")];
    const [lines, program] = [[...root.querySelectorAll(".l")], root.querySelector("pre")];
    if (!told.length) return; // nothing has been run
    let now = -1;

    // -- the names, each gradient beside its weight

    const cells = new Map();
    for (const name of new Set(moments.flatMap(({ set }) => Object.keys(set)))) {
      const follow = button(name, () => followed(followed.name === name ? null : name));
      follow.setAttribute("aria-pressed", "false");
      const [mark, body] = [make("em"), make("div")];
      cells.set(name, { box: make("div", { class: "cell" }, mark, follow, body), follow, mark, body });
    }
    const list = make("ul", { role: "list" });
    const rows = new Map();
    for (const [name, { box }] of cells) {
      if (cells.has(ownerOf(name))) continue;
      rows.set(name, list.appendChild(make("li", {}, box)));
    }
    for (const [name, { box }] of cells) {
      if (rows.has(name)) continue;
      const row = rows.get(ownerOf(name));
      row?.append(box);
      row?.classList.add("pair");
    }
    const names = make("div", { class: "names", tabindex: "0", role: "group", "aria-label": "the names and their values" }, list);

    function showNames(state, moment, before) {
      let first = null;
      for (const [name, cell] of cells) {
        const mark = moment ? markOf(name, moment, before) : "";
        const index = state.get(name);
        cell.box.hidden = index === undefined && mark !== "removed";
        cell.box.className = `cell ${mark ? `lit ${mark}` : ""}`;
        cell.mark.textContent = mark;
        cell.mark.hidden = !mark;
        if (cell.shown !== index) cell.body.replaceChildren(...(index === undefined ? [] : [valueOf(values[index])]));
        cell.shown = index;
        if (mark) first ??= cell.box;
      }
      for (const row of rows.values()) row.hidden = [...row.children].every((box) => box.hidden);
      if (first) scrollTo(names, first);
    }

    // -- one name through the steps

    const strip = make("section", { class: "strip", "aria-label": "a name, followed" });
    strip.hidden = true;

    function followed(name) {
      followed.name = name;
      for (const [other, { follow }] of cells) follow.setAttribute("aria-pressed", String(other === name));
      strip.hidden = name === null;
      if (name === null) return strip.replaceChildren();
      const stops = make("ol");
      const found = moments.flatMap(({ set, gone }, at) => (name in set || gone.includes(name) ? [at] : []));
      for (const at of found) {
        const stop = button(`${placeOf(at)}line ${moments[at].line}`, () => go(at));
        stop.dataset.at = at;
        stop.append(name in moments[at].set ? valueOf(values[moments[at].set[name]]) : ": removed");
        stops.append(make("li", {}, stop));
      }
      const close = button("Stop following", () => {
        followed(null);
        cells.get(name).follow.focus();
      });
      const times = found.length === 1 ? "1 moment" : `${found.length} moments`;
      strip.replaceChildren(make("p", {}, make("code", {}, name), ` changes at ${times} `, close), stops);
      showStop();
    }

    function showStop() {
      const stops = [...strip.querySelectorAll("li button")];
      const last = stops.filter((stop) => stop.dataset.at <= now).at(-1);
      for (const stop of stops) stop === last ? stop.setAttribute("aria-current", "step") : stop.removeAttribute("aria-current");
      if (last) last.closest("ol").scrollLeft += last.getBoundingClientRect().left - strip.getBoundingClientRect().left - 60;
    }

    // -- where it is, and from there to another place

    const end = told.length - 1;
    const placeOf = (at) => {
      const { epoch, step } = moments[Math.min(at, moments.length - 1)] ?? {};
      return [["epoch", epoch], ["step", step]].map(([unit, n]) => (Number.isInteger(n) ? `${unit} ${n + 1}, ` : "")).join("");
    };
    const batchOf = (at) => (Number.isInteger(moments[at]?.step) ? placeOf(at) : "");
    const next = (test) => moments.findIndex((_, at) => at > now && test(at));
    const nextWeight = () => next((at) => moments[at].weights);
    const nextBatch = () => next((at) => batchOf(at) && batchOf(at) !== batchOf(at - 1));

    const back = button("◀ Back", () => go(now - 1));
    const forward = button("Forward ▶", () => go(now + 1));
    const toWeight = button("To the next line that changes a weight", () => go(nextWeight()));
    const toBatch = button("To the next batch", () => go(nextBatch()));
    const slider = make("input", { type: "range", min: "0", max: String(end), "aria-label": "line that was run" });
    slider.addEventListener("input", () => go(slider.valueAsNumber));
    const place = make("p", { class: "place" });
    const said = make("p", { class: "said", role: "status" });

    function go(at) {
      at = Math.min(Math.max(at, 0), end);
      if (at === now) return;
      now = at;
      const failed = at === moments.length;
      const line = failed ? error.line : moments[at].line;
      lines.forEach((element, i) => {
        element.classList.toggle("error", failed && i + 1 === line);
        if (i + 1 === line) element.setAttribute("aria-current", "step");
        else element.removeAttribute("aria-current");
      });
      scrollTo(program, lines[line - 1]);
      showNames(states[Math.min(at, states.length - 1)] ?? new Map(), at ? moments[at] : null, states[at - 1]);
      const where = `${placeOf(at)}${at + 1} of ${end + 1} lines that were run`;
      place.textContent = where;
      slider.value = at;
      slider.setAttribute("aria-valuetext", `line ${line}, ${where}`);
      said.replaceChildren(...[...told[at].childNodes].map((node) => node.cloneNode(true)));
      said.classList.toggle("error", failed);
      const leads = [[back, at > 0], [forward, at < end], [toBatch, nextBatch() > 0], [toWeight, nextWeight() > 0]];
      for (const [element, somewhere] of leads) element.setAttribute("aria-disabled", String(!somewhere));
      showStop();
      tell({ moment: at });
    }

    /** A widget, if there is one, hears where its player is. */
    const tell = (detail) => root.dispatchEvent(new CustomEvent("replay", { bubbles: true, detail }));

    root.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      go(now + by);
    });
    root.querySelector(".title").after(
      make("div", { class: "controls", role: "group", "aria-label": "controls" }, back, forward, slider, toBatch, toWeight),
      place,
      said,
    );
    root.querySelector(".columns").append(names);
    root.querySelector(".columns").after(strip);
    root.dataset.ready = "";
    root.go = go;
    go(Number(root.dataset.moment));
    (window.tutorialReplays ??= new Set()).add(root);
    tell({ begins: true });
  }

  for (const root of document.querySelectorAll(".tutorial-replay:not([data-ready])")) play(root);
})();
