/** The control for how far a cell is written out: radio buttons, one for each depth. */

import type { TranslationBundle } from "@jupyterlab/translation";
import { element } from "./dom.js";

/** The depths of a cell, as of Python's `model.unroll(..., depth=...)`. */
export const DEPTHS = ["loop", "optimizer", "gradients"] as const;
export type Depth = (typeof DEPTHS)[number];

/** How the fourth depth is shown: its numbers come from a file, which no cell has. */
const NUMPY = 'print(model.unroll(..., depth="numpy"))';

/** What somebody has stored as a depth; the loop, if it is none. */
export function depthIn(stored: unknown): Depth {
  return DEPTHS.find((depth) => depth === stored) ?? "loop";
}

/**
 * The control.
 *
 * @param name keeps its buttons apart from those of another control.
 * @param choose is told of a depth that was chosen.
 */
export function depthsControl(
  name: string,
  choose: (depth: Depth) => void,
  trans: TranslationBundle,
): HTMLFieldSetElement {
  const button = (depth: Depth): HTMLElement => {
    const input = element("input", { type: "radio", name, value: depth });
    input.addEventListener("change", () => {
      choose(depth);
    });
    return element("label", {}, input, depth);
  };
  return element(
    "fieldset",
    { class: "tutorial-depth" },
    element("legend", {}, trans.__("How deep?")),
    ...DEPTHS.map(button),
    element("label", {}, element("input", { type: "radio", name, disabled: "" }), "numpy"),
    element("small", {}, trans.__("in NumPy it is a program of its own: %1", NUMPY)),
  ) as HTMLFieldSetElement;
}

/** Check the button of the depth that is shown. */
export function check(control: HTMLFieldSetElement, shown: Depth): void {
  for (const input of control.querySelectorAll("input")) {
    input.checked = input.value === shown;
  }
}
