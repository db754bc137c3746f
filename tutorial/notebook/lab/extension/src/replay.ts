/** Replay: the first steps of the selected cell's call, line by line, in a panel of its own. */

import {
  ILabShell,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin,
} from "@jupyterlab/application";
import { ICommandPalette } from "@jupyterlab/apputils";
import { INotebookTracker, type NotebookPanel } from "@jupyterlab/notebook";
import { MimeModel } from "@jupyterlab/rendermime";
import { ISettingRegistry } from "@jupyterlab/settingregistry";
import { ITranslator, nullTranslator } from "@jupyterlab/translation";
import { replayedAt } from "./answer.js";
import { replayIcon } from "./icons.js";
import { addPanelCommand } from "./panel.js";

const plugin: JupyterFrontEndPlugin<void> = {
  id: "torch-tutorial:replay",
  description: "Plays the first steps of the selected cell's Model call, line by line.",
  autoStart: true,
  requires: [INotebookTracker],
  optional: [ILabShell, ICommandPalette, ITranslator, ISettingRegistry],
  activate: (
    app: JupyterFrontEnd,
    tracker: INotebookTracker,
    labShell: ILabShell | null,
    palette: ICommandPalette | null,
    translator: ITranslator | null,
    registry: ISettingRegistry | null,
  ) => {
    const settings = registry?.load(plugin.id);
    const trans = (translator ?? nullTranslator).load("torch_tutorial");
    addPanelCommand(
      { app, tracker, labShell, palette, settings, trans },
      {
        id: "replay",
        label: trans.__("Replay"),
        caption: trans.__("Play the first steps of the selected cell's Model call, line by line"),
        icon: replayIcon,
        title: (notebook) => trans.__("Replay: %1", notebook),
        ask: replayedAt,
        draw: ({ html }, notebook) => rendered(html, notebook),
      },
    );
  },
};

/** A page of the kernel's, as an output of the notebook would show it. */
async function rendered(html: string, { content }: NotebookPanel): Promise<HTMLElement> {
  const renderer = content.rendermime.createRenderer("text/html");
  await renderer.renderModel(new MimeModel({ data: { "text/html": html }, trusted: true }));
  return renderer.node;
}

export default plugin;
