"""A real mail server: every way to secure the connection, sign-in, and each way in which it can fail."""

import asyncio
import email
import email.policy
import logging
import socket
import ssl
import subprocess
import threading
import warnings

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

warnings.filterwarnings("ignore", message="Requiring AUTH")
# What the server thinks of refused certificates is no news.
logging.getLogger("mail.log").setLevel(logging.CRITICAL)
logging.getLogger("asyncio").setLevel(logging.CRITICAL)

PASSWORD = "correct-horse-battery"


class Box:
    """Keeps mails, and answers as it is told to."""

    def __init__(self):
        self.mails, self.answer = [], None
        self.released = threading.Event()

    async def handle_DATA(self, server, session, envelope):
        if self.answer == "silence":
            while not self.released.is_set():
                await asyncio.sleep(0.05)
            return "250 OK"
        if self.answer:
            return self.answer
        self.mails.append((envelope, session))
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and data.password == PASSWORD.encode() and data.login == b"alerts"
    return AuthResult(success=good, handled=False) if not good else AuthResult(success=True)


def certificate(folder):
    run = lambda *command: subprocess.run(command, check=True, capture_output=True, cwd=folder)
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test authority",
        "-keyout", "ca.key", "-out", "ca.pem")
    run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "mail.key", "-out",
        "mail.csr")
    (folder / "names").write_text("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
    run("openssl", "x509", "-req", "-in", "mail.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2", "-extfile",
        "names", "-out", "mail.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "mail.pem", folder / "mail.key")
    return context


class StartTls(Controller):
    """Takes no mail before the connection is encrypted and somebody has signed in."""

    def __init__(self, box, context):
        self.context = context
        super().__init__(box, hostname="127.0.0.1", port=free_port(), ready_timeout=30)

    def factory(self):
        return SMTP(self.handler, hostname="localhost", tls_context=self.context, require_starttls=True,
                    authenticator=authenticate, auth_required=True)


def free_port():
    """The controller connects to itself to see whether it is up, so it has to know its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(controller):
    controller.start()
    return controller.port


def section(port, tls, extra=""):
    return f"""
[channels.mail]
type = "smtp"
host = "localhost"
port = {port}
tls = "{tls}"
from = "amzctl 警報 <alerts@shop.example>"
to = ["one@shop.example", "two@shop.example"]
timeout_s = 3
{extra}"""


SIGN_IN = 'user = "alerts"\npassword_env = "MAIL_PASSWORD"\n'


def check_mail(envelope):
    mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    text, html = (part.get_content() for part in mail.iter_parts())
    assert "amzctl 警報 <alerts@shop.example>" == mail["from"], mail["from"]
    assert mail["list-unsubscribe"] == "<mailto:alerts@shop.example?subject=unsubscribe>", mail["list-unsubscribe"]
    assert mail["auto-submitted"] == "auto-generated" and mail["date"]
    return mail, text, html


def check(bench):
    box = Box()
    context = certificate(bench.folder)
    trusted = 'ca_file = "ca.pem"\n'
    starttls = StartTls(box, context)
    port = start(starttls)

    # The certificate of a stranger is not accepted.
    bench.configure(section(port, "starttls", SIGN_IN), MAIL_PASSWORD=PASSWORD)
    assert "certificate" in bench.expect(7, "alert", "test-channel", "mail").lower()

    bench.configure(section(port, "starttls", SIGN_IN + trusted), MAIL_PASSWORD=PASSWORD)
    bench.expect(0, "alert", "test-channel", "mail")
    assert [envelope.rcpt_tos for envelope, _ in box.mails] == [["one@shop.example"], ["two@shop.example"]]
    assert all(session.ssl and session.authenticated for _, session in box.mails)
    box.mails.clear()

    # A real alert: its id is the mail's.
    (event,) = bench.make_alert("B0FM2YDLHP")
    bench.expect(0, "alert", "deliver")
    mail, text, html = check_mail(box.mails[0][0])
    assert len(box.mails) == 2 and mail["message-id"] == f"<{event}@shop.example>", mail["message-id"]
    assert "B0FM2YDLHP" in mail["subject"] and "price" in text and "https://www.amazon.com/dp/B0FM2YDLHP" in html.replace("&#x2f;", "/")

    bench.variables = {"MAIL_PASSWORD": "wrong-battery-staple"}
    bench.expect(12, "alert", "test-channel", "mail")
    bench.variables = {}
    bench.expect(12, "alert", "test-channel", "mail")
    bench.variables = {"MAIL_PASSWORD": PASSWORD}
    for answer, code in [("550 no such user", 1), ("451 try again later", 7), ("silence", 7)]:
        box.answer = answer
        bench.expect(code, "alert", "test-channel", "mail")
    box.answer = None
    box.released.set()
    starttls.stop()
    bench.expect(7, "alert", "test-channel", "mail")

    # Encrypted from the first byte on.
    direct = Controller(box, hostname="127.0.0.1", port=free_port(), ssl_context=context,
                        server_kwargs={"authenticator": authenticate, "auth_required": True,
                                       "auth_require_tls": False})
    port = start(direct)
    box.mails.clear()
    bench.configure(section(port, "tls", SIGN_IN + trusted), MAIL_PASSWORD=PASSWORD)
    bench.expect(0, "alert", "test-channel", "mail")
    assert len(box.mails) == 2
    direct.stop()

    # An open relay, as on the machine itself; with "starttls" nothing is sent to it.
    relay = Controller(box, hostname="127.0.0.1", port=free_port())
    port = start(relay)
    box.mails.clear()
    bench.configure(section(port, "starttls"))
    assert "STARTTLS" in bench.expect(7, "alert", "test-channel", "mail") and not box.mails
    zh = 'language = "zh-TW"\nunsubscribe = "https://shop.example/unsubscribe"\n'
    bench.configure(section(port, "none", zh))
    bench.expect(0, "alert", "test-channel", "mail")
    mail = email.message_from_bytes(box.mails[0][0].content, policy=email.policy.default)
    assert mail["list-unsubscribe"] == "<https://shop.example/unsubscribe>"
    assert "測試" in mail["subject"] and "測試訊息" in mail.get_body(("plain",)).get_content()
    bench.configure(section(port, "none", SIGN_IN), MAIL_PASSWORD=PASSWORD)
    bench.expect(2, "alert", "test-channel", "mail")
    relay.stop()
