"""The smallest H.264 that shows real pictures: every macroblock uncompressed (I_PCM), every frame a key frame.

Numbers of sections refer to ITU-T H.264.
"""

from dataclasses import dataclass, field

from PIL import Image

MACROBLOCK = 16  # pixels; the width and height of a frame must be multiples of it

PROFILE_IDC = 66  # Baseline
PROFILE_COMPATIBILITY = 0xC0
LEVEL_IDC = 30

_SLICE_TYPE_I = 7  # all slices of the picture are I, table 7-6
_MB_TYPE_I_PCM = 25  # table 7-11
# mb_type as ue(v) followed by the zero bits up to the next byte: the same for each macroblock that starts aligned.
_ALIGNED_I_PCM = b"\x0d\x00"
_STOP_BIT = b"\x80"


@dataclass(slots=True)
class _Bits:
    """A bit string to which bits are appended, section 7.2."""

    bits: list[int] = field(default_factory=list)

    def u(self, width: int, value: int) -> "_Bits":
        self.bits += [(value >> shift) & 1 for shift in range(width - 1, -1, -1)]
        return self

    def ue(self, value: int) -> "_Bits":
        """Exp-Golomb, section 9.1."""
        return self.u(2 * (value + 1).bit_length() - 1, value + 1)

    def flags(self, *values: int) -> "_Bits":
        self.bits += values
        return self

    def aligned(self) -> bytes:
        self.bits += [0] * (-len(self.bits) % 8)
        octets = range(0, len(self.bits), 8)
        return bytes(int("".join(map(str, self.bits[at : at + 8])), 2) for at in octets)

    def rbsp(self) -> bytes:
        return self.flags(1).aligned()


def sequence_parameters(width: int, height: int) -> bytes:
    """The sequence parameter set NAL unit for frames of this size, section 7.3.2.1."""
    bits = _Bits().u(8, PROFILE_IDC).u(8, PROFILE_COMPATIBILITY).u(8, LEVEL_IDC)
    bits.ue(0).ue(0)  # seq_parameter_set_id, log2_max_frame_num_minus4
    bits.ue(2)  # pic_order_cnt_type: output order is decoding order
    bits.ue(1).flags(0)  # max_num_ref_frames, gaps_in_frame_num_allowed
    bits.ue(width // MACROBLOCK - 1).ue(height // MACROBLOCK - 1)
    bits.flags(1, 1, 0, 0)  # frame_mbs_only, direct_8x8_inference, no cropping, no VUI
    return b"\x67" + bits.rbsp()


def picture_parameters() -> bytes:
    """The picture parameter set NAL unit, section 7.3.2.2."""
    bits = _Bits().ue(0).ue(0)  # pic_parameter_set_id, seq_parameter_set_id
    bits.flags(0, 0).ue(0)  # CAVLC, no bottom field order, one slice group
    bits.ue(0).ue(0).flags(0).u(2, 0)  # reference counts, no weighted prediction
    bits.ue(0).ue(0).ue(0)  # initial QP, QS and the chroma offset, all zero
    bits.flags(1, 0, 0)  # deblocking_filter_control_present, no constrained intra, no redundant pictures
    return b"\x68" + bits.rbsp()


def encode_frame(image: Image.Image, number: int) -> bytes:
    """Encode one picture as an IDR slice NAL unit.

    Args:
        image: RGB, width and height multiples of 16.
        number: Its number in the film; neighbouring key frames need different ids (idr_pic_id).
    """
    header = _Bits().ue(0).ue(_SLICE_TYPE_I).ue(0)  # first_mb_in_slice, slice_type, pic_parameter_set_id
    header.u(4, 0).ue(number % 2)  # frame_num, idr_pic_id
    header.flags(0, 0).ue(0)  # reference marking, slice_qp_delta
    header.ue(1)  # disable_deblocking_filter_idc
    header.ue(_MB_TYPE_I_PCM)
    return b"\x65" + header.aligned() + _ALIGNED_I_PCM.join(_macroblocks(image)) + _STOP_BIT


def _macroblocks(image: Image.Image) -> list[bytes]:
    luma, blue, red = _planes(image)
    columns, rows = image.width // MACROBLOCK, image.height // MACROBLOCK
    return [
        _block(luma, column, row, MACROBLOCK)
        + _block(blue, column, row, MACROBLOCK // 2)
        + _block(red, column, row, MACROBLOCK // 2)
        for row in range(rows)
        for column in range(columns)
    ]


def _planes(image: Image.Image) -> tuple[Image.Image, Image.Image, Image.Image]:
    """Split into 4:2:0 planes of video range.

    Video range is what players assume without a VUI, and as no sample is ever zero, the bytes cannot
    form a start code: no emulation prevention (section 7.4.1) is needed.
    """
    luma, blue, red = image.convert("YCbCr").split()
    half = (image.width // 2, image.height // 2)
    return (
        luma.point([16 + value * 219 // 255 for value in range(256)]),
        blue.resize(half).point([16 + value * 224 // 255 for value in range(256)]),
        red.resize(half).point([16 + value * 224 // 255 for value in range(256)]),
    )


def _block(plane: Image.Image, column: int, row: int, size: int) -> bytes:
    left, top = column * size, row * size
    return plane.crop((left, top, left + size, top + size)).tobytes()
