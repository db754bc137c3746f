/** The extension: three plugins, each with a file and a schema of its own. */

import lessons from "./lessons.js";
import sideBySide from "./sideBySide.js";
import unroll from "./unroll.js";

export default [unroll, sideBySide, lessons];
