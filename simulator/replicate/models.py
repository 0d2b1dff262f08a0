"""The models that the simulator knows, and how a request names one."""

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

from simulator.faults.parsing import SEPARATOR, PredictionFaults, UnknownFaultError, parse_prediction_faults
from simulator.media.formats import Medium
from simulator.replicate.errors import Problem, invalid_input, invalid_version, not_found


class Shape(StrEnum):
    """How a model's output is laid out."""

    STRING = "string"
    LIST = "list"
    OBJECT = "object"
    CHUNKS = "chunks"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class SimulatedModel:
    """A model.

    Attributes:
        owner: First part of its name.
        name: Second part.
        medium: What it makes.
        shape: How its output is laid out.
        is_official: Official models run by name alone and hide their version.
        is_lenient: A community model that a lenient simulator runs by name alone too.
        takes_pictures: Whether its input names pictures that it reads, and changes.
        description: One line for ``GET /models/...``.
    """

    owner: str
    name: str
    medium: Medium
    shape: Shape
    description: str
    is_official: bool = False
    is_lenient: bool = False
    takes_pictures: bool = False

    @property
    def full_name(self) -> str:
        """``owner/name``."""
        return f"{self.owner}/{self.name}"

    @property
    def version(self) -> str:
        """The id of its one version: 64 hexadecimal digits, the same in every run."""
        return hashlib.sha256(f"simulated {self.full_name}".encode()).hexdigest()


MODELS = (
    SimulatedModel("stability-ai", "sdxl", Medium.IMAGE, Shape.LIST, "Text to image"),
    SimulatedModel(
        "black-forest-labs", "flux-schnell", Medium.IMAGE, Shape.LIST, "Fast text to image", is_official=True
    ),
    SimulatedModel("black-forest-labs", "flux-dev", Medium.IMAGE, Shape.LIST, "Text to image", is_official=True),
    SimulatedModel("minimax", "video-01", Medium.VIDEO, Shape.STRING, "Text to video", is_official=True),
    SimulatedModel("anotherjesse", "zeroscope-v2-xl", Medium.VIDEO, Shape.LIST, "Text to video"),
    SimulatedModel("meta", "musicgen", Medium.AUDIO, Shape.STRING, "Text to music", is_lenient=True),
    SimulatedModel("suno-ai", "bark", Medium.AUDIO, Shape.OBJECT, "Text to speech"),
    SimulatedModel("cjwbw", "shap-e", Medium.GLB, Shape.LIST, "Text to 3D", is_lenient=True),
    SimulatedModel("openai", "point-e", Medium.GLB, Shape.OBJECT, "Text to 3D"),
    SimulatedModel("meta", "meta-llama-3-8b-instruct", Medium.TEXT, Shape.CHUNKS, "Chat", is_official=True),
    SimulatedModel("simulator", "image", Medium.IMAGE, Shape.LIST, "Pictures", is_official=True),
    SimulatedModel(
        "simulator", "edit", Medium.IMAGE, Shape.LIST, "Changed pictures", is_official=True, takes_pictures=True
    ),
    SimulatedModel("simulator", "video", Medium.VIDEO, Shape.STRING, "Films", is_official=True),
    SimulatedModel("simulator", "audio", Medium.AUDIO, Shape.STRING, "Sounds", is_official=True),
    SimulatedModel("simulator", "speech", Medium.AUDIO, Shape.STRING, "Spoken words", is_official=True),
    SimulatedModel("simulator", "glb", Medium.GLB, Shape.STRING, "Meshes", is_official=True),
    SimulatedModel("simulator", "text", Medium.TEXT, Shape.CHUNKS, "Words", is_official=True),
    SimulatedModel("simulator", "json", Medium.JSON, Shape.JSON, "Nested objects", is_official=True),
    SimulatedModel("simulator", "other", Medium.OTHER, Shape.STRING, "Drawings and archives", is_official=True),
)

_BY_NAME = {model.full_name: model for model in MODELS}
_BY_VERSION = {model.version: model for model in MODELS}
_DEFAULT = _BY_NAME["simulator/image"]

_VERSION = re.compile(r"((?P<name>[^/:\s]+/[^/:\s]+):)?(?P<version>[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class ModelReference:
    """A model as a request named it.

    Attributes:
        model: The model.
        label: Its name with the faults that were written behind it.
        faults: Those faults.
        version: What the prediction says in ``version``.
    """

    model: SimulatedModel
    label: str
    faults: PredictionFaults
    version: str


def resolve_version(text: str, *, is_lenient: bool) -> ModelReference:
    """Find what ``version`` names: ``owner/name``, ``owner/name:<64 hex>`` or ``<64 hex>``.

    A version of another model than the one that is named runs that other model. A version of no model is taken for an
    old one of the model that is named.

    Raises:
        Problem: 422, there is no such model, or it may not be named like this.
    """
    match = _VERSION.fullmatch(text)
    if match is None:
        return _by_name(text, is_lenient=is_lenient, refusal=invalid_version())
    if match["name"] is None:
        model = _BY_VERSION.get(text, _DEFAULT)
        return ModelReference(model, model.full_name, {}, text)
    model, faults = find_model(match["name"], refusal=invalid_version())
    owner = _BY_VERSION.get(match["version"], model)
    label = match["name"] if owner is model else owner.full_name
    return ModelReference(owner, label, faults, match["version"])


def resolve_name(owner: str, name: str, *, is_lenient: bool) -> ModelReference:
    """Find the model of ``POST /models/{owner}/{name}/predictions``.

    Raises:
        Problem: 404, no such model or not an official one.
    """
    return _by_name(f"{owner}/{name}", is_lenient=is_lenient, refusal=not_found())


def find_model(label: str, *, refusal: Problem) -> tuple[SimulatedModel, PredictionFaults]:
    """Split a name from its faults and find the model.

    Args:
        label: ``owner/name`` or ``owner/name--fault--fault-2``.
        refusal: Raised if there is no such model.

    Raises:
        Problem: The refusal, or 422 for a fault that does not exist.
    """
    name, *faults = label.split(SEPARATOR)
    if name not in _BY_NAME:
        raise refusal
    try:
        return _BY_NAME[name], parse_prediction_faults(faults)
    except UnknownFaultError as error:
        raise invalid_input("", str(error)) from error


def _by_name(label: str, *, is_lenient: bool, refusal: Problem) -> ModelReference:
    model, faults = find_model(label, refusal=refusal)
    if not (model.is_official or (is_lenient and model.is_lenient)):
        raise refusal
    return ModelReference(model, label, faults, "hidden" if model.is_official else model.version)
