"""The fields of KEDA's two kinds that the chart uses, as https://keda.sh/docs/latest describes them; no others pass."""

from typing import Any

from jsonschema import Draft202012Validator

_COUNT = {"type": "integer", "minimum": 1}
_TEXT = {"type": "string", "minLength": 1}


def _closed(properties: dict[str, Any], *optional: str) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


_METADATA = _closed({"name": _TEXT, "namespace": _TEXT, "labels": {"type": "object"}})
# https://keda.sh/docs/latest/scalers/postgresql/: all values of a trigger's metadata are strings.
_TRIGGER = _closed(
    {
        "type": {"const": "postgresql"},
        "metricType": {"enum": ["AverageValue", "Value"]},
        "authenticationRef": _closed({"name": _TEXT}),
        "metadata": _closed(
            {"query": _TEXT, "targetQueryValue": {"type": "string", "pattern": "^[1-9][0-9]*$"}, "dbName": _TEXT}
        ),
    }
)
# https://keda.sh/docs/latest/reference/scaledobject-spec/
_SCALED_OBJECT = _closed(
    {
        "scaleTargetRef": _closed({"apiVersion": _TEXT, "kind": _TEXT, "name": _TEXT}),
        "minReplicaCount": _COUNT,
        "maxReplicaCount": _COUNT,
        "pollingInterval": _COUNT,
        "cooldownPeriod": {"type": "integer", "minimum": 0},
        # Only for metrics that are average values.
        "fallback": _closed({"failureThreshold": _COUNT, "replicas": _COUNT}),
        "triggers": {"type": "array", "items": _TRIGGER, "minItems": 1},
    }
)
# https://keda.sh/docs/latest/concepts/authentication/
_TRIGGER_AUTHENTICATION = _closed(
    {
        "secretTargetRef": {
            "type": "array",
            "items": _closed({"parameter": {"const": "connection"}, "name": _TEXT, "key": _TEXT}),
            "minItems": 1,
        }
    }
)
_SPECIFICATIONS = {"ScaledObject": _SCALED_OBJECT, "TriggerAuthentication": _TRIGGER_AUTHENTICATION}


def validate(an_object: dict[str, Any]) -> None:
    """Check one of KEDA's objects.

    Raises:
        jsonschema.ValidationError: A field is unknown, missing or wrong.
    """
    schema = _closed(
        {
            "apiVersion": {"const": "keda.sh/v1alpha1"},
            "kind": {"enum": list(_SPECIFICATIONS)},
            "metadata": _METADATA,
            "spec": _SPECIFICATIONS[an_object["kind"]],
        }
    )
    Draft202012Validator(schema).validate(an_object)
