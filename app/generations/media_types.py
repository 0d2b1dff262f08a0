"""What a file is, told from its first bytes: a vendor's headers and file names are not to be relied on."""

import re
from codecs import getincrementaldecoder
from dataclasses import dataclass
from enum import StrEnum


class ContentType(StrEnum):
    """The API's word for what a file is."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    GLB = "glb"
    OTHER = "other"


SNIFF_BYTES = 4096


@dataclass(frozen=True)
class MediaType:
    """A kind of file: the API's word for it, its MIME type, and the extension (without a dot) of its name."""

    content_type: ContentType
    media_type: str
    extension: str


TEXT = MediaType(ContentType.OTHER, "text/plain", "txt")
JSON = MediaType(ContentType.OTHER, "application/json", "json")
SVG = MediaType(ContentType.OTHER, "image/svg+xml", "svg")  # may carry scripts: never shown as an image
UNKNOWN = MediaType(ContentType.OTHER, "application/octet-stream", "bin")

_MP4 = MediaType(ContentType.VIDEO, "video/mp4", "mp4")
_M4A = MediaType(ContentType.AUDIO, "audio/mp4", "m4a")
_MP3 = MediaType(ContentType.AUDIO, "audio/mpeg", "mp3")
_HEIC = MediaType(ContentType.IMAGE, "image/heic", "heic")
_AVIF = MediaType(ContentType.IMAGE, "image/avif", "avif")

# The first that matches from the file's beginning; `.` is any byte.
_SIGNATURES = tuple(
    (re.compile(pattern, re.DOTALL), media_type)
    for pattern, media_type in (
        (rb"\x89PNG\r\n\x1a\n", MediaType(ContentType.IMAGE, "image/png", "png")),
        (rb"\xff\xd8\xff", MediaType(ContentType.IMAGE, "image/jpeg", "jpg")),
        (rb"GIF8[79]a", MediaType(ContentType.IMAGE, "image/gif", "gif")),
        (rb"RIFF.{4}WEBP", MediaType(ContentType.IMAGE, "image/webp", "webp")),
        (rb"(?:RIFF|RF64).{4}WAVE", MediaType(ContentType.AUDIO, "audio/wav", "wav")),
        (rb"fLaC[\x00\x80]\x00\x00\x22", MediaType(ContentType.AUDIO, "audio/flac", "flac")),
        (rb"ID3[\x02-\x04][^\xff].[\x00-\x7f]{4}", _MP3),
        (rb"OggS\x00.*\x80theora", MediaType(ContentType.OTHER, "video/ogg", "ogv")),
        (rb"OggS\x00.*(?:\x01vorbis|OpusHead|\x7fFLAC|Speex {3})", MediaType(ContentType.AUDIO, "audio/ogg", "ogg")),
        (rb"OggS\x00", MediaType(ContentType.OTHER, "application/ogg", "ogx")),
        # EBML: the document type follows a few numbers of a few bytes each.
        (rb"\x1aE\xdf\xa3.{1,64}?B\x82.{1,8}?webm(?![a-z])", MediaType(ContentType.VIDEO, "video/webm", "webm")),
        (rb"\x1aE\xdf\xa3.{1,64}?B\x82.{1,8}?matroska", MediaType(ContentType.OTHER, "video/x-matroska", "mkv")),
        (rb"glTF.\x00\x00\x00", MediaType(ContentType.GLB, "model/gltf-binary", "glb")),
        (rb"%PDF-", MediaType(ContentType.OTHER, "application/pdf", "pdf")),
        (rb"PK(?:\x03\x04|\x05\x06)", MediaType(ContentType.OTHER, "application/zip", "zip")),
    )
)

# Brands of the ISO base media format, https://mp4ra.org. Those that only name a structure (mif1, miaf) are left out.
_BRANDS = {
    **dict.fromkeys((b"isom", b"iso2", b"iso3", b"iso4", b"iso5", b"iso6", b"iso7", b"iso8", b"iso9"), _MP4),
    **dict.fromkeys((b"mp41", b"mp42", b"avc1", b"av01", b"dash", b"MSNV", b"M4V ", b"M4VH", b"M4VP"), _MP4),
    **dict.fromkeys((b"M4A ", b"M4B ", b"M4P "), _M4A),
    **dict.fromkeys((b"avif", b"avis"), _AVIF),
    **dict.fromkeys((b"heic", b"heix"), _HEIC),
    b"qt  ": MediaType(ContentType.VIDEO, "video/quicktime", "mov"),
}

# Layer III: kbit/s by the header's index and Hz by the version's and the rate's index (ISO 11172-3, 13818-3).
_KBITS_MPEG_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_MPEG_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_HERTZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}

# The bytes that make a file binary, https://mimesniff.spec.whatwg.org/#binary-data-byte.
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")

# Possessive throughout: no input makes them go back over what they have read.
_SVG = re.compile(
    r"""(?:\s | <!--(?:(?!-->).)*+--> | <\?(?:(?!\?>).)*+\?> | <!DOCTYPE\s++svg[^\[>]*+(?:\[[^\]]*+\]\s*+)?+>)*+
        <svg[\s/>]""",
    re.VERBOSE | re.DOTALL,
)
_JSON_START = re.compile(
    r"""[ \t\r\n]*+(?:\{[ \t\r\n]*+["}] | \[[ \t\r\n]*+(?:["{\[\]\d-]|true|false|null))""", re.VERBOSE
)
_JSON_TOKENS = re.compile(
    r"""(?:[ \t\r\n\[\]{}:,]
        | "(?:[^"\\\x00-\x1f]|\\.)*+"
        | -?\d++(?:\.\d++)?+(?:[eE][+-]?\d++)?+(?![\w.+-])
        | (?:true|false|null)(?!\w))*+""",
    re.VERBOSE,
)
_JSON_CUT_TOKEN = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*+\\?+|[\w.+-]{0,40}+')


def sniff(head: bytes) -> MediaType:
    """Tell what a file is; `UNKNOWN` where nothing fits. It never raises.

    Args:
        head: the file's first `SNIFF_BYTES` bytes, or all of it where it is shorter.
    """
    head = head[:SNIFF_BYTES]
    return _by_signature(head) or _by_brand(head) or _mp3_without_tag(head) or _text(head) or UNKNOWN


def _by_signature(head: bytes) -> MediaType | None:
    return next((media_type for pattern, media_type in _SIGNATURES if pattern.match(head)), None)


def _by_brand(head: bytes) -> MediaType | None:
    if head[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(head[:4]), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, end, 4))]
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)


def _mp3_without_tag(head: bytes) -> MediaType | None:
    # The eleven bits of a frame's start occur by chance: a second frame of the same stream must follow the first.
    length = _mp3_frame_bytes(head[:4])
    following = head[length : length + 4]
    if not length or not _mp3_frame_bytes(following):
        return None
    is_same_stream = head[1] | 1 == following[1] | 1 and head[2] & 0x0C == following[2] & 0x0C
    return _MP3 if is_same_stream else None


def _mp3_frame_bytes(header: bytes) -> int:
    """The length of the frame that begins with these four bytes, 0 where none does."""
    bits = int.from_bytes(header)
    version, layer = bits >> 19 & 3, bits >> 17 & 3
    bitrate, rate = bits >> 12 & 15, bits >> 10 & 3
    is_frame = len(header) == 4 and bits >> 21 == 0x7FF and version != 1 and layer == 1
    if not is_frame or bitrate in {0, 15} or rate == 3:
        return 0
    kbits, factor = (_KBITS_MPEG_1, 144_000) if version == 3 else (_KBITS_MPEG_2, 72_000)
    return factor * kbits[bitrate - 1] // _HERTZ[version][rate] + (bits >> 9 & 1)


def _text(head: bytes) -> MediaType | None:
    is_whole = len(head) < SNIFF_BYTES
    if not head or _BINARY.search(head):
        return None
    try:
        text = getincrementaldecoder("utf-8-sig")().decode(head, final=is_whole)
    except UnicodeDecodeError:
        return None
    if _SVG.match(text):
        return SVG
    return JSON if _is_json(text, is_whole=is_whole) else TEXT


def _is_json(text: str, *, is_whole: bool) -> bool:
    # Only the words are checked, not their order: parsing needs the whole file, and recurses as deep as it says.
    tokens = _JSON_TOKENS.match(text)
    if tokens is None or not _JSON_START.match(text):
        return False
    rest = text[tokens.end() :]
    return not rest or (not is_whole and _JSON_CUT_TOKEN.fullmatch(rest) is not None)
