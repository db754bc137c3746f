/** The extension: four plugins, each with a file and a schema of its own. */

import lessons from "./lessons.js";
import replay from "./replay.js";
import sideBySide from "./sideBySide.js";
import unroll from "./unroll.js";

export default [unroll, sideBySide, replay, lessons];
