"""The values with which the tests render the chart, by the names of the releases."""

from typing import Any

import yaml

from tests.docs.files import blocks, read

# What an operator must set.
LEAST: dict[str, Any] = {
    "image": {"repository": "registry.example.com/junis"},
    "settings": {"PUBLIC_URL": "https://junis.example.com", "S3_BUCKET": "junis"},
}


def with_settings(**settings: Any) -> dict[str, Any]:
    """The least values, with these settings."""
    return {**LEAST, "settings": {**LEAST["settings"], **settings}}


# Everything that can be switched on.
MOST: dict[str, Any] = {
    **with_settings(
        DATABASE_POOLER="transaction",
        WORKER_METRICS_PORT=9101,
        MAX_OUTPUT_BYTES=5 * 1024**3,
        CONSOLE_KIT=False,
        POLL_INTERVAL_SECONDS=0.25,
        SHUTDOWN_DELAY_SECONDS=7.5,
        SHUTDOWN_GRACE_SECONDS=900,
    ),
    "image": {"repository": "registry.example.com/junis", "digest": f"sha256:{'0a' * 32}"},
    "imagePullSecrets": [{"name": "registry"}],
    "secret": {"name": "shop", "refs": {"REDIS_URL": {"name": "redis", "key": "url"}}},
    "extraEnv": [{"name": "PGSSLROOTCERT", "value": "/etc/junis/postgres.pem"}],
    "extraVolumes": [{"name": "authorities", "configMap": {"name": "authorities"}}],
    "extraVolumeMounts": [{"name": "authorities", "mountPath": "/etc/junis", "readOnly": True}],
    "api": {
        "preStopSeconds": 15,
        "podAnnotations": {"prometheus.io/scrape": "true"},
        "podLabels": {"team": "media"},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "media", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
    },
    "worker": {"autoscaling": {"enabled": True, "dueRows": 40}},
    "service": {"annotations": {"example.com/note": "none"}},
    "ingress": {"enabled": True, "className": "nginx", "host": "junis.example.com", "tlsSecret": "certificate"},
    "networkPolicy": {
        "ingressFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}],
        "metricsFrom": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}],
        "egress": {"more": [{"to": [{"podSelector": {"matchLabels": {"app": "llm"}}}], "ports": [{"port": 8080}]}]},
    },
}

# Everything that can be switched off.
FIXED: dict[str, Any] = {
    **LEAST,
    "api": {"replicas": 3, "autoscaling": {"enabled": False}},
    "migrate": {"enabled": False},
    "networkPolicy": {"enabled": False},
    "topologySpread": {"enabled": False},
}

# KEDA with a role of its own, on the servers' database.
SCALED: dict[str, Any] = {**LEAST, "worker": {"autoscaling": {"enabled": True}}}
SCALED_APART: dict[str, Any] = {
    **LEAST,
    "worker": {"autoscaling": {"enabled": True, "connection": {"name": "keda", "key": "url"}}},
}


def documented() -> dict[str, Any]:
    """The values of docs/kubernetes.md, its examples put together."""
    whole, egress = (yaml.safe_load(found.code) for found in blocks("docs/kubernetes.md") if found.info == "yaml")
    return {**whole, "networkPolicy": {**whole["networkPolicy"], **egress["networkPolicy"]}}


RELEASES = {
    "documented": documented(),
    "least": LEAST,
    "most": MOST,
    "fixed": FIXED,
    "scaled": SCALED,
    "scaled-apart": SCALED_APART,
}

# What the chart must refuse, and words of its reason.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no-image": ({"settings": LEAST["settings"]}, "repository"),
    "no-address": ({**LEAST, "settings": {"S3_BUCKET": "junis"}}, "PUBLIC_URL"),
    "no-bucket": (with_settings(S3_BUCKET=""), "S3_BUCKET"),
    "local-storage": (with_settings(STORAGE="local"), "STORAGE"),
    "secret-as-value": (with_settings(LLM_API_KEY="sk-1"), "LLM_API_KEY"),
    "misspelt": (with_settings(WORKER_CONCURENCY=4), "WORKER_CONCURENCY"),
    "misspelt-value": ({**LEAST, "api": {"replica": 3}}, "replica"),
    "no-secret": ({**LEAST, "secret": {"name": ""}}, "secret"),
    "no-workers": ({**LEAST, "worker": {"autoscaling": {"minReplicas": 0}}}, "minReplicas"),
    "no-host": ({**LEAST, "ingress": {"enabled": True}}, "host"),
    "no-key": ({**LEAST, "worker": {"autoscaling": {"connection": {"name": "keda", "key": ""}}}}, "key"),
    "no-grace": (with_settings(SHUTDOWN_GRACE_SECONDS=None), "SHUTDOWN_GRACE_SECONDS"),
}


def settings_of_processes() -> dict[str, dict[str, list[str]]]:
    """The chart's settings.yaml: for each process the names of its `plain`, `required` and `optional` settings."""
    parts = yaml.safe_load(read("deploy/helm/junis/settings.yaml"))
    return {
        process: {
            kind: [name for part in parts[process] for name in part.get(kind, [])]
            for kind in ("plain", "required", "optional")
        }
        for process in ("api", "worker", "migrate")
    }


def every_plain_setting() -> dict[str, Any]:
    """The least values with each plain setting set to what it is by default, or to something that it may be."""
    plain = {name for kinds in settings_of_processes().values() for name in kinds["plain"]}
    known = LEAST["settings"] | {"DATABASE_POOLER": "session", "LOG_LEVEL": "WARNING"}
    numbers = {"SHUTDOWN_DELAY_SECONDS": 1, "SHUTDOWN_GRACE_SECONDS": 2, "WORKER_METRICS_PORT": 9000}
    return with_settings(**{name: f"value-of-{name}" for name in plain} | known | numbers)
