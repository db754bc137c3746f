import assert from "node:assert/strict";
import { test } from "node:test";
import type { TranslationBundle } from "@jupyterlab/translation";
import { answerIn, Refusal, replayedAt, unrolledTo, type Unrolled } from "./answer.js";
import { depthIn } from "./depths.js";

/** English, with the values put in: the real translator needs a bundler. */
const trans = {
  __: (text: string, ...values: string[]) =>
    text.replace(/%(\d)/g, (_, at) => values[at - 1] ?? ""),
} as unknown as TranslationBundle;

type Reply = Parameters<typeof answerIn>[0];

function unrolledIn(answered: Reply): Unrolled {
  return answerIn(answered, unrolledTo(), trans);
}

/** The part of a kernel's reply that counts. */
function reply(answer: object): Reply {
  const content = { status: "ok", execution_count: 0, user_expressions: { answer } };
  return content as unknown as Reply;
}

function json(data: object): Reply {
  return reply({ status: "ok", data: { "application/json": data }, metadata: {} });
}

test("a question holds the cell as a Python string", () => {
  const asked = unrolledTo().about('print("a\\n")\n\t# Größe 🙂');
  assert.ok(
    asked.includes(String.raw`.Answer("print(\"a\\n\")\n\t# Größe 🙂", globals(), "loop")`),
  );
  assert.ok(!asked.includes("\n"));
});

test("a question says how far", () => {
  for (const asked of [unrolledTo("gradients"), replayedAt("gradients")]) {
    assert.ok(asked.about("fit").endsWith('("fit", globals(), "gradients")'));
  }
});

test("what was stored is a depth, or the loop", () => {
  assert.equal(depthIn("optimizer"), "optimizer");
  assert.equal(depthIn("deep"), "loop");
  assert.equal(depthIn(undefined), "loop");
});

test("an answer holds the unrolled cell", () => {
  const unrolled = { source: "loop", pairs: [{ before: "fit", after: "loop" }] };
  assert.deepEqual(unrolledIn(json(unrolled)), unrolled);
});

test("an answer may say why there is nothing to unroll", () => {
  assert.throws(
    () => unrolledIn(json({ error: "there is no call." })),
    new Refusal("This cell cannot be unrolled: there is no call."),
  );
  assert.throws(
    () => answerIn(json({ error: "there is no call." }), replayedAt("loop"), trans),
    new Refusal("This cell cannot be replayed: there is no call."),
  );
});

test("a kernel without the library is told from one in which something failed", () => {
  const error = (ename: string, evalue: string) => () =>
    unrolledIn(reply({ status: "error", ename, evalue, traceback: [] }));
  assert.throws(
    error("ModuleNotFoundError", "No module named 'tutorial'"),
    /Install torch-tutorial/,
  );
  assert.throws(
    error("ModuleNotFoundError", "No module named 'libcst'"),
    /ModuleNotFoundError: No/,
  );
  assert.throws(error("ValueError", "so"), /could not answer: ValueError: so/);
});

test("a kernel that was stopped has not answered", () => {
  const aborted = { status: "aborted" } as unknown as Reply;
  assert.throws(() => unrolledIn(aborted), Refusal);
});
