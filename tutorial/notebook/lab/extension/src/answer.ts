/** What a kernel is asked, and what its answer means. */

import type { KernelMessage } from "@jupyterlab/services";
import type { TranslationBundle } from "@jupyterlab/translation";
import type { Depth } from "./depths.js";

/** A piece of a cell, and what takes its place. */
export interface Pair {
  before: string;
  after: string;
}

/** A cell with every call of a Model written out: Python's tutorial.notebook.cell.UnrolledCell. */
export interface Unrolled {
  source: string;
  pairs: Pair[];
}

/** There is nothing to show, for a reason that the message tells. */
export class Refusal extends Error {}

/**
 * The Python expression that unrolls a cell, so far. It binds no name.
 *
 * A JSON string is a Python string, too.
 */
export function question(source: string, depth: Depth = "loop"): string {
  const answer = '__import__("tutorial.notebook.cell", fromlist=["Answer"]).Answer';
  return `${answer}(${JSON.stringify(source)}, globals(), "${depth}")`;
}

/**
 * The unrolled cell that an answer holds.
 *
 * @throws Refusal, if it holds an error.
 */
export function unrolledIn(
  reply: KernelMessage.IExecuteReplyMsg["content"],
  trans: TranslationBundle,
): Unrolled {
  if (reply.status !== "ok") {
    throw new Refusal(trans.__("The kernel was stopped before it could answer. Try again."));
  }
  const answer = reply.user_expressions["answer"] as Answer;
  if (answer.status === "error") {
    throw new Refusal(explained(answer, trans));
  }
  const json = answer.data["application/json"];
  if ("error" in json) {
    throw new Refusal(trans.__("This cell cannot be unrolled: %1", json.error));
  }
  return json;
}

/** What became of the expression: the messaging protocol leaves this type open. */
type Answer =
  { status: "ok"; data: { "application/json": Unrolled | { error: string } } } | Failure;

interface Failure {
  status: "error";
  ename: string;
  evalue: string;
}

function explained({ ename, evalue }: Failure, trans: TranslationBundle): string {
  if (ename === "ModuleNotFoundError" && evalue.includes("'tutorial")) {
    return trans.__(
      "The kernel's Python has no module `tutorial`. Install torch-tutorial there, or choose " +
        "another kernel.",
    );
  }
  return trans.__("The kernel could not unroll this cell: %1: %2", ename, evalue);
}
