"""What a prediction answers: links to files, or values, in the shape that its model has."""

import base64
import re
import secrets
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from simulator.faults.parsing import PredictionFaults
from simulator.faults.prediction import PredictionFault
from simulator.media.cache import MediaCache
from simulator.media.formats import FORMATS, Format, Medium, formats_of
from simulator.media.scene import NOTICE, Scene
from simulator.replicate.errors import invalid_input
from simulator.replicate.inputs import read_scene
from simulator.replicate.models import Shape, SimulatedModel
from simulator.wire import Json

MAX_FILES = 4

_SMALLEST, _LARGEST = 64, 1024  # pixels
_SLOWEST, _FASTEST = 0.25, 4.0

_NULL, _DATA_URL = "null", "data_url"
_SHAPES_BY_FAULT = {
    PredictionFault.OUTPUT_NULL: _NULL,
    PredictionFault.OUTPUT_STRING: Shape.STRING.value,
    PredictionFault.OUTPUT_LIST: Shape.LIST.value,
    PredictionFault.OUTPUT_OBJECT: Shape.OBJECT.value,
    PredictionFault.OUTPUT_DATA_URL: _DATA_URL,
}
_SHAPES = frozenset(_SHAPES_BY_FAULT.values())


@dataclass(slots=True)
class OutputFile:
    """A file that can be fetched from the delivery host once its prediction has it.

    Attributes:
        token: The unguessable part of its path.
        name: The last part of its path.
        format: What to render.
        scene: What to render it from.
        megabytes: Size to blow it up to; 0 leaves it as it is.
        requests: How often each fault was due, to let it pass after so many times.
    """

    token: str
    name: str
    format: Format
    scene: Scene
    megabytes: float = 0.0
    requests: Counter[PredictionFault] = field(default_factory=Counter)

    def url(self, base_url: str) -> str:
        """Where it is."""
        return f"{base_url}/delivery/{self.token}/{self.name}"


@dataclass(frozen=True, slots=True)
class Outputs:
    """The files and the value of ``output``."""

    files: list[OutputFile]
    value: Any


async def make_outputs(
    model: SimulatedModel, values: Json, faults: PredictionFaults, *, base_url: str, media: MediaCache
) -> Outputs:
    """Decide what a prediction will answer.

    Args:
        model: Which model runs.
        values: Its input.
        faults: Those of this prediction.
        base_url: Where the files are delivered.
        media: Renders what has to be part of the answer itself.

    Raises:
        UnreadableInputError: The input names a file that cannot be read.
        Problem: 422, the input asks for what the model does not have.
    """
    prompt = str(values.get("prompt") or values.get("text") or "")
    shape = _shape(model, values, faults)
    if shape == _NULL:
        return Outputs([], None)
    if model.medium in {Medium.TEXT, Medium.JSON}:
        return Outputs([], _value(model.medium, shape, prompt))
    scene = await read_scene(values, prompt) if model.takes_pictures else Scene(prompt, speed=_speed(values))
    files = _files(model, values, scene, faults)
    if shape == _DATA_URL:
        urls = [await _data_url(file, media) for file in files]
        return Outputs([], urls if model.shape is Shape.LIST else urls[0])
    return Outputs(files, _lay_out(shape, [file.url(base_url) for file in files], prompt))


def _value(medium: Medium, shape: str, prompt: str) -> Any:
    """The output of models that make no files; a language model on Replicate answers a list of tokens."""
    if medium is Medium.JSON:
        return {"notice": NOTICE, "prompt": prompt, "scores": {"first": 0.25, "others": [0.5, 0.75]}}
    text = f"{NOTICE}. You wrote: {prompt}"
    return text if shape == Shape.STRING else re.findall(r"\S+\s*", text)


def _shape(model: SimulatedModel, values: Json, faults: PredictionFaults) -> str:
    for fault, shape in _SHAPES_BY_FAULT.items():
        if fault in faults:
            return shape
    wanted = values.get("output_shape", model.shape.value)
    if not isinstance(wanted, str) or wanted not in _SHAPES | {model.shape.value}:
        raise invalid_input("output_shape", f"must be one of {', '.join(sorted(_SHAPES))}")
    return str(wanted)


def _files(model: SimulatedModel, values: Json, scene: Scene, faults: PredictionFaults) -> list[OutputFile]:
    format_ = _format(model, values)
    variation = _integer(values, "seed", 0, -(2**63), 2**63)
    width = _integer(values, "width", scene.width, _SMALLEST, _LARGEST)
    height = _integer(values, "height", scene.height, _SMALLEST, _LARGEST)
    megabytes = faults.get(PredictionFault.BIG) or 0.0
    return [
        OutputFile(
            token=secrets.token_urlsafe(24),
            name=f"out-{index}.{format_.extension}",
            format=format_,
            scene=replace(scene, variation=variation * MAX_FILES + index, width=width, height=height),
            megabytes=megabytes,
        )
        for index in range(_count(model, values))
    ]


def _format(model: SimulatedModel, values: Json) -> Format:
    offered = formats_of(model.medium)
    wanted = values.get("output_format", offered[0])
    if wanted not in offered:
        raise invalid_input("output_format", f"must be one of {', '.join(offered)}")
    return FORMATS[wanted]


def _count(model: SimulatedModel, values: Json) -> int:
    if model.shape is not Shape.LIST:
        return 1
    field_name = "num_images" if "num_images" in values else "num_outputs"
    return _integer(values, field_name, 1, 1, MAX_FILES)


def _integer(values: Json, name: str, default: int, least: int, most: int) -> int:
    value = values.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool):
        raise invalid_input(name, "must be an integer")
    if not least <= value <= most:
        raise invalid_input(name, f"must be between {least} and {most}")
    return value


def _speed(values: Json) -> float:
    speed = values.get("speed", 1.0)
    if not isinstance(speed, int | float) or not _SLOWEST <= speed <= _FASTEST:
        raise invalid_input("speed", f"must be between {_SLOWEST} and {_FASTEST}")
    return float(speed)


def _lay_out(shape: str, urls: list[str], prompt: str) -> Any:
    first = urls[0]
    layouts: dict[str, Any] = {
        Shape.STRING: first,
        Shape.LIST: urls,
        Shape.OBJECT: {"main": first, "details": {"prompt": prompt, "files": [{"url": url} for url in urls[1:]]}},
    }
    return layouts[shape]


async def _data_url(file: OutputFile, media: MediaCache) -> str:
    content = await media.get(file.format, file.scene)
    return f"data:{file.format.content_type};base64,{base64.b64encode(content).decode()}"
