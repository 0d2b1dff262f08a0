"""Forms: what clients send is read as it was meant, and everything else is refused in words."""

import pytest

from app.core.errors import InvalidRequestError
from app.core.multipart_body import Part, parts_of, without_boundary

TYPE = "multipart/form-data; boundary=x"
HEAD = b'Content-Disposition: form-data; name="a"'


def test_parts_are_found_in_their_order() -> None:
    body = (
        b"preamble\r\n--x\r\n" + HEAD + b"\r\n\r\none\r\n--x \t\r\ncontent-type: text/plain\r\n"
        b'content-disposition: form-data; name="b"; filename="\xc3\xa9.png"\r\n\r\n\r\n--\r\n\r\n--x--\r\nepilogue'
    )

    assert parts_of(TYPE, body, most=2) == [Part("a", None, b"one"), Part("b", "é.png", b"\r\n--\r\n")]


@pytest.mark.parametrize("boundary", ['"x y"', '"x;y"', "----WebKitFormBoundaryABC"])
def test_a_boundary_may_be_quoted(boundary: str) -> None:
    bare = boundary.strip('"').encode()
    body = b"--" + bare + b"\r\n" + HEAD + b"\r\n\r\n\r\n--" + bare + b"--"

    assert parts_of(f"Multipart/Form-Data; Boundary={boundary}", body, most=1) == [Part("a", None, b"")]


def test_a_form_may_be_empty() -> None:
    assert parts_of(TYPE, b"--x--\r\n", most=1) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"--y--",
        b"--x",
        b"--x\r\n",
        b"--x\r\n" + HEAD + b"\r\n\r\none",
        b"--x\r\n" + HEAD + b"\r\none\r\n--x--",
        b"--x" + HEAD + b"\r\n\r\none\r\n--x--",
        b"--x\r\n\r\none\r\n--x--",
        b"--x\r\nContent-Disposition: form-data; name=\r\n\r\none\r\n--x--",
        b"--x\r\n" + HEAD + b"; b=" + b"c" * 9000 + b"\r\n\r\none\r\n--x--",
        (b"--x\r\n" + HEAD + b"\r\n\r\none\r\n") * 3 + b"--x--",
    ],
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        parts_of(TYPE, body, most=2)


def test_two_arrivals_of_a_form_differ_by_their_boundaries_only() -> None:
    one, two = [
        without_boundary(f"multipart/form-data; boundary={each}", f"--{each}\r\n\r\nab\r\n--{each}--".encode())
        for each in ("ab", "cde")
    ]

    assert one == two == b"--\r\n\r\nab\r\n----"
    assert without_boundary("application/json", b"--ab") == b"--ab"
