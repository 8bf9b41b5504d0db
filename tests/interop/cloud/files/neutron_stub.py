"""The least of a network service that Nova needs to boot a server without network.

Every list is empty, every quota endless, and nothing can be made.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LISTS = {
    "agents",
    "extensions",
    "floatingips",
    "networks",
    "ports",
    "security-groups",
    "subnets",
    "trunks",
}
QUOTAS = ("network", "subnet", "port", "router", "floatingip", "security_group")


def answer(path: str, host: str) -> dict[str, Any] | None:
    """What a GET of ``path`` (without query) answers; None for not found."""
    match path.strip("/").removesuffix(".json").split("/"):
        case [""]:
            link = {"rel": "self", "href": f"http://{host}/v2.0/"}
            return {"versions": [{"id": "v2.0", "status": "CURRENT", "links": [link]}]}
        case ["v2.0"]:
            return {"resources": []}
        case ["v2.0", noun] if noun in LISTS:
            return {noun.replace("-", "_"): []}
        case ["v2.0", "quotas", *_]:
            return {"quota": dict.fromkeys(QUOTAS, -1)}
    return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        found = answer(self.path.partition("?")[0], self.headers.get("Host", ""))
        self.reply(found or self.error("no such resource"), 200 if found else 404)

    def refuse(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.reply(self.error("nothing can be changed here"), 404)

    do_POST = do_PUT = do_DELETE = refuse  # noqa: N815

    def error(self, message: str) -> dict[str, Any]:
        text = f"{message}: {self.command} {self.path}"
        return {"NeutronError": {"type": "HTTPNotFound", "message": text, "detail": ""}}

    def reply(self, document: dict[str, Any], status: int) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
