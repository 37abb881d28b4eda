"""The kept networks, in the files in which the pages fetch them."""

from pathlib import Path
from typing import Any


def write(app: Any, exception: Exception | None) -> None:
    """Write the packs beside the modules that read them."""
    if exception is not None or app.builder.format != "html":
        return
    from odelib.teaching.packs import (
        KINDS,
        pack_classifiers,
        pack_garments,
        pack_writer,
    )

    folder = Path(app.outdir, "_static", "explore")
    folder.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        (folder / f"{kind}.safetensors").write_bytes(pack_classifiers(kind))
    (folder / "garments.safetensors").write_bytes(pack_garments())
    (folder / "writer.safetensors").write_bytes(pack_writer())


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
