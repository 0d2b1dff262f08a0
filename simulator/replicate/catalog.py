"""Models as they go over the wire, with the OpenAPI schema that cog publishes for each version."""

from typing import Any

from simulator.media.formats import Medium, formats_of
from simulator.media.scene import NOTICE
from simulator.replicate.models import Shape, SimulatedModel
from simulator.replicate.outputs import MAX_FILES
from simulator.wire import Json

_CREATED_AT = "2026-01-01T00:00:00.000000Z"
_URI: Json = {"type": "string", "format": "uri"}

_OUTPUTS: dict[Shape, Json] = {
    Shape.STRING: _URI,
    Shape.LIST: {"type": "array", "items": _URI},
    Shape.OBJECT: {"type": "object", "properties": {"main": _URI}, "required": ["main"]},
    Shape.CHUNKS: {
        "type": "array",
        "items": {"type": "string"},
        "x-cog-array-type": "iterator",
        "x-cog-array-display": "concatenate",
    },
    Shape.JSON: {"type": "object"},
}


def model_object(model: SimulatedModel) -> Json:
    """Describe a model."""
    return {
        "url": f"https://replicate.com/{model.full_name}",
        "owner": model.owner,
        "name": model.name,
        "description": f"{model.description}. {NOTICE}",
        "visibility": "public",
        "is_official": model.is_official,
        "github_url": None,
        "paper_url": None,
        "license_url": None,
        "run_count": 0,
        "cover_image_url": None,
        "default_example": None,
        "latest_version": version_object(model),
    }


def version_object(model: SimulatedModel) -> Json:
    """Describe the one version of a model."""
    return {
        "id": model.version,
        "created_at": _CREATED_AT,
        "cog_version": "0.16.0",
        "openapi_schema": {
            "openapi": "3.0.2",
            "info": {"title": "Cog", "version": "0.1.0"},
            "paths": {},
            "components": {"schemas": _schemas(model)},
        },
    }


def _schemas(model: SimulatedModel) -> Json:
    properties = _properties(model)
    for order, schema in enumerate(properties.values()):
        schema["x-order"] = order
    schemas: Json = {
        "Input": {"type": "object", "title": "Input", "required": ["prompt"], "properties": properties},
        "Output": {"title": "Output", **_OUTPUTS[model.shape]},
    }
    formats = formats_of(model.medium)
    if formats:
        schemas["output_format"] = {"type": "string", "title": "output_format", "enum": formats}
    return schemas


def _properties(model: SimulatedModel) -> dict[str, Json]:
    properties: dict[str, Json] = {
        "prompt": {"type": "string", "title": "Prompt", "description": "What to make"},
        "seed": {"type": "integer", "title": "Seed", "default": 0},
    }
    if model.shape is Shape.LIST:
        properties["num_outputs"] = _integer("Num Outputs", 1, 1, MAX_FILES)
    if model.medium is Medium.IMAGE:
        properties["width"] = _integer("Width", 512, 64, 1024)
        properties["height"] = _integer("Height", 512, 64, 1024)
    formats = formats_of(model.medium)
    if formats:
        reference: Any = [{"$ref": "#/components/schemas/output_format"}]
        properties["output_format"] = {"allOf": reference, "default": formats[0]}
    return properties


def _integer(title: str, default: int, least: int, most: int) -> Json:
    return {"type": "integer", "title": title, "default": default, "minimum": least, "maximum": most}
