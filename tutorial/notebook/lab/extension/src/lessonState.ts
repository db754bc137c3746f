/** How far each lesson is: Python's tutorial.course.progress notes what is begun and solved. */

import { PathExt } from "@jupyterlab/coreutils";
import type { Contents } from "@jupyterlab/services";
import type { TranslationBundle } from "@jupyterlab/translation";
import type { Lesson } from "./lessonsServer.js";

const FILE = "lesson_progress.txt"; // as in progress.py

/** How far a lesson is, and how many of its exercises are solved. */
export interface State {
  is: "open" | "begun" | "done";
  solved: number;
}

/** How far each lesson is, by its name. Where that cannot be read, all are open. */
export async function lessonStates(
  files: Pick<Contents.IManager, "get">,
  folder: string,
  lessons: Lesson[],
): Promise<Map<string, State>> {
  const there = await names(files, folder);
  const path = PathExt.join(folder, FILE);
  const noted = there.has(FILE) ? await read(files, path) : new Map<string, string>();
  return new Map(
    lessons.map(({ name, exercises }) => {
      const solved = exercises.filter((exercise) => noted.get(exercise) === "solved").length;
      const begun = there.has(`${name}.ipynb`) || exercises.some((one) => noted.has(one));
      const done = exercises.length > 0 && solved === exercises.length;
      return [name, { is: done ? "done" : begun ? "begun" : "open", solved }];
    }),
  );
}

/** A lesson's title with its number, as other lessons refer to it. */
export function titleOf({ number, title }: Lesson): string {
  return `${String(number)} · ${title}`;
}

/** How long a lesson takes, and how far it is. */
export function aboutLesson(
  { minutes, exercises }: Lesson,
  { is, solved }: State,
  trans: TranslationBundle,
): string {
  const time = trans._n("%1 minute", "%1 minutes", minutes);
  const far = {
    open: "",
    begun: solved
      ? trans.__("%1 of %2 solved", String(solved), String(exercises.length))
      : trans.__("begun"),
    done: trans.__("done"),
  }[is];
  return [time, far].filter(Boolean).join(" · ");
}

async function names(files: Pick<Contents.IManager, "get">, folder: string): Promise<Set<string>> {
  try {
    const content = (await files.get(folder, { content: true })).content as Contents.IModel[];
    return new Set(content.map(({ name }) => name));
  } catch {
    return new Set(); // nothing has been begun
  }
}

/** The exercises that a line of the file is about; what is solved stays solved. */
async function read(
  files: Pick<Contents.IManager, "get">,
  path: string,
): Promise<Map<string, string>> {
  const noted = new Map<string, string>();
  try {
    const text = { type: "file", format: "text", content: true } as const;
    for (const line of ((await files.get(path, text)).content as string).split("\n")) {
      const [name = "", state = ""] = line.trim().split(" ");
      if (state === "solved" || (state === "begun" && !noted.has(name))) {
        noted.set(name, state);
      }
    }
  } catch {
    // a broken file: what is kept in it cannot be shown
  }
  return noted;
}
