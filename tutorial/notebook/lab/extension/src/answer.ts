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

/** The first steps of a cell's call, as a page that plays them. */
export interface Replayed {
  html: string;
}

/** Something that a kernel is asked about a cell. */
export interface Question<Answer> {
  /** The Python expression; it binds no name. */
  about: (source: string) => string;
  /** What it is if there is no answer: "This cell cannot be unrolled: ...". */
  cannot: (reason: string, trans: TranslationBundle) => string;
  /** Only for the type of its answer. */
  answer?: Answer;
}

/** There is nothing to show, for a reason that the message tells. */
export class Refusal extends Error {}

/** What a cell unrolls to, so far. */
export function unrolledTo(depth: Depth = "loop"): Question<Unrolled> {
  return {
    about: (source) => expression("Answer", source, depth),
    cannot: (reason, trans) => trans.__("This cell cannot be unrolled: %1", reason),
  };
}

/** The first steps of a cell, written out so far. */
export function replayedAt(depth: Depth): Question<Replayed> {
  return {
    about: (source) => expression("ReplayAnswer", source, depth),
    cannot: (reason, trans) => trans.__("This cell cannot be replayed: %1", reason),
  };
}

/** Python code for an answer about a cell. A JSON string is a Python string, too. */
function expression(answer: string, source: string, depth: Depth): string {
  const type = `__import__("tutorial.notebook.cell", fromlist=["${answer}"]).${answer}`;
  return `${type}(${JSON.stringify(source)}, globals(), "${depth}")`;
}

/**
 * The answer that a reply holds.
 *
 * @throws Refusal, if it holds an error.
 */
export function answerIn<Json>(
  reply: KernelMessage.IExecuteReplyMsg["content"],
  question: Question<Json>,
  trans: TranslationBundle,
): Json {
  if (reply.status !== "ok") {
    throw new Refusal(trans.__("The kernel was stopped before it could answer. Try again."));
  }
  const answer = reply.user_expressions["answer"] as Evaluated;
  if (answer.status === "error") {
    throw new Refusal(explained(answer, trans));
  }
  const json = answer.data["application/json"];
  if ("error" in json) {
    throw new Refusal(question.cannot(String(json.error), trans));
  }
  return json as Json;
}

/** What became of the expression: the messaging protocol leaves this type open. */
type Evaluated = { status: "ok"; data: { "application/json": object } } | Failure;

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
  return trans.__("The kernel could not answer: %1: %2", ename, evalue);
}
