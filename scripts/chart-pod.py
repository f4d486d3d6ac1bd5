"""Has `herald check` judge what a pod of charts/herald would be given: scripts/chart-pod.py HERALD MANIFESTS

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


def main():
    herald, manifests = sys.argv[1:]
    with open(manifests, encoding="utf-8") as stream:
        of_kind = {manifest["kind"]: manifest for manifest in yaml.safe_load_all(stream) if manifest}
    pod = of_kind["Deployment"]["spec"]["template"]["spec"]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        for volume in pod["volumes"]:
            if "projected" not in volume:
                continue
            below = folder / pathlib.Path(mounts[volume["name"]]).relative_to(SECRETS)
            for source in volume["projected"]["sources"]:
                for item in source["secret"]["items"]:
                    file = below / item["path"]
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(content_of(item["key"]))
        (folder / "tls").mkdir()
        (folder / "tls/tls.crt").write_bytes((TLS / "server.pem").read_bytes())
        (folder / "tls/tls.key").write_bytes((TLS / "server-key.pem").read_bytes())
        config = folder / "herald.toml"
        config.write_text(of_kind["ConfigMap"]["data"]["herald.toml"].replace(SECRETS, name))
        env = {
            variable["name"]: variable["value"].replace(SECRETS, name)
            for variable in pod["containers"][0]["env"]
            if "value" in variable
        }
        check = [herald, "check", "--config", str(config)]
        sys.exit(subprocess.run(check, env={"PATH": os.environ["PATH"], **env}).returncode)


main()
