"""What `antiphon export` does, given its parsed options."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from rich.console import Console

console = Console()


def export(options: Namespace) -> None:
    """Write an encoder as one file for other programs, and say what it takes."""
    endings = {"onnx": ".onnx", "torch": ".pt2"}
    output = options.output or Path(f"encoder{endings[options.format]}")
    if output.suffix != endings[options.format]:
        raise ValueError(
            f"output {output} ends in {output.suffix or 'nothing'}: --format {options.format} writes {endings[options.format]}"
        )
    from antiphon.common.export import export_encoder
    from antiphon.models import load_encoder

    made = export_encoder(
        load_encoder(options.run), output, format=options.format, length=options.samples, tolerance=options.tolerance
    )
    about = made.about
    taken = " x ".join(map(str, about["input"]["shape"]))
    least = "" if options.samples or about["input"]["shape"][2] != "samples" else f", {about['shortest']} samples or more"
    rate = f", {about['input']['sample_rate']:g} Hz" if about["input"]["sample_rate"] else ""
    facts = {
        "in": f"{about['input']['name']} float32 {taken}{least}{rate}",
        "out": f"{about['output']['name']} float32 {' x '.join(map(str, about['output']['shape']))}",
        "checked": f"differs from the encoder by {about['largest_difference']:.1g} of an embedding's largest entry "
        f"(up to {about['tolerance']:g} allowed)",
        "file": f"{made.path} ({made.path.stat().st_size / 1e6:.1f} MB), {made.path.name}.json",
    }
    for key, value in facts.items():
        console.print(f"{key:<8} {value}", highlight=False, markup=False, soft_wrap=True)
