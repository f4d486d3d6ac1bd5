"""Herald's OpenAPI document, put to those who read it: `clients` makes clients of it in TypeScript, in Python and, with what
$HERALD_OPENAPI_JAVA has, in Java, compiles them and publishes by them; `schemathesis N` tries each operation with up to N examples. Each against a `herald serve` of its own, the
program that $HERALD_BIN names. Started by scripts/openapi, which installs what this needs."""

import contextlib
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.request

HERE = pathlib.Path(__file__).parent
GENERATED = HERE / "generated"
BIN = pathlib.Path(sys.executable).parent

CONFIGURATION = """
[http]
listen = "127.0.0.1:0"
page = "none"
[[api.keys]]
name = "backend"
sha256 = "{digest}"
scopes = ["admin"]
"""


def run(*command, **more):
    """Runs a command, whose output matters only if it fails."""
    done = subprocess.run(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more
    )
    if done.returncode != 0:
        sys.exit(f"{done.stdout}\n{' '.join(map(str, command))} ended with {done.returncode}")
    return done.stdout


@contextlib.contextmanager
def herald():
    """A Herald with an operator's key: its address and the key."""
    key = secrets.token_hex(16)
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "herald.toml"
        file.write_text(CONFIGURATION.format(digest=hashlib.sha256(key.encode()).hexdigest()))
        child = subprocess.Popen(
            [os.environ["HERALD_BIN"], "serve", "--config", str(file)], stderr=subprocess.PIPE, text=True
        )
        try:
            yield f"http://{address(child)}", key
            if child.poll() is not None:
                sys.exit(f"Herald has ended with {child.returncode}")
        finally:
            child.terminate()
            child.wait(60)


def address(child):
    """Where it listens, as its log says; the rest of the log is read and forgotten."""
    seen = []
    for line in child.stderr:
        seen.append(line)
        with contextlib.suppress(json.JSONDecodeError):
            said = json.loads(line)
            if said.get("message") == "serving":
                threading.Thread(target=lambda: [None for _ in child.stderr], daemon=True).start()
                return said["address"]
    sys.exit("Herald does not serve:\n" + "".join(seen))


def published(url, key):
    """How many notifications have gone, by Herald's own count."""
    request = urllib.request.Request(f"{url}/metrics", headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    name = 'herald_notifications_published_total{source="rest"} '
    return sum(int(line.removeprefix(name)) for line in lines if line.startswith(name))


def clients():
    with herald() as (url, key):
        environment = os.environ | {"HERALD_URL": url, "HERALD_KEY": key}
        shutil.rmtree(GENERATED, ignore_errors=True)
        GENERATED.mkdir()
        tools = HERE / "node_modules" / ".bin"
        run(tools / "openapi-typescript", f"{url}/api/openapi.json", "-o", GENERATED / "herald.d.ts")
        run(tools / "tsc", "--project", HERE)
        print(run("node", GENERATED / "out" / "publish.js", env=environment).strip())
        typescript = published(url, key)
        package = GENERATED / "python"
        made = run(
            BIN / "openapi-python-client", "generate", "--url", f"{url}/api/openapi.json", "--output-path", package,
            "--config", HERE / "python-client.yml",
        )
        for words in ("Endpoint will not be generated", "Unable to parse", "will be omitted"):
            if words in made:
                sys.exit(f"{made}\nopenapi-python-client leaves something out")
        run(BIN / "mypy", package / "herald_client", cwd=GENERATED)
        environment["PYTHONPATH"] = str(package)
        print(run(sys.executable, HERE / "publish.py", env=environment).strip())
        python = published(url, key) - typescript
        # A repeat is counted as well.
        if not typescript == python > 0:
            sys.exit(f"Herald counts {typescript} publishes by TypeScript and {python} by Python")
        if tools := os.environ.get("HERALD_OPENAPI_JAVA"):
            java(url, environment, pathlib.Path(tools))
            count = published(url, key) - typescript - python
            if count != python:
                sys.exit(f"Herald counts {python} publishes by Python and {count} by Java")
        print(f"Herald has taken {python} publishes of each")


def java(url, environment, tools):
    """Makes a client by openapi-generator as docs/rest.md says, and publishes by it."""
    sources, classes, path = GENERATED / "java", GENERATED / "java-classes", f"{tools / 'lib'}/*"
    run(
        "java", "-jar", tools / "generator.jar", "generate", "-i", f"{url}/api/openapi.json", "-g", "java", "-o", sources,
        "--additional-properties=disallowAdditionalPropertiesIfNotPresent=false",
    )
    made = sorted((sources / "src" / "main" / "java").rglob("*.java"))
    run("javac", "-nowarn", "-J-Xss4m", "--class-path", path, "-d", classes, *made, HERE / "Publish.java")
    print(run("java", "--class-path", f"{classes}{os.pathsep}{path}", "Publish", env=environment).strip())


def schemathesis(examples):
    with herald() as (url, key):
        done = subprocess.run(
            [
                BIN / "st", "--config-file", HERE / "schemathesis.toml", "run", f"{url}/api/openapi.json",
                "--header", f"Authorization: Bearer {key}", "--max-examples", str(examples), "--mode", "all",
                "--phases", "examples,coverage,fuzzing", "--no-color",
            ],
            cwd=tempfile.gettempdir(), check=False,
            env=os.environ | {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(HERE)},
        )
    sys.exit(done.returncode)


match sys.argv[1:]:
    case ["clients"]:
        clients()
    case ["schemathesis", examples]:
        schemathesis(int(examples))
    case _:
        sys.exit(__doc__)
