/**
 * LivePlot in the browser: the curves of a training, drawn anew at each piece of news.
 *
 * It draws what tutorial/display/chart.py draws for the page that stays; the names are the same.
 *
 * @typedef {[number, number | null]} Point  x and y, if y is a number
 * @typedef {[number, Record<string, number | null>]} Row  the step at which an epoch ended, and its means
 * @typedef {[number, number]} Pixel
 * @typedef {{ low: number, high: number, ticks: [number, string][] }} Axis  ticks, with their labels
 * @typedef {Record<string, [Axis, Axis]>} Axes  x and y of each chart, as Python has chosen them
 * @typedef {{ bar: string, epochs: string, final: string, points: Point[], rows: Row[],
 *   axes: Axes, stride: number, lost: Break, panels: any[] }} Drawn  bar, epochs, final: as HTML
 * @typedef {[number, string] | null} Break  the first step whose loss is not finite, and what it is
 * @typedef {{ name: string, unit: string, lines: Record<string, Point[]>, stride: number,
 *   lost: Break }} Chart
 */

// A chart's size, and the least room around its axes: left, right, above, below. All in pixels.
const [WIDTH, HEIGHT] = [360, 200];
const [LEFT, RIGHT, TOP, BOTTOM] = [46, 10, 26, 34];
const DIGIT = 6.6; // pixels of a character of 11 pixels, at most
const RED = "#c3403a";
/** @type {Record<string, [string, string, string]>} a line's colour, its dashes and its marks */
const LOOKS = {
  steps: ["#8a8a8a", "", ""],
  train: ["#2b7bd0", "", "circle"],
  eval: ["#c8690f", "5 3", "square"],
};

// So long after the last news, in milliseconds, nobody can know how long the rest will take.
const SILENCE = 30_000;

export default {
  /**
   * Once for each widget, though it be shown nowhere as such: keep up with the news, and draw them
   * in the region of the page that Python has written as HTML, wherever it stands.
   * @param {{ model: any }} here
   */
  async initialize({ model }) {
    model.on("msg:custom", (/** @type {any} */ news) => {
      const drawn = told(model.get("drawn"), news);
      if (drawn) model.set("drawn", drawn); // else some was lost; all of it will come
    });
    const draw = await drawing(model);
    const region = `[data-tutorial="${model.get("region")}"]`;
    const drawAll = () => document.querySelectorAll(region).forEach(draw);
    const drawNew = () => document.querySelectorAll(`${region}:not([data-live])`).forEach(draw);
    const page = new MutationObserver(drawNew); // such as a copy of the output, or the same anew
    page.observe(document.body, { childList: true, subtree: true });
    drawAll();
    model.on("change:drawn", drawAll);
    let silence = 0;
    const hush = () =>
      document.querySelectorAll(`${region} small`).forEach((pace) => {
        pace.textContent = "not finished";
      });
    model.on("comm_live_update", hush); // the kernel is gone
    model.on("change:drawn", () => {
      clearTimeout(silence);
      silence = setTimeout(hush, SILENCE);
    });
    return () => page.disconnect();
  },

  /**
   * For each place where it is shown as a widget.
   * @param {{ model: any, el: HTMLElement }} here
   */
  async render({ model, el }) {
    const draw = await drawing(model);
    const drawHere = () => draw(el);
    drawHere();
    model.on("change:drawn", drawHere);
    return () => model.off("change:drawn", drawHere);
  },
};

/**
 * What draws the widget's state into an element.
 * @param {any} model
 */
async function drawing(model) {
  const panels = await Promise.all(model.get("panels").map(loaded));
  return (/** @type {HTMLElement} */ el) => {
    if (!("live" in el.dataset)) {
      el.innerHTML = SKELETON;
      el.dataset.live = "";
    }
    /** @type {Drawn} */
    const { points, rows, axes, stride, lost, ...drawn } = model.get("drawn");
    if (drawn.final) {
      el.innerHTML = drawn.final;
      return;
    }
    const [bar, plot, epochs, status] = /** @type {HTMLElement[]} */ ([...el.children]);
    bar.innerHTML = drawn.bar;
    if (epochs.dataset.drawn !== drawn.epochs) {
      epochs.innerHTML = epochs.dataset.drawn = drawn.epochs;
    }
    const all = charts(points, rows, stride, lost);
    const found = all.map((chart) => chartHtml(chart, axes[chart.name]));
    const further = panels.map((panel, i) => panelHtml(panel, drawn.panels[i]));
    plot.innerHTML = [...found, ...further].join("");
    plot.dataset.points = String(points.length);
    plot.dataset.rows = String(rows.length);
    const said = rows.length ? inWords(rows[rows.length - 1][1]) : "";
    if (status.textContent !== said) status.textContent = said;
  };
}

// The bar, the charts, the last epochs; and what is said to those who listen.
const SKELETON =
  '<div></div><div class="tutorial-plot"></div><div></div>' +
  '<div class="tutorial-status" role="status"></div>';

/**
 * A further panel: its title, and the function that draws its data.
 * @param {{ title: string, script: string }} panel
 */
async function loaded({ title, script }) {
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const { default: html } = await import(url);
  URL.revokeObjectURL(url);
  return { title, html };
}

/** @param {{ title: string, html: (data: any) => string }} panel  @param {any} data */
function panelHtml({ title, html }, data) {
  const name = escaped(title);
  return data == null
    ? ""
    : `<div class="tutorial-panel" role="group" aria-label="${name}">${html(data)}</div>`;
}

/**
 * What was drawn with the news put in; nothing if some in between were lost.
 * @param {Drawn} drawn
 * @param {any} news
 */
function told(drawn, news) {
  const [points, rows] = [joined(drawn.points, news.points), joined(drawn.rows, news.rows)];
  return points && rows && { ...drawn, ...news, points, rows };
}

/**
 * The items with the news put in at their place; nothing if some in between were lost.
 * @template T
 * @param {T[]} items
 * @param {{ at: number, items: T[] }} news
 */
function joined(items, news) {
  return news.at <= items.length ? [...items.slice(0, news.at), ...news.items] : undefined;
}

/** @param {Record<string, number | null>} row */
function inWords(row) {
  const means = Object.entries(row).filter(([name]) => name !== "epoch");
  return `epoch ${row.epoch}: ${means.map(([name, y]) => `${name} ${y?.toFixed(4) ?? "nan"}`).join(", ")}`;
}

// ---- from numbers to charts

/**
 * The loss by step, and each other measure by epoch; train against eval.
 * @param {Point[]} points
 * @param {Row[]} rows
 * @param {number} stride
 * @param {Break} lost
 * @returns {Chart[]}
 */
export function charts(points, rows, stride, lost) {
  /** @type {Record<string, Point[]>} */
  const lines = points.length ? { steps: points } : {};
  /** @type {Chart} */
  const loss = { name: "loss", unit: "step", lines, stride, lost };
  const found = new Map([["loss", loss]]);
  for (const [step, row] of rows) {
    for (const [key, number] of Object.entries(row)) {
      if (key === "epoch") continue;
      const name = key.replace(/^eval_/, "");
      const line = key.startsWith("eval_") ? "eval" : "train";
      if (!found.has(name)) found.set(name, { name, unit: "epoch", lines: {}, stride: 1, lost: null });
      const chart = found.get(name);
      (chart.lines[line] ??= []).push([chart === loss ? step : row.epoch, number]);
    }
  }
  return [...found.values()].filter((chart) => Object.keys(chart.lines).length);
}

// ---- from charts to pictures

/** @param {Chart} chart  @param {[Axis, Axis]} axes */
function chartHtml(chart, axes) {
  return `<div class="tutorial-chart" role="img" aria-label="${escaped(altText(chart))}">${svg(chart, axes)}${tips(chart, axes)}</div>`;
}

/**
 * One chart as SVG.
 * @param {Chart} chart
 * @param {[Axis, Axis]} axes
 */
export function svg(chart, [xAxis, yAxis]) {
  const [left, right, bottom] = [leftOf(yAxis), WIDTH - RIGHT, HEIGHT - BOTTOM];
  const [x, y] = [place(xAxis, left, right), place(yAxis, bottom, TOP)];
  const names = Object.keys(chart.lines);
  const parts = [
    `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 ${WIDTH} ${HEIGHT}' ` +
      `font-family='system-ui, sans-serif' font-size='11' fill='currentColor'>`,
    `<text x='${left}' y='14' font-size='13' font-weight='600'>${escaped(chart.name)}</text>`,
  ];
  for (const [value, label] of yAxis.ticks) {
    parts.push(
      `<path d='M${left} ${y(value).toFixed(1)}H${right}' stroke='currentColor' stroke-opacity='0.2'/>` +
        `<text x='${left - 6}' y='${(y(value) + 4).toFixed(1)}' text-anchor='end'>` +
        `${label}</text>`,
    );
  }
  for (const [value, label] of xAxis.ticks) {
    const at = Math.min(x(value), WIDTH - 2 - (DIGIT / 2) * label.length); // no label is cut off
    parts.push(
      `<text x='${at.toFixed(1)}' y='${bottom + 15}' text-anchor='middle'>${label}</text>`,
    );
  }
  parts.push(`<text x='${right}' y='${HEIGHT - 4}' text-anchor='end'>${chart.unit}</text>`);
  let at = right;
  for (const name of [...names].reverse()) {
    const label = labelOf(name, chart.stride);
    at -= 6 * label.length + 26; // the legend, from the right
    parts.push(drawn(name, [[at, 10], [at + 18, 10]], [[at + 9, 10]]));
    parts.push(`<text x='${at + 22}' y='14'>${label}</text>`);
  }
  for (const name of names) {
    /** @type {(Pixel | null)[]} */
    const line = chart.lines[name].map(([a, b]) => (b === null ? null : [x(a), y(b)]));
    parts.push(drawn(name, line, line.length <= 40 ? line : line.slice(-1)));
    if (line.length === 1 && line[0] && chart.unit === "epoch") {
      const [shift, anchor] = name === "eval" ? [-8, "end"] : [8, "start"];
      parts.push(
        `<text x='${(line[0][0] + shift).toFixed(1)}' y='${(line[0][1] + 4).toFixed(1)}' ` +
          `text-anchor='${anchor}'>${short(chart.lines[name][0][1])}</text>`,
      );
    }
  }
  if (chart.lost) parts.push(markOf(chart.lost, x(chart.lost[0]), right));
  return [...parts, "</svg>"].join("");
}

/**
 * What the legend says of a line.
 * @param {string} name
 * @param {number} stride
 */
function labelOf(name, stride) {
  if (name !== "steps") return name;
  return stride === 1 ? "each step" : `mean of ${stride} steps`;
}

/**
 * A line, broken where there is no number, and the marks on it.
 * @param {string} name
 * @param {(Pixel | null)[]} line
 * @param {(Pixel | null)[]} marks
 */
function drawn(name, line, marks) {
  const [color, dashes, mark] = LOOKS[name];
  let [path, pen] = ["", "M"];
  for (const [i, point] of line.entries()) {
    path += point ? `${pen}${point[0].toFixed(1)} ${point[1].toFixed(1)}` : "";
    if (point && pen === "M" && !mark && !line[i + 1]) path += "h1"; // alone between two breaks
    pen = point ? "L" : "M";
  }
  const dashed = dashes ? ` stroke-dasharray='${dashes}'` : "";
  const parts = [
    `<path d='${path}' fill='none' stroke='${color}' stroke-width='${mark ? 1.8 : 1}'${dashed}/>`,
  ];
  for (const point of mark ? marks : []) {
    if (!point) continue;
    const [px, py] = point;
    parts.push(
      mark === "circle"
        ? `<circle cx='${px.toFixed(1)}' cy='${py.toFixed(1)}' r='3' fill='${color}'/>`
        : `<rect x='${(px - 3).toFixed(1)}' y='${(py - 3).toFixed(1)}' width='6' height='6' fill='${color}'/>`,
    );
  }
  return parts.join("");
}

/**
 * Where the loss is nan or infinite.
 * @param {[number, string]} lost
 * @param {number} x
 * @param {number} right
 */
function markOf([step, word], x, right) {
  const [shift, anchor] = x > right / 2 ? [-5, "end"] : [5, "start"];
  return (
    `<path d='M${x.toFixed(1)} ${TOP}V${HEIGHT - BOTTOM}' stroke='${RED}' stroke-width='1.5'/>` +
    `<text x='${(x + shift).toFixed(1)}' y='${TOP + 14}' text-anchor='${anchor}'>` +
    `${word} from step ${step} on</text>`
  );
}

/**
 * Tooltips: the values at each place, shown while a pointer rests there.
 * @param {Chart} chart
 * @param {[Axis, Axis]} axes
 */
function tips(chart, [xAxis, yAxis]) {
  /** @type {Map<number, string[]>} */
  const texts = new Map();
  for (const [name, line] of Object.entries(chart.lines)) {
    let before = 0;
    for (const [x, y] of line) {
      const label = labelOf(name, name === "steps" ? Math.round(x - before) : 1);
      texts.set(x, [...(texts.get(x) ?? []), `${label} ${short(y)}`]);
      before = x;
    }
  }
  const percent = place(xAxis, (100 * leftOf(yAxis)) / WIDTH, 100 * (1 - RIGHT / WIDTH));
  const places = [...texts.keys()].sort((a, b) => a - b);
  return places
    .map((x, i) => {
      const left = percent(((places[i - 1] ?? xAxis.low) + x) / 2);
      const right = percent((x + (places[i + 1] ?? xAxis.high)) / 2);
      const share = (100 * (percent(x) - left)) / Math.max(right - left, 1e-9);
      const side = percent(x) > 50 ? ' class="right"' : "";
      const tip = `${chart.unit} ${x}: ${texts.get(x).join(", ")}`;
      const style = `left:${left.toFixed(1)}%;width:${(right - left).toFixed(1)}%;--at:${share.toFixed(0)}%`;
      return `<i${side} style="${style}" data-tip="${escaped(tip)}"></i>`;
    })
    .join("");
}

/**
 * The alternative text: the picture in a sentence, for those who cannot see it.
 * @param {Chart} chart
 */
function altText(chart) {
  const lines = Object.entries(chart.lines);
  const last = Math.max(...lines.flatMap(([, line]) => line.map(([x]) => x)));
  const texts = lines.map(
    ([name, line]) => `${labelOf(name, chart.stride)} from ${short(line[0][1])} to ${short(line[line.length - 1][1])}`,
  );
  const lost = chart.lost ? `; ${chart.lost[1]} from step ${chart.lost[0]} on` : "";
  return `${chart.name} up to ${chart.unit} ${last}: ${texts.join("; ")}${lost}`;
}

/** Four significant digits, as Python's .4g writes them. @param {number | null} number */
function short(number) {
  if (number === null) return "nan";
  const [mantissa, exponent] = number.toExponential(3).split("e");
  if (-5 < +exponent && +exponent < 4) return String(Number(number.toPrecision(4)));
  return `${Number(mantissa)}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
}

/** Where the axes begin: to their left is room for the longest label. @param {Axis} yAxis */
function leftOf(yAxis) {
  return Math.max(LEFT, 8 + DIGIT * Math.max(...yAxis.ticks.map(([, label]) => label.length)));
}

/** @param {string} text */
function escaped(text) {
  return text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

/**
 * From values on the axis to places between start and end.
 * @param {Axis} axis
 * @param {number} start
 * @param {number} end
 */
function place(axis, start, end) {
  /** @param {number} value */
  return (value) => start + ((end - start) * (value - axis.low)) / (axis.high - axis.low);
}
