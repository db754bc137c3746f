/** What the commands on a notebook have in common. */

import type { JupyterFrontEnd } from "@jupyterlab/application";
import { Dialog, Notification, showDialog, type ICommandPalette } from "@jupyterlab/apputils";
import type { INotebookTracker, NotebookPanel } from "@jupyterlab/notebook";
import type { TranslationBundle } from "@jupyterlab/translation";
import type { LabIcon } from "@jupyterlab/ui-components";
import { Refusal } from "./answer.js";

/** How long a message stays, in milliseconds; it is kept among the notifications. */
export const READING = 15_000;

/** Of a longer message JupyterLab's notifications show the beginning alone. */
const SHORT = 140;

/** A command for the notebook that is in front, and what it is called. */
export interface NotebookCommand {
  id: string;
  label: string;
  caption: string;
  icon: LabIcon;
  execute: (panel: NotebookPanel) => Promise<void>;
}

/** Add the command; it is also in the palette. Why it refuses to do something, a message tells. */
export function addNotebookCommand(
  app: JupyterFrontEnd,
  tracker: INotebookTracker,
  palette: ICommandPalette | null,
  trans: TranslationBundle,
  { id, execute, ...shown }: NotebookCommand,
): void {
  app.commands.addCommand(id, {
    ...shown,
    isEnabled: () => tracker.currentWidget !== null,
    execute: async () => {
      const panel = tracker.currentWidget;
      if (panel) {
        await explaining(() => execute(panel));
      }
    },
  });
  palette?.addItem({ command: id, category: trans.__("Notebook Cell Operations") });
}

/** Do something; show the message of a refusal. */
export async function explaining(action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (!(error instanceof Refusal)) {
      throw error;
    }
    await warn(error);
  }
}

/** Show the message of a refusal: all of it, in a dialog where a notification is too small. */
export async function warn({ message }: Refusal): Promise<void> {
  if (message.length <= SHORT) {
    Notification.warning(message, { autoClose: READING });
    return;
  }
  const [title, ...reason] = message.split(": ");
  await showDialog({ title, body: reason.join(": "), buttons: [Dialog.okButton()] });
}
