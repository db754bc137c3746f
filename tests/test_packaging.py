"""What is packed: the wheel holds the lessons and the extension, as built from its source."""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

import tutorial

ROOT = Path(__file__).parent.parent
EXTENSION = ROOT / "tutorial/notebook/lab/extension"


def run(*command: str | Path, **options: Any) -> str:
    """What a command says; a test in which it fails shows it."""
    done = subprocess.run(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    build = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    run(sys.executable, *build, ROOT)
    [wheel] = folder.glob("*.whl")
    return wheel


def test_the_wheel_holds_the_lessons_and_what_was_built(wheel) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    lessons = [name for name in names if name.startswith("tutorial/notebooks/")]
    assert len(lessons) == len(list((ROOT / "notebooks").glob("*.ipynb")))
    assert all(name.endswith(".ipynb") for name in lessons)
    shipped = [n for n in names if "share/jupyter/labextensions/torch-tutorial/" in n]
    built = [path for path in (EXTENSION / "built").rglob("*") if path.is_file()]
    assert len(shipped) == len(built) + 1  # and install.json
    assert not [name for name in names if name.endswith(".ts") or "node_modules" in name]
    assert any(name.endswith("train-images-idx3-ubyte.gz") for name in names)


@pytest.mark.slow
def test_an_install_shows_the_extension_enabled_and_has_the_lessons(wheel, tmp_path) -> None:
    pytest.importorskip("jupyterlab")
    venv.create(tmp_path, with_pip=False)
    python = tmp_path / "bin" / "python"
    packages = run(python, "-c", "import site; print(site.getsitepackages()[0])").strip()
    install = ["-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index"]
    run(sys.executable, *install, wheel)
    # All other packages come from here. A .pth file in another .pth file's folder is not read: this
    # checkout's editable install does not count.
    here = "\n".join(folder for folder in sys.path if "site-packages" in folder)
    Path(packages, "others.pth").write_text(here)
    own = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    own |= {"JUPYTER_CONFIG_DIR": str(tmp_path / "config"), "HOME": str(tmp_path)}
    options = {"cwd": tmp_path, "env": own}
    listed = plain(run(python, "-m", "jupyterlab.labextensions", "list", **options))
    version = tutorial.__version__
    assert f"torch-tutorial v{version} enabled OK (python, torch-tutorial)" in listed
    servers = [python, "-m", "jupyter_server.extension.serverextension", "list"]
    assert re.search(
        r"tutorial\.notebook\.lab\.server\s+enabled[\s\S]*tutorial\.notebook\.lab\.server\s+OK",
        plain(run(*servers, **options)),
    )
    code = "import tutorial.course.lessons as t; print(t.__file__, len(t.lessons()))"
    found, number = run(python, "-c", code, **options).split()
    assert found.startswith(str(tmp_path))
    assert int(number) == len(list((ROOT / "notebooks").glob("*.ipynb")))


def plain(text: str) -> str:
    """A text without the colours of a terminal."""
    return re.sub(r"\x1b\[[\d;]*m", "", text)


# ---- the extension's source


@pytest.fixture(scope="module")
def source() -> Path:
    """A copy of the extension's source, with links to all files of the modules that it needs."""
    missing = pytest.fail if os.environ.get("CI") else pytest.skip
    if shutil.which("npm") is None:
        missing("no Node here: the extension's own tests are not run")
    modules = EXTENSION / "node_modules"
    if not modules.exists():
        missing("the extension's modules are not here: make test fetches them")
    copy = ROOT / "build" / "extension"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(EXTENSION, copy, ignore=shutil.ignore_patterns(modules.name, "built", "lib"))
    shutil.copytree(modules, copy / modules.name, symlinks=True, copy_function=os.link)
    return copy


def npm(source: Path, script: str) -> str:
    """Run one of the scripts in package.json; `jupyter-builder` is beside Python."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return run("npm", "run", script, cwd=source, env={**os.environ, "PATH": path})


@pytest.mark.slow
def test_what_was_built_is_what_the_source_gives(source) -> None:
    npm(source, "build")
    files = [
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}
        for folder in (source / "built", EXTENSION / "built")
    ]
    assert files[0].keys() == files[1].keys(), "run: make labextension"
    assert files[0] == files[1], "run: make labextension"


@pytest.mark.slow
@pytest.mark.parametrize("script", ["lint", "test"])
def test_the_extensions_own_checks_pass(source, script: str) -> None:
    said = npm(source, script)
    assert "# fail 0" in said or "All matched files use Prettier code style!" in said


def test_the_extension_has_the_librarys_version() -> None:
    package = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))
    assert package["version"] == tutorial.__version__
