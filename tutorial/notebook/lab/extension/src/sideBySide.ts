/** Side by side: the selected cell beside what it unrolls to, in a panel of its own. */

import {
  ILabShell,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin,
} from "@jupyterlab/application";
import { ICommandPalette, MainAreaWidget } from "@jupyterlab/apputils";
import { IEditorLanguageRegistry } from "@jupyterlab/codemirror";
import type { Cell } from "@jupyterlab/cells";
import { INotebookTracker, type NotebookPanel } from "@jupyterlab/notebook";
import { ISettingRegistry } from "@jupyterlab/settingregistry";
import { ITranslator, nullTranslator, type TranslationBundle } from "@jupyterlab/translation";
import { Widget } from "@lumino/widgets";
import { Refusal, type Unrolled } from "./answer.js";
import { askFor } from "./ask.js";
import { addNotebookCommand, explaining, warn } from "./command.js";
import { check, depthIn, depthsControl, type Depth } from "./depths.js";
import { element } from "./dom.js";
import { sideBySideIcon } from "./icons.js";
import { pairsTable, type Highlight } from "./pairs.js";

/** A cell, and what it unrolls to at a depth. */
interface Asked {
  cell: Cell;
  unrolled: Unrolled;
  depth: Depth;
}

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
    const panels = new Map<NotebookPanel, Panel>();
    addNotebookCommand(app, tracker, palette, trans, {
      id: "tutorial:side-by-side",
      label: trans.__("Unroll Side by Side"),
      caption: trans.__("Show the selected cell beside the plain PyTorch that it runs"),
      icon: sideBySideIcon,
      execute: async (notebook) => {
        const remembered = depthIn((await settings)?.get("depth").composite);
        const { cell, unrolled, depth } = await atMost(remembered, notebook);
        const panel = panels.get(notebook) ?? open(notebook);
        panel.cell = cell;
        await show(panel, unrolled, depth);
        app.shell.activateById(panel.id);
      },
    });

    /** The selected cell at a depth; as loops, where not all of it can be written out so far. */
    async function atMost(depth: Depth, notebook: NotebookPanel): Promise<Asked> {
      try {
        return { ...(await askFor(notebook, trans, depth)), depth };
      } catch (error) {
        if (depth === "loop" || !(error instanceof Refusal)) {
          throw error;
        }
        const asked = { ...(await askFor(notebook, trans)), depth: depthIn("loop") };
        warn(error);
        return asked;
      }
    }

    async function show(panel: Panel, unrolled: Unrolled, depth: Depth): Promise<void> {
      panel.put(await pairsTable(unrolled.pairs, highlight, trans), depth);
    }

    /** Show the same cell at another depth, and remember this depth. */
    async function goTo(panel: Panel, notebook: NotebookPanel, depth: Depth): Promise<void> {
      await explaining(async () => {
        const cell = panel.cell?.isDisposed ? undefined : panel.cell;
        const { unrolled } = await panel.busy(askFor(notebook, trans, depth, cell));
        await show(panel, unrolled, depth);
        await (await settings)?.set("depth", depth);
      });
      panel.check(); // after a refusal, what was there stays
    }

    /** A new panel for a notebook, below it: there is room for two columns. */
    function open(notebook: NotebookPanel): Panel {
      const panel = new Panel(notebook, trans, (depth) => void goTo(panel, notebook, depth));
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

/** The control for the depth, and below it a cell beside what it unrolls to. */
class Panel extends MainAreaWidget {
  /** The cell that is shown. */
  cell: Cell | null = null;
  private depth: Depth = "loop";
  private readonly control: HTMLFieldSetElement;
  private readonly table = element("div", {});

  constructor(notebook: NotebookPanel, trans: TranslationBundle, choose: (depth: Depth) => void) {
    super({ content: new Widget() });
    this.id = `tutorial-side-by-side-${notebook.id}`;
    this.title.label = trans.__("Side by side: %1", notebook.title.label);
    this.title.icon = sideBySideIcon;
    this.title.closable = true;
    this.control = depthsControl(`${this.id}-depth`, choose, trans);
    this.content.addClass("tutorial-SideBySide");
    this.content.node.tabIndex = -1; // it takes the focus when it is opened
    this.content.node.append(this.control, this.table);
  }

  put(table: HTMLElement, depth: Depth): void {
    this.table.replaceChildren(table);
    this.depth = depth;
    this.check();
  }

  /** Check the button of the depth that is shown. */
  check(): void {
    check(this.control, this.depth);
  }

  /** Say so while an answer is waited for: to write out a network may take seconds. */
  async busy<T>(answer: Promise<T>): Promise<T> {
    this.table.setAttribute("aria-busy", "true");
    try {
      return await answer;
    } finally {
      this.table.removeAttribute("aria-busy");
    }
  }
}

export default plugin;
