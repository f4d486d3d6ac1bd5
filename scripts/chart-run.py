"""Runs what charts/herald-with-nats renders: scripts/chart-run.py HERALD VALUES MANIFESTS

Three nats-servers with the configuration that NATS's chart writes of VALUES, and two instances of HERALD with the configuration,
the variables and the Secrets in MANIFESTS; only addresses and paths are this host's. What is published at one instance must get a
position, be stored on three servers and be read by the other. Knows nothing of Kubernetes.
"""

import base64
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import yaml

KEY = "the-key-of-this-run"
PATIENCE = 60


def free_ports(count):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def nats_configuration(values, number, ports, folder):
    """As NATS's chart composes it, which cannot be had offline: what stands in << >> is bare."""
    config = values["nats"]["config"]
    count = config["cluster"]["replicas"]
    whole = {
        "server_name": f"demo-nats-{number}",
        "listen": f"127.0.0.1:{ports[number]}",
        "http": f"127.0.0.1:{ports[count + number]}",
        "cluster": {
            "name": "demo-nats",
            "listen": f"127.0.0.1:{ports[2 * count + number]}",
            "no_advertise": True,
            "routes": [f"nats://127.0.0.1:{port}" for port in ports[2 * count : 3 * count]],
        },
        "jetstream": {
            "max_memory_store": 0,
            "store_dir": f"{folder}/nats-{number}",
            "max_file_store": f"<< {config['jetstream']['fileStore']['pvc']['size']} >>",
        },
        **config["merge"],
    }
    return re.sub(r'"<<\s+(.*?)\s+>>"', r"\1", json.dumps(whole, indent=1))


def get(url, key=None, body=None):
    """Status and text; None without an answer."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    if body is not None:
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(url, data=body and json.dumps(body).encode(), headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return None, ""


def until(what, probe, log):
    deadline = time.monotonic() + PATIENCE
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            sys.exit(f"not within {PATIENCE} s: {what}\n{log()}")
        time.sleep(0.1)


def run(herald, values_file, manifests_file, folder, started):
    with open(values_file, encoding="utf-8") as stream:
        values = yaml.safe_load(stream)
    with open(manifests_file, encoding="utf-8") as stream:
        manifests = [manifest for manifest in yaml.safe_load_all(stream) if manifest]
    of_kind = lambda kind: [manifest for manifest in manifests if manifest["kind"] == kind]
    secrets = {secret["metadata"]["name"]: secret["data"] for secret in of_kind("Secret")}
    count = values["nats"]["config"]["cluster"]["replicas"]
    ports = free_ports(3 * count + 4)
    of_herald = ports[3 * count :]

    def start(name, command, environment):
        with open(f"{folder}/{name}.log", "wb") as log:
            started.append(subprocess.Popen(command, env={**environment, "PATH": os.environ["PATH"]}, stdout=log, stderr=log))

    def log():
        files = [file for file in sorted(os.listdir(folder)) if file.endswith(".log")]
        return "\n".join(f"{file}:\n{open(f'{folder}/{file}', errors='replace').read()[-2000:]}" for file in files)

    users = {}
    for name, source in values["nats"]["container"]["env"].items():
        data = secrets["demo-nats-users"][source["valueFrom"]["secretKeyRef"]["key"]]
        users[name] = base64.b64decode(data).decode()
    for number in range(count):
        with open(f"{folder}/nats-{number}.conf", "w", encoding="utf-8") as file:
            file.write(nats_configuration(values, number, ports, folder))
        start(f"nats-{number}", ["nats-server", "-c", f"{folder}/nats-{number}.conf"], users)
    for number in range(count):
        until("NATS is healthy", lambda: get(f"http://127.0.0.1:{ports[count + number]}/healthz")[0] == 200, log)

    [deployment] = of_kind("Deployment")
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    paths = {}
    for mount in container["volumeMounts"]:
        source = volumes[mount["name"]]
        files = {}
        if "secret" in source:
            files = {key: base64.b64decode(data) for key, data in secrets[source["secret"]["secretName"]].items()}
        elif "configMap" in source:
            [found] = [one for one in of_kind("ConfigMap") if one["metadata"]["name"] == source["configMap"]["name"]]
            # A key to publish with.
            key = f'\n[[api.keys]]\nname = "run"\nsha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"\nscopes = ["admin"]\n'
            files = {name: (text + key).encode() for name, text in found["data"].items()}
        here = f"{folder}{mount['mountPath']}"
        os.makedirs(here, exist_ok=True)
        paths[mount["mountPath"]] = here
        for name, content in files.items():
            with open(f"{here}/{name}", "wb") as file:
                file.write(content)

    def local(text):
        for path, here in sorted(paths.items(), reverse=True):
            text = text.replace(path, here)
        return text.replace("nats://demo-nats:4222", ",".join(f"nats://127.0.0.1:{port}" for port in ports[:count]))

    for number in range(2):
        environment = {one["name"]: local(one["value"]) for one in container["env"] if "value" in one}
        environment["HERALD_INSTANCE__NAME"] = f"demo-{number}"
        environment["HERALD_HTTP__LISTEN"] = f"127.0.0.1:{of_herald[number]}"
        environment["HERALD_HTTP__ADMIN_LISTEN"] = f"127.0.0.1:{of_herald[2 + number]}"
        start(f"herald-{number}", [herald, *map(local, container["args"])], environment)
    for number in range(2):
        until("Herald is ready", lambda: get(f"http://127.0.0.1:{of_herald[2 + number]}/readyz")[0] == 200, log)

    body = {"destination": "/queue/message", "payload": "as rendered"}
    status, answer = get(f"http://127.0.0.1:{of_herald[0]}/api/v1/notifications", KEY, body)
    if status != 202 or not json.loads(answer).get("position", "").endswith("-1"):
        sys.exit(f"a publish was answered {status}: {answer}\n{log()}")
    head = 'herald_history_head{kind="broadcast"} 1\n'
    until("the other instance reads it", lambda: head in get(f"http://127.0.0.1:{of_herald[3]}/metrics")[1], log)
    _, streams = get(f"http://127.0.0.1:{ports[count]}/jsz?streams=1&config=1")
    found = [
        (stream["name"], stream["config"]["num_replicas"])
        for account in json.loads(streams).get("account_details", [])
        for stream in account.get("stream_detail", [])
    ]
    if sorted(found) != [("HERALD_BROADCAST", count), ("HERALD_USER", count)]:
        sys.exit(f"the streams are {found}")
    for number in range(2):
        status, text = get(f"http://127.0.0.1:{of_herald[2 + number]}/readyz")
        if status != 200 or "trouble" in json.loads(text)["components"]:
            sys.exit(f"not without trouble: {text}")
    print(f"{count} servers of NATS and 2 instances run as rendered, and history stands on all servers")


def main():
    started = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            run(*sys.argv[1:4], folder, started)
        finally:
            for process in started:
                process.send_signal(signal.SIGTERM)
            for process in started:
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


main()
