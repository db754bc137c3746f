/** A lesson's working copy in the user's folder: made once, never overwritten. */

import { PathExt } from "@jupyterlab/coreutils";
import { ServerConnection, type Contents } from "@jupyterlab/services";

/** What is needed of JupyterLab's contents manager. */
export type Files = Pick<Contents.IManager, "get" | "save" | "rename">;

/** Make the working copy, unless it is there already. */
export async function makeCopy(
  files: Files,
  path: string,
  fresh: () => Promise<unknown>,
): Promise<void> {
  if (await exists(files, path)) {
    return;
  }
  const content = await fresh();
  await makeFolder(files, PathExt.dirname(path));
  await files.save(path, { type: "notebook", format: "json", content });
}

/** If there is a working copy, give it a name that says that it is old; that name. */
export async function setAside(files: Files, path: string): Promise<string | undefined> {
  if (!(await exists(files, path))) {
    return undefined;
  }
  for (let number = 1; ; number++) {
    const old = path.replace(/\.ipynb$/, `_old_${String(number)}.ipynb`);
    if (!(await exists(files, old))) {
      await files.rename(path, old); // a notebook that is open goes with it
      return old;
    }
  }
}

async function exists(files: Files, path: string): Promise<boolean> {
  try {
    await files.get(path, { content: false });
    return true;
  } catch (error) {
    if (error instanceof ServerConnection.ResponseError && error.response.status === 404) {
      return false;
    }
    throw error;
  }
}

async function makeFolder(files: Files, folder: string): Promise<void> {
  let path = "";
  for (const part of folder.split("/").filter(Boolean)) {
    path = PathExt.join(path, part);
    if (!(await exists(files, path))) {
      await files.save(path, { type: "directory" });
    }
  }
}
