/** A cell beside what it unrolls to, as a table: a row for each statement and its lines. */

import type { TranslationBundle } from "@jupyterlab/translation";
import type { Pair } from "./answer.js";
import { element } from "./dom.js";

/** Columns of a loop; what is out of sight then is the end of comments. */
const READABLE = 50;

/** Columns that the space around code takes. */
const AROUND = 3;

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
  const left = columnsOf(["as written", ...shown.map(({ before }) => before)]);
  const right = Math.min(columnsOf(shown.map(({ after }) => after)), READABLE);
  return element(
    "div",
    {
      class: "tutorial-pairs",
      role: "table",
      "aria-label": trans.__("As written, and unrolled"),
      style: `--left: ${String(left + AROUND)}ch; --right: ${String(right + AROUND)}ch`,
    },
    element("div", { role: "row" }, ...headings),
    ...(await Promise.all(shown.map(row))),
  );
}

/** How many columns the longest line of these texts has. */
function columnsOf(texts: string[]): number {
  return Math.max(...texts.flatMap((text) => text.split("\n")).map((line) => line.length));
}
