/** Side by side: the selected cell beside what it unrolls to, in a panel of its own. */

import {
  ILabShell,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin,
} from "@jupyterlab/application";
import { ICommandPalette, MainAreaWidget } from "@jupyterlab/apputils";
import { IEditorLanguageRegistry } from "@jupyterlab/codemirror";
import { INotebookTracker, type NotebookPanel } from "@jupyterlab/notebook";
import { ITranslator, nullTranslator, type TranslationBundle } from "@jupyterlab/translation";
import { Widget } from "@lumino/widgets";
import { askFor } from "./ask.js";
import { addNotebookCommand } from "./command.js";
import { sideBySideIcon } from "./icons.js";
import { pairsTable, type Highlight } from "./pairs.js";

const plugin: JupyterFrontEndPlugin<void> = {
  id: "torch-tutorial:side-by-side",
  description: "Shows the selected cell beside what it unrolls to.",
  autoStart: true,
  requires: [INotebookTracker, IEditorLanguageRegistry],
  optional: [ILabShell, ICommandPalette, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    tracker: INotebookTracker,
    languages: IEditorLanguageRegistry,
    labShell: ILabShell | null,
    palette: ICommandPalette | null,
    translator: ITranslator | null,
  ) => {
    const trans = (translator ?? nullTranslator).load("torch_tutorial");
    const highlight: Highlight = (code, into) =>
      languages.highlight(code, languages.findByName("python"), into);
    const panels = new Map<NotebookPanel, MainAreaWidget>();
    addNotebookCommand(app, tracker, palette, trans, {
      id: "tutorial:side-by-side",
      label: trans.__("Unroll Side by Side"),
      caption: trans.__("Show the selected cell beside the plain PyTorch that it runs"),
      icon: sideBySideIcon,
      execute: async (notebook) => {
        const { unrolled } = await askFor(notebook, trans);
        const shown = panels.get(notebook) ?? open(notebook);
        const table = await pairsTable(unrolled.pairs, highlight, trans);
        shown.content.node.replaceChildren(table);
        app.shell.activateById(shown.id);
      },
    });

    /** A new panel for a notebook, below it: there is room for two columns. */
    function open(notebook: NotebookPanel): MainAreaWidget {
      const panel = newPanel(notebook, trans);
      panels.set(notebook, panel);
      panel.disposed.connect(() => panels.delete(notebook));
      notebook.disposed.connect(() => {
        panel.dispose();
      });
      if (labShell) {
        labShell.add(panel, "main", { mode: "split-bottom", ref: notebook.id });
      } else {
        app.shell.add(panel, "down"); // in Notebook 7 only one document has the main area
      }
      return panel;
    }
  },
};

function newPanel(notebook: NotebookPanel, trans: TranslationBundle): MainAreaWidget {
  const panel = new MainAreaWidget({ content: new Widget() });
  panel.id = `tutorial-side-by-side-${notebook.id}`;
  panel.title.label = trans.__("Side by side: %1", notebook.title.label);
  panel.title.icon = sideBySideIcon;
  panel.title.closable = true;
  panel.content.addClass("tutorial-SideBySide");
  panel.content.node.tabIndex = -1; // it takes the focus when it is opened
  return panel;
}

export default plugin;
