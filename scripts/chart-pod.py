"""Has `herald check` judge what the pods of charts/herald would be given, the instances' and the check's own: scripts/chart-pod.py
HERALD MANIFESTS

The configuration, the variables, and a file for each that the pod's Secrets have, below a folder of this run in place of
/run/secrets/herald. What stands in such a file goes by its name; the certificates are those of the tests.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

import yaml

SECRETS = "/run/secrets/herald"
TLS = pathlib.Path("tests/it/support/nats_tls")


def content_of(name):
    if name == "ca.crt":
        return (TLS / "ca.pem").read_text()
    if name == "key.pem":
        made = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], check=True, capture_output=True)
        public = ["openssl", "pkey", "-pubout"]
        return subprocess.run(public, check=True, capture_output=True, input=made.stdout).stdout.decode()
    return "a secret of more than thirty-two bytes"


def judge(herald, pod, configs):
    container = pod["containers"][0]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        places = {SECRETS: name, "/var/lib/herald": f"{name}/own"}
        (folder / "own").mkdir()
        for volume in pod["volumes"]:
            if "configMap" in volume:
                text = configs[volume["configMap"]["name"]]["herald.toml"]
                continue
            sources = volume["projected"]["sources"] if "projected" in volume else [volume]
            for secret in [source["secret"] for source in sources if "items" in source.get("secret", {})]:
                for item in secret["items"]:
                    file = folder / pathlib.Path(mounts[volume["name"]]).relative_to(SECRETS) / item["path"]
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(content_of(item["key"]))
        (folder / "tls").mkdir()
        (folder / "tls/tls.crt").write_bytes((TLS / "server.pem").read_bytes())
        (folder / "tls/tls.key").write_bytes((TLS / "server-key.pem").read_bytes())
        env = {variable["name"]: variable["value"] for variable in container["env"] if "value" in variable}
        for inside, here in places.items():
            text = text.replace(inside, here)
            env = {key: value.replace(inside, here) for key, value in env.items()}
        config = folder / "herald.toml"
        config.write_text(text)
        check = [herald, "check", "--config", str(config)]
        return subprocess.run(check, env={"PATH": os.environ["PATH"], **env}).returncode


def main():
    herald, file = sys.argv[1:]
    with open(file, encoding="utf-8") as stream:
        manifests = [manifest for manifest in yaml.safe_load_all(stream) if manifest]
    configs = {one["metadata"]["name"]: one["data"] for one in manifests if one["kind"] == "ConfigMap"}
    pods = [one["spec"]["template"]["spec"] for one in manifests if one["kind"] in ("Deployment", "Job")]
    if len(pods) != 2:
        sys.exit("expected the instances' pod and the check's")
    sys.exit(max(judge(herald, pod, configs) for pod in pods))


main()
