/** Unroll: the selected cell's Model calls, written out in a new cell below. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import { ICommandPalette } from "@jupyterlab/apputils";
import { INotebookTracker, type NotebookPanel } from "@jupyterlab/notebook";
import { ITranslator, nullTranslator, type TranslationBundle } from "@jupyterlab/translation";
import { unrolledTo } from "./answer.js";
import { askAbout } from "./ask.js";
import { addNotebookCommand } from "./command.js";
import { unrollIcon } from "./icons.js";

const plugin: JupyterFrontEndPlugin<void> = {
  id: "torch-tutorial:unroll",
  description: "Unrolls the selected cell's Model calls into a new cell below.",
  autoStart: true,
  requires: [INotebookTracker],
  optional: [ICommandPalette, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    tracker: INotebookTracker,
    palette: ICommandPalette | null,
    translator: ITranslator | null,
  ) => {
    const trans = (translator ?? nullTranslator).load("torch_tutorial");
    addNotebookCommand(app, tracker, palette, trans, {
      id: "tutorial:unroll",
      label: trans.__("Unroll"),
      caption: trans.__(
        "Write the selected cell's Model calls out as plain PyTorch, in a cell below",
      ),
      icon: unrollIcon,
      execute: (panel) => unroll(panel, trans),
    });
  },
};

/** Put the unrolled cell below the selected one, and select it. One undo takes it away. */
async function unroll(panel: NotebookPanel, trans: TranslationBundle): Promise<void> {
  const { cell, answer } = await askAbout(panel, unrolledTo(), trans);
  const notebook = panel.content;
  const below = notebook.widgets.indexOf(cell) + 1;
  panel.model?.sharedModel.insertCell(below, {
    cell_type: "code",
    source: answer.source,
    metadata: { trusted: true }, // as every new cell; it has no output yet
  });
  notebook.deselectAll();
  notebook.activeCellIndex = below;
  notebook.mode = "command";
  await notebook.scrollToItem(below); // where cells are drawn when they are seen, it is drawn now
  notebook.activate();
}

export default plugin;
