/** The lessons in a dialog: what each is about; one is chosen, to be opened or started over. */

import { Dialog, showDialog } from "@jupyterlab/apputils";
import type { TranslationBundle } from "@jupyterlab/translation";
import { Widget } from "@lumino/widgets";
import { element } from "./dom.js";
import { aboutLesson, titleOf, type State } from "./lessonState.js";
import type { Lesson } from "./lessonsServer.js";

/** What the user wants, and of which lesson; nothing, if the dialog was closed. */
export async function chooseLesson(
  lessons: Lesson[],
  states: Map<string, State>,
  trans: TranslationBundle,
): Promise<{ name: string; startOver: boolean } | undefined> {
  const startOver = trans.__("Start over");
  const { button, value } = await showDialog({
    title: trans.__("Lessons"),
    body: new LessonChoice(lessons, states, trans),
    buttons: [
      Dialog.createButton({
        label: startOver,
        caption: trans.__("Open a fresh copy; the old one is kept under another name"),
        className: "tutorial-StartOver",
      }),
      Dialog.cancelButton(),
      Dialog.okButton({ label: trans.__("Open") }),
    ],
    focusNodeSelector: "input:checked",
  });
  return button.accept && value
    ? { name: value, startOver: button.label === startOver }
    : undefined;
}

/** Radio buttons: arrow keys move between the lessons. */
class LessonChoice extends Widget implements Dialog.IBodyWidget {
  constructor(lessons: Lesson[], states: Map<string, State>, trans: TranslationBundle) {
    super();
    this.addClass("tutorial-LessonChoice");
    this.node.setAttribute("role", "radiogroup");
    this.node.setAttribute("aria-label", trans.__("Lessons, and what you can do after each"));
    const state = ({ name }: Lesson): State => states.get(name) ?? { is: "open", solved: 0 };
    this.node.append(...lessons.map((lesson) => choice(lesson, state(lesson), trans)));
    const next = lessons.findIndex((lesson) => state(lesson).is !== "done");
    this.node.querySelectorAll("input")[Math.max(next, 0)]?.setAttribute("checked", "");
  }

  /** The name of the chosen lesson. */
  getValue(): string {
    return this.node.querySelector<HTMLInputElement>("input:checked")?.value ?? "";
  }
}

function choice(lesson: Lesson, state: State, trans: TranslationBundle): HTMLElement {
  const { name, goals } = lesson;
  const about = `tutorial-goals-${name}`;
  return element(
    "label",
    { "data-state": state.is },
    element("input", { type: "radio", name: "lesson", value: name, "aria-describedby": about }),
    element("b", {}, titleOf(lesson)),
    " ",
    element("span", {}, aboutLesson(lesson, state, trans)),
    element("ul", { id: about }, ...goals.map((goal) => element("li", {}, goal))),
  );
}
