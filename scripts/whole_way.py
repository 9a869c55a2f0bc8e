#!/usr/bin/env python3
"""A history through everything that Convoke does with it, each step held to the program's own proofs.

    scripts/whole_way.py HISTORY [FOLDER]

HISTORY: commands as `convoke import` takes them (docs/import.md). FOLDER: where everything lies meanwhile, new or empty;
without it, a temporary one that is removed. CONVOKE names the program, target/release/convoke without it.

The log, with the times of the history; a real Apache Kafka; read models out of the log and out of the topic; half the
partitions archived; all of it again through the archives; a room at a version that lies in one. On private ports.
"""

import contextlib
import datetime
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = pathlib.Path(os.environ.get("CONVOKE", ROOT / "target/release/convoke")).resolve()
# A large history is folded by the server at some ten thousand events a second.
PATIENCE_S = 3600
# Ends the group once the pipe from this program is closed.
GUARD = 'read -r _; kill -s TERM -- "-$0" 2>/dev/null'
FAULTS = ("missing", "doubled", "out_of_order", "different")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    history = pathlib.Path(sys.argv[1]).resolve()
    if not history.is_file():
        sys.exit(f"{history} is not a file")
    with contextlib.ExitStack() as stack:
        if len(sys.argv) == 3:
            folder = pathlib.Path(sys.argv[2]).resolve()
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                sys.exit(f"{folder} is not empty")
        else:
            folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="convoke-whole-way-")))
        WholeWay(folder, stack).go(history)


class WholeWay:
    def __init__(self, folder, stack):
        self.folder = folder
        self.stack = stack
        self.environment = dict(os.environ, CONVOKE_DATA_DIR=str(folder / "data"))

    def go(self, history):
        self.say("import")
        # Real history has lines that are refused; whatever they are, the rest goes the whole way.
        allowed = ("--allow-refused", str(10**12))
        report = self.json("import", "--tenant", "history", "--recorded-as-occurred", *allowed, "--json", history)
        end = self.json("log", "stat", "--json")["position"]
        self.told(f"{report['lines']} lines, {end} events")
        self.start_kafka()
        url = self.start_server()
        self.wait_until_followed(end)
        self.audit(end)
        before = self.digests("out of the log", "verify")
        self.same(before, self.digests("out of the topic", "verify", "--from", "kafka"))
        archived = self.archive_half()
        self.same(before, self.digests("out of archives and log", "verify"))
        self.same(before, self.digests("rebuilt out of archives and log", "rebuild"))
        self.say("the log")
        self.told(json.dumps(self.json("log", "verify", "--json")))
        self.audit(end)
        self.room_in_an_archive(url, archived)
        self.say("all of it holds")

    # ------------------------------------------------------------------------------------------------ steps

    def start_kafka(self):
        broker, controller = free_ports(2)
        self.say(f"Apache Kafka on port {broker}")
        script = [ROOT / "scripts/kafka.sh", "run", self.folder / "kafka", str(broker), str(controller)]
        self.spawn("kafka", script)
        self.environment["KAFKA_BROKERS"] = f"127.0.0.1:{broker}"
        self.until("Kafka answers", lambda: self.run("kafka", "ensure").returncode == 0)

    def start_server(self):
        self.say("the server: relay and read models")
        self.environment["CONVOKE_HTTP_LISTEN"] = "127.0.0.1:0"
        output = self.spawn("serve", [PROGRAM, "serve"])
        line = self.until("it listens", lambda: first_line(output, "listening on "))
        return line.removeprefix("listening on ").strip()

    def wait_until_followed(self, end):
        def followed():
            models = self.json("projection", "list", "--json")
            stopped = [model["error"] for model in models if model["status"] != "running"]
            if stopped:
                sys.exit(f"a read model stopped: {stopped}")
            return min(model["position"] for model in models) >= end

        begun = time.monotonic()
        self.until("the read models have all of it", followed)
        self.told(f"read models have followed after {time.monotonic() - begun:.0f} s")

    def audit(self, end):
        self.say("the topic beside the log")
        found = self.until("the topic has all of it", lambda: self.audited(end))
        self.told(", ".join(f"{fault} {found[fault]}" for fault in FAULTS))

    def audited(self, end):
        ended = self.run("kafka", "audit", "--json")
        # There is no topic, or nothing in it, at first.
        if not ended.stdout.strip():
            return None
        found = json.loads(ended.stdout)
        wrong = [fault for fault in FAULTS[1:] if found[fault]]
        if wrong:
            sys.exit(f"the topic is not as the log is: {found}")
        return found if found["through"] == end and not found["missing"] else None

    def digests(self, where, *command):
        self.say(f"read models, {where}")
        reports = self.json("projection", *command, "--json")
        different = [report for report in reports if report["comparison"]["result"] != "equal"]
        if different:
            sys.exit(f"live and folded rows differ: {different}")
        digests = {report["name"]: report["digest"] for report in reports}
        for name, digest in digests.items():
            self.told(f"{name} {digest}")
        return digests

    def same(self, before, now):
        if before != now:
            sys.exit(f"the rows were {before} and are {now}")

    def archive_half(self):
        filled = [one for one in self.json("partition", "list", "--json") if one["events"]]
        if len(filled) < 2:
            sys.exit(f"{len(filled)} partitions have events: two are needed at least; CONVOKE_LOG_PARTITION_UNIT=day makes more")
        half = filled[: len(filled) // 2]
        age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(half[-1]["to"].replace("Z", "+00:00"))
        older = f"{age.days}d"
        self.say(f"archiving {len(half)} of {len(filled)} partitions: older than {older}")
        self.told(f"{len(self.json('archive', 'run', '--dry-run', '--json', '--older-than', older)['moves'])} would move")
        moved = self.json("archive", "run", "--json", "--older-than", older)["moved"]
        self.told(f"{sum(one['events'] for one in moved)} events, {sum(one['bytes'] for one in moved)} bytes in files")
        left = {one["name"] for one in self.json("partition", "list", "--json") if one.get("archive")}
        if not {one["name"] for one in half} <= left:
            sys.exit(f"not all of {[one['name'] for one in half]} have gone")
        return half

    def room_in_an_archive(self, url, archived):
        self.say("a room inside an archive")
        last = archived[-1]["first_position"] + archived[-1]["events"] - 1
        read = self.checked("log", "read", "--json", "--from", str(last), "--limit", "1").stdout
        event = json.loads(read.splitlines()[0])
        token = self.checked("token", "create", "--tenant", "history", "--grant", "all").stdout.strip()
        for moment in (f"version={event['room_version']}", f"at={event['recorded_at']}"):
            request = urllib.request.Request(f"{url}/v1/rooms/{event['room']}?{moment}")
            request.add_header("Authorization", f"Bearer {token}")
            with urllib.request.urlopen(request, timeout=60) as answer:
                room = json.load(answer)
            if room["version"] < event["room_version"]:
                sys.exit(f"?{moment} gives version {room['version']}, not {event['room_version']}")
            self.told(f"?{moment}: version {room['version']}, {room['status']}")

    # ------------------------------------------------------------------------------------------------ tools

    def run(self, *arguments):
        command = [PROGRAM, *arguments]
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False)

    def checked(self, *arguments):
        ended = self.run(*arguments)
        if ended.returncode != 0:
            sys.exit(f"convoke {' '.join(map(str, arguments))} ended with {ended.returncode}:\n{ended.stderr}")
        return ended

    def json(self, *arguments):
        return json.loads(self.checked(*arguments).stdout)

    def spawn(self, name, command):
        """In a group of its own, which ends with this program, however that ends; where its output goes."""
        output = self.folder / f"{name}.out"
        with output.open("w") as out, (self.folder / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=out, stderr=log, start_new_session=True
            )

        guard = subprocess.Popen(["/bin/sh", "-c", GUARD, str(process.pid)], stdin=subprocess.PIPE, start_new_session=True)

        def end():
            guard.stdin.close()
            guard.wait()
            process.wait()

        self.stack.callback(end)
        return output

    def until(self, what, condition):
        begun = time.monotonic()
        while time.monotonic() - begun < PATIENCE_S:
            found = condition()
            if found:
                return found
            time.sleep(0.5)
        sys.exit(f"{PATIENCE_S} s have passed, and not yet: {what}")

    def say(self, what):
        print(f"{datetime.datetime.now():%H:%M:%S} {what}", flush=True)

    def told(self, what):
        print(f"         {what}", flush=True)


def first_line(path, beginning):
    return next((line for line in path.read_text().splitlines() if line.startswith(beginning)), None)


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


if __name__ == "__main__":
    # Ctrl-C and a kind kill end what was started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
