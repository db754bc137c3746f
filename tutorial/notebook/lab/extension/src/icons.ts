/** The icons: they take their colour from the theme. */

import { LabIcon } from "@jupyterlab/ui-components";

const svg = (path: string): string =>
  '<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">' +
  `<path class="jp-icon3" fill="#616161" d="${path}"/></svg>`;

/** One line, and below it the indented lines that it stands for. */
export const unrollIcon = new LabIcon({
  name: "tutorial:unroll",
  svgstr: svg("M3 4h18v3H3zM3 9h3v11H3zM9 10h12v2H9zM9 14h12v2H9zM9 18h8v2H9z"),
});

/** Two columns. */
export const sideBySideIcon = new LabIcon({
  name: "tutorial:side-by-side",
  svgstr: svg("M3 4h7v3H3zM14 4h7v3h-7zM14 9h7v2h-7zM14 13h7v2h-7zM14 17h7v3h-7zM11 4h2v16h-2z"),
});

/** An open book. */
export const lessonIcon = new LabIcon({
  name: "tutorial:lesson",
  svgstr: svg(
    "M12 6C10 4.5 7 4 2 4v14c5 0 8 .5 10 2 2-1.5 5-2 10-2V4c-5 0-8 .5-10 2zm-8 .1c3 .1 5.300.6 " +
      "7 1.600v9.500c-1.800-.7-4-1.100-7-1.200zm16 0v9.900c-3 .1-5.200.5-7 1.200V7.700c1.700-1 4-1.500 7-1.600z",
  ),
});
