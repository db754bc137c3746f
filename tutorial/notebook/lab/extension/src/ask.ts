/** Asks a notebook's kernel about its selected cell. */

import type { Cell } from "@jupyterlab/cells";
import type { NotebookPanel } from "@jupyterlab/notebook";
import type { Kernel, KernelMessage } from "@jupyterlab/services";
import type { TranslationBundle } from "@jupyterlab/translation";
import { answerIn, Refusal, type Question } from "./answer.js";

/** For how long the kernel may do something else before it turns to us, in milliseconds. */
const MOMENT = 1_000;

/**
 * The selected cell, or another one, and what the kernel answers to a question about it.
 *
 * The kernel is asked silently: nothing is added to its history, and no name changes.
 *
 * @throws Refusal, if there is no answer, or nobody to ask.
 */
export async function askAbout<Answer>(
  panel: NotebookPanel,
  question: Question<Answer>,
  trans: TranslationBundle,
  cell: Cell | null = panel.content.activeCell,
): Promise<{ cell: Cell; answer: Answer }> {
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
    user_expressions: { answer: question.about(cell.model.sharedModel.getSource()) },
  });
  await soon(begun(asked), trans).catch((late: unknown) => {
    asked.dispose(); // whatever it answers, nobody waits for it any more
    throw late;
  });
  return { cell, answer: answerIn((await asked.done).content, question, trans) };
}

/** The kernel, if it is there and speaks Python. */
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
  if (!["idle", "busy"].includes(kernel.status) || kernel.connectionStatus !== "connected") {
    throw new Refusal(trans.__("The kernel is not ready yet. Try again in a moment."));
  }
  const { name } = (await soon(kernel.info, trans)).language_info;
  if (name !== "python") {
    throw new Refusal(trans.__("Only Python can be unrolled, and this kernel runs %1.", name));
  }
  return kernel;
}

/**
 * When the kernel turns to a request.
 *
 * Its status does not tell whether a cell is running: while a widget sends messages it reads idle.
 */
function begun(
  asked: Kernel.IShellFuture<KernelMessage.IExecuteRequestMsg, KernelMessage.IExecuteReplyMsg>,
): Promise<void> {
  return new Promise((resolve) => {
    asked.onIOPub = () => {
      resolve();
    };
  });
}

/** What is promised, if it comes in a moment. */
async function soon<T>(promised: Promise<T>, trans: TranslationBundle): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(
        new Refusal(
          trans.__("The kernel is busy. Wait until the running cell has ended, or stop it."),
        ),
      );
    }, MOMENT);
  });
  try {
    return await Promise.race([promised, late]);
  } finally {
    clearTimeout(timer);
  }
}
