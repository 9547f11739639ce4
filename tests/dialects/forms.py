"""Forms as SDKs send them."""

from __future__ import annotations

__all__ = ["BOUNDARY", "form", "headers"]

BOUNDARY = "d6f1c4a0b3"


def form(*fields: tuple[str, bytes] | tuple[str, bytes, str], boundary: str = BOUNDARY) -> bytes:
    """Fields of a name and contents, and for files the file's name."""
    parts: list[bytes] = []
    for name, contents, *filename in fields:
        given = f'; filename="{filename[0]}"\r\nContent-Type: application/octet-stream' if filename else ""
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{given}\r\n\r\n'.encode()
            + contents
            + b"\r\n"
        )
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


def headers(boundary: str = BOUNDARY) -> dict[bytes, bytes]:
    return {b"content-type": f"multipart/form-data; boundary={boundary}".encode()}
