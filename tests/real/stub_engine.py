"""An engine for tests: starts in a tenth of a second and says who answers. Plain standard library, run as a program.

--fail TEXT: print TEXT and exit with 3. --fail-while FILE: the same as long as FILE exists. --hang: never listen. --hold SECONDS: how long
GET /slow takes. A GET of anything else answers JSON: path, pid, the environment. POST /v1/chat/completions streams words.
"""

import sys

if "--hang" in sys.argv:  # before anything that takes a moment: who waits for it may wait a second only
    sys.stderr.write("thinking about it\n")
    sys.stderr.flush()

import argparse
import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

parser = argparse.ArgumentParser()
parser.add_argument("--host", default="127.0.0.1")
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--fail", default="")
parser.add_argument("--fail-while", default="")
parser.add_argument("--hang", action="store_true")
parser.add_argument("--hold", type=float, default=1.0)
options = parser.parse_args()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.path.startswith("/slow"):
            time.sleep(options.hold)
        self.answer({"path": self.path, "pid": os.getpid(), "environment": dict(os.environ)})

    def do_POST(self) -> None:
        size = int(self.headers.get("content-length", 0))
        words = json.loads(self.rfile.read(size))["messages"][-1]["content"].split()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for word in [*words, "[DONE]"]:
            line = f"data: {word}\n\n".encode()
            self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            self.wfile.flush()
            time.sleep(0.05)
        self.wfile.write(b"0\r\n\r\n")


if options.fail or (options.fail_while and os.path.exists(options.fail_while)):
    sys.stdout.write(f"loading the weights\n{options.fail or 'the file says no'}\n")
    sys.exit(3)
if options.hang:
    time.sleep(3600)
ThreadingHTTPServer((options.host, options.port), Handler).serve_forever()
