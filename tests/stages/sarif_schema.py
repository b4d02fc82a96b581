"""What SARIF 2.1.0 allows in the objects that we write, as a JSON Schema that knows no others.

Written from the standard (OASIS, Static Analysis Results Interchange Format 2.1.0, sections in brackets),
since no package that can be installed ships its schema. Every object is closed, as there.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WORDS: Schema = {"type": "string", "minLength": 1}
COUNT: Schema = {"type": "integer", "minimum": 0}
LEVEL: Schema = {"enum": ["none", "note", "warning", "error"]}
# RFC 3986, appendix A: the characters of a URI reference; behind a percent sign only hexadecimal digits.
URI: Schema = {"type": "string", "pattern": r"^([A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*$"}
BAG: Schema = {"type": "object"}  # 3.8: property bags hold what they like


def closed(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    """An object with these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def array(items: Schema, *, unique: bool = False) -> Schema:
    """A list; `unique` where the standard says that no element may occur twice."""
    return {"type": "array", "items": items, "uniqueItems": unique}


MESSAGE = closed(("text",), text=WORDS)  # 3.11
ARTIFACT_LOCATION = closed(uri=URI, index=COUNT)  # 3.4
LOGICAL_LOCATION = closed(name=WORDS, fullyQualifiedName=WORDS, kind=WORDS)  # 3.33
LOCATION = closed(  # 3.28, 3.29
    logicalLocations=array(LOGICAL_LOCATION, unique=True),
    physicalLocation=closed(("artifactLocation",), artifactLocation=ARTIFACT_LOCATION),
)
SUPPRESSION = closed(  # 3.35
    ("kind",),
    kind={"enum": ["inSource", "external"]},
    status={"enum": ["accepted", "underReview", "rejected"]},
    justification=WORDS,
)
RESULT = closed(  # 3.27
    ("message",),
    ruleId=WORDS,
    level=LEVEL,
    message=MESSAGE,
    locations=array(LOCATION),
    partialFingerprints={"type": "object", "additionalProperties": TEXT},
    suppressions=array(SUPPRESSION, unique=True),
    properties=BAG,
)
RULE = closed(  # 3.49, 3.50
    ("id",), id=WORDS, shortDescription=MESSAGE, defaultConfiguration=closed(level=LEVEL)
)
DRIVER = closed(("name",), name=WORDS, version=TEXT, rules=array(RULE, unique=True))  # 3.19
RUN = closed(  # 3.14, 3.18, 3.24
    ("tool",),
    tool=closed(("driver",), driver=DRIVER),
    artifacts=array(closed(location=ARTIFACT_LOCATION), unique=True),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    results=array(RESULT),
)
LOG = closed(  # 3.13
    ("version", "runs"), **{"$schema": URI}, version={"const": "2.1.0"}, runs=array(RUN)
)
