"""Checks rendered manifests of charts/herald against the schemas of Kubernetes, offline: scripts/chart.py VERSION FILE...

kubernetes-validate knows Kubernetes's own kinds. Of other kinds only those named here may occur, and are looked at as far
as an operator would at once refuse them. Knows nothing of the chart's values.
"""

import sys

import kubernetes_validate
import yaml

# apiVersion and kind, with the keys that its `spec` must and may have.
CUSTOM = {
    ("monitoring.coreos.com/v1", "ServiceMonitor"): ({"selector", "endpoints"}, {"jobLabel"}),
    ("monitoring.coreos.com/v1", "PrometheusRule"): ({"groups"}, set()),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): ({"parentRefs", "rules"}, {"hostnames"}),
}


def faults_of(manifest, version):
    kind = (manifest.get("apiVersion"), manifest.get("kind"))
    if kind not in CUSTOM:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(str(part) for part in error.path)
            return [f"{path}: {error.message}"]
        except (kubernetes_validate.SchemaNotFoundError, kubernetes_validate.InvalidSchemaError) as error:
            return [str(error)]
        return []
    must, may = CUSTOM[kind]
    spec = set(manifest.get("spec") or {})
    faults = [f"spec: needs {key}" for key in sorted(must - spec)]
    return faults + [f"spec: knows no {key}" for key in sorted(spec - must - may)]


def main():
    version, files = sys.argv[1], sys.argv[2:]
    count, failed = 0, False
    for file in files:
        with open(file, encoding="utf-8") as stream:
            manifests = [manifest for manifest in yaml.safe_load_all(stream) if manifest]
        seen = set()
        for manifest in manifests:
            name = f"{manifest.get('kind')} {manifest.get('metadata', {}).get('name')}"
            faults = faults_of(manifest, version)
            if name in seen:
                faults.append("occurs twice")
            seen.add(name)
            for fault in faults:
                failed = True
                print(f"{file}: {name}: {fault}", file=sys.stderr)
            count += 1
    if not count:
        sys.exit("no manifests")
    print(f"{count} manifests are valid for Kubernetes {version}")
    sys.exit(failed)


main()
