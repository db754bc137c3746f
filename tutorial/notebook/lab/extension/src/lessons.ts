/** Lessons: cards in JupyterLab's launcher, and a dialog in both applications. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from "@jupyterlab/application";
import { ICommandPalette, Notification } from "@jupyterlab/apputils";
import { PathExt } from "@jupyterlab/coreutils";
import { ILauncher } from "@jupyterlab/launcher";
import { ServerConnection } from "@jupyterlab/services";
import { ISettingRegistry } from "@jupyterlab/settingregistry";
import { ITranslator, nullTranslator } from "@jupyterlab/translation";
import { Refusal } from "./answer.js";
import { explaining, READING } from "./command.js";
import { lessonIcon, stateIcons } from "./icons.js";
import { chooseLesson } from "./lessonsDialog.js";
import { aboutLesson, lessonStates, titleOf, type State } from "./lessonState.js";
import { freshNotebook, lessonList, type Lesson } from "./lessonsServer.js";
import { makeCopy, setAside } from "./workingCopy.js";

const ID = "torch-tutorial:lessons";

/** What a card in the launcher stands for. */
type Card = Lesson & { state: State };

const plugin: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: "Opens the lessons, each in a working copy in the user's folder.",
  autoStart: true,
  requires: [ISettingRegistry],
  optional: [ILauncher, ICommandPalette, ITranslator],
  activate: async (
    app: JupyterFrontEnd,
    registry: ISettingRegistry,
    launcher: ILauncher | null,
    palette: ICommandPalette | null,
    translator: ITranslator | null,
  ) => {
    const { commands, serviceManager } = app;
    const { contents, serverSettings } = serviceManager;
    const trans = (translator ?? nullTranslator).load("torch_tutorial");
    const category = trans.__("Lessons");
    const settings = await registry.load(ID);

    commands.addCommand("tutorial:lessons", {
      label: trans.__("Lessons…"),
      caption: trans.__("Choose a lesson, to open it or to start it over"),
      icon: lessonIcon,
      // A button in the file browser is for where there is no launcher.
      isVisible: (args) => !args["noLauncher"] || launcher === null,
      execute: () =>
        explaining(async () => {
          const all = await lessons();
          const choice = await chooseLesson(all, await states(all), trans);
          if (choice) {
            await open(choice.name, choice.startOver);
          }
        }),
    });
    palette?.addItem({ command: "tutorial:lessons", category });

    commands.addCommand("tutorial:open-lesson", {
      label: (args) => titleOf(args as unknown as Card),
      // The first line stands on the card; all of it is shown to who points at it.
      caption: (args) => about(args as unknown as Card),
      icon: (args) => stateIcons[(args as unknown as Card).state.is],
      execute: (args) => explaining(() => open(args["name"] as string, false)),
    });
    if (launcher && settings.get("launcher").composite) {
      let cards: ReturnType<ILauncher["add"]>[] = [];
      let shown = "";
      const show = async (): Promise<void> => {
        const all = await lessonList(serverSettings);
        const their = await states(all);
        const now = JSON.stringify([...their]);
        if (now === shown) {
          return;
        }
        shown = now;
        cards.forEach((card) => {
          card.dispose();
        });
        cards = all.map((lesson, rank) =>
          launcher.add({
            command: "tutorial:open-lesson",
            args: { ...lesson, state: { ...their.get(lesson.name) } },
            category,
            categoryRank: -1, // above all other sections
            rank,
          }),
        );
      };
      await show();
      app.shell.currentChanged?.connect((_, { newValue }) => {
        if (newValue?.node.querySelector(".jp-Launcher")) {
          void show(); // something may have been solved since
        }
      });
    }

    /** A lesson's time, how far it is, and what one can do after it. */
    function about(card: Card): string {
      const goals = card.goals.map((goal) => `• ${goal}`);
      return [aboutLesson(card, card.state, trans), ...goals].join("\n");
    }

    function states(all: Lesson[]): Promise<Map<string, State>> {
      return lessonStates(contents, settings.get("folder").composite as string, all);
    }

    async function lessons(): Promise<Lesson[]> {
      try {
        return await lessonList(serverSettings);
      } catch (error) {
        if (error instanceof ServerConnection.ResponseError) {
          throw new Refusal(
            trans.__(
              "The Jupyter server does not have the lessons. Install torch-tutorial where the server " +
                "runs, and start it again.",
            ),
          );
        }
        throw error;
      }
    }

    /** Open a lesson's working copy; to start over, the old one is set aside first. */
    async function open(name: string, startOver: boolean): Promise<void> {
      const path = PathExt.join(settings.get("folder").composite as string, `${name}.ipynb`);
      const old = startOver ? await setAside(contents, path) : undefined;
      if (old !== undefined) {
        Notification.info(trans.__("Your old copy is now %1.", old), { autoClose: READING });
      }
      await makeCopy(contents, path, () => freshNotebook(serverSettings, name));
      await commands.execute("docmanager:open", { path });
    }
  },
};

export default plugin;
