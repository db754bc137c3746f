// Lights up the lines that belong to the line under the pointer, or to the chosen one, at each depth.
(() => {
  const CONTROL = ".tutorial-depths";
  const linesOf = (control) => [...control.querySelectorAll(".l")];
  const visible = (element) => element.getClientRects().length > 0;

  /** Light up what belongs to a line: its part; dimmer, the rest of its layer. */
  function light(control, line) {
    const counts = new Map();
    for (const other of linesOf(control)) {
      const { p, k } = other.dataset;
      const sameLayer = !line?.dataset.k || !k || k === line.dataset.k;
      const lit = p === line?.dataset.p && sameLayer;
      const kin = !lit && line?.dataset.k !== undefined && k === line?.dataset.k;
      other.classList.toggle("lit", lit);
      other.classList.toggle("kin", kin);
      const depth = other.closest("section").dataset.depth;
      counts.set(depth, (counts.get(depth) ?? 0) + lit);
    }
    const told = [...counts].map(([depth, n]) => `${n} in ${depth}`).join(", ");
    control.querySelector("output").textContent = line ? `Lines that belong together: ${told}` : "";
  }

  /** Choose a line, or none. */
  function choose(control, line) {
    for (const other of control.querySelectorAll(".now")) other.classList.remove("now");
    control.chosen = line;
    light(control, line);
    for (const other of linesOf(control)) {
      other.setAttribute("aria-selected", other.classList.contains("lit"));
    }
    for (const list of control.querySelectorAll("code[role]")) {
      const first = list.contains(line) ? line : list.querySelector(".lit");
      first?.classList.add("now");
      if (first) list.setAttribute("aria-activedescendant", first.id);
      else list.removeAttribute("aria-activedescendant");
      if (first && visible(first)) scrollTo(list.parentElement, first);
    }
  }

  /** Bring a line into view: in its own box alone, so that the page stays where it is. */
  function scrollTo(box, line) {
    const [outer, inner] = [box.getBoundingClientRect(), line.getBoundingClientRect()];
    if (inner.top < outer.top || inner.bottom > outer.bottom) {
      box.scrollTop += inner.top - outer.top - box.clientHeight / 3;
    }
  }

  const keys = { ArrowDown: (i) => i + 1, ArrowUp: (i) => i - 1, Home: () => 0, End: () => Infinity };
  function onKey(event) {
    const list = event.target.closest?.(`${CONTROL} code[role]`);
    if (!list) return;
    const control = list.closest(CONTROL);
    const lines = linesOf(list);
    const now = lines.findIndex((line) => line.classList.contains("now"));
    if (event.key === "Escape") choose(control, null);
    else if (keys[event.key]) {
      const next = Math.min(Math.max(keys[event.key](now), 0), lines.length - 1);
      choose(control, lines[next]);
    } else return;
    event.preventDefault();
  }

  function listen() {
    const on = (name, act) =>
      document.addEventListener(name, (event) => {
        const control = event.target.closest?.(CONTROL);
        if (control) act(control, event.target.closest(".l"), event);
      });
    on("pointerover", (control, line) => light(control, line ?? control.chosen));
    on("pointerout", (control, _, event) => {
      if (!control.contains(event.relatedTarget)) light(control, control.chosen);
    });
    on("click", (control, line) => {
      if (line && getSelection().isCollapsed) choose(control, line === control.chosen ? null : line);
    });
    on("change", (control) => choose(control, control.chosen ?? null));
    document.addEventListener("keydown", onKey);
  }

  if (!window.tutorialDepths) {
    window.tutorialDepths = { count: 0 };
    listen();
  }
  for (const control of document.querySelectorAll(`${CONTROL}:not([data-ready])`)) {
    control.dataset.ready = "";
    for (const code of control.querySelectorAll("pre > code")) {
      const box = code.parentElement;
      const names = {
        role: "listbox", tabindex: "0", "aria-multiselectable": "true",
        "data-lm-suppress-shortcuts": "",
        "aria-label": `the lines of ${box.getAttribute("aria-label")}`,
      };
      for (const [name, value] of Object.entries(names)) code.setAttribute(name, value);
      for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
    }
    for (const line of linesOf(control)) {
      line.id = `tutorial-line-${(window.tutorialDepths.count += 1)}`;
      line.setAttribute("role", "option");
      line.setAttribute("aria-selected", "false");
    }
  }
})();
