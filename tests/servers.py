"""Programs of Python that serve pages to this machine, while a test asks for them."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

HOST = "127.0.0.1"

# The browser is not to be asked whether JupyterLab may fetch news, and cells out of sight are to be
# there.
LAB_SETTINGS = {
    "apputils-extension/notification": '{"fetchNews": "false"}',
    "notebook-extension/tracker": '{"windowingMode": "none"}',
}
LAB_FLAGS = [
    "--no-browser",
    "--allow-root",
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.port_retries=0",
    "--IdentityProvider.token=",
    "--LabApp.expose_app_in_browser=True",
    "--LabApp.news_url=",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
]


@contextmanager
def serving(command, folder, environment, log):
    """Run Python in a folder with a command in which {port} is a free port; yield the address.

    The server listens by then, and it has ended after the block.
    """
    port = free_port()
    arguments = [argument.format(port=port) for argument in command]
    with open(log, "w") as stderr:
        server = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
    try:
        wait_for_server(port, server, log)
        yield f"http://{HOST}:{port}"
    finally:
        server.terminate()
        server.wait(timeout=60)


@contextmanager
def serving_lab(folder, home):
    """Serve a folder with JupyterLab, whose settings are in the folder `home`; yield the address.

    Settings that lie in home/config are read.
    """
    for name, value in LAB_SETTINGS.items():
        file = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True)
        file.write_text(value)
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "share"),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
    }
    command = ["-m", "jupyterlab", *LAB_FLAGS, f"--ServerApp.root_dir={folder}"]
    command += ["--ServerApp.port={port}"]
    with serving(command, folder, environment, home / "server.log") as address:
        yield address


def free_port():
    """Return the number of a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return listener.getsockname()[1]


def wait_for_server(port, server, log):
    """Return when the server listens; fail with its log if it has ended."""
    for _ in range(600):
        try:
            socket.create_connection((HOST, port)).close()
            return
        except OSError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.5)
    raise AssertionError(f"nobody listens on port {port}: {log.read_text()}")
