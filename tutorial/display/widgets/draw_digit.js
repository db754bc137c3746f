// Draw a digit, and a network classifies it. The Python side is draw_digit.py.
//
//   1. strokes -> picture         as the pictures of MNIST were made
//   2. picture -> probabilities   by Python; or here, if the widget carries the network
//   3. the page                   paper, examples, probabilities
//   4. where the page is          in HTML that Python wrote, with or without Python behind it
//
// No build and no library: a browser runs this file as it stands.

/** @typedef {number[][]} Stroke  the points [x, y] where the pen went, in units of the paper */
/** @typedef {Uint8Array | Uint8ClampedArray} Picture  28 rows of 28 pixels: 0 is paper, 255 ink */
/** @typedef {{kind: "relu"} | {kind: "linear", weight: Int8Array, scale: Float32Array,
 *   bias: Float32Array}} Layer */
/** @typedef {{scale: number, shift: number, layers: Layer[]}} Network */

const PAPER = 280; // the paper's sides, in units of its own
const SIDE = 28; // the picture's sides, in pixels, as are the rest:
const BOX = 20; // the ink fits into a square with these sides
const PEN = 2.4; // how thick MNIST's strokes are, by the median
const MIDDLE = 14.5; // the middle of pixel 14: there lie the centres of mass in MNIST
const LARGEST = 0.2; // pixels for a unit of paper, at most: a dot stays a dot

// ---- 1. from strokes to a picture

/**
 * The picture of a drawing, made as MNIST's: the ink fits into 20 x 20 pixels, with soft edges, and
 * its centre of mass lies in the middle of 28 x 28.
 * @param {Stroke[]} strokes
 * @returns {Picture}
 */
export function toPicture(strokes) {
  const xs = strokes.flat().map(([x]) => x);
  const ys = strokes.flat().map(([, y]) => y);
  const [left, right, top, bottom] = [min(xs), max(xs), min(ys), max(ys)];
  const scale = Math.min((BOX - PEN) / Math.max(right - left, bottom - top), LARGEST);
  const dx = (SIDE - scale * (left + right)) / 2;
  const dy = (SIDE - scale * (top + bottom)) / 2;
  const [x, y] = centreOfMass(ink(strokes, scale, dx, dy));
  return ink(strokes, scale, dx + MIDDLE - x, dy + MIDDLE - y);
}

/**
 * The strokes in pixels: a point (x, y) of the paper comes to (scale * x + dx, scale * y + dy).
 * @param {Stroke[]} strokes
 * @param {number} scale
 * @param {number} dx
 * @param {number} dy
 * @returns {Picture}
 */
function ink(strokes, scale, dx, dy) {
  const pen = canvas();
  pen.setTransform(scale, 0, 0, scale, dx, dy);
  pen.lineWidth = PEN / scale;
  pen.lineCap = pen.lineJoin = "round";
  for (const stroke of strokes) pen.stroke(new Path2D(path(stroke)));
  const { data } = pen.getImageData(0, 0, SIDE, SIDE); // red, green, blue, opacity; and so on
  return data.filter((_, i) => i % 4 === 3);
}

/** @param {Picture} picture  @returns {[number, number]} */
function centreOfMass(picture) {
  let [mass, x, y] = [0, 0, 0];
  picture.forEach((value, i) => {
    mass += value;
    x += value * ((i % SIDE) + 0.5);
    y += value * (Math.floor(i / SIDE) + 0.5);
  });
  return [x / mass, y / mass];
}

/** A stroke as SVG and Path2D write it. @param {Stroke} stroke */
function path(stroke) {
  const [x, y] = stroke[0];
  // A line to where one stands would be left out; this one is too short to see, and shows a dot.
  return `M${x} ${y}L${x + 0.01} ${y}` + stroke.slice(1).map(([x, y]) => `L${x} ${y}`).join("");
}

/** An empty canvas of the picture's size, ready to draw on. */
function canvas() {
  const element = document.createElement("canvas");
  element.width = element.height = SIDE;
  return element.getContext("2d", { willReadFrequently: true });
}

// Math.min(...xs) would fail for a hundred thousand points.
const min = (/** @type {number[]} */ xs) => xs.reduce((a, b) => Math.min(a, b));
const max = (/** @type {number[]} */ xs) => xs.reduce((a, b) => Math.max(a, b));

// ---- 2. from a picture to probabilities

/**
 * The network that the widget carries, its numbers laid out for reading.
 * @param {any} embedded  what digits.quantised wrote
 * @returns {Network}
 */
export function unpack({ scale, shift, layers }) {
  return {
    scale,
    shift,
    layers: layers.map((/** @type {any} */ layer) =>
      layer.kind === "relu" ? layer : {
        kind: "linear",
        weight: new Int8Array(bytes(layer.weight)),
        scale: new Float32Array(bytes(layer.scale)),
        bias: new Float32Array(bytes(layer.bias)),
      }
    ),
  };
}

/**
 * The network's prediction for a picture: ten probabilities.
 * @param {Network} network
 * @param {Picture} picture
 * @returns {number[]}
 */
export function predict(network, picture) {
  let x = Float32Array.from(picture, (pixel) => network.scale * pixel + network.shift);
  for (const layer of network.layers) {
    x = layer.kind === "relu" ? x.map((value) => Math.max(value, 0)) : linear(layer, x);
  }
  return softmax(x);
}

/**
 * y = weight @ x + bias, where the weights of a row are integers times the row's scale.
 * @param {{weight: Int8Array, scale: Float32Array, bias: Float32Array}} layer
 * @param {Float32Array} x
 */
function linear({ weight, scale, bias }, x) {
  return bias.map((start, row) => {
    const first = row * x.length;
    let sum = 0;
    for (let column = 0; column < x.length; column++) sum += weight[first + column] * x[column];
    return start + scale[row] * sum;
  });
}

/**
 * Scores become positive and sum to 1. Less the largest, or its exponential would overflow.
 * @param {Float32Array} scores
 * @returns {number[]}
 */
function softmax(scores) {
  const largest = max([...scores]);
  const powers = [...scores].map((score) => Math.exp(score - largest));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

/** The bytes that Python sent, in a buffer of their own. @param {DataView} view */
function bytes(view) {
  return view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
}

// ---- 3. the page

const DIGITS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

const HTML = `
  <div class="tutorial-draw-digit">
    <div class="sheet">
      <div class="paper" role="img" aria-label="Paper: draw a digit here with a mouse, a finger or
        a pen. With a keyboard, choose an example.">
        <div class="print"></div>
        <svg viewBox="0 0 ${PAPER} ${PAPER}" aria-hidden="true"><path /></svg>
        <span class="hint" aria-hidden="true">draw here</span>
      </div>
      <div class="below">
        <div class="seen"><div class="print"></div></div>
        <span>What the network sees</span>
        <button type="button" class="clear">Clear</button>
      </div>
    </div>
    <div class="answer">
      <p role="status"></p>
      <table>
        <caption>The probability of each digit</caption>
        ${DIGITS.map((digit) => `
          <tr>
            <th scope="row">${digit}</th>
            <td class="bar"><div></div></td>
            <td class="number"></td>
          </tr>`).join("")}
      </table>
    </div>
    <div class="examples" role="group" aria-label="Examples, written by people">
      ${DIGITS.map((digit) => `
        <button type="button" aria-label="Example ${digit}"><div class="print"></div></button>
      `).join("")}
    </div>
  </div>`;

/**
 * Show the widget in `el`, and keep it and `model`, whose values Python shares, the same.
 * @param {{model: any, el: HTMLElement}} here
 */
function render({ model, el }) {
  const embedded = model.get("embedded");
  const network = embedded.layers ? unpack(embedded) : null;
  el.innerHTML = HTML;
  /** @type {(selector: string) => HTMLElement} */
  const find = (selector) => el.querySelector(selector);
  const [paper, status] = [find(".paper"), find("[role=status]")];

  /** @type {Stroke[]} */
  let strokes = [];
  /** @type {Picture | null} what lies under the strokes: an example, or a picture from Python */
  let base = null;
  /** @type {Picture} the last one that was asked about here */
  let asked = new Uint8Array();

  // -- what is on the paper is looked at, as often as the answer can follow

  let later = 0;
  const look = () => {
    later = later || setTimeout(() => {
      later = 0;
      ask(base ? over(base, strokes) : toPicture(strokes));
    }, network ? 16 : 100);
  };

  function ask(/** @type {Picture} */ picture) {
    if (same(picture, asked)) return;
    asked = picture;
    model.set("picture", new DataView(picture.buffer));
    model.set("problem", "");
    model.set("probabilities", network && picture.length ? predict(network, picture) : []);
    model.save_changes(); // Python, if asked, answers with the probabilities
    if (!network) patience(picture);
  }

  function patience(/** @type {Picture} */ picture) {
    setTimeout(() => {
      const answered = model.get("probabilities").length || model.get("problem");
      if (answered || picture !== asked || !picture.length) return;
      tell("No answer: Python is busy, or this page has none.", []);
    }, 2000);
  }

  /** Begin anew, with a picture or with empty paper. */
  function lay(/** @type {Picture | null} */ picture) {
    clearTimeout(later);
    [later, strokes, base] = [0, [], picture];
    showStrokes();
    imprint(find(".paper .print"), picture);
  }

  // -- what the values say is shown, whoever set them

  function showPicture() {
    const picture = new Uint8Array(bytes(model.get("picture")));
    imprint(find(".seen .print"), picture);
    if (same(picture, asked)) return;
    lay(picture.length ? picture : null); // from Python, another view, or a saved page
    asked = picture;
    if (network && picture.length) model.set("probabilities", predict(network, picture));
  }

  function showProbabilities() {
    const probabilities = model.get("probabilities");
    if (!asked.length) {
      tell("Draw a digit, or choose one", []);
    } else if (probabilities.length) { // else the old ones stay until Python answers
      const best = probabilities.indexOf(Math.max(...probabilities));
      const article = best === 8 ? "an" : "a";
      tell(`This looks like ${article} ${best}, ${percent(probabilities[best])}`, probabilities);
    }
  }

  function showProblem() {
    if (model.get("problem")) tell(model.get("problem"), []);
  }

  function tell(/** @type {string} */ sentence, /** @type {number[]} */ probabilities) {
    status.textContent = sentence;
    const best = Math.max(...probabilities);
    el.querySelectorAll("tr").forEach((row, digit) => {
      const probability = probabilities[digit];
      row.classList.toggle("best", probability === best);
      row.querySelector("div").style.width = `${100 * (probability ?? 0)}%`;
      row.querySelector(".number").textContent = probabilities.length ? percent(probability) : "";
    });
  }

  function showStrokes() {
    find("path").setAttribute("d", strokes.map(path).join(""));
    find(".hint").hidden = strokes.length > 0 || base !== null;
  }

  model.on("change:picture", showPicture);
  model.on("change:probabilities", showProbabilities);
  model.on("change:problem", showProblem);

  // -- what a person does

  paper.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary || event.button !== 0) return; // a second finger, or another button
    event.preventDefault(); // no text is selected
    paper.setPointerCapture(event.pointerId);
    status.setAttribute("aria-busy", "true"); // a screen reader waits for the end of the stroke
    strokes.push([]);
    extend(event);
  });
  paper.addEventListener("pointermove", (event) => {
    if (paper.hasPointerCapture(event.pointerId)) extend(event);
  });
  paper.addEventListener("lostpointercapture", () => status.removeAttribute("aria-busy"));

  /** Lead the last stroke on to where the pointer is, through all places where it was. */
  function extend(/** @type {PointerEvent} */ event) {
    const { left, top, width } = paper.getBoundingClientRect();
    const places = event.getCoalescedEvents?.() ?? [];
    for (const place of places.length ? places : [event]) {
      const at = [place.clientX - left, place.clientY - top];
      strokes.at(-1).push(at.map((value) => +((value / width) * PAPER).toFixed(1)));
    }
    showStrokes();
    look();
  }

  find(".clear").addEventListener("click", () => {
    lay(null);
    ask(new Uint8Array());
  });

  const examples = new Uint8Array(bytes(model.get("examples")));
  el.querySelectorAll(".examples button").forEach((button, digit) => {
    const picture = examples.slice(digit * SIDE * SIDE, (digit + 1) * SIDE * SIDE);
    imprint(button.querySelector("div"), picture);
    button.addEventListener("click", () => {
      lay(picture);
      ask(picture);
    });
  });

  lay(null);
  showPicture();
  showProbabilities();
  showProblem();
}

/** Strokes over a picture, where they were drawn. @returns {Picture} */
function over(/** @type {Picture} */ base, /** @type {Stroke[]} */ strokes) {
  return ink(strokes, SIDE / PAPER, 0, 0).map((value, i) => Math.max(value, base[i]));
}

/** Let a picture show on an element: as a mask, so that its ink takes the colour of the theme. */
function imprint(/** @type {HTMLElement} */ element, /** @type {Picture | null} */ picture) {
  element.hidden = !picture?.length;
  if (element.hidden) return;
  const pen = canvas();
  const image = new ImageData(SIDE, SIDE);
  picture.forEach((value, i) => (image.data[4 * i + 3] = value));
  pen.putImageData(image, 0, 0);
  element.style.maskImage = `url(${pen.canvas.toDataURL()})`;
}

/** @param {Picture} a  @param {Picture} b */
function same(a, b) {
  return a.length === b.length && a.every((/** @type {number} */ value, i) => value === b[i]);
}

/** Never "100 %": no network is as sure as that. @param {number} probability */
function percent(probability) {
  return probability > 0.995 ? "over 99 %" : `${Math.round(100 * probability)} %`;
}

// ---- 4. where the page is

/**
 * While there is Python: whatever HTML with the widget's mark comes into the page, show it there.
 * @param {{model: any}} here
 */
function initialize({ model }) {
  const region = `[data-draw-digit="${model.get("region")}"]:not([data-live])`;
  const showNew = () => {
    for (const el of /** @type {HTMLElement[]} */ ([...document.querySelectorAll(region)])) {
      el.dataset.live = "";
      render({ model, el });
    }
  };
  const page = new MutationObserver(showNew);
  page.observe(document.body, { childList: true, subtree: true });
  showNew();
  return () => page.disconnect();
}

/** On a page without Python: the values lie in it. @param {string} json */
function alone(json) {
  const model = new Values(JSON.parse(json, (_, value) =>
    value?.base64 === undefined ? value : decoded(value.base64)));
  const region = `[data-draw-digit="${model.get("region")}"]:not([data-live])`;
  for (const el of /** @type {HTMLElement[]} */ ([...document.querySelectorAll(region)])) {
    render({ model, el });
  }
}

/** @param {string} base64 */
function decoded(base64) {
  return new DataView(Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)).buffer);
}

/** Values like those that Python shares. */
class Values {
  /** @type {Record<string, (() => void)[]>} */
  listeners = {};

  /** @param {Record<string, any>} values */
  constructor(values) {
    this.values = values;
  }

  /** @param {string} name */
  get(name) {
    return this.values[name];
  }

  /** @param {string} name  @param {any} value */
  set(name, value) {
    this.values[name] = value;
    (this.listeners[`change:${name}`] ?? []).forEach((listener) => listener());
  }

  /** @param {string} event  @param {() => void} listener */
  on(event, listener) {
    (this.listeners[event] ??= []).push(listener);
  }

  save_changes() {} // to nobody
}

export default { initialize, render };
