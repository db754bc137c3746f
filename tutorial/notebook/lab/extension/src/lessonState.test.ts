import assert from "node:assert/strict";
import { test } from "node:test";
import type { Contents } from "@jupyterlab/services";
import { lessonStates } from "./lessonState.js";
import type { Lesson } from "./lessonsServer.js";

const lesson = (name: string, ...exercises: string[]): Lesson => ({
  name,
  number: 1,
  title: name,
  minutes: 10,
  goals: [],
  exercises,
});

/** A folder with these files; the text of the one in which progress is noted. */
function folder(names: string[], text?: string): Pick<Contents.IManager, "get"> {
  const there = [...names, ...(text === undefined ? [] : ["lesson_progress.txt"])];
  return {
    get: (path: string) =>
      path === "lessons/lesson_progress.txt" && text === "broken"
        ? Promise.reject(new Error("not UTF-8"))
        : Promise.resolve({
            content: path === "lessons" ? there.map((name) => ({ name })) : text,
          } as Contents.IModel),
  };
}

const LESSONS = [lesson("a", "one", "two"), lesson("b", "three"), lesson("c", "four")];

async function states(files: Pick<Contents.IManager, "get">): Promise<unknown[]> {
  return [...(await lessonStates(files, "lessons", LESSONS)).values()].map(
    ({ is, solved }) => `${is} ${String(solved)}`,
  );
}

test("a lesson is begun with its copy or an exercise, and done when all are solved", async () => {
  const text = "# about\none begun\r\none solved\none begun\nthree solved\nbroken\n solved\n";
  assert.deepEqual(await states(folder(["a.ipynb"], text)), ["begun 1", "done 1", "open 0"]);
  assert.deepEqual(await states(folder(["c.ipynb"])), ["open 0", "open 0", "begun 0"]);
  assert.deepEqual(await states(folder([], "four begun")), ["open 0", "open 0", "begun 0"]);
});

test("what cannot be read is open", async () => {
  assert.deepEqual(await states(folder([], "broken")), ["open 0", "open 0", "open 0"]);
  const none = { get: () => Promise.reject(new Error("404")) };
  assert.deepEqual(await states(none), ["open 0", "open 0", "open 0"]);
});
