"""The official library of Standard Webhooks takes what amzctl sends, with either key while the key is changed."""

import base64
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
import verify_webhook
from standardwebhooks.webhooks import Webhook, WebhookVerificationError


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.seen.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_):
        pass


def key():
    return "whsec_" + base64.b64encode(os.urandom(32)).decode()


def refuses(secret, body, headers):
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return True
    return False


def check(bench):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.seen, server.status = [], 200
    threading.Thread(target=server.serve_forever, daemon=True).start()
    section = f"""
[channels.ops]
type = "webhook"
url = "http://127.0.0.1:{server.server_port}/hook"
secret_env = "OPS_KEY"
"""
    old, new = key(), key()
    bench.configure(section, OPS_KEY=f"{new} {old}")
    said = bench.expect(2, "alert", "test-channel", "ops")
    assert "allow_private" in said and not server.seen, said

    bench.configure(section + "allow_private = true\n", OPS_KEY=f"{new} {old}")
    bench.expect(0, "alert", "test-channel", "ops")
    bench.make_alert()
    bench.expect(0, "alert", "deliver")
    (_, test), (headers, event) = server.seen
    assert json.loads(test)["event_type"] == "channel.test"
    for secret in (old, new):
        read = Webhook(secret).verify(event, headers)
        assert read["rule"] == "price_drop" and read["asin"] == "B0FDKB341G", read
    assert headers["webhook-id"] == json.loads(event)["event_id"]
    # The documented example sees it the same way.
    assert verify_webhook.verify(old, headers, event) == json.loads(event)
    try:
        verify_webhook.verify(key(), headers, event)
        raise AssertionError("the example takes what a stranger signed")
    except ValueError:
        pass
    assert refuses(key(), event, headers) and refuses(new, event + b" ", headers)
    assert refuses(new, event, {**headers, "webhook-id": "other"})

    bench.configure(section + "allow_private = true\n", OPS_KEY=new)
    bench.expect(0, "alert", "test-channel", "ops")
    headers, body = server.seen[-1]
    assert refuses(old, body, headers) and not refuses(new, body, headers)

    for status, code in [(401, 12), (404, 2), (429, 7), (503, 7)]:
        server.status = status
        bench.expect(code, "alert", "test-channel", "ops")
    server.shutdown()
    server.server_close()
    bench.expect(7, "alert", "test-channel", "ops")
    bench.variables = {}
    bench.expect(12, "alert", "test-channel", "ops")
