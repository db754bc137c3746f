// Plays a recording: goes from line to line, and shows each value as it was after that line.
//
// The page holds the program, what each line changed in words, and the recording as JSON. What a
// recording has is told in book/replay.md. A place in it is the number of a moment; the
// last one may be that of an error.
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
    if (!Object.hasOwn(set, name)) return "";
    return before.has(name) ? "changed" : "new";
  }

  /** Whose gradient it is, by its name: "W.grad" and "d_W" belong to "W". */
  function ownerOf(name) {
    if (name.endsWith(".grad")) return name.slice(0, -".grad".length);
    return name.startsWith("d_") ? name.slice("d_".length) : null;
  }

  // ---- a value: its picture, and its numbers

  const COLORS = "Heat maps and bars: orange is above 0, blue below; the further from 0, the stronger.";
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
    const coarse = picture.coarse ? ", each the mean of several numbers" : "";
    const label = DRAWN[picture.kind](picture) + coarse;
    const canvas = make("canvas", { role: "img", "aria-label": label, title: label });
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

  /** A value: its picture, and what there is to say of it. */
  function valueOf(value) {
    const told = make("p");
    told.append(value.text ?? "");
    if (value.shape?.length) for (const phrase of phrasesOf(value)) told.append(make("span", {}, phrase), " ");
    if (value.moved) told.append(make("span", { class: "moved" }, movedBy(value.moved)));
    return make("div", { class: "value" }, ...(value.picture ? [draw(value.picture)] : []), told);
  }

  function phrasesOf({ shape, dtype, mean, min, max, nan }) {
    const range = [`mean ${short(mean)}`, `min ${short(min)}`, `max ${short(max)}`];
    return [tuple(shape), dtype, ...range, ...(nan ? [`${nan} NaN or infinite`] : [])];
  }

  function movedBy({ size, share }) {
    const percent = Number.isFinite(share) ? `, ${Number((100 * share).toPrecision(2))}\u00a0%` : "";
    return `moved by ${short(size)}${percent}`;
  }

  // ---- the player

  const KEYS = { "data-lm-suppress-shortcuts": "" }; // what has it keeps its keys from JupyterLab

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  function button(label, act) {
    const element = make("button", { type: "button", ...KEYS }, label);
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

  /** The names with their values, each gradient beside its weight. */
  function namesOf({ moments, values }, states, follow) {
    const cells = new Map();
    for (const name of new Set(moments.flatMap(({ set }) => Object.keys(set)))) {
      const [label, mark, body] = [button(name, () => follow(name)), make("em"), make("div")];
      cells.set(name, { label, mark, body, box: make("div", { class: "cell" }, label, mark, body) });
    }
    const rows = new Map();
    for (const [name, { box }] of cells) {
      const owner = ownerOf(name);
      const beside = cells.has(owner) && !cells.has(ownerOf(owner));
      const home = beside ? owner : name;
      if (!rows.has(home)) rows.set(home, make("li"));
      const row = rows.get(home);
      row.classList.toggle("pair", beside || row.hasChildNodes());
      row[beside ? "append" : "prepend"](box);
    }
    const element = make("div", {
      class: "names", tabindex: "0", role: "group", "aria-label": "the names and their values", ...KEYS,
    }, make("ul", { role: "list" }, ...rows.values()));

    function show(at) {
      const [state, before] = [states[at] ?? states.at(-1) ?? new Map(), states[at - 1]];
      for (const [name, cell] of cells) {
        const mark = before && at in moments ? markOf(name, moments[at], before) : "";
        const index = state.get(name);
        cell.box.hidden = index === undefined && !mark;
        cell.box.className = mark ? `cell lit ${mark}` : "cell";
        cell.mark.textContent = mark;
        cell.mark.hidden = !mark;
        if (cell.shown !== index) cell.body.replaceChildren(...(index in values ? [valueOf(values[index])] : []));
        cell.shown = index;
      }
      for (const row of rows.values()) row.hidden = [...row.children].every((box) => box.hidden);
      const lit = element.querySelector(".lit");
      if (lit) scrollTo(element, lit);
    }

    /** Mark the name that is followed. */
    function press(followed) {
      for (const [name, { label }] of cells) label.setAttribute("aria-pressed", String(name === followed));
    }

    return { element, show, press, focus: (name) => cells.get(name).label.focus() };
  }

  /** One name through the steps: each moment at which it changed leads there. */
  function stripOf({ moments, values }, go, close) {
    const element = make("section", { class: "strip", "aria-label": "one name through the steps" });
    const stopsOf = () => [...element.querySelectorAll("li button")];

    function follow(name) {
      element.hidden = name === null;
      element.replaceChildren();
      if (name === null) return;
      const stops = make("ol");
      moments.forEach(({ line, set, gone }, at) => {
        if (!Object.hasOwn(set, name) && !gone.includes(name)) return;
        const value = gone.includes(name) ? make("p", {}, "removed") : valueOf(values[set[name]]);
        const stop = button(`${placeOf(moments[at])}line ${line}`, () => go(at));
        stop.dataset.at = at;
        stop.append(value);
        stops.append(make("li", {}, stop));
      });
      const times = stops.children.length === 1 ? "1 moment" : `${stops.children.length} moments`;
      const title = make("p", {}, make("code", {}, name), ` changes at ${times} `);
      title.append(button("Stop following", close));
      element.append(title, stops);
    }

    function show(at) {
      const last = stopsOf().filter((stop) => stop.dataset.at <= at).at(-1);
      for (const stop of stopsOf()) stop.setAttribute("aria-current", String(stop === last));
      if (!last) return;
      const [box, { left }] = [last.closest("ol"), last.getBoundingClientRect()];
      box.scrollLeft += left - box.getBoundingClientRect().left - box.clientWidth / 3;
    }

    return { element, follow, show };
  }

  /** Where a moment is, as a reader counts. */
  function placeOf({ epoch, step } = {}) {
    const told = Object.entries({ epoch, step }).filter(([, number]) => Number.isInteger(number));
    return told.map(([unit, number]) => `${unit} ${number + 1}, `).join("");
  }

  function play(root) {
    const recording = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
    const { moments, error } = recording;
    const told = [...root.querySelectorAll(".told li")];
    if (!told.length) return; // no line was run
    const [program, lines] = [root.querySelector("pre"), [...root.querySelectorAll(".l")]];
    let [now, followed] = [-1, null];

    const names = namesOf(recording, statesOf(moments), (name) => follow(name === followed ? null : name));
    const strip = stripOf(recording, (at) => go(at), () => {
      names.focus(followed);
      follow(null);
    });
    function follow(name) {
      followed = name;
      names.press(name);
      strip.follow(name);
      strip.show(now);
    }

    // -- the controls

    const end = told.length - 1;
    const batchOf = (at) => (Number.isInteger(moments[at]?.step) ? placeOf(moments[at]) : "");
    const next = (test) => moments.findIndex((_, at) => at > now && test(at));
    const ways = [
      ["◀ Back", () => now - 1],
      ["Forward ▶", () => (now < end ? now + 1 : -1)],
      ["To the next batch", () => next((at) => batchOf(at) && batchOf(at) !== batchOf(at - 1))],
      ["To the next line that changes a weight", () => next((at) => moments[at].weights)],
    ];
    const buttons = ways.map(([label, way]) => button(label, () => go(way())));
    const slider = make("input", {
      type: "range", min: "0", max: String(end), "aria-label": "line that was run", ...KEYS,
    });
    slider.addEventListener("input", () => go(slider.valueAsNumber));
    const controls = make("div", { class: "controls", role: "group", "aria-label": "controls" });
    controls.append(...buttons.slice(0, 2), slider, ...buttons.slice(2));
    const place = make("p", { class: "place" });
    const said = make("p", { class: "said", role: "status" }); // is read out whenever it changes

    // -- from here to there

    function go(to) {
      const at = Math.min(Math.max(to, 0), end);
      if (at === now) return;
      now = at;
      const failed = error !== null && at === end;
      const line = failed ? error.line : moments[at].line;
      const where = `${placeOf(moments[at] ?? moments.at(-1))}${at + 1} of ${end + 1} lines that were run`;
      place.textContent = where;
      slider.value = at;
      slider.setAttribute("aria-valuetext", `line ${line}, ${where}`);
      ways.forEach(([, way], i) => buttons[i].setAttribute("aria-disabled", String(way() < 0)));
      said.replaceChildren(...told[at].cloneNode(true).childNodes);
      for (const element of [said, ...lines]) element.classList.toggle("error", failed);
      lines.forEach((element, i) => element.setAttribute("aria-current", String(i + 1 === line)));
      scrollTo(program, lines[line - 1]);
      names.show(at);
      strip.show(at);
      if ("ready" in root.dataset) tell({ moment: at });
    }

    /** A widget, if there is one, hears where its player is. */
    const tell = (detail) => root.dispatchEvent(new CustomEvent("replay", { bubbles: true, detail }));

    root.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      go(now + by);
    });
    root.querySelector(".title").after(controls, place, said);
    root.querySelector(".columns").append(names.element);
    root.querySelector(".columns").after(strip.element, make("p", { class: "place" }, COLORS));
    root.go = go;
    follow(null);
    go(Number(root.dataset.moment));
    root.dataset.ready = "";
    (window.tutorialReplays ??= new Set()).add(root);
    tell({ begins: true });
  }

  for (const root of document.querySelectorAll(".tutorial-replay:not([data-ready])")) play(root);
})();
