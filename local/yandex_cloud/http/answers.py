"""Answers in XML, and errors with the platform's codes."""

from collections.abc import Iterable
from xml.etree import ElementTree as ET

from werkzeug.wrappers import Response

XML = "application/xml"


class HttpRefused(Exception):
    """A request that is answered with an error; the transaction's changes are undone."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def not_implemented(what: str) -> HttpRefused:
    """Return the error for a request that the fake does not know."""
    return HttpRefused(501, "NotImplemented", f"{what} is not in this fake")


def element(name: str, children: Iterable[ET.Element] | str = ()) -> ET.Element:
    """Return an element with this text, or these children."""
    made = ET.Element(name)
    if isinstance(children, str):
        made.text = children
    else:
        made.extend(children)
    return made


def xml(root: ET.Element, status: int = 200) -> Response:
    """Return a document as a response."""
    text = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return Response(text, status, content_type=XML)


def parse(document: bytes) -> ET.Element:
    """Return the root of a document, without namespaces. Raises HttpRefused."""
    try:
        root = ET.fromstring(document)  # noqa: S314 - from programs of this machine
    except ET.ParseError as error:
        raise HttpRefused(400, "MalformedXML", f"The XML is not well-formed: {error}") from None
    for one in root.iter():
        one.tag = one.tag.rpartition("}")[2]
    return root


def error(refused: HttpRefused) -> list[ET.Element]:
    """Return the elements that describe an error."""
    return [element("Code", refused.code), element("Message", refused.message)]
