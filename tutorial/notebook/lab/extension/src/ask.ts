/** Asks a notebook's kernel for its selected cell, unrolled. */

import type { Cell } from "@jupyterlab/cells";
import type { NotebookPanel } from "@jupyterlab/notebook";
import type { Kernel } from "@jupyterlab/services";
import type { TranslationBundle } from "@jupyterlab/translation";
import { question, Refusal, unrolledIn, type Unrolled } from "./answer.js";
import type { Depth } from "./depths.js";

/** For how long an answer to somebody else is waited for, in milliseconds. */
const MOMENT = 1_000;

/**
 * The selected cell, or another one, and what it unrolls to.
 *
 * The kernel is asked silently: nothing is added to its history, and no name changes.
 *
 * @throws Refusal, if there is nothing to unroll, or nobody to ask.
 */
export async function askFor(
  panel: NotebookPanel,
  trans: TranslationBundle,
  depth: Depth = "loop",
  cell: Cell | null = panel.content.activeCell,
): Promise<{ cell: Cell; unrolled: Unrolled }> {
  if (cell?.model.type !== "code") {
    throw new Refusal(
      trans.__("Only a code cell can be unrolled. Select one that calls fit, evaluate or predict."),
    );
  }
  const kernel = await readyKernel(panel.sessionContext.session?.kernel, trans);
  const asked = kernel.requestExecute({
    code: "",
    silent: true,
    store_history: false,
    allow_stdin: false,
    user_expressions: { answer: question(cell.model.sharedModel.getSource(), depth) },
  });
  return { cell, unrolled: unrolledIn((await asked.done).content, trans) };
}

/** The kernel, if it is idle and speaks Python. */
async function readyKernel(
  kernel: Kernel.IKernelConnection | null | undefined,
  trans: TranslationBundle,
): Promise<Kernel.IKernelConnection> {
  if (!kernel || kernel.status === "dead") {
    throw new Refusal(
      trans.__(
        "No kernel is running. Start one, run the cells that make the model, and try again.",
      ),
    );
  }
  await idleIn(kernel, MOMENT); // it may just have answered to the application
  if (kernel.status === "busy") {
    throw new Refusal(
      trans.__("The kernel is busy. Wait until the running cell has ended, or stop it."),
    );
  }
  if (kernel.status !== "idle" || kernel.connectionStatus !== "connected") {
    throw new Refusal(trans.__("The kernel is not ready yet. Try again in a moment."));
  }
  const { name } = (await kernel.info).language_info;
  if (name !== "python") {
    throw new Refusal(trans.__("Only Python can be unrolled, and this kernel runs %1.", name));
  }
  return kernel;
}

/** Wait until the kernel is idle, but not for long. */
function idleIn(kernel: Kernel.IKernelConnection, longest: number): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      kernel.statusChanged.disconnect(look);
      resolve();
    };
    const look = (): void => {
      if (kernel.status === "idle") {
        end();
      }
    };
    const timer = setTimeout(end, longest);
    kernel.statusChanged.connect(look);
    look();
  });
}
