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

/** A turn back to the beginning, around the sign for playing. */
export const replayIcon = new LabIcon({
  name: "tutorial:replay",
  svgstr: svg("M12 5V1L6 6l6 5V7a6 6 0 1 1-6 6H4a8 8 0 1 0 8-8zM10 9.500v7l5.500-3.500z"),
});

/** An open book. */
export const lessonIcon = new LabIcon({
  name: "tutorial:lessons",
  svgstr: svg(
    "M12 6C10 4.5 7 4 2 4v14c5 0 8 .5 10 2 2-1.5 5-2 10-2V4c-5 0-8 .5-10 2zm-8 .1c3 .1 5.300.6 " +
      "7 1.600v9.500c-1.800-.7-4-1.100-7-1.200zm16 0v9.900c-3 .1-5.200.5-7 1.200V7.700c1.700-1 4-1.500 7-1.600z",
  ),
});

const RING = "M12 2a10 10 0 0 1 0 20a10 10 0 0 1 0-20zM12 4a8 8 0 0 0 0 16a8 8 0 0 0 0-16z";
const HALF = "M12 6a6 6 0 0 1 0 12z";
const DISC = "M12 2a10 10 0 0 1 0 20a10 10 0 0 1 0-20z";
const CHECK = "M6.5 12l4 4 7-7-1.500-1.500-5.500 5.500-2.500-2.500z"; // the other way round: a hole

/** How far a lesson is: a ring, half full when it is begun; a disc with a check when it is done. */
export const stateIcons = {
  open: new LabIcon({ name: "tutorial:lesson-open", svgstr: svg(RING) }),
  begun: new LabIcon({ name: "tutorial:lesson-begun", svgstr: svg(RING + HALF) }),
  done: new LabIcon({ name: "tutorial:lesson-done", svgstr: svg(DISC + CHECK) }),
};
