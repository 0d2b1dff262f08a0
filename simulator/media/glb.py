"""3D: a coloured, dented sphere as binary glTF 2.0."""

import array
import json
import math
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

from simulator.media.scene import NOTICE, Scene

_MERIDIANS = 24
_PARALLELS = 12
_DENT = 0.18  # of the radius

_FLOAT, _UNSIGNED_SHORT = 5126, 5123
_VERTICES, _ELEMENTS = 34962, 34963

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class _Mesh:
    positions: list[Vector]
    normals: list[Vector]
    colors: list[Vector]
    indices: list[int]


def render_glb(scene: Scene) -> bytes:
    """Render a mesh whose node and generator say that it is simulated."""
    mesh = _mesh(scene)
    parts = [_floats(mesh.positions), _floats(mesh.normals), _floats(mesh.colors), _shorts(mesh.indices)]
    document = json.dumps(_document(scene, mesh, parts), separators=(",", ":")).encode()
    return _container(document, b"".join(parts))


def _mesh(scene: Scene) -> _Mesh:
    lobes = 2 + scene.fingerprint()[4] % 5
    top, bottom = scene.palette()
    mesh = _Mesh([], [], [], _triangles())
    for parallel in range(_PARALLELS + 1):
        share = parallel / _PARALLELS
        color = tuple((a + (b - a) * share) / 255 for a, b in zip(top, bottom, strict=True))
        for meridian in range(_MERIDIANS):
            direction, radius = _point(math.pi * share, 2 * math.pi * meridian / _MERIDIANS, lobes)
            mesh.normals.append(direction)
            mesh.positions.append((direction[0] * radius, direction[1] * radius, direction[2] * radius))
            mesh.colors.append((color[0], color[1], color[2]))
    return mesh


def _point(polar: float, azimuth: float, lobes: int) -> tuple[Vector, float]:
    ring = math.sin(polar)
    direction = (ring * math.cos(azimuth), math.cos(polar), ring * math.sin(azimuth))
    return direction, 1 + _DENT * math.sin(lobes * azimuth) * ring**2


def _triangles() -> list[int]:
    indices: list[int] = []
    for parallel in range(_PARALLELS):
        for meridian in range(_MERIDIANS):
            a = parallel * _MERIDIANS + meridian
            b = parallel * _MERIDIANS + (meridian + 1) % _MERIDIANS
            c, d = a + _MERIDIANS, b + _MERIDIANS
            indices += (a, b, c, b, d, c)
    return indices


def _document(scene: Scene, mesh: _Mesh, parts: list[bytes]) -> dict[str, Any]:
    count = len(mesh.positions)
    vectors = {"componentType": _FLOAT, "count": count, "type": "VEC3"}
    bounds = {"min": _extent(mesh, min), "max": _extent(mesh, max)}
    primitive = {"attributes": {"POSITION": 0, "NORMAL": 1, "COLOR_0": 2}, "indices": 3, "material": 0}
    return {
        "asset": {"version": "2.0", "generator": NOTICE},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": f"simulated: {scene.caption}"}],
        "meshes": [{"name": "simulated", "primitives": [primitive]}],
        "materials": [{"pbrMetallicRoughness": {"metallicFactor": 0.1, "roughnessFactor": 0.6}}],
        "buffers": [{"byteLength": sum(map(len, parts))}],
        "bufferViews": _views(parts),
        "accessors": [
            {"bufferView": 0, **vectors, **bounds},
            {"bufferView": 1, **vectors},
            {"bufferView": 2, **vectors},
            {"bufferView": 3, "componentType": _UNSIGNED_SHORT, "count": len(mesh.indices), "type": "SCALAR"},
        ],
    }


def _views(parts: list[bytes]) -> list[dict[str, int]]:
    targets = (_VERTICES, _VERTICES, _VERTICES, _ELEMENTS)
    offsets = [sum(map(len, parts[:index])) for index in range(len(parts))]
    return [
        {"buffer": 0, "byteOffset": offset, "byteLength": len(part), "target": target}
        for part, offset, target in zip(parts, offsets, targets, strict=True)
    ]


def _extent(mesh: _Mesh, pick: Callable[["array.array[float]"], float]) -> list[float]:
    # As stored: a bound in double precision would differ from the float that it describes.
    stored = array.array("f", chain.from_iterable(mesh.positions))
    return [pick(stored[axis::3]) for axis in range(3)]


def _floats(vectors: list[Vector]) -> bytes:
    return _little_endian(array.array("f", chain.from_iterable(vectors)))


def _shorts(numbers: list[int]) -> bytes:
    return _little_endian(array.array("H", numbers))


def _little_endian(numbers: "array.array[Any]") -> bytes:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def _container(document: bytes, binary: bytes) -> bytes:
    document += b" " * (-len(document) % 4)
    binary += bytes(-len(binary) % 4)
    chunks = struct.pack("<I4s", len(document), b"JSON") + document
    chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
