#!/usr/bin/env python3
"""Receives amzctl's webhooks, and believes only what is signed: Python's standard library is enough.

    OPS_WEBHOOK_SECRET=whsec_… python3 verify_webhook.py 8080

amzctl signs as https://www.standardwebhooks.com says, so the official libraries for Python, JavaScript, Go, Rust, Java,
Ruby, PHP, C# and Elixir do the same:

    from standardwebhooks.webhooks import Webhook
    event = Webhook(secret).verify(body, headers)

While the key is changed, the variable of the channel (`secret_env`) holds the new key and the old one with a space
between; every message then has two signatures, and a receiver that knows either key takes it.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

TOLERANCE_S = 5 * 60


def verify(secret, headers, body, now=None):
    """The event of a message that is signed with this key and not older than five minutes; ValueError otherwise.

    `headers` has lower-case names, `body` is the bytes as they came: parsed and written again they differ.
    """
    message_id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
    if abs((now or time.time()) - int(timestamp)) > TOLERANCE_S:
        raise ValueError("too old, or from the future")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    for signature in headers["webhook-signature"].split(" "):
        version, _, found = signature.partition(",")
        if version == "v1" and hmac.compare_digest(found, expected):
            return json.loads(body)
    raise ValueError("not signed with this key")


class Receiver(BaseHTTPRequestHandler):
    seen = set()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            event = verify(os.environ["OPS_WEBHOOK_SECRET"], headers, body)
        except (KeyError, ValueError) as error:
            self.send_error(401, str(error))
            return
        # Whatever was not answered in time comes again, under the same id.
        if headers["webhook-id"] not in self.seen:
            self.seen.add(headers["webhook-id"])
            print(json.dumps(event), flush=True)
        self.send_response(204)
        self.end_headers()


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
