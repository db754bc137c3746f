/** Asks the server for the lessons: Python's tutorial.notebook.lab.server answers. */

import { URLExt } from "@jupyterlab/coreutils";
import { ServerConnection } from "@jupyterlab/services";

/** What a lesson's notebook says of it. */
export interface Lesson {
  name: string;
  number: number;
  title: string;
  minutes: number;
  goals: string[];
  exercises: string[];
}

/** All lessons, in their order. */
export async function lessonList(settings: ServerConnection.ISettings): Promise<Lesson[]> {
  return (await get(settings)) as Lesson[];
}

/** A lesson's notebook, in which nothing has been run yet. */
export function freshNotebook(
  settings: ServerConnection.ISettings,
  name: string,
): Promise<unknown> {
  return get(settings, name);
}

async function get(settings: ServerConnection.ISettings, ...name: string[]): Promise<unknown> {
  const url = URLExt.join(settings.baseUrl, "tutorial", "lessons", ...name);
  const response = await ServerConnection.makeRequest(url, {}, settings);
  if (!response.ok) {
    throw new ServerConnection.ResponseError(response);
  }
  return response.json();
}
