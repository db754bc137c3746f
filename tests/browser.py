"""A Jupyter server, and a notebook in JupyterLab or Notebook 7 as a person sees it: for tests.

The pictures of what was seen are left in build/screenshots.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "build" / "screenshots"
EXTENSION = ROOT / "tutorial/notebook/lab/extension"

SETUP = """
import torch, tutorial as tl
from torch import nn
from torch.utils.data import Subset
from torchvision.transforms import Normalize
tl.seed(0)
torch.set_num_threads(1)
transform = Normalize([127.5], [127.5])
test_data = tl.datasets.MNIST("test", transform)
some = Subset(test_data, range(2000))
network = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10))
model = tl.Model(network)
model.prepare(torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss(), tl.metrics.Accuracy())
"""

READY = """() => {
    const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
    return kernel && kernel.connectionStatus === "connected" && kernel.status === "idle";
}"""


class Server:
    """A Jupyter server for one folder; its pages are JupyterLab and Notebook 7.

    It has this checkout's extension, whatever is installed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "home"
        self.folder.mkdir()
        settings = folder / "settings/@jupyterlab/apputils-extension"
        settings.mkdir(parents=True)
        (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
        data = folder / "data"
        (data / "labextensions").mkdir(parents=True)
        (data / "labextensions/torch-tutorial").symlink_to(EXTENSION / "built")
        config = folder / "config/jupyter_server_config.d"
        config.mkdir(parents=True)
        shutil.copy(EXTENSION / "server.json", config)
        self.log = (folder / "server.log").open("w")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
                *("--ip=127.0.0.1", "--port=0", "--IdentityProvider.token="),
                *("--ServerApp.password=", "--ServerApp.disable_check_xsrf=True"),
                "--LabApp.expose_app_in_browser=True",
                "--JupyterNotebookApp.expose_app_in_browser=True",
                "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
                f"--ServerApp.root_dir={self.folder}",
            ],
            env=os.environ
            | {
                "JUPYTER_CONFIG_DIR": str(folder / "config"),
                "JUPYTER_PATH": f"{data}{os.pathsep}{os.environ['JUPYTER_PATH']}",
                "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
                "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
                "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
                "OMP_NUM_THREADS": "1",
            },
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,  # its kernels with it
        )
        notes = folder / "runtime" / f"jpserver-{self.process.pid}.json"
        self.address = self.wait_for(notes)

    def wait_for(self, notes: Path) -> str:
        for _ in range(600):
            assert self.process.poll() is None, "the Jupyter server ended"
            try:
                address: str = json.loads(notes.read_text())["url"]
                urllib.request.urlopen(f"{address}api").close()
            except (OSError, ValueError):
                time.sleep(0.1)
            else:
                return address
        raise TimeoutError("the Jupyter server did not start in a minute")

    def write(self, name: str, *cells: str) -> None:
        """A notebook with these cells."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        notebook.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        nbformat.write(notebook, self.folder / name)

    def add_kernel(self, name: str, program: str) -> None:
        """A kernel of another language, written in Python."""
        folder = self.folder.parent / "data/kernels" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "program.py").write_text(program)
        command = [sys.executable, str(folder / "program.py"), "-f", "{connection_file}"]
        spec = {"argv": command, "display_name": name, "language": name}
        (folder / "kernel.json").write_text(json.dumps(spec))

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()


class Notebook:
    """A notebook in one of the two applications, as a person sees it."""

    def __init__(self, page: Any, server: Server, app: str, name: str) -> None:
        self.page, self.server, self.app, self.name = page, server, app, name
        self.open()

    def open(self) -> None:
        where = "lab/tree" if self.app == "lab" else "notebooks"
        self.page.goto(f"{self.server.address}{where}/{self.name}?reset")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")

    def do(self, command: str) -> None:
        """Give a command of the menus; do not wait for what it starts."""
        self.page.evaluate(f"() => {{ window.jupyterapp.commands.execute({command!r}) }}")

    def run(self) -> None:
        """Run all cells, from the first moment on at which there is a kernel."""
        self.page.wait_for_function(READY, timeout=60_000)
        self.do("notebook:run-all-cells")

    def shut_down(self) -> None:
        """End the kernel once there is one, and wait until its session has ended as well."""
        self.page.wait_for_function(READY, timeout=60_000)
        self.do("kernelmenu:shutdown")
        self.page.wait_for_function(
            "() => !window.jupyterapp.shell.currentWidget.sessionContext.session"
        )

    def output(self, cell: int) -> Any:
        """The output of a cell, which count from 0."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(cell).locator(".jp-OutputArea")

    def picture(self, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{self.app}_{name}.png")

    def end(self) -> None:
        """Once all cells have run, save the notebook and end its kernel."""
        self.page.wait_for_function(
            "() => ![...document.querySelectorAll('.jp-InputPrompt')]"
            ".some(prompt => prompt.textContent.includes('*'))",
            timeout=60_000,
        )
        self.do("docmanager:save")
        saved = self.server.folder / self.name
        for _ in range(100):
            if "outputs" in saved.read_text() and '"execution_count": 1' in saved.read_text():
                break
            time.sleep(0.1)
        self.do("kernelmenu:shutdown")
        self.page.wait_for_timeout(500)
