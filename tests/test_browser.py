"""The interactive lessons in a real JupyterLab, driven by the keyboard in a headless browser."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "google-chrome", "chromium-browser"])), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
TIMEOUT = 120_000                                                       # in milliseconds

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium or Chrome on the PATH")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of the lessons that a browser may change."""
    return Path(shutil.copytree(ROOT / "notebooks", tmp_path_factory.mktemp("lab") / "notebooks"))


@pytest.fixture(scope="module")
def lab(folder):
    """The address of a JupyterLab that serves `folder` to this machine alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = folder.parent
    settings = {"apputils-extension/notification": '{"fetchNews": "false"}',        # or it asks whether it may
                "notebook-extension/tracker": '{"windowingMode": "none"}'}           # or cells out of sight are absent
    for name, value in settings.items():
        file = own / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True)
        file.write_text(value)
    environment = {**os.environ, "JUPYTER_CONFIG_DIR": str(own / "config"), "JUPYTER_DATA_DIR": str(own / "data"),
                   "IPYTHONDIR": str(own / "ipython"), "JUPYTERLAB_SETTINGS_DIR": str(own / "settings"),
                   "JUPYTERLAB_WORKSPACES_DIR": str(own / "workspaces")}
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--ServerApp.root_dir={folder}",
         "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
         "--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=",
         "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.extension_manager=readonly"],
        env=environment, stdout=subprocess.DEVNULL, stderr=open(own / "server.log", "w"))
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/api/status", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (own / "server.log").read_text()
                time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(lab, browser):
    """with opened(name) as page: all cells of the notebook have run; no error was told on the page or the console."""

    @contextmanager
    def open_and_run(name):
        context = browser.new_context(viewport={"width": 1400, "height": 1000})
        page = context.new_page()
        page.set_default_timeout(TIMEOUT)
        errors = []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{lab}/lab/tree/{name}?reset")
        page.wait_for_function("window.jupyterapp && jupyterapp.shell.currentWidget?.sessionContext?.isReady")
        page.evaluate("jupyterapp.shell.collapseLeft()")
        page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
        idle(page)
        yield page
        idle(page)
        red = page.locator("[data-mime-type='application/vnd.jupyter.stderr'], [data-mime-type*='jupyter.error']")
        errors += red.all_inner_texts()
        assert not errors, "\n".join(errors)
        context.close()

    return open_and_run


def idle(page):
    """Waits until the kernel has nothing left to do."""
    page.wait_for_function("jupyterapp.shell.currentWidget.sessionContext.session.kernel.status == 'idle'")


def write(path, source):
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(cells=[new_code_cell(source, id="one")], metadata={"kernelspec": kernel}), path)


def test_a_control_is_moved_by_keyboard(folder, opened):
    source = ("import ipywidgets\nslider = ipywidgets.IntSlider(3, description='steps')\n"
              "display(slider, ipywidgets.interactive_output(lambda x: print('at', x), {'x': slider}))")
    write(folder / "try.ipynb", source)
    with opened("try.ipynb") as page:
        page.get_by_text("at 3").wait_for()
        page.get_by_role("slider").focus()
        page.keyboard.press("ArrowRight")
        page.get_by_text("at 4").wait_for()


@pytest.mark.parametrize("source, found", [
    ("1 / 0", "ZeroDivisionError"),
    ("from IPython.display import HTML\nHTML('<img src=x onerror=\"nowhere()\">')", "nowhere"),
])
def test_errors_are_seen(folder, opened, source, found):
    write(folder / "wrong.ipynb", source)
    with pytest.raises(AssertionError, match=found):
        with opened("wrong.ipynb") as page:
            page.wait_for_timeout(500)
