"""A model hub on this machine that answers a few questions as Hugging Face does."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from pathlib import Path

COMMIT = "c0ffee" + "0" * 34


@dataclass
class Hub:
    """What the hub holds, and what it was asked.

    ``repositories`` maps ``org/name`` to a folder; ``gated`` names those that ask for
    ``token``, ``sizes`` lies about files; ``asked`` lists every request.
    """

    repositories: dict[str, Path] = field(default_factory=dict)
    revisions: dict[str, str] = field(default_factory=lambda: {"main": COMMIT})
    gated: set[str] = field(default_factory=set)
    sizes: dict[str, int] = field(default_factory=dict)
    token: str = ""
    asked: list[str] = field(default_factory=list)
    address: str = ""

    def downloads(self) -> list[str]:
        """Files that were given out, each as often as it was."""
        given = [x for x in self.asked if x.startswith("GET") and "/resolve/" in x]
        return sorted(line.split("/resolve/")[1].partition("/")[2] for line in given)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_):
        """Keep the tests' output clean."""

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def do_POST(self):
        self._answer()

    def _answer(self):
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        parts = path.strip("/").split("/")
        is_api = parts[:2] == ["api", "models"]
        owner, name, *rest = parts[2:] if is_api else parts
        repository = f"{owner}/{name}"
        folder = self.hub.repositories.get(repository)
        if folder is None:
            return self._fail(401, "RepoNotFound", "Repository not found")
        if repository in self.hub.gated and (
            not self.hub.token
            or self.headers.get("Authorization") != f"Bearer {self.hub.token}"
        ):
            return self._fail(403, "GatedRepo", "Access to model is restricted")
        question = rest[0] if rest else "revision"
        asked = rest[1] if len(rest) > 1 else "main"
        commit = asked if asked == COMMIT else self.hub.revisions.get(asked)
        if commit is None:
            return self._fail(404, "RevisionNotFound", "Invalid rev id")
        if is_api:
            return self._tell(question, folder, repository, commit, body)
        return self._give(folder / "/".join(rest[2:]), commit)

    def _tell(self, question, folder, repository, commit, body):
        files = [
            {
                "type": "file",
                "path": (name := path.relative_to(folder).as_posix()),
                "size": self.hub.sizes.get(name, path.stat().st_size),
                "oid": _oid(path),
            }
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ]
        if question == "revision":
            siblings = [{"rfilename": file["path"]} for file in files]
            facts = {"id": repository, "sha": commit, "siblings": siblings}
            return self._send(json.dumps(facts).encode())
        if question == "paths-info":
            asked = _paths(body, self.headers.get("Content-Type", ""))
            files = [file for file in files if file["path"] in asked]
        return self._send(json.dumps(files).encode())

    def _give(self, path, commit):
        if not path.is_file():
            return self._fail(404, "EntryNotFound", "Entry not found")
        headers = {"ETag": f'"{_oid(path)}"', "X-Repo-Commit": commit}
        return self._send(path.read_bytes(), headers, "application/octet-stream")

    def _fail(self, code, name, message):
        headers = {"X-Error-Code": name, "X-Error-Message": message}
        self._send(json.dumps({"error": message}).encode(), headers, code=code)

    def _send(self, content, headers=None, kind="application/json", code=200):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _oid(path):
    return hashlib.sha1(path.read_bytes()).hexdigest()


def _paths(body, kind):
    from urllib.parse import parse_qs

    if "json" in kind:
        return json.loads(body)["paths"]
    return parse_qs(body.decode())["paths"]


def point_client_at(address: str, monkeypatch, cache: Path) -> None:
    """Let Hugging Face's client ask another hub, with a cache and token of its own."""
    from huggingface_hub import constants

    # The environment is read only when the client is first imported.
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)


@contextmanager
def serve_hub():
    """Serve an empty hub on a free port; give it."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        hub.address = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
