"""Which Firefox the browser tests drive, and a relay through which Playwright drives it.

Playwright drives a released Firefox over WebDriver BiDi (its channel "moz-firefox"), but the two do
not fit each other yet: Firefox 153 does not know a command that Playwright always sends, and gives
downloads no id. So Playwright starts this file in place of Firefox. It passes all messages on,
answers that command itself, and adds the ids.
"""

import asyncio
import json
import shlex
import shutil
import subprocess
import sys

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketHandler, websocket_connect

FIREFOX = next(filter(None, map(shutil.which, ["firefox-esr", "firefox"])), None)
LISTENING = "WebDriver BiDi listening on "

# The command by which Playwright sets the colour scheme and the like; the page has Firefox' own.
UNKNOWN = "emulation.setMediaFeaturesOverride"

# The events of a download.
DOWNLOADS = ("browsingContext.downloadWillBegin", "browsingContext.downloadEnd")

# In bytes: a message may hold a screenshot.
LARGEST_MESSAGE = 1 << 28


def launched(playwright, folder, **options):
    """Return a headless Firefox; a file that starts the relay is written to `folder`."""
    start = folder / "firefox"
    command = shlex.join([sys.executable, __file__, FIREFOX])
    start.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
    start.chmod(0o755)
    return playwright.firefox.launch(channel="moz-firefox", executable_path=start, **options)


class Relay(WebSocketHandler):
    """A connection of Playwright, and one to Firefox at the same path."""

    def initialize(self, address):
        self.address = address

    async def open(self):
        self.firefox = await websocket_connect(
            self.address + self.request.path,
            on_message_callback=self.on_answer,
            max_message_size=LARGEST_MESSAGE,
        )

    async def on_message(self, message):
        command = json.loads(message)
        if command["method"] == UNKNOWN:
            answer = {"type": "success", "id": command["id"], "result": {}}
            await self.write_message(json.dumps(answer))
        else:
            await self.firefox.write_message(message)

    def on_answer(self, message):
        if message is None:
            self.close()
        else:
            self.write_message(with_download_id(message))

    def on_close(self):
        self.firefox.close()


def with_download_id(message):
    """Return a message of Firefox; the id of a download without one is its address."""
    event = json.loads(message)
    if event.get("method") in DOWNLOADS:
        event["params"]["navigation"] = event["params"]["navigation"] or event["params"]["url"]
    return json.dumps(event)


def listen(address):
    """Return the address of a new relay of messages to `address`."""
    options = {"websocket_max_message_size": LARGEST_MESSAGE}
    application = Application([(".*", Relay, {"address": address})], **options)
    sockets = bind_sockets(0, "127.0.0.1")
    HTTPServer(application).add_sockets(sockets)
    return f"ws://127.0.0.1:{sockets[0].getsockname()[1]}"


async def run(command):
    """Run Firefox, tell the relay's address in place of its own, and return its exit code."""
    firefox = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
    while line := await firefox.stderr.readline():
        text = line.decode()
        if text.startswith(LISTENING):
            text = LISTENING + listen(text.removeprefix(LISTENING).strip()) + "\n"
        print(text, end="", file=sys.stderr, flush=True)
    return await firefox.wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(run(sys.argv[1:])))
