"""Sends a list of commands as a client does that sends all of a body before it reads: once with http.client, once with requests.

usage: list.py URL TOKEN FILE PREFER
Prints, for each client, a line of JSON: how many answers of which status came, and how many bytes.
"""
import collections
import http.client
import json
import sys
import urllib.parse

import requests

url, token, file, prefer = sys.argv[1:]
headers = {"Authorization": "Bearer " + token, "Content-Type": "application/x-ndjson"}
if prefer:
    headers["Prefer"] = prefer
with open(file, "rb") as lines:
    body = lines.read()


def tell(client, answer):
    results = [json.loads(line) for line in answer.splitlines()]
    statuses = collections.Counter(str(result["status"]) for result in results)
    print(json.dumps({"client": client, "statuses": statuses, "bytes": len(answer)}))


connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=120)
connection.request("POST", "/v1/commands", body, headers)
tell("http.client", connection.getresponse().read())
tell("requests", requests.post(url + "/v1/commands", data=body, headers=headers, timeout=120).content)
