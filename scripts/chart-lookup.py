"""Plays the API server that helm looks Secrets up in: scripts/chart-lookup.py PORT_FILE [MANIFESTS]

Serves the Secrets of MANIFESTS as the cluster's own, and knows nothing else. Writes its port to PORT_FILE; ends with its
standard input.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import yaml

SECRETS = {}
PATHS = {
    "/version": {"major": "1", "minor": "30", "gitVersion": "v1.30.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            {"name": "secrets", "singularName": "secret", "namespaced": True, "kind": "Secret", "verbs": ["get", "list"]}
        ],
    },
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.split("?")[0]
        body = PATHS.get(path)
        if path.startswith("/api/v1/namespaces/herald/secrets/"):
            body = SECRETS.get(path.rsplit("/", 1)[1])
        missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body or missing).encode())

    def log_message(self, *_):
        pass


def main():
    for file in sys.argv[2:]:
        with open(file, encoding="utf-8") as stream:
            for manifest in yaml.safe_load_all(stream):
                if manifest and manifest["kind"] == "Secret":
                    SECRETS[manifest["metadata"]["name"]] = manifest
    server = HTTPServer(("127.0.0.1", 0), Handler)
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(f"{server.server_port}\n")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


main()
