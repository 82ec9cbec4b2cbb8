"""Prepares the specifications for the proxies, and reads the violations from the proxies' logs.

documents.py SPECS OUT                       one document for each proxy
documents.py --free-ports COUNT              ports nobody listens on
documents.py --violations LOGS EXCUSED NAME… what the proxies objected to; exits 1 if it was anything
"""

import json
import os
import re
import socket
import sys

SP_API = ["catalogItems_2022-04-01", "productPricingV0", "productPricing_2022-05-01", "fbaInventory"]


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def sign_in():
    """The token call, which is in none of the models: as sp-api.md describes it."""
    text = {"type": "string"}
    good = {
        "type": "object",
        "required": ["access_token", "token_type", "expires_in"],
        "properties": {"access_token": text, "token_type": text, "expires_in": {"type": "integer"}},
    }
    bad = {"type": "object", "required": ["error"], "properties": {"error": text, "error_description": text}}
    fields = ["grant_type", "refresh_token", "client_id", "client_secret"]
    return {
        "post": {
            "operationId": "token",
            "consumes": ["application/x-www-form-urlencoded"],
            "produces": ["application/json"],
            "parameters": [{"name": name, "in": "formData", "type": "string", "required": True} for name in fields],
            "responses": {
                "200": {"description": "A token", "schema": good},
                "400": {"description": "Refused", "schema": bad},
                "401": {"description": "Refused", "schema": bad},
            },
        }
    }


def merged(specs):
    """All SP-API models in one document, since a client knows one address; each model's names get its prefix."""
    whole = {
        "swagger": "2.0",
        "info": {"title": "SP-API", "version": "merged"},
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "paths": {"/auth/o2/token": sign_in()},
        "definitions": {},
        "parameters": {},
        "responses": {},
    }
    for number, name in enumerate(SP_API):
        text = json.dumps(load(os.path.join(specs, "sp-api", name + ".json")))
        model = json.loads(re.sub(r'"#/(definitions|parameters|responses)/', rf'"#/\1/m{number}_', text))
        whole["paths"].update(model["paths"])
        for part in ("definitions", "parameters", "responses"):
            whole[part].update({f"m{number}_{key}": value for key, value in model.get(part, {}).items()})
    return whole


def firecrawl(specs):
    """The v1 document with its version in the paths, where clients put it."""
    whole = load(os.path.join(specs, "firecrawl-v1-openapi.json"))
    whole["paths"] = {"/v1" + path: calls for path, calls in whole["paths"].items()}
    whole["servers"] = [{"url": "/"}]
    return whole


def prepare(specs, out):
    documents = {
        "apify": load(os.path.join(specs, "apify-openapi.json")),
        "firecrawl": firecrawl(specs),
        "sp-api": merged(specs),
    }
    for name, document in documents.items():
        with open(os.path.join(out, name + ".json"), "w", encoding="utf-8") as file:
            json.dump(document, file)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    print(*(one.getsockname()[1] for one in sockets))


def violations(logs, excused, names):
    """Counts equal lines; the excused are told but do not fail."""
    with open(excused, encoding="utf-8") as file:
        patterns = [line.strip() for line in file if line.strip() and not line.startswith("#")]
    bad = 0
    for name in names:
        with open(os.path.join(logs, name), encoding="utf-8", errors="replace") as file:
            text = re.sub(r"\x1b\[[0-9;]*m", "", file.read())
        seen = {}
        for line in text.splitlines():
            if re.search(r"Violation: |Request terminated with error", line):
                line = re.sub(r"^\[[^]]*\] › ", "", line).strip()
                seen[line] = seen.get(line, 0) + 1
        requests = len(re.findall(r"Request received", text))
        print(f"{name}: {requests} requests, {sum(seen.values())} objections")
        for line, count in seen.items():
            excuse = any(re.search(pattern, line) for pattern in patterns)
            bad += not excuse
            print(f"  {count} x {'(excused) ' if excuse else ''}{line}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--free-ports", count]:
            free_ports(int(count))
        case ["--violations", logs, excused, *names]:
            violations(logs, excused, names)
        case [specs, out]:
            prepare(specs, out)
        case _:
            sys.exit(__doc__)
