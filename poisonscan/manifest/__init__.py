"""URL lists of any dialect become normalised rows, cut into slices.

manifest = open_manifest("laion.parquet")
slices = plan(manifest, 10_000, spill)
moved = adoptions(manifest, slices, spill)
for part in slices:
    for entry in read_slice(manifest, part, moved): ...
"""

from poisonscan.manifest.dedup import UrlDedup, adoptions
from poisonscan.manifest.dialects import parse_columns, parse_hashes
from poisonscan.manifest.files import digest
from poisonscan.manifest.model import (
    MANIFEST_ROWS,
    ColumnMap,
    Entry,
    Format,
    Manifest,
    ManifestFile,
    Slice,
)
from poisonscan.manifest.planning import plan, read_slice
from poisonscan.manifest.tables import open_manifest

__all__ = [
    "MANIFEST_ROWS",
    "ColumnMap",
    "Entry",
    "Format",
    "Manifest",
    "ManifestFile",
    "Slice",
    "UrlDedup",
    "adoptions",
    "digest",
    "open_manifest",
    "parse_columns",
    "parse_hashes",
    "plan",
    "read_slice",
]
