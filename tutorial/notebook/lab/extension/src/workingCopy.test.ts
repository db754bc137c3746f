import assert from "node:assert/strict";
import { test } from "node:test";
import { ServerConnection, type Contents } from "@jupyterlab/services";
import { makeCopy, setAside, type Files } from "./workingCopy.js";

/** A folder in memory that answers as a Jupyter server does: 404 for what is not there. */
class Folder {
  files = new Map<string, unknown>();
  broken = false;

  asFiles(): Files {
    return this as unknown as Files;
  }

  get(path: string): Promise<unknown> {
    if (this.broken || !this.files.has(path)) {
      const status = this.broken ? 500 : 404;
      return Promise.reject(new ServerConnection.ResponseError(new Response("", { status })));
    }
    return Promise.resolve({ path });
  }

  save(path: string, { type, content }: Partial<Contents.IModel>): Promise<void> {
    const parent = path.slice(0, Math.max(0, path.lastIndexOf("/")));
    assert.ok(parent === "" || this.files.has(parent), `there is no folder for ${path}`);
    this.files.set(path, type === "directory" ? "folder" : content);
    return Promise.resolve();
  }

  rename(path: string, to: string): Promise<void> {
    this.files.set(to, this.files.get(path));
    this.files.delete(path);
    return Promise.resolve();
  }
}

const fresh = (): Promise<string> => Promise.resolve("fresh");

test("a copy is made where there is none, with the folders it needs", async () => {
  const folder = new Folder();
  await makeCopy(folder.asFiles(), "my/lessons/01.ipynb", fresh);
  assert.deepEqual(
    [...folder.files],
    [
      ["my", "folder"],
      ["my/lessons", "folder"],
      ["my/lessons/01.ipynb", "fresh"],
    ],
  );
});

test("a copy that is there stays as it is", async () => {
  const folder = new Folder();
  folder.files.set("01.ipynb", "worked on");
  await makeCopy(folder.asFiles(), "01.ipynb", fresh);
  assert.equal(folder.files.get("01.ipynb"), "worked on");
});

test("nothing is written when the server cannot say whether a copy is there", async () => {
  const folder = new Folder();
  folder.broken = true;
  await assert.rejects(makeCopy(folder.asFiles(), "01.ipynb", fresh));
  assert.equal(folder.files.size, 0);
});

test("old copies are all kept", async () => {
  const folder = new Folder();
  for (const work of ["first", "second"]) {
    folder.files.set("a/01.ipynb", work);
    await setAside(folder.asFiles(), "a/01.ipynb");
  }
  assert.deepEqual(
    [...folder.files],
    [
      ["a/01_old_1.ipynb", "first"],
      ["a/01_old_2.ipynb", "second"],
    ],
  );
  assert.equal(await setAside(folder.asFiles(), "a/01.ipynb"), undefined);
});
