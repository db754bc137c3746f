/** A panel of its own for something about the selected cell, with a control for the depth. */

import type { ILabShell, JupyterFrontEnd } from "@jupyterlab/application";
import { MainAreaWidget, type ICommandPalette } from "@jupyterlab/apputils";
import type { Cell } from "@jupyterlab/cells";
import type { INotebookTracker, NotebookPanel } from "@jupyterlab/notebook";
import type { ISettingRegistry } from "@jupyterlab/settingregistry";
import type { TranslationBundle } from "@jupyterlab/translation";
import type { LabIcon } from "@jupyterlab/ui-components";
import { Widget } from "@lumino/widgets";
import { Refusal, type Question } from "./answer.js";
import { askAbout } from "./ask.js";
import { addNotebookCommand, explaining, warn } from "./command.js";
import { check, depthIn, depthsControl, type Depth } from "./depths.js";
import { element } from "./dom.js";

/** The application, or what it offers. */
export interface Where {
  app: JupyterFrontEnd;
  tracker: INotebookTracker;
  labShell: ILabShell | null;
  palette: ICommandPalette | null;
  settings: Promise<ISettingRegistry.ISettings> | undefined;
  trans: TranslationBundle;
}

/** A kind of panel. */
export interface PanelKind<Answer> {
  id: string;
  label: string;
  caption: string;
  icon: LabIcon;
  /** Its title, from that of its notebook. */
  title: (notebook: string) => string;
  /** What the kernel is asked about the cell. */
  ask: (depth: Depth) => Question<Answer>;
  /** How the answer looks. */
  draw: (answer: Answer, notebook: NotebookPanel) => Promise<HTMLElement>;
}

/** An answer about a cell at a depth. */
interface Asked<Answer> {
  cell: Cell;
  answer: Answer;
  depth: Depth;
}

/** Each notebook's panel, of whatever kind: the next one is a tab beside it. */
const first = new WeakMap<NotebookPanel, Widget>();

/** Add the command that opens such a panel for a notebook. The depth is remembered. */
export function addPanelCommand<Answer>(where: Where, kind: PanelKind<Answer>): void {
  const { app, tracker, labShell, palette, settings, trans } = where;
  const panels = new Map<NotebookPanel, CellPanel>();
  addNotebookCommand(app, tracker, palette, trans, {
    id: `tutorial:${kind.id}`,
    label: kind.label,
    caption: kind.caption,
    icon: kind.icon,
    execute: async (notebook) => {
      const remembered = depthIn((await settings)?.get("depth").composite);
      const { cell, answer, depth } = await atMost(remembered, notebook);
      const panel = panels.get(notebook) ?? open(notebook);
      panel.cell = cell;
      panel.put(await kind.draw(answer, notebook), depth);
      app.shell.activateById(panel.id);
    },
  });

  /** The selected cell at a depth; as loops, where not all of it can be written out so far. */
  async function atMost(depth: Depth, notebook: NotebookPanel): Promise<Asked<Answer>> {
    try {
      return { ...(await askAbout(notebook, kind.ask(depth), trans)), depth };
    } catch (error) {
      if (depth === "loop" || !(error instanceof Refusal)) {
        throw error;
      }
      const asked = await askAbout(notebook, kind.ask("loop"), trans);
      void warn(error);
      return { ...asked, depth: depthIn("loop") };
    }
  }

  /** Show the same cell at another depth, and remember this depth. */
  async function goTo(panel: CellPanel, notebook: NotebookPanel, depth: Depth): Promise<void> {
    await explaining(async () => {
      const cell = panel.cell?.isDisposed ? undefined : panel.cell;
      const { answer } = await panel.busy(askAbout(notebook, kind.ask(depth), trans, cell));
      panel.put(await kind.draw(answer, notebook), depth);
      await (await settings)?.set("depth", depth);
    });
    panel.check(); // after a refusal, what was there stays
  }

  /** A new panel for a notebook, below it: there is room for two columns. */
  function open(notebook: NotebookPanel): CellPanel {
    const id = `tutorial-${kind.id}-${notebook.id}`;
    const choose = (depth: Depth): void => void goTo(panel, notebook, depth);
    const panel = new CellPanel(id, depthsControl(`${id}-depth`, choose, trans));
    panel.title.label = kind.title(notebook.title.label);
    panel.title.icon = kind.icon;
    panel.content.node.setAttribute("aria-label", panel.title.label);
    panels.set(notebook, panel);
    panel.disposed.connect(() => panels.delete(notebook));
    notebook.disposed.connect(() => {
      panel.dispose();
    });
    if (labShell) {
      const beside = first.get(notebook);
      const isThere = beside && !beside.isDisposed;
      labShell.add(panel, "main", {
        mode: isThere ? "tab-after" : "split-bottom",
        ref: isThere ? beside.id : notebook.id,
      });
      first.set(notebook, panel);
    } else {
      app.shell.add(panel, "down"); // in Notebook 7 only one document has the main area
    }
    return panel;
  }
}

/** The control for the depth, and below it what there is to show of a cell. */
class CellPanel extends MainAreaWidget {
  /** The cell. */
  cell: Cell | null = null;
  private depth: Depth = "loop";
  private readonly shown = element("div", {});

  constructor(
    id: string,
    private readonly control: HTMLFieldSetElement,
  ) {
    super({ content: new Widget() });
    this.id = id;
    this.title.closable = true;
    this.content.addClass("tutorial-Panel");
    this.content.node.tabIndex = -1; // it takes the focus when it is opened
    this.content.node.append(this.control, this.shown);
  }

  put(shown: HTMLElement, depth: Depth): void {
    this.shown.replaceChildren(shown);
    this.depth = depth;
    this.check();
  }

  /** Check the button of the depth that is shown. */
  check(): void {
    check(this.control, this.depth);
  }

  /** Say so while an answer is waited for: to write out a network may take seconds. */
  async busy<T>(answer: Promise<T>): Promise<T> {
    this.shown.setAttribute("aria-busy", "true");
    try {
      return await answer;
    } finally {
      this.shown.removeAttribute("aria-busy");
    }
  }
}
