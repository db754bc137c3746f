/**
 * LivePlot in the browser: the curves of a training, drawn anew at each piece of news.
 *
 * It draws what tutorial/display/curves.py draws for the page that stays; the names are the same.
 *
 * @typedef {[number, number]} Point  x and y
 * @typedef {[number, Record<string, number>]} Row  the step at which an epoch ended, and its means
 * @typedef {{ low: number, high: number, ticks: [number, string][] }} Axis  ticks, with their labels
 * @typedef {Record<string, [Axis, Axis]>} Axes  x and y of each panel, as Python has chosen them
 * @typedef {{ points: Point[], rows: Row[], axes: Axes }} History
 * @typedef {{ name: string, unit: string, lines: Record<string, Point[]> }} Panel
 */

// A panel's size, and the room around its axes: left, right, above, below. All in pixels.
const [WIDTH, HEIGHT] = [360, 200];
const [LEFT, RIGHT, TOP, BOTTOM] = [46, 10, 26, 34];
const GREY = "#7a7a7a";
/** @type {Record<string, [string, string, string]>} a line's colour, its dashes and its marks */
const LOOKS = {
  "each step": ["#9a9a9a", "", ""],
  train: ["#2b7bd0", "", "circle"],
  eval: ["#c8690f", "5 3", "square"],
};

export default {
  /**
   * Once for each plot, however often it is shown: keep up with the news.
   * @param {{ model: any }} here
   */
  initialize({ model }) {
    model.on("msg:custom", (/** @type {any} */ news) => {
      const { points, rows } = model.get("history");
      const [more, further] = [joined(points, news.points), joined(rows, news.rows)];
      if (more && further) model.set("history", { points: more, rows: further, axes: news.axes });
      // Else some was lost; all of it will come.
    });
  },

  /**
   * For each place where it is shown.
   * @param {{ model: any, el: HTMLElement }} here
   */
  render({ model, el }) {
    const plot = el.appendChild(document.createElement("div"));
    const status = el.appendChild(document.createElement("div")); // for those who listen
    plot.className = "tutorial-plot";
    status.className = "tutorial-status";
    status.setAttribute("role", "status");
    const draw = () => {
      const { points, rows, axes } = model.get("history");
      const found = panels(points, rows);
      plot.innerHTML = found.map((panel) => panelHtml(panel, axes[panel.name])).join("");
      plot.dataset.points = String(points.length);
      plot.dataset.rows = String(rows.length);
      const said = rows.length ? inWords(rows[rows.length - 1][1]) : "";
      if (status.textContent !== said) status.textContent = said;
    };
    draw();
    model.on("change:history", draw);
    return () => model.off("change:history", draw);
  },
};

/**
 * The items with the news put in at their place; nothing if some in between were lost.
 * @template T
 * @param {T[]} items
 * @param {{ at: number, items: T[] }} news
 */
function joined(items, news) {
  return news.at <= items.length ? [...items.slice(0, news.at), ...news.items] : undefined;
}

/** @param {Record<string, number>} row */
function inWords(row) {
  const means = Object.entries(row).filter(([name]) => name !== "epoch");
  return `epoch ${row.epoch}: ${means.map(([name, y]) => `${name} ${y.toFixed(4)}`).join(", ")}`;
}

// ---- from numbers to panels

/**
 * The loss by step, and each other measure by epoch; train against eval.
 * @param {Point[]} points
 * @param {Row[]} rows
 * @returns {Panel[]}
 */
export function panels(points, rows) {
  /** @type {Panel} */
  const loss = { name: "loss", unit: "step", lines: points.length ? { "each step": points } : {} };
  const found = new Map([["loss", loss]]);
  for (const [step, row] of rows) {
    for (const [key, number] of Object.entries(row)) {
      if (key === "epoch") continue;
      const name = key.replace(/^eval_/, "");
      const line = key.startsWith("eval_") ? "eval" : "train";
      if (!found.has(name)) found.set(name, { name, unit: "epoch", lines: {} });
      const panel = found.get(name);
      (panel.lines[line] ??= []).push([panel === loss ? step : row.epoch, number]);
    }
  }
  return [...found.values()].filter((panel) => Object.keys(panel.lines).length);
}

// ---- from panels to pictures

/** @param {Panel} panel  @param {[Axis, Axis]} axes */
function panelHtml(panel, axes) {
  return `<div class="tutorial-panel" role="img" aria-label="${escaped(altText(panel))}">${svg(panel, axes)}${tips(panel, axes[0])}</div>`;
}

/**
 * One panel as SVG.
 * @param {Panel} panel
 * @param {[Axis, Axis]} axes
 */
export function svg(panel, [xAxis, yAxis]) {
  const [right, bottom] = [WIDTH - RIGHT, HEIGHT - BOTTOM];
  const [x, y] = [place(xAxis, LEFT, right), place(yAxis, bottom, TOP)];
  const names = Object.keys(panel.lines);
  const parts = [
    `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 ${WIDTH} ${HEIGHT}' ` +
      `font-family='system-ui, sans-serif' font-size='11' fill='${GREY}'>`,
    `<text x='${LEFT}' y='14' font-size='13' font-weight='600'>${escaped(panel.name)}</text>`,
  ];
  for (const [value, label] of yAxis.ticks) {
    parts.push(
      `<path d='M${LEFT} ${y(value).toFixed(1)}H${right}' stroke='${GREY}' stroke-opacity='0.25'/>` +
        `<text x='${LEFT - 6}' y='${(y(value) + 4).toFixed(1)}' text-anchor='end'>` +
        `${label}</text>`,
    );
  }
  for (const [value, label] of xAxis.ticks) {
    parts.push(
      `<text x='${x(value).toFixed(1)}' y='${bottom + 15}' text-anchor='middle'>` +
        `${label}</text>`,
    );
  }
  parts.push(`<text x='${right}' y='${HEIGHT - 4}' text-anchor='end'>${panel.unit}</text>`);
  let at = right;
  for (const name of [...names].reverse()) {
    at -= 6 * name.length + 26; // the legend, from the right
    parts.push(drawn(name, [[at, 10], [at + 18, 10]], [[at + 9, 10]]));
    parts.push(`<text x='${at + 22}' y='14'>${name}</text>`);
  }
  for (const name of names) {
    /** @type {(Point | null)[]} */
    const line = panel.lines[name].map(([a, b]) => (Number.isFinite(b) ? [x(a), y(b)] : null));
    parts.push(drawn(name, line, line.length <= 40 ? line : line.slice(-1)));
  }
  return [...parts, "</svg>"].join("");
}

/**
 * A line, broken where a value is not finite, and the marks on it.
 * @param {string} name
 * @param {(Point | null)[]} line
 * @param {(Point | null)[]} marks
 */
function drawn(name, line, marks) {
  const [color, dashes, mark] = LOOKS[name];
  let [path, pen] = ["", "M"];
  for (const point of line) {
    path += point ? `${pen}${point[0].toFixed(1)} ${point[1].toFixed(1)}` : "";
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
 * Tooltips: the values at each place, shown while a pointer rests there.
 * @param {Panel} panel
 * @param {Axis} xAxis
 */
function tips(panel, xAxis) {
  /** @type {Map<number, string[]>} */
  const texts = new Map();
  for (const [name, line] of Object.entries(panel.lines)) {
    for (const [x, y] of line) texts.set(x, [...(texts.get(x) ?? []), `${name} ${short(y)}`]);
  }
  const percent = place(xAxis, (100 * LEFT) / WIDTH, 100 * (1 - RIGHT / WIDTH));
  const places = [...texts.keys()].sort((a, b) => a - b);
  return places
    .map((x, i) => {
      const left = percent(((places[i - 1] ?? xAxis.low) + x) / 2);
      const right = percent((x + (places[i + 1] ?? xAxis.high)) / 2);
      const tip = `${panel.unit} ${x}: ${texts.get(x).join(", ")}`;
      return `<i style="left:${left.toFixed(1)}%;width:${(right - left).toFixed(1)}%" data-tip="${escaped(tip)}"></i>`;
    })
    .join("");
}

/**
 * The alternative text: the picture in a sentence, for those who cannot see it.
 * @param {Panel} panel
 */
function altText(panel) {
  const lines = Object.entries(panel.lines);
  const last = Math.max(...lines.flatMap(([, line]) => line.map(([x]) => x)));
  const texts = lines.map(
    ([name, line]) => `${name} from ${short(line[0][1])} to ${short(line[line.length - 1][1])}`,
  );
  return `${panel.name} up to ${panel.unit} ${last}: ${texts.join("; ")}`;
}

/** Four significant digits. @param {number} number */
function short(number) {
  return String(Number(number.toPrecision(4)));
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
