"""Programs of Python that serve pages to this machine, while a test asks for them."""

import socket
import subprocess
import sys
import time
from contextlib import contextmanager

HOST = "127.0.0.1"


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
