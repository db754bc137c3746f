"""The lessons for JupyterLab and Notebook 7: an extension of the Jupyter server.

It only reads. The page in the browser writes into the user's directory, with the server's own
means.

    tutorial/lessons         the list
    tutorial/lessons/NAME    a fresh copy of one
"""

import json
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado.web import HTTPError, authenticated

from tutorial.course.lessons import lessons


class LessonsHandler(APIHandler):
    """What each lesson is about."""

    @authenticated
    def get(self) -> None:
        names = ("name", "number", "title", "minutes", "goals", "exercises")
        told = [{name: getattr(lesson, name) for name in names} for lesson in lessons()]
        self.finish(json.dumps(told))


class LessonHandler(APIHandler):
    """A lesson in which nothing has been run yet."""

    @authenticated
    def get(self, name: str) -> None:
        for lesson in lessons():
            if lesson.name == name:
                self.finish(json.dumps(lesson.fresh()))
                return
        known = ", ".join(lesson.name for lesson in lessons())
        raise HTTPError(404, f"There is no lesson {name!r}; there are {known}.")


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "tutorial.notebook.lab.server"}]


def _load_jupyter_server_extension(server: ServerApp) -> None:
    base = url_path_join(server.web_app.settings["base_url"], "tutorial", "lessons")
    handlers: list[Any] = [(base, LessonsHandler), (url_path_join(base, r"(\w+)"), LessonHandler)]
    server.web_app.add_handlers(".*$", handlers)  # type: ignore[no-untyped-call]
