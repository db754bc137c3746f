// Keeps the place of a replay's players and the widget's `moment` the same. The Python side is
// replay.py; the player itself is ../replay.js, which the page brings with it.

export default {
  /** Once for each widget, whether or not one of its players is on the page yet. */
  initialize({ model }) {
    const ours = (root) => root.dataset.player === model.get("_player");
    const show = () => [...(window.tutorialReplays ?? [])].filter(ours).forEach((root) => root.go(model.get("moment")));
    const hear = ({ target, detail }) => {
      if (!ours(target)) return;
      if (detail.begins) target.go(model.get("moment"));
      else if (detail.moment !== model.get("moment")) {
        model.set("moment", detail.moment);
        model.save_changes();
      }
    };
    model.on("change:moment", show);
    document.addEventListener("replay", hear);
    show();
    return () => {
      model.off("change:moment", show);
      document.removeEventListener("replay", hear);
    };
  },

  /** Where the widget stands inside of another one. A script that comes so runs once it is on the page. */
  render({ model, el }) {
    el.append(document.createRange().createContextualFragment(model.get("_page")));
  },
};
