/** Side by side: the selected cell beside what it unrolls to, in a panel of its own. */

import {
  ILabShell,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin,
} from "@jupyterlab/application";
import { ICommandPalette } from "@jupyterlab/apputils";
import { IEditorLanguageRegistry } from "@jupyterlab/codemirror";
import { INotebookTracker } from "@jupyterlab/notebook";
import { ISettingRegistry } from "@jupyterlab/settingregistry";
import { ITranslator, nullTranslator } from "@jupyterlab/translation";
import { unrolledTo } from "./answer.js";
import { sideBySideIcon } from "./icons.js";
import { pairsTable, type Highlight } from "./pairs.js";
import { addPanelCommand } from "./panel.js";

const plugin: JupyterFrontEndPlugin<void> = {
  id: "torch-tutorial:side-by-side",
  description: "Shows the selected cell beside what it unrolls to.",
  autoStart: true,
  requires: [INotebookTracker, IEditorLanguageRegistry],
  optional: [ILabShell, ICommandPalette, ITranslator, ISettingRegistry],
  activate: (
    app: JupyterFrontEnd,
    tracker: INotebookTracker,
    languages: IEditorLanguageRegistry,
    labShell: ILabShell | null,
    palette: ICommandPalette | null,
    translator: ITranslator | null,
    registry: ISettingRegistry | null,
  ) => {
    const settings = registry?.load(plugin.id);
    const trans = (translator ?? nullTranslator).load("torch_tutorial");
    const highlight: Highlight = (code, into) =>
      languages.highlight(code, languages.findByName("python"), into);
    addPanelCommand(
      { app, tracker, labShell, palette, settings, trans },
      {
        id: "side-by-side",
        label: trans.__("Unroll Side by Side"),
        caption: trans.__("Show the selected cell beside the plain PyTorch that it runs"),
        icon: sideBySideIcon,
        title: (notebook) => trans.__("Side by side: %1", notebook),
        ask: unrolledTo,
        draw: ({ pairs }) => pairsTable(pairs, highlight, trans),
      },
    );
  },
};

export default plugin;
