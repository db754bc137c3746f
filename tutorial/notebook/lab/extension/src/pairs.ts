/** A cell beside what it unrolls to, as a table: a row for each statement and its lines. */

import type { TranslationBundle } from "@jupyterlab/translation";
import type { Pair } from "./answer.js";
import { element } from "./dom.js";

/** Puts code into an element, in colours. */
export type Highlight = (code: string, into: HTMLElement) => Promise<void>;

/**
 * The table. The rows can be reached by the keyboard: the style sheet lights up the row that has the
 * focus, or the pointer, on both sides.
 */
export async function pairsTable(
  pairs: Pair[],
  highlight: Highlight,
  trans: TranslationBundle,
): Promise<HTMLElement> {
  const code = async (text: string): Promise<HTMLElement> => {
    const pre = element("pre", {});
    await highlight(text.replace(/^\n+|\n+$/g, ""), pre);
    return element("div", { role: "cell" }, pre);
  };
  const row = async ({ before, after }: Pair): Promise<HTMLElement> =>
    element("div", { role: "row", tabindex: "0" }, await code(before), await code(after));
  const headings = [trans.__("as written"), trans.__("unrolled: what runs")].map((heading) =>
    element("div", { role: "columnheader" }, heading),
  );
  const shown = pairs.filter(({ before, after }) => before.trim() || after.trim());
  return element(
    "div",
    { class: "tutorial-pairs", role: "table", "aria-label": trans.__("As written, and unrolled") },
    element("div", { role: "row" }, ...headings),
    ...(await Promise.all(shown.map(row))),
  );
}
